#!/usr/bin/env bash
# Installs the real rclpy of ROS 2 Jazzy into .venv-ros, where tests/conformance runs it beside the embedded runtime.
# Does only what is missing; where it cannot be installed, the last line on stderr says why. PYTHON chooses the interpreter.
# It has an environment of its own because its start-up hook re-executes every Python it is installed beside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=$(cat tools/real-rclpy.txt tools/real_rclpy.sh | sha256sum)
installed() { [ "$(cat .venv-ros/packages.sha256 2>/dev/null)" = "$wanted" ]; }
die() { printf '%s\n' "$*" >&2; exit 1; }

installed && exit
[ "$(uname -sm)" = "Linux x86_64" ] || die "the real rclpy has wheels for Linux x86-64 only, this is $(uname -sm)"
exec 9> .venv-ros.lock
flock 9  # two test sessions of one checkout
installed && exit
rm -rf .venv-ros
"${PYTHON:-python3}" -m venv .venv-ros
output=$(.venv-ros/bin/pip install -q --disable-pip-version-check --prefer-binary -r tools/real-rclpy.txt 2>&1) ||
    die "the real rclpy could not be installed: $(grep -m 1 '^ERROR' <<< "$output" || tail -n 1 <<< "$output")"
echo "$wanted" > .venv-ros/packages.sha256
