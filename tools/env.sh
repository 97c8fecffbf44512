# Source me (bash): the virtual environment, a ROS 2 (the sourced one, else the embedded runtime) and the built workspace.
_hilam_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$_hilam_root/.venv/bin/activate"
source "$_hilam_root/ros2_embedded/setup.bash"
if [ -f "$_hilam_root/ros2_ws/install/local_setup.bash" ]; then
    source "$_hilam_root/ros2_ws/install/local_setup.bash"
fi
unset _hilam_root
