"""`colcon build` of ordinary ROS 2 packages on the embedded underlay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sourcing import UNDERLAY, sourced

PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>{name}</name><version>0.1.0</version><description>test</description>
  <maintainer email="a@example.org">a</maintainer><license>MIT</license>
  {dependencies}
  <export><build_type>{build_type}</build_type></export>
</package>
"""
CMAKE = """cmake_minimum_required(VERSION 3.16)
project(toy_msgs)
find_package(ament_cmake REQUIRED)
find_package(std_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
rosidl_generate_interfaces(${PROJECT_NAME}
  "msg/Reading.msg" "srv/Ask.srv" "action/Count.action"
  DEPENDENCIES std_msgs)
ament_export_dependencies(rosidl_default_runtime)
if(BUILD_TESTING)
  find_package(ament_lint_auto REQUIRED)
  ament_lint_auto_find_test_dependencies()
endif()
ament_package()
"""
FILES = {
    "toy_msgs/CMakeLists.txt": CMAKE,
    "toy_msgs/package.xml": PACKAGE_XML.format(
        name="toy_msgs",
        build_type="ament_cmake",
        dependencies="<buildtool_depend>ament_cmake</buildtool_depend><depend>std_msgs</depend>"
        "<build_depend>rosidl_default_generators</build_depend>"
        "<member_of_group>rosidl_interface_packages</member_of_group>",
    ),
    "toy_msgs/msg/Reading.msg": "std_msgs/Header header\nfloat32[] values\n",
    "toy_msgs/srv/Ask.srv": "int64 a\n---\nint64 b\n",
    "toy_msgs/action/Count.action": "int64 up_to\n---\nint64 sum\n---\nint64 at\n",
    "toy_nodes/package.xml": PACKAGE_XML.format(
        name="toy_nodes",
        build_type="ament_python",
        dependencies="<depend>rclpy</depend><depend>toy_msgs</depend>",
    ),
    "toy_nodes/setup.cfg": """
[develop]
script_dir=$base/lib/toy_nodes
[install]
install_scripts=$base/lib/toy_nodes
""",
    "toy_nodes/setup.py": """
from setuptools import setup
setup(
    name="toy_nodes", version="0.1.0", packages=["toy_nodes"], install_requires=["setuptools"],
    data_files=[("share/ament_index/resource_index/packages", ["resource/toy_nodes"]),
                ("share/toy_nodes", ["package.xml"]), ("share/toy_nodes/launch", ["launch/toy.launch.py"])],
    entry_points={"console_scripts": ["reader = toy_nodes.reader:main"]},
)
""",
    "toy_nodes/resource/toy_nodes": "",
    "toy_nodes/toy_nodes/__init__.py": "",
    "toy_nodes/toy_nodes/reader.py": """
from toy_msgs.action import Count
from toy_msgs.msg import Reading
from toy_msgs.srv import Ask
def main():
    print("sum", sum(Reading(values=[1.0, 2.0]).values) + Ask.Request(a=3).a + Count.Goal(up_to=4).up_to)
""",
    "toy_nodes/launch/toy.launch.py": """
from launch import LaunchDescription
from launch_ros.actions import Node
def generate_launch_description():
    return LaunchDescription([Node(package="toy_nodes", executable="reader", output="screen")])
""",
}


def write_workspace(folder: Path) -> None:
    for name, text in FILES.items():
        path = folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, underlay) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    write_workspace(folder)
    result = run(["colcon", "build"], folder, underlay)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_packages_are_recognised_as_ros_packages(workspace, underlay):
    listed = run(["colcon", "list"], workspace, underlay).stdout
    assert "toy_msgs\tsrc/toy_msgs\t(ros.ament_cmake)" in listed
    assert "toy_nodes\tsrc/toy_nodes\t(ros.ament_python)" in listed


