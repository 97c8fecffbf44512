"""The whole stack as a user runs it: processes, topics, files, and how it ends."""

import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
import yaml
from domains import next_domain
from hilam_ros.profile import LIMITS, read_profile
from ros_workspace import PACKAGES, TASK

STEPS = 25


def failed(launch, steps):
    """A policy that knows nothing performs so many steps: the exit code says that there was no success."""
    assert launch.wait() == 1, launch.output
    assert f"error: no success; timeout: no success within {steps} steps" in launch.output
    assert "Traceback" not in launch.output


def episode(folder):
    (found,) = folder.glob("*/episode.json")
    return json.loads(found.read_text()), np.load(found.parent / "episode_actions.npy"), found.parent


def in_process_actions(checkpoint, steps):
    """The plain loop: the same policy in one process from the same initial state."""
    import torch

    from hilam_core.policy import load_policy
    from hilam_core.runtime.control import PolicyRunner
    from hilam_sim import LiberoEnv

    torch.set_num_threads(1)
    runner = PolicyRunner(load_policy(checkpoint))
    env = LiberoEnv("libero_object", TASK, assets="builtin", max_steps=steps)
    obs, _ = env.reset(seed=0, options={"placement": "stored", "init_state": 3})
    runner.reset(env.instruction)
    actions, ended = [], False
    while not ended:
        actions.append(runner.act(obs))
        obs, _, success, truncated, _ = env.step(actions[-1])
        ended = success or truncated
    env.close()
    return np.array(actions), success


def test_lockstep_gives_the_actions_of_the_plain_loop(workspace, random_checkpoint, tmp_path):
    launch = workspace.simulate(
        task=TASK, init_state=3, policy=random_checkpoint, output=tmp_path, max_steps=STEPS
    )
    expected, success = in_process_actions(random_checkpoint, STEPS)
    failed(launch, STEPS)
    facts, actions, folder = episode(tmp_path)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert facts["success"] == success
    assert facts["outcome"] == "timeout"
    assert facts["steps"] == len(expected)
    assert facts["mode"] == "lockstep"
    assert facts["assets"] == "builtin"
    assert (folder / "episode.mp4").stat().st_size > 1000
    for stage in ("ingest", "plan", "act", "command", "topics", "observation_to_command"):
        assert facts["latency_ms"][stage]["count"] > 0, stage
    assert f"after {STEPS} steps at" in launch.output
    assert re.search(rf"cadence: .* of 20 Hz, \d+ of {STEPS} cycles over 50 ms", launch.output)
    assert str(folder) in launch.output


def test_realtime_keeps_the_control_rate_and_ends_with_zero_motion(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    commands = workspace.start("ros2 topic echo /delta_twist_cmds geometry_msgs/msg/TwistStamped", domain)
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=60
    )
    failed(launch, 60)
    last = yaml.safe_load(commands.output.split("---\n")[-2])
    assert not any([*last["twist"]["linear"].values(), *last["twist"]["angular"].values()]), last
    facts, actions, _ = episode(tmp_path)
    assert facts["steps"] == 60
    assert facts["rate_hz"] < 20.5
    assert facts["rate_hz"] > 18.0 or facts["late_ticks"], "slow, and the bridge did not notice"
    assert facts["refused_commands"] == 0
    moved = np.abs(actions[:, :6]).sum(axis=1).astype(bool).sum()
    answered = 60 - facts["held_steps"]  # on a busy machine some commands come too late, and the arm holds
    assert moved > 0 or facts["late_ticks"], "the arm never moved, on a quiet machine"
    assert moved >= 0.8 * answered or facts["late_ticks"], "the arm hardly moved, on a quiet machine"


def test_a_profile_chooses_the_episode_and_the_command_line_overrides_it(
    workspace, random_checkpoint, tmp_path
):
    profile = tmp_path / "mine.yaml"
    chosen = {"task": "3", "init_state": 5, "max_steps": 4, "device": "cpu", "policy": str(random_checkpoint)}
    profile.write_text(yaml.safe_dump({"/**": {"ros__parameters": chosen}}))
    launch = workspace.simulate(profile=profile, max_steps=6, output=tmp_path / "runs")
    failed(launch, 6)
    facts, _, _ = episode(tmp_path / "runs")
    assert (facts["init_state"], facts["steps"], facts["policy"]) == (5, 6, str(random_checkpoint))
    assert "bbq_sauce" in facts["task"]


