#!/usr/bin/env bash
# Sets everything up: virtual environment, Python packages, headless OpenGL, the built ROS 2 workspace.
# Does only what is missing, out of date, left half done, or made for another place. PYTHON=python3.12 chooses the
# interpreter; a sourced ROS 2 needs the one it was built for.
set -euo pipefail
shopt -s inherit_errexit
unset CDPATH
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

SPACE_MB=3550  # of a new environment with PyTorch's CPU build; the CUDA build takes about 8250
UPDATE_MB=300
TEMPORARY_MB=1000
WORKSPACE_MB=20

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

check_path() {
    case $PWD in *[[:space:]:\;\"\'\\\$\`\&\|\<\>\(\)\[\]\*\?\!\#]*)
        die "the checkout lies in '$PWD': colcon's scripts take no blanks and none of : ; \" ' \\ \$ \` & | < > ( ) [ ] * ? ! # in a path; move it" ;;
    esac
}

check_folders() {  # before any work: all that it will write to
    local folder
    for folder in . .venv ros2_ws ros2_ws/build ros2_ws/install ros2_ws/log; do
        [ ! -d "$folder" ] || check_writable "$folder" "make it writable for $(id -un), or use a checkout of your own"
    done
    check_writable "${TMPDIR:-/tmp}" "set TMPDIR to a folder that is"
}

check_writable() {  # check_writable FOLDER ADVICE
    local answer
    answer=$(mktemp "$1/.setup.XXXXXX" 2>&1) && rm "$answer" && return
    die "$(realpath -m "$1") (owner: $(stat -c %U "$1" 2>/dev/null || echo none)) is not writable (${answer##*: }): $2"
}

check_space() {  # check_space FOLDER MB PURPOSE
    local free; free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$2" ] || die "the disk of $(realpath "$1") has $free MB free, $3 need at least $2 MB there"
}

apt_install() {  # apt_install PURPOSE PACKAGE...: installs when allowed, otherwise says what to do
    local purpose=$1; shift
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null && sudo=(sudo -n) ||
            die "$purpose missing. Install with: sudo apt-get install -y $*"
    fi
    command -v apt-get >/dev/null || die "$purpose missing and there is no apt-get: install the equivalents of: $*"
    say "installing $* ($purpose)"
    { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } \
        >/dev/null || die "apt-get could not install $*: install by hand, then run this again"
}

real_ros() { [ -n "${ROS_DISTRO:-}" ] && [[ ":${AMENT_PREFIX_PATH:-}:" != */ros2_embedded:* ]]; }

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

python_fits() {  # 3.10 to 3.12, and with a sourced ROS 2 the version that the compiled part of its rclpy is named after
    case $(python_version "$1") in 3.10|3.11|3.12) ;; *) return 1 ;; esac
    ! real_ros || "$1" -c '
from importlib.machinery import PathFinder
from importlib.util import find_spec
rclpy = find_spec("rclpy")
raise SystemExit(not (rclpy and PathFinder.find_spec("_rclpy_pybind11", rclpy.submodule_search_locations)))'
}

find_python() {
    local candidate tried=
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10 /usr/bin/python3}; do
        command -v "$candidate" >/dev/null || { tried+=" $candidate (not found)"; continue; }
        if python_fits "$candidate"; then
            # Not the link in a virtual environment, which may be the one to be removed.
            "$candidate" -c 'import sys; print("%s/bin/python%d.%d" % (sys.base_prefix, *sys.version_info[:2]))'
            return
        fi
        tried+=" $candidate ($(python_version "$candidate" || echo does not run))"
    done
    die "no Python 3.10 to 3.12$(real_ros && echo " that the sourced ROS 2 $ROS_DISTRO was built for"); tried:$tried; set PYTHON=/path/to/python3"
}

venv_trouble() {  # why .venv must be made anew; nothing when it will do
    [ -d .venv ] || { echo "none yet"; return; }
    [ -f .venv/made-for ] || { echo "the one here is not whole"; return; }
    local version; version=$(python_version .venv/bin/python) || { echo "the Python of the one here is gone"; return; }
    [ -f .venv/packages.sha256 ] || .venv/bin/python -m pip --version >/dev/null 2>&1 ||
        { echo "the pip of the one here is broken"; return; }
    [ -n "${PYTHON:-}" ] || real_ros || return 0
    local wanted; wanted=$(find_python)
    [ "$version" = "$(python_version "$wanted")" ] || echo "the one here has Python $version"
}

make_venv() {
    local trouble; trouble=$(venv_trouble)
    [ -z "$trouble" ] && return
    check_folders
    local python; python=$(find_python)
    say "virtual environment .venv with $("$python" --version) ($trouble)"
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install "the venv module" python3-venv
    rm -rf .venv
    "$python" -m venv .venv
    echo "$PWD" > .venv/made-for
}

