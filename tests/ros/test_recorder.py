"""Recording and driving by hand, with real processes: what a bag holds, and what disturbs it."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from domains import next_domain
from recordings import require_parity

from hilam_core.policy import load_policy
from hilam_core.runtime.bags import BagReader

PATIENT = {"peer_timeout_s": 400.0}  # on a busy machine a stack takes minutes to start
CLIENT = Path(__file__).with_name("recording_client.py")
TAKING_OVER = Path(__file__).with_name("taking_over.py")
PERSON = Path(__file__).with_name("driving_person.py")


def said(launch):
    return dict(line.split(": ", 1) for line in launch.output.splitlines() if ": " in line)


def test_a_recorded_episode_replays_to_the_live_observations_and_actions_to_the_byte(
    workspace, random_checkpoint, tmp_path
):
    launch = workspace.simulate(
        policy=random_checkpoint,
        record="true",
        recordings=tmp_path / "bags",
        output=tmp_path,
        max_steps=20,
        **PATIENT,
    )
    assert launch.wait(500) == 1, launch.output  # the policy knows nothing
    assert "no success within 20 steps" in launch.output
    (folder,) = (tmp_path / "bags").iterdir()
    bag = BagReader(folder)
    assert bag.complete and bag.facts["outcome"] == "timeout", bag.facts
    assert bag.facts["instruction"] and bag.facts["episode"] == "1"
    _, found = require_parity(bag)
    (actions,) = tmp_path.glob("*/episode_actions.npy")
    done = np.load(actions)
    assert len(done) == 20
    np.testing.assert_array_equal(done[-len(found.taken) :], [taken.action for taken in found.taken])
    for topic in (
        "/task",
        "/outcome",
        "/skill",
        "/cycle_timing",
        "/delta_twist_cmds",
        "/safety_monitor/state",
    ):
        assert bag.counts[topic], bag.counts


def test_an_operator_records_keeps_and_discards_and_a_killed_recorder_loses_little(workspace, tmp_path):
    domain = next_domain()
    recorder = workspace.run_node("recorder", domain, recordings=tmp_path)
    client = workspace.start(f"'{sys.executable}' '{CLIENT}' services", domain)
    client.wait_for("killed: now", 400)
    (pid,) = [pid for pid, command in recorder.processes().items() if "lib/hilam_ros/recorder" in command]
    os.kill(pid, signal.SIGKILL)
    words = said(client)
    assert words["nothing"] == "refused: nothing is being recorded"
    assert words["blank"].startswith("refused: a recording needs the instruction")
    assert words["second"].startswith("refused: '") and "is being recorded" in words["second"]
    assert words["discarded"] == "idle, there: False" and words["first is still there"] == "True"
    kept, left, broken = (BagReader(words[name]) for name in ("kept", "left", "under way"))
    assert (kept.facts["outcome"], left.facts["outcome"]) == ("success", "")
    assert kept.complete and left.complete and not broken.complete
    for bag in (kept, left, broken):
        assert bag.counts["/agentview/image_raw"] > 5 and bag.counts["/joint_states"] > 5
    assert broken.facts["instruction"] == "go on"
    recorder = workspace.run_node("recorder", domain, recordings=tmp_path)
    recorder.wait_for(f"completed '{broken.path}'")
    for bag in (kept, broken):
        info = workspace.start(f"ros2 bag info {bag.path}", domain)
        assert info.wait() == 0, info.output
        assert "Topic: /joint_states | Type: sensor_msgs/msg/JointState" in info.output


def test_a_full_disk_is_said_in_words_and_the_recorder_goes_on(workspace, tmp_path):
    domain = next_domain()
    given = f"--ros-args -p autostart:=true -p recordings:={tmp_path}"
    recorder = workspace.start(f"bash -c 'ulimit -f 600; exec ros2 run hilam_ros recorder {given}'", domain)
    client = workspace.start(f"'{sys.executable}' '{CLIENT}' full", domain)
    assert client.wait() == 0, client.output
    words = said(client)
    (file,) = Path(words["path"]).glob("*.mcap")
    assert words["failed"] == f"cannot write '{file}': File too large"
    assert words["health"] == f"not recording: {words['failed']}"
    assert BagReader(file).counts["/agentview/image_raw"] > 5
    assert Path(words["again"]).is_dir()
    assert "Traceback" not in recorder.output and recorder.process.poll() is None, recorder.output


def test_the_policy_proposes_nothing_while_a_person_drives_and_goes_on_afterwards(
    workspace, random_checkpoint
):
    domain, length = next_domain(), load_policy(random_checkpoint).skill_dim
    workspace.run_node("teleop", domain, use_sim_time="true")
    workspace.run_node("action_executor", domain, use_sim_time="true", policy=random_checkpoint)
    script = workspace.start(f"'{sys.executable}' '{TAKING_OVER}' {length}", domain)
    assert script.wait(500) == 0, script.output
    assert script.output.splitlines() == [
        "the policy drives",
        "the joystick drives: [0.15], 0 cycles of the policy",
        "the policy drives again",
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_person_takes_over_and_gives_back_and_both_records_say_so(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    given = {"record": "true", "recordings": tmp_path / "bags", "teleop": "true", "max_steps": 50_000}
    given |= PATIENT
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path / "runs", **given
    )
    launch.wait_for("episode begins", 450)
    person = workspace.start(f"'{sys.executable}' '{PERSON}'", domain)
    assert person.wait(500) == 0, person.output + launch.output
    assert launch.wait() == 0, launch.output
    assert "joystick: x [0.15], policy's cycles meanwhile: 0" in person.output
    assert "keys: z [-0.15], policy's cycles meanwhile: 0" in person.output
    (record,) = (tmp_path / "runs").glob("*/episode.json")
    spans = json.loads(record.read_text())["taken_over"]
    assert [span["source"] for span in spans] == ["joystick", "keys"]
    assert all(0 < span["from_s"] < span["to_s"] for span in spans)
    (folder,) = (tmp_path / "bags").iterdir()
    bag = BagReader(folder)
    assert bag.facts["outcome"] == "success" and "operator" in bag.facts["reason"]
    states = [message.source for _, _, message in bag.messages({"/teleop/state"})]
    assert states == ["", "joystick", "", "keys", ""]
    assert bag.counts["/joy"] and bag.counts["/teleop_keys"]


def test_nobody_drives_by_hand_in_lockstep(workspace, random_checkpoint):
    launch = workspace.simulate(policy=random_checkpoint, teleop="true")
    assert launch.wait() == 1
    assert "teleop needs mode:=realtime" in launch.output and "Traceback" not in launch.output
