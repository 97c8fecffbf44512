"""A sourced ROS 2 on another Python than the virtual environment's.

There is none here: a prefix like /opt/ros/jazzy is made from the modules of the embedded runtime, for an
interpreter that has none of the packages of the virtual environment.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from domains import next_domain
from small_checkout import COPIED, REPO

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SETUP = """
export ROS_DISTRO=fake ROS_VERSION=2 ROS_PYTHON_VERSION=3
export PATH="{prefix}/bin:$PATH" AMENT_PREFIX_PATH="{prefix}" CMAKE_PREFIX_PATH="{prefix}"
export PYTHONPATH="{prefix}/lib/python3/site-packages:{prefix}/lib/dds"
"""


@pytest.fixture
def prefix(tmp_path):
    """A ROS 2 whose commands run on the interpreter that the virtual environment was made from."""
    prefix = tmp_path / "opt" / "ros" / "fake"
    packages = prefix / "lib" / "python3" / "site-packages"
    shutil.copytree(REPO / "ros2_embedded" / "share", prefix / "share")
    shutil.copytree(REPO / "ros2_embedded" / "python", packages)
    (prefix / "lib" / "dds").mkdir()
    shutil.move(packages / "embedded_dds", prefix / "lib" / "dds")
    (packages / "rclpy" / "_rclpy_pybind11.py").unlink()
    (packages / "rclpy" / f"_rclpy_pybind11{SUFFIX}").touch()
    python = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    (prefix / "bin").mkdir()
    ros2 = prefix / "bin" / "ros2"
    ros2.write_text(f"#!{python}\nimport sys\nfrom ros2cli.main import main\nsys.exit(main())\n")
    ros2.chmod(0o755)
    (prefix / "bin" / "python3").symlink_to(python)
    (prefix / "setup.bash").write_text(SETUP.format(prefix=prefix))
    # The shared folder refers to the runtime's Python code beside it.
    (prefix / "python").symlink_to(packages)
    return prefix


def sourced(prefix: Path) -> dict[str, str]:
    """What the prefix's setup.bash exports."""
    names = ("ROS_DISTRO", "PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "PYTHONPATH")
    done = subprocess.run(
        ["bash", "-c", f"source '{prefix}/setup.bash'; env -0"], capture_output=True, text=True, check=True
    )
    every = dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
    return {name: every[name] for name in names}


@pytest.mark.slow
def test_setup_builds_on_the_sourced_ros_2_and_back(first, prefix, tmp_path):
    checkout = first.copy(tmp_path / "hilam")
    checkout.setup()
    assert "building ros2_ws" in checkout.setup(**sourced(prefix))
    used = checkout.bash(
        "source tools/env.sh && command -v ros2 && ros2 pkg prefix hilam_ros", **sourced(prefix)
    )
    assert used.stdout.split() == [f"{prefix}/bin/ros2", f"{checkout.folder}/ros2_ws/install/hilam_ros"]
    assert "[setup]" not in checkout.setup(**sourced(prefix))
    assert "building ros2_ws" in checkout.setup()
    assert str(prefix) not in (checkout.folder / "ros2_ws" / "install" / "setup.sh").read_text()


def test_a_ros_2_for_another_python_is_refused_in_one_line(bare, prefix):
    compiled = prefix / "lib" / "python3" / "site-packages" / "rclpy" / f"_rclpy_pybind11{SUFFIX}"
    compiled.rename(compiled.with_name("_rclpy_pybind11.cpython-39-x86_64-linux-gnu.so"))
    said = bare.refused(**sourced(prefix))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert "no Python 3.10 to 3.12 that the sourced ROS 2 fake was built for" in said
    assert f"{sys.executable} ({version})" in said and not (bare.folder / ".venv").exists()


@pytest.mark.slow
def test_three_lines_run_from_nothing_but_a_sourced_ros_2(prefix, tmp_path):
    """README's colcon build, source, ros2 launch; then the same through tools/env.sh, as `make sim` does."""
    folder = tmp_path / "hilam"
    for name in COPIED:
        source = REPO / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source, folder / name)
    (folder / "checkpoints").symlink_to(REPO / "checkpoints")
    (folder / ".venv").symlink_to(sys.prefix)  # as `make setup` would make it
    shell = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")}
    shell.update(sourced(prefix), ROS_DOMAIN_ID=str(next_domain()))
    launch = "ros2 launch hilam_ros libero_sim.launch.py max_steps:=5 output:=runs"

    def lines(*commands: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", " && ".join(commands)],
            cwd=folder,
            env=shell,
            capture_output=True,
            text=True,
            timeout=300,
        )

    colcon = Path(sys.prefix) / "bin" / "colcon"
    three = lines(f"cd ros2_ws && {colcon} build && source install/setup.bash", launch)
    assert three.returncode == 1 and "timeout after 5 steps" in three.stdout, three.stdout + three.stderr
    again = lines("source tools/env.sh", f"exec {launch}")
    assert again.returncode == 1 and "timeout after 5 steps" in again.stdout, again.stdout + again.stderr
