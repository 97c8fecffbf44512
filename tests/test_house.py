"""Which module may import which: no circles, arrows in one direction, a ground floor without torch."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "hilam_core": ROOT / "hilam_core",
    "hilam_sim": ROOT / "sim" / "hilam_sim",
    "hilam_ros": ROOT / "ros2_ws" / "src" / "hilam_ros" / "hilam_ros",
}
RUNTIME = ROOT / "ros2_embedded" / "python"
FLOOR = {
    f"hilam_core.{name}"
    for name in ("errors", "files", "video", "statistics", "cards", "program", "conventions")
}
ROS = {"rclpy", "launch", "launch_ros", "hilam_ros", "hilam_msgs"}
SIMULATOR = {"mujoco", "robosuite", "libero", "hilam_sim"}


def _module(package, path):
    parts = (package, *path.relative_to(PACKAGES[package]).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {_module(package, path): path for package, root in PACKAGES.items() for path in root.rglob("*.py")}


def _imported(path):
    """Dotted names that a file imports, also within functions; `module.name` for what it takes from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own(name):
    """The longest part of a dotted name that is a module of ours; empty where none is."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


IMPORTS = {module: set(_imported(path)) for module, path in MODULES.items()}
ARROWS = {module: {_own(name) for name in names} - {module, ""} for module, names in IMPORTS.items()}


def _folder(module):
    """The folder or module directly in its package: `hilam_core.policy.model` is in `hilam_core.policy`."""
    return ".".join(module.split(".")[:2])


FOLDERS: dict[str, set[str]] = {}
for module, targets in ARROWS.items():
    FOLDERS.setdefault(_folder(module), set()).update(map(_folder, targets - {module}))
for folder, targets in FOLDERS.items():
    targets.discard(folder)


@pytest.mark.parametrize("arrows", [ARROWS, FOLDERS], ids=["modules", "folders"])
def test_no_imports_in_a_circle(arrows):
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def _runs(node):
    """The statements below a node that run: not those under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _runs(child)


def test_the_embedded_runtime_imports_nothing_in_a_circle():
    """As it runs: what a node makes names the node's type, as in ROS 2, for type checkers only."""
    paths = {
        ".".join(path.relative_to(RUNTIME).with_suffix("").parts).removesuffix(".__init__"): path
        for path in RUNTIME.rglob("*.py")
    }
    arrows = {}
    for module, path in paths.items():
        nodes = list(_runs(ast.parse(path.read_text())))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                taken = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {name if name in paths else node.module for name in taken}
        arrows[module] = names & paths.keys() - {module}
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("hilam_core", ROS | SIMULATOR), ("hilam_sim", ROS | {"torch"})],
)
def test_arrows_point_one_way(package, forbidden):
    for module in (module for module in MODULES if module.split(".")[0] == package):
        wrong = {name for name in IMPORTS[module] if name.split(".")[0] in forbidden}
        assert not wrong, f"{module} imports {', '.join(sorted(wrong))}"


def test_the_simulator_stands_on_the_ground_floor_only():
    for module, targets in ARROWS.items():
        if module.split(".")[0] == "hilam_sim":
            core = {target for target in targets if target.split(".")[0] == "hilam_core"}
            assert core <= FLOOR, f"{module} imports {', '.join(sorted(core - FLOOR))}"


@pytest.mark.parametrize(
    "modules",
    [FLOOR, [module for module in MODULES if module.split(".")[0] == "hilam_sim"]],
    ids=["floor", "hilam_sim"],
)
def test_nothing_loads_torch_behind_our_back(modules):
    program = f"import sys, {', '.join(sorted(modules))}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "torch was imported"
