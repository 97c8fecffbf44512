# What `ros2` of a real ROS 2 imports from here, on a Python that knows nothing of this checkout: hilam_core, hilam_sim,
# and the packages of the virtual environment that `make setup` has made. Elsewhere than in a checkout it does nothing.
for _hilam_root in "$COLCON_CURRENT_PREFIX/../.." "$COLCON_CURRENT_PREFIX/../../.."; do  # merged, isolated
  [ -d "$_hilam_root/hilam_core" ] || continue
  _hilam_root=$(cd "$_hilam_root" >/dev/null && pwd -P)
  case ":${PYTHONPATH:-}:" in
    *":$_hilam_root:"*) ;;
    *) export PYTHONPATH="$_hilam_root:$_hilam_root/sim${PYTHONPATH:+:$PYTHONPATH}" ;;
  esac
  # The embedded runtime's commands run in the virtual environment anyway.
  case ":${AMENT_PREFIX_PATH:-}:" in
    *"/ros2_embedded:"*) ;;
    *)
      for _hilam_packages in "$_hilam_root"/.venv/lib/python3*/site-packages; do
        case ":$PYTHONPATH:" in
          *":$_hilam_packages:"*) ;;
          *) export PYTHONPATH="$PYTHONPATH:$_hilam_packages" ;;  # behind ROS's own
        esac
      done
      unset _hilam_packages
      ;;
  esac
  break
done
unset _hilam_root
