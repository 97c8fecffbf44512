#!/usr/bin/env bash
# Sets everything up: virtual environment, Python packages, headless OpenGL, the built ROS 2 workspace.
# Does only what is missing or out of date. PYTHON=python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
die() { printf '[setup] %s\n' "$*" >&2; exit 1; }

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

python_ok() { "$1" -c 'import sys; raise SystemExit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
        if command -v "$candidate" >/dev/null && python_ok "$candidate"; then echo "$candidate"; return; fi
    done
    die "no Python 3.10 to 3.12 found (looked for ${PYTHON:-python3, python3.12, python3.11, python3.10}); set PYTHON=/path/to/python3"
}

make_venv() {
    [ -x .venv/bin/pip ] && return
    local python; python=$(find_python)
    say "virtual environment .venv ($("$python" --version))"
    "$python" -c 'import ensurepip' 2>/dev/null || apt_install "the venv module" python3-venv
    rm -rf .venv
    "$python" -m venv .venv
}

pip_install() { PYTHONWARNINGS="ignore:Editable installation" .venv/bin/pip install -q --disable-pip-version-check -c constraints.txt "$@" 2> >(grep -v '^WARNING: Location' >&2); }

install_packages() {
    local wanted; wanted=$(cat pyproject.toml setup.py constraints.txt tools/no-deps.txt tools/setup.sh | sha256sum)
    [ "$(cat .venv/packages.sha256 2>/dev/null)" = "$wanted" ] && return
    say "Python packages (some minutes the first time)"
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
    local wanted; wanted=$(find ros2_ws/src ros2_embedded -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 cat | cat - .venv/packages.sha256 |
        sha256sum; echo "${ROS_DISTRO:-}")
    [ "$(cat ros2_ws/install/sources.sha256 2>/dev/null)" = "$wanted" ] && return
    say "building ros2_ws with colcon"
    mkdir -p ros2_ws/log
    (cd ros2_ws && colcon --log-base log build) > ros2_ws/log/build.txt 2>&1 ||
        { tail -n 30 ros2_ws/log/build.txt >&2; die "colcon build failed; all of its output: ros2_ws/log/build.txt"; }
    echo "$wanted" > ros2_ws/install/sources.sha256
}

make_venv
install_packages
install_gl
set +u
source tools/env.sh
set -u
build_workspace