BAD_ARGUMENTS = {
    "suite": ({"suite": "libero_moon"}, ["libero_moon", "libero_object"]),
    "task": ({"task": 99}, ["99", "0 to 9"]),
    "init_state": ({"init_state": 50}, ["50", "0 to 49"]),
    "mode": ({"mode": "fast"}, ["fast", "lockstep", "realtime"]),
    "assets": ({"assets": "none"}, ["none", "builtin", "official"]),
    "output": ({"output": "/dev/null/runs"}, ["cannot write to the folder", "/dev/null/runs"]),
    "profile": ({"profile": "nobody"}, ["nobody", "libero", "franka_crisp"]),
    "policy": ({"policy": "/nowhere"}, ["/nowhere", "card.json"]),
    "device": ({"device": "gpu"}, ["unknown device 'gpu'", "cuda:N"]),
    "limit": ({"max_linear_m_s": ".nan"}, ["max_linear_m_s is nan", "finite"]),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_argument_is_one_line_with_the_choices(workspace, random_checkpoint, tmp_path, case):
    arguments, expected = BAD_ARGUMENTS[case]
    launch = workspace.simulate(**{"policy": random_checkpoint, "output": tmp_path, **arguments})
    assert launch.wait() == 1, launch.output
    (error,) = [line for line in launch.output.splitlines() if "Caught exception" in line]
    for words in expected:
        assert words in error
    assert "Traceback" not in launch.output
    assert "process started" not in launch.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"pairing": "nearest"}, "error: pairing 'nearest' is not one of exact, asof"),
        ({"camera_topics": "[front]"}, "error: camera_topics has 1 entries for 2 cameras"),
        ({"control_hz": "20"}, "error: control_hz is of another type, expected a value like 20.0"),
        ({"control_hz": "-1.0"}, "error: control_hz is -1.0, must be greater than 0"),
    ],
)
def test_bad_parameter_of_a_node_is_one_line(workspace, parameter, message):
    node = workspace.run_node("camera_ingest", **parameter)
    assert node.wait() == 1
    assert message in node.output and "Traceback" not in node.output


def test_a_parameter_of_a_running_node_cannot_be_changed(workspace):
    domain = next_domain()
    workspace.run_node("camera_ingest", domain)
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for("camera_ingest")  # it runs
    change = workspace.start("ros2 param set /camera_ingest control_hz 5.0", domain)
    change.wait()
    assert re.search("read.only", change.output), change.output


@pytest.mark.parametrize("change", [{"image_size": 64}, {"cameras": ["agentview", "wrist"]}])
def test_checkpoint_with_other_cameras_is_refused_naming_both(workspace, random_checkpoint, tmp_path, change):
    other = shutil.copytree(random_checkpoint, tmp_path / "other")
    card = json.loads((other / "card.json").read_text())
    card["config"]["low"] |= {k: v for k, v in change.items() if k == "cameras"}
    card["config"] |= {k: v for k, v in change.items() if k == "image_size"}
    (other / "card.json").write_text(json.dumps(card))
    launch = workspace.simulate(policy=other, output=tmp_path / "runs")
    assert launch.wait() == 1, launch.output
    (error,) = [line for line in launch.output.splitlines() if "Caught exception" in line]
    for words in (str(other), "libero.yaml", str(next(iter(change.values()))), "128"):
        assert words in error


def test_damaged_checkpoint_is_refused_before_any_process_starts(workspace, random_checkpoint, tmp_path):
    damaged = shutil.copytree(random_checkpoint, tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    launch = workspace.simulate(policy=damaged, output=tmp_path / "runs")
    assert launch.wait() == 1, launch.output
    assert "is damaged" in launch.output
    assert "Traceback" not in launch.output
    assert "process started" not in launch.output


def test_ctrl_c_while_starting_ends_everything(workspace, random_checkpoint, tmp_path):
    launch = workspace.simulate(policy=random_checkpoint, output=tmp_path)
    launch.wait_for("process started")
    launch.interrupt()


def test_ctrl_c_during_the_episode_ends_everything(workspace, random_checkpoint, tmp_path):
    launch = workspace.simulate(policy=random_checkpoint, output=tmp_path)
    launch.wait_for("episode begins")
    launch.interrupt()
    assert "Traceback" not in launch.output


def test_killed_node_takes_the_launch_down_by_name(workspace, random_checkpoint, tmp_path):
    launch = workspace.simulate(policy=random_checkpoint, output=tmp_path)
    launch.wait_for("episode begins")
    pids = [pid for pid, command in launch.processes().items() if "lib/hilam_ros/skill_planner" in command]
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGKILL)
    assert launch.wait() == 1, launch.output
    (error,) = [line for line in launch.output.splitlines() if "Caught exception" in line]
    assert "skill_planner was killed by signal 9" in error


def damaged_policy(folder):
    """Weights that make every skill not finite."""
    from hilam_core.policy import Policy, PolicyConfig, save_policy

    policy = Policy(PolicyConfig.tiny())
    policy.high.head[-1].bias.data[0] = float("nan")
    return save_policy(folder, policy)


def latent_policy(folder):
    """What pretraining leaves: chunks of latent actions."""
    from hilam_core.policy import Policy, PolicyConfig, save_policy

    return save_policy(folder, Policy(PolicyConfig.tiny(output_dim=32)), {"stage": "pretrained"})


