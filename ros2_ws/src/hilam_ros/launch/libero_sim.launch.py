"""One LIBERO episode in simulation: ros2 launch hilam_ros libero_sim.launch.py task:=3 init_state:=7"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from hilam_ros.launching import POLICY_NODES, end_together, make_node
from hilam_ros.profile import (
    MODES,
    ProfileError,
    check_cameras,
    default_policy,
    load_profile,
)
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from hilam_core.cards import assets_warning, load_whole_card, trained_assets
from hilam_core.files import writable_folder
from hilam_sim.assets import resolve_assets
from hilam_sim.tasks import get_task, initial_states

ARGUMENTS = {
    "suite": ("libero_object", "LIBERO suite"),
    "task": ("0", "index, name or instruction of the task"),
    "init_state": ("0", "index of the stored initial state"),
    "mode": ("lockstep", "lockstep: one step per command, deterministic; realtime: 20 Hz whatever arrives"),
    "policy": ("", "checkpoint folder; empty: $HILAM_POLICY, else the shipped one"),
    "assets": ("", "auto, builtin or official; empty: what the policy was trained on"),
    "output": ("runs", "folder in which the episode's own folder is made"),
    "seed": ("0", "seed of the environment"),
    "max_steps": ("0", "steps until the episode is given up; 0: the suite's own limit"),
    "profile": ("libero", "name of a file in the package's config folder, or a path"),
}


def start(context: LaunchContext) -> list:
    """Check every argument before any process starts: what is wrong ends the launch with one line."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    task = check_task(given)
    mode = choice("mode", given["mode"], MODES)
    config = Path(get_package_share_directory("hilam_ros")) / "config"
    profile_path, profile = load_profile(given["profile"], config)
    policy = (Path(given["policy"]) if given["policy"] else default_policy()).absolute()
    card = load_whole_card(policy, "policy")
    check_cameras(card, policy, profile, profile_path)
    assets = resolve_assets(given["assets"] or trained_assets(card)).kind
    output = writable_folder(Path(given["output"]).absolute())

    shared = {"mode": mode, "policy": str(policy)}
    bridge = {
        **shared,
        "suite": task.suite,
        "task": task.name,
        "init_state": int(given["init_state"]),
        "assets": assets,
        "output": str(output),
        "seed": whole_number("seed", given["seed"]),
        "max_steps": whole_number("max_steps", given["max_steps"]),
    }
    nodes = [make_node("libero_bridge", profile_path, bridge)]
    nodes += [make_node(name, profile_path, shared) for name in POLICY_NODES]
    warning = assets_warning(card, assets)
    return [end_together(last="libero_bridge"), *([LogInfo(msg=warning)] if warning else []), *nodes]


def check_task(given: dict[str, str]):
    """The task that suite, task and init_state name."""
    task = get_task(given["suite"], given["task"])
    count = len(initial_states(task))
    if not given["init_state"].isdecimal() or int(given["init_state"]) >= count:
        unknown = given["init_state"]
        raise ProfileError(f"unknown init_state '{unknown}' of {task.name}: choose 0 to {count - 1}")
    return task


def choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ProfileError(f"{name} '{value}' is not one of {', '.join(choices)}")
    return value


def whole_number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise ProfileError(f"{name} '{value}' is not a whole number")
    return int(value)


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
