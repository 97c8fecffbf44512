"""What a launch file and the bridge use of the runtime starts quickly: no torch, no ROS."""

import pkgutil
import subprocess
import sys

import hilam_core.runtime

NEEDS_TORCH = {"control"}


def test_only_the_networks_need_torch():
    modules = {module.name for module in pkgutil.iter_modules(hilam_core.runtime.__path__)}
    assert modules >= NEEDS_TORCH
    imports = "; ".join(f"import hilam_core.runtime.{name}" for name in sorted(modules - NEEDS_TORCH))
    check = f"{imports}; import sys; print([m for m in ('torch', 'rclpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