# A virtual environment has its place in its commands, its activate scripts and the editable install.
move_venv() {
    local before; before=$(cat .venv/made-for)
    [ "$before" = "$PWD" ] && return
    check_folders
    say "the virtual environment was made for $before: setting its paths to $PWD"
    { grep -rlIZF "$before/.venv" .venv/bin .venv/pyvenv.cfg || true; } | xargs -0r sed -i "s|$before/.venv|$PWD/.venv|g"
    [ ! -f .venv/packages.sha256 ] || pip_install --no-deps --no-build-isolation -e .
    echo "$PWD" > .venv/made-for
}

# pip writes RECORD last: a package without one was interrupted, and pip would take it for installed.
remove_half_installed() {
    local packages info
    packages=$(echo .venv/lib/python3*/site-packages)
    for info in "$packages"/*.dist-info; do
        [ -s "$info/RECORD" ] || { say "${info##*/} was left half installed"; rm -rf "$info"; }
    done
    rm -rf "$packages"/~*  # what an interrupted pip had put aside
}

pip_install() {
    local said  # not into a file: the disk may be full
    said=$(env -u PYTHONPATH PIP_USER=0 PYTHONWARNINGS="ignore:Editable installation" .venv/bin/python -m pip install -q \
        --disable-pip-version-check -c constraints.txt "$@" 2>&1) && return
    printf '%s\n' "$said" | tail -n 20 >&2
    case $said in
        *"No space left"*) die "the disk is full: $(df -Ph . "${TMPDIR:-/tmp}" | awk 'NR > 1 { print $6, "has", $4, "left" }' | sort -u | paste -sd,)" ;;
        *"connection broken"*|*"timed out"*|*ProxyError*) die "no package index answers: check the network, the proxy, and pip config list" ;;
        *) die "pip could not install the packages" ;;
    esac
}

install_packages() {
    local wanted; wanted=$(cat pyproject.toml setup.py constraints.txt tools/no-deps.txt tools/setup.sh | sha256sum)
    [ "$(cat .venv/packages.sha256 2>/dev/null)" = "$wanted" ] && return
    [ ! -L .venv ] || die "the packages of .venv, a link to $(realpath .venv), are not those of this checkout: run make setup there, or remove the link"
    check_folders
    check_space . "$([ -f .venv/packages.sha256 ] && echo $UPDATE_MB || echo $SPACE_MB)" "the Python packages"
    check_space "${TMPDIR:-/tmp}" $TEMPORARY_MB "the Python packages on their way"
    say "Python packages (some minutes the first time)"
    rm -f .venv/packages.sha256
    remove_half_installed
    pip_install --upgrade pip  # the resolvers bundled with older Pythons can search for an hour
    pip_install -e '.[sim,ros,dev]'
    pip_install --no-deps -r tools/no-deps.txt
    echo "$wanted" > .venv/packages.sha256
}

install_gl() {
    local libraries; libraries=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
    case "$libraries" in
        *libEGL.so.1*libGLdispatch*|*libGLdispatch*libEGL.so.1*|*libOSMesa*) ;;
        *) apt_install "headless OpenGL" libegl1 libgl1 libgl1-mesa-dri ;;
    esac
}

build_workspace() {
    local place sources built=ros2_ws/install/built-for
    place="$PWD on $(command -v ros2) with Python $(python_version python3)"
    sources=$(find ros2_ws/src ros2_embedded -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 cat | cat - .venv/packages.sha256 | sha256sum)
    [ "$(cat $built 2>/dev/null)" = "$place"$'\n'"$sources" ] && return
    check_folders
    check_space . $WORKSPACE_MB "the workspace's packages"
    # CMake's cache and colcon's scripts hold the paths of the place and of the ROS 2 that they were made with.
    [ "$(head -n 1 $built 2>/dev/null)" = "$place" ] || rm -rf ros2_ws/build ros2_ws/install
    say "building ros2_ws with colcon"
    mkdir -p ros2_ws/log
    (cd ros2_ws && colcon --log-base log build) > ros2_ws/log/build.txt 2>&1 ||
        { tail -n 30 ros2_ws/log/build.txt >&2; die "colcon build failed; all of its output: ros2_ws/log/build.txt"; }
    printf '%s\n' "$place" "$sources" > $built
}

check_path
if [ ! -L .venv ]; then  # a link is another checkout's environment: its owner sets it up
    make_venv
    move_venv
fi
install_packages
install_gl
set +u
source tools/env.sh
set -u
build_workspace
