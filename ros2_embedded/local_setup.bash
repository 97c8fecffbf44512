# What colcon's setup.bash of an overlay sources; colcon has set COLCON_CURRENT_PREFIX and uses it after this.
. "${COLCON_CURRENT_PREFIX:-$(builtin cd "$(dirname "${BASH_SOURCE[0]}")" >/dev/null && pwd)}/setup.bash"
