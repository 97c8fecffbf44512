# source ros2_embedded/setup.bash: an underlay like /opt/ros/jazzy for machines without ROS 2 (see README.md).
COLCON_CURRENT_PREFIX="$(builtin cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null && pwd)"
. "$COLCON_CURRENT_PREFIX/local_setup.sh"
unset COLCON_CURRENT_PREFIX