def policy_of_another_arm(folder):
    """Five joint angles in degrees."""
    from hilam_core.policy import Policy, PolicyConfig, save_policy

    return save_policy(folder, Policy(PolicyConfig.tiny(output_dim=5, unit_actions=False)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (damaged_policy, "is not finite"),
        (latent_policy, "latent actions of length 32"),
        (policy_of_another_arm, "gives actions of 5 numbers in the units of its data; the nodes command 7"),
    ],
)
def test_a_policy_that_gives_no_actions_ends_the_launch(workspace, tmp_path, make, message):
    launch = workspace.simulate(policy=make(tmp_path / "policy"), output=tmp_path / "runs")
    assert launch.wait() == 1, launch.output
    assert message in launch.output and "Traceback" not in launch.output


def test_commands_that_are_not_finite_never_move_the_arm(workspace):
    domain = next_domain()
    twist = "{twist: {linear: {x: .nan, y: 1.0}}}"
    for topic, kind, value in (
        ("delta_twist_cmds", "geometry_msgs/msg/TwistStamped", twist),
        ("gripper_controller/commands", "std_msgs/msg/Float64MultiArray", "{data: [.inf]}"),
    ):
        workspace.start(f"ros2 topic pub -r 20 /{topic} {kind} '{value}'", domain)
    steps = workspace.start("ros2 topic echo /simulation_step hilam_msgs/msg/SimulationStep", domain)
    state = workspace.start("ros2 topic echo /joint_states sensor_msgs/msg/JointState", domain)
    workspace.run_node("libero_bridge", domain, mode="realtime", assets="builtin")
    state.wait_for("---\n")
    call = "ros2 service call /{}_simulation {} '{}'"
    start = "{episode: 1, start: {suite: libero_object, task: milk}}"
    for name, kind, request in (
        ("reset", "hilam_msgs/srv/ResetSimulation", start.replace("milk", "0")),
        ("begin", "std_srvs/srv/Trigger", "{}"),
    ):
        done = workspace.start(call.format(name, kind, request), domain)
        assert done.wait() == 0 and "success=True" in done.output, done.output
    steps.wait_for("step: 40\n")
    (step,) = [s for s in steps.output.split("---\n") if "step: 40\n" in s]
    last = yaml.safe_load(step)
    assert last["refused_commands"] > 10
    assert last["held_steps"] == 40
    assert last["action"] == [0, 0, 0, 0, 0, 0, -1]


GOAL = "{instruction: pick up the milk and place it in the basket, time_limit_s: 600}"


def start_arm_with_goals(workspace, random_checkpoint, tmp_path, domain, pose_frame):
    """Both halves with goals in fr3_link0, a simulated arm whose pose is in `pose_frame`, and a task."""
    profile = tmp_path / "goals.yaml"
    libero = read_profile(PACKAGES / "hilam_ros" / "config" / "libero.yaml")
    chosen = {name: libero[name] for name in (*LIMITS, "cameras", "image_size")}
    chosen |= {"command_mode": "pose", "command_hz": 50.0, "base_frame": "fr3_link0"}
    profile.write_text(yaml.safe_dump({"/**": {"ros__parameters": chosen}}))
    arm = workspace.start(
        f"ros2 launch hilam_ros arm.launch.py profile:={profile} output:={tmp_path}", domain
    )
    policy = f"profile:={profile} policy:={random_checkpoint} device:=cpu"
    brain = workspace.start(f"ros2 launch hilam_ros policy.launch.py {policy}", domain)
    workspace.run_node("libero_bridge", domain, mode="realtime", assets="builtin", base_frame=pose_frame)
    return arm, brain, workspace.send_goal(domain, GOAL)


def test_goals_in_another_frame_than_the_measured_pose_are_refused(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    goals = workspace.start("ros2 topic echo /target_pose geometry_msgs/msg/PoseStamped", domain)
    arm, _, _ = start_arm_with_goals(workspace, random_checkpoint, tmp_path, domain, "world")
    arm.wait_for("the measured pose is in frame 'world', the limits in base_frame 'fr3_link0'")
    assert "position" not in goals.output


def test_the_two_halves_perform_a_task_that_the_operator_ends(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    goals = workspace.start("ros2 topic echo /target_pose geometry_msgs/msg/PoseStamped", domain)
    arm, brain, task = start_arm_with_goals(workspace, random_checkpoint, tmp_path, domain, "fr3_link0")
    goals.wait_for("---\n")
    pose = yaml.safe_load(goals.output.split("---\n")[0])
    assert pose["header"]["frame_id"] == "fr3_link0"
    assert np.linalg.norm(list(pose["pose"]["orientation"].values())) == pytest.approx(1)
    assert -0.4 < pose["pose"]["position"]["x"] < 0.1
    task.wait_for("skill_id: 1")
    done = workspace.start("ros2 service call /task_server/declare_success std_srvs/srv/Trigger", domain)
    assert done.wait() == 0, done.output
    assert task.wait() == 0, task.output
    assert "outcome: success" in task.output and "the operator says so, after" in task.output
    facts, actions, _ = episode(tmp_path)
    assert facts["steps"] == len(actions) > 0
    brain.interrupt()
    arm.interrupt()
