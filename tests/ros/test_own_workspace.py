"""The repository cloned into somebody's colcon workspace: all three packages are found, build and run."""

import ast
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from ros_workspace import PACKAGES, REPO, Workspace

# As docs/deployment.md gives it: colcon does not look for packages inside the package `hilam`.
BASE_PATHS = "--base-paths src src/hilam/ros2_ws/src"
NOT_OURS = shutil.ignore_patterns(".*", "build", "install", "log", "runs", "data", "tests", "images")
# Of pip: torch, and the extras `console` and `rerun`.
OF_PIP = {"torch", "nicegui", "fastapi", "uvicorn", "rerun"}
PROJECT = {
    "hilam_core": "hilam",
    "hilam_sim": "hilam",
    "numpy": "python3-numpy",
    "yaml": "python3-yaml",
    "cv2": "python3-opencv",
}


@pytest.mark.slow
def test_a_clone_in_another_workspace_builds_and_runs(tmp_path):
    shutil.copytree(REPO, tmp_path / "src" / "hilam", ignore=NOT_OURS, symlinks=True)
    workspace = Workspace(tmp_path)
    colcon = f"cd '{tmp_path}' && unset PYTHONPATH && {workspace.environment} && colcon"
    found = subprocess.run(["bash", "-c", f"{colcon} list {BASE_PATHS}"], capture_output=True, text=True)
    assert [line.split("\t")[0] for line in found.stdout.splitlines()] == ["hilam", "hilam_msgs", "hilam_ros"]
    built = subprocess.run(["bash", "-c", f"{colcon} build {BASE_PATHS}"], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    sourced = f"source '{tmp_path}/install/setup.bash'"
    workspace.environment = f"unset PYTHONPATH && {workspace.environment} && {sourced}"
    where = "import hilam_core, hilam_sim; print(hilam_core.__file__, hilam_sim.__file__)"
    printed = workspace.start(f"python -c '{where}'")
    assert printed.wait() == 0, printed.output
    assert printed.output.count(f"{tmp_path}/install/hilam/") == 2
    launch = workspace.simulate(max_steps=5, output=tmp_path / "runs")
    assert launch.wait() == 1, launch.output  # five steps do not solve the task
    assert "timeout after 5 steps" in launch.output


def test_package_manifest_names_every_package_that_is_imported():
    manifest = ElementTree.parse(PACKAGES / "hilam_ros" / "package.xml")
    named = {element.text for element in manifest.iter() if element.tag.endswith("depend")}
    for path in (PACKAGES / "hilam_ros").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for module in {name.split(".")[0] for name in modules} - OF_PIP - {"hilam_ros"}:
                if module not in sys.stdlib_module_names:
                    assert PROJECT.get(module, module) in named, f"{path.name} imports {module}"
