"""`ros2 bag`: what is recorded can be read by others, and played again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TALKER = """
import rclpy
from control_msgs.msg import GripperCommand
from geometry_msgs.msg import PointStamped
from rclpy.executors import ExternalShutdownException
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from std_msgs.msg import String

rclpy.init()
node = rclpy.create_node("talker")
points = node.create_publisher(PointStamped, "/points", qos_profile_sensor_data)
commands = node.create_publisher(GripperCommand, "/commands", 10)
latched_qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
latched = node.create_publisher(String, "/latched", latched_qos)
latched.publish(String(data="kept"))
hidden = node.create_publisher(String, "/_hidden", 10)
count = 0

def publish():
    global count
    count += 1
    message = PointStamped()
    message.header.frame_id, message.point.x = "base", float(count)
    points.publish(message)
    commands.publish(GripperCommand(position=count / 10))

node.create_timer(0.02, publish)
print("ready", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


@pytest.fixture
def start(ros_env, tmp_path):
    """Starts a program in `tmp_path` and waits for a line of its output."""
    started = []

    def run(*command: str, until: str) -> subprocess.Popen:
        process = subprocess.Popen(
            command, env=ros_env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        for line in process.stdout:
            if until in line:
                return process
        raise AssertionError(f"{command} ended: {process.communicate()}")

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def ros2(ros_env, tmp_path):
    def run(*arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            ["ros2", *arguments], env=ros_env, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    return run


@pytest.fixture
def bag(start, ros2, tmp_path):
    """A recording of the talker, ended by Ctrl-C once there are some points in it."""
    talker = start(sys.executable, "-c", TALKER, until="ready")
    recorder = start("ros2", "bag", "record", "-a", "-o", "bag", until="Subscribed to topic '/points'")
    ros2("topic", "echo", "--once", "/points")
    ros2("topic", "echo", "--once", "/commands")
    recorder.send_signal(signal.SIGINT)
    out, err = recorder.communicate(timeout=120)
    assert (recorder.returncode, err) == (0, "")
    assert "topics to 'bag'" in out
    talker.terminate()
    talker.communicate(timeout=120)
    return tmp_path / "bag"


def read(path: Path) -> dict[str, list]:
    """Messages by topic, as rosbags reads them, which knows their types only from the bag."""
    from rosbags.highlevel import AnyReader

    found: dict[str, list] = {}
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            found.setdefault(connection.topic, []).append(reader.deserialize(data, connection.msgtype))
    return found


def metadata(path: Path) -> dict:
    return yaml.safe_load((path / "metadata.yaml").read_text())["rosbag2_bagfile_information"]


def test_a_recording_is_readable_by_others(bag, ros2):
    messages = read(bag)
    counts = [message.point.x for message in messages["/points"]]
    assert counts == [counts[0] + i for i in range(len(counts))]
    assert {message.header.frame_id for message in messages["/points"]} == {"base"}
    assert messages["/commands"][0].position == pytest.approx(messages["/commands"][1].position - 0.1)
    assert [message.data for message in messages["/latched"]] == ["kept"]
    assert "/_hidden" not in messages

    shown = ros2("bag", "info", "bag")
    assert f"Topic: /points | Type: geometry_msgs/msg/PointStamped | Count: {len(counts)}" in shown
    assert metadata(bag)["storage_identifier"] == "mcap"
    topics = [topic["topic_metadata"] for topic in metadata(bag)["topics_with_message_count"]]
    qos = {topic["name"]: topic["offered_qos_profiles"][0] for topic in topics}
    assert qos["/points"]["reliability"] == "best_effort"
    assert qos["/latched"]["durability"] == "transient_local"


def test_a_recording_is_played_with_its_values_and_qos(bag, start, ros2):
    start("ros2", "bag", "play", "bag", "-l", "--clock", "-m", "/points:=/again", until="Playing 'bag'")
    first = next(yaml.safe_load_all(ros2("topic", "echo", "--once", "/again")))
    assert first["point"]["x"] in [message.point.x for message in read(bag)["/points"]]
    assert ros2("topic", "echo", "--once", "/latched") == "data: kept\n---\n"
    assert "Reliability: BEST_EFFORT" in ros2("topic", "info", "-v", "/again")
    clock = next(yaml.safe_load_all(ros2("topic", "echo", "--once", "/clock")))["clock"]
    begin = metadata(bag)["starting_time"]["nanoseconds_since_epoch"] // 10**9
    assert begin - 1 <= clock["sec"] <= begin + metadata(bag)["duration"]["nanoseconds"] // 10**9 + 1


def test_chosen_topics_are_played_once_and_in_order(bag, start, ros2, tmp_path):
    recorder = start("ros2", "bag", "record", "-o", "copy", "/points", "/commands", until="Recording")
    ros2("bag", "play", "bag", "-r", "2", "--topics", "/commands")
    recorder.send_signal(signal.SIGINT)
    _, error = recorder.communicate(timeout=120)
    assert error == "topic '/points' was never published\n"
    played, recorded = (
        [command.position for command in read(path)["/commands"]] for path in (tmp_path / "copy", bag)
    )
    assert played == recorded[-len(played) :]  # the first ones may be sent before anybody listens


def test_a_full_disk_is_named(start, ros2):
    start(sys.executable, "-c", TALKER, until="ready")
    recorder = start("bash", "-c", "ulimit -f 1; exec ros2 bag record -a -o full", until="topic '/points'")
    ros2("topic", "echo", "--once", "/points")
    recorder.send_signal(signal.SIGINT)
    _, error = recorder.communicate(timeout=120)
    assert (recorder.returncode, error) == (1, "cannot write the bag 'full': File too large\n")


def test_what_cannot_be_recorded_or_played_is_one_line(ros2, bag, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, error in (
        (["record"], "nothing to record: name topics, or give -a for all"),
        (["record", "-a", "-o", "bag"], "cannot write the bag 'bag': bag exists already"),
        (["record", "-a", "-o", "file/bag"], "cannot write the bag 'file/bag': Not a directory"),
        (["play", "nothing"], "cannot read the bag 'nothing'"),
        (["play", "bag", "--start-offset", "600"], "nothing to play in the bag 'bag' after 600 s"),
        (["play", "bag", "--topics", "/nope"], "no topic /nope in the bag, choices: /commands, /latched"),
        (["info", "empty"], "cannot read the bag 'empty'"),
        (["info", "file"], "cannot read the bag 'file'"),
    ):
        shown = ros2("bag", *arguments, code=1)
        assert shown.count("\n") == 1
        assert error in shown
