# Source me (bash): the virtual environment, a ROS 2 (the sourced one, else the embedded runtime) and the built workspace.
_hilam_root="$(builtin cd "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd -P)"
if [ ! -L "$_hilam_root/.venv" ] && [ "$(cat "$_hilam_root/.venv/made-for" 2>/dev/null)" != "$_hilam_root" ]; then
    echo "tools/env.sh: $_hilam_root has no virtual environment made for this place: run make setup there" >&2
    unset _hilam_root
    return 1
fi
source "$_hilam_root/.venv/bin/activate"
# This checkout's code runs, also where the environment is another one's (a link in a git worktree).
export PYTHONPATH="$_hilam_root:$_hilam_root/sim${PYTHONPATH:+:$PYTHONPATH}"
source "$_hilam_root/ros2_embedded/setup.bash"
if [ -f "$_hilam_root/ros2_ws/install/local_setup.bash" ]; then
    source "$_hilam_root/ros2_ws/install/local_setup.bash"
fi
unset _hilam_root
