# Puts the embedded ROS 2 runtime on the paths. POSIX shell, safe under `set -eu`, starts no interpreter, idempotent.
# A plain shell cannot know where a sourced file lies: the caller sets COLCON_CURRENT_PREFIX (setup.bash does).

if [ -z "${COLCON_CURRENT_PREFIX:-}" ] || [ ! -f "$COLCON_CURRENT_PREFIX/local_setup.sh" ]; then
  echo "embedded ROS 2: set COLCON_CURRENT_PREFIX to the ros2_embedded folder, or source its setup.bash in bash" >&2
  return 1
fi
_embedded_prefix="$COLCON_CURRENT_PREFIX"

# Prepends $2 to the colon-separated variable $1 unless it is in there.
_embedded_prepend() {
  eval "_embedded_value=\${$1:-}"
  case ":$_embedded_value:" in
    *":$2:"*) ;;
    *) export "$1=$2${_embedded_value:+:$_embedded_value}" ;;
  esac
}

# Sets _embedded_real to the folder of an importable rclpy that is not ours: on PYTHONPATH, or beside the python3 in use.
_embedded_find_real() {
  _embedded_real=""
  _embedded_bin=$(command -v python3) || _embedded_bin=""
  _embedded_ifs="$IFS"
  IFS=":"
  set -- ${PYTHONPATH:-}
  IFS="$_embedded_ifs"
  for _embedded_dir in "$@" "${_embedded_bin%/bin/*}"/lib/python3*/site-packages "${_embedded_bin%/bin/*}"/lib/python3*/dist-packages; do
    # Another checkout's embedded runtime, sourced before, is not a real one.
    if [ -f "$_embedded_dir/rclpy/__init__.py" ] && [ ! -d "$_embedded_dir/embedded_dds" ]; then
      _embedded_real="$_embedded_dir/rclpy"
      return 0
    fi
  done
}

_embedded_find_real
if [ -n "$_embedded_real" ]; then
  echo "embedded ROS 2: stepping aside, a real rclpy is in $_embedded_real" >&2
else
  # The project's virtual environment has what the runtime needs; an active one is left alone.
  if [ -z "${VIRTUAL_ENV:-}" ] && [ -x "${_embedded_prefix%/*}/.venv/bin/python3" ]; then
    export VIRTUAL_ENV="${_embedded_prefix%/*}/.venv"
    _embedded_prepend PATH "$VIRTUAL_ENV/bin"
  fi
  _embedded_prepend PATH "$_embedded_prefix/bin"
  _embedded_prepend PYTHONPATH "$_embedded_prefix/python"
  _embedded_prepend AMENT_PREFIX_PATH "$_embedded_prefix"
  _embedded_prepend CMAKE_PREFIX_PATH "$_embedded_prefix"
  export ROS_DISTRO="${ROS_DISTRO:-jazzy}" ROS_VERSION=2 ROS_PYTHON_VERSION=3
  # Interface packages are project()s with C and C++ by default, yet compile nothing here: do without a compiler.
  if ! command -v cc >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1 && ! command -v clang >/dev/null 2>&1; then
    export CMAKE_TOOLCHAIN_FILE="$_embedded_prefix/share/ament_cmake/cmake/no_compiler.cmake"
  fi
fi

unset -f _embedded_prepend _embedded_find_real
unset _embedded_prefix _embedded_value _embedded_bin _embedded_ifs _embedded_dir _embedded_real