@pytest.mark.parametrize("script", ["setup.bash", "local_setup.bash"])
def test_the_overlay_gives_packages_nodes_and_launch_files(workspace, underlay, script):
    """setup.bash brings the underlay with it, local_setup.bash adds to it."""
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    overlay = sourced(
        workspace / "install" / script, environment=bare if script == "setup.bash" else underlay
    )

    def ros2(*arguments: str) -> subprocess.CompletedProcess:
        return run(["ros2", *arguments], workspace, overlay)

    assert ros2("run", "toy_nodes", "reader").stdout == "sum 10.0\n"
    assert "[reader-1] sum 10.0" in ros2("launch", "toy_nodes", "toy.launch.py").stdout
    assert ros2("pkg", "prefix", "toy_msgs").stdout == f"{workspace}/install/toy_msgs\n"
    assert ros2("pkg", "executables", "toy_nodes").stdout == "toy_nodes reader\n"
    wrong = ros2("launch", "toy_nodes", "tyo.launch.py")
    assert wrong.returncode == 1
    assert "choices: toy.launch.py" in wrong.stderr


def test_symlink_install_follows_the_sources(tmp_path, underlay):
    write_workspace(tmp_path)
    result = run(["colcon", "build", "--symlink-install"], tmp_path, underlay)
    assert result.returncode == 0, result.stdout + result.stderr
    source = tmp_path / "src/toy_nodes/toy_nodes/reader.py"
    source.write_text("def main():\n    print('edited')\n")
    overlay = sourced(tmp_path / "install/setup.bash", environment=underlay)
    assert run(["ros2", "run", "toy_nodes", "reader"], tmp_path, overlay).stdout == "edited\n"


def test_interfaces_build_without_a_compiler(tmp_path, underlay):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "sh", "env", "make", "cmake", "colcon", "python3", "dirname", "uname"):
        (programs / name).symlink_to(shutil.which(name, path=underlay["PATH"]))
    (programs / "python3").unlink()
    (programs / "python3").symlink_to(sys.executable)
    write_workspace(tmp_path)
    bare = {"PATH": str(programs), "HOME": str(tmp_path), "VIRTUAL_ENV": sys.prefix}
    environment = sourced(UNDERLAY / "setup.bash", environment=bare)
    result = run(["colcon", "build", "--packages-select", "toy_msgs"], tmp_path, environment)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("msg/Reading.msg", "msg/Raeding.msg", "no file 'msg/Raeding.msg'"),
        ("msg/Reading.msg", "Reading.msg", "'Reading.msg' must be msg/Name.msg"),
        ("DEPENDENCIES std_msgs", "DEPENDENCIES std_mgs", "names 'std_mgs', which is not found"),
    ],
)
def test_a_wrong_interface_list_is_named(tmp_path, underlay, old, new, error):
    write_workspace(tmp_path)
    cmake = tmp_path / "src/toy_msgs/CMakeLists.txt"
    cmake.write_text(CMAKE.replace(old, new))
    result = run(["colcon", "build", "--packages-select", "toy_msgs"], tmp_path, underlay)
    assert result.returncode != 0
    assert error in " ".join(result.stderr.split())


def test_sourcing_is_strict_idempotent_and_quick(underlay, tmp_path):
    """Under `set -eu`; twice gives the same paths; no python is started."""
    script = UNDERLAY / "setup.bash"
    command = f"set -eu; python3() {{ echo started; }}; . '{script}'; . '{script}'; env -0"
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    result = subprocess.run(["bash", "-c", command], env=bare, capture_output=True, text=True, check=True)
    environment = dict(line.split("=", 1) for line in result.stdout.split("\0") if line)
    assert environment["PYTHONPATH"] == str(UNDERLAY / "python")
    assert environment["AMENT_PREFIX_PATH"] == environment["CMAKE_PREFIX_PATH"] == str(UNDERLAY)
    assert environment["PATH"].split(":").count(str(UNDERLAY / "bin")) == 1
    assert environment["ROS_VERSION"] == "2"
    assert not [name for name in environment if name.startswith("_embedded")]


def test_the_runtime_steps_aside_for_a_real_rclpy(tmp_path):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy/__init__.py").touch()
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    assert sourced(UNDERLAY / "setup.bash", environment=bare)["PYTHONPATH"] == str(tmp_path)
    said = subprocess.run(
        ["bash", "-c", f". '{UNDERLAY}/setup.bash'"], env=bare, capture_output=True, text=True
    )
    assert f"stepping aside, a real rclpy is in {tmp_path}/rclpy" in said.stderr
