# Source me (bash): the virtual environment, a ROS 2 (the sourced one, else the embedded runtime) and the built workspace.
_hilam_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
source "$_hilam_root/.venv/bin/activate"
# This checkout's code runs, also where the environment was made for another one (a copy, a git worktree).
export PYTHONPATH="$_hilam_root:$_hilam_root/sim${PYTHONPATH:+:$PYTHONPATH}"
source "$_hilam_root/ros2_embedded/setup.bash"
if [ -f "$_hilam_root/ros2_ws/install/local_setup.bash" ]; then
    source "$_hilam_root/ros2_ws/install/local_setup.bash"
fi
unset _hilam_root
