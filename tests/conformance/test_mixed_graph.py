"""Nodes of both runtimes in one domain: the embedded one on Cyclone DDS, the real one on its own RMW."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from domains import own_domain

pytestmark = pytest.mark.slow  # together some two minutes
LIMIT_S = 60  # Fast DDS and Cyclone need about a second to find each other, some more for the first sample

START = """
import sys, time
import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger

LIMIT_S = 50
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
rclpy.init()

def say(*words):
    print(*words, flush=True)

def spin_until(node, condition):
    end = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    return condition()
"""
TALKER = """
node = rclpy.create_node("talker", namespace="/there")
node.create_publisher(String, "latched", LATCHED).publish(String(data="published early"))
images = node.create_publisher(Image, "image", qos_profile_sensor_data)
poses = node.create_publisher(PoseStamped, "pose", 10)
node.create_service(Trigger, "service", lambda request, response: Trigger.Response(message="answered"))
image = Image(height=64, width=64, encoding="rgb8", step=192, data=bytes(range(256)) * 48)
image.header.frame_id = "camera"
pose = PoseStamped()
pose.pose.position.x, pose.header.stamp.sec = 0.125, 7
say("ready")

def publish():
    images.publish(image)
    poses.publish(pose)

node.create_timer(0.05, publish)
spin_until(node, lambda: sys.stdin.closed)
"""
LISTENER = """
node, heard = rclpy.create_node("listener"), {}
for kind, name, qos in (
    (String, "latched", LATCHED), (Image, "image", qos_profile_sensor_data), (PoseStamped, "pose", 10)
):
    node.create_subscription(kind, f"/there/{name}", lambda m, name=name: heard.setdefault(name, m), qos)
say(spin_until(node, lambda: len(heard) == 3), sorted(heard))
say(heard["latched"].data)
image, pose = heard["image"], heard["pose"]
say(image.encoding, image.header.frame_id, bytes(image.data) == bytes(range(256)) * 48)
say(pose.pose.position.x, pose.header.stamp.sec, pose.pose.orientation.w)
say(spin_until(node, lambda: ("talker", "/there") in node.get_node_names_and_namespaces()))
types = dict(node.get_topic_names_and_types())
say(types["/there/image"])
info = node.get_publishers_info_by_topic("/there/image")[0]
say(info.node_name, info.topic_type, info.qos_profile.reliability.name)
say(info.topic_type_hash)
"""
EXPECTED = [
    "True ['image', 'latched', 'pose']",
    "published early",
    "rgb8 camera True",
    "0.125 7 1.0",
    "True",
    "['sensor_msgs/msg/Image']",
    "talker sensor_msgs/msg/Image BEST_EFFORT",
    "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
]
ASK = """
node = rclpy.create_node("asker")
client = node.create_client(Trigger, "/there/service")
spin_until(node, lambda: node.count_services("/there/service"))
say(client.wait_for_service(2.0))
answers = []
for _ in range(4):  # the first request may be lost: the server's reader finds the client a little later
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=1.0)
    answers.append(future.done())
say(any(answers))
"""
REASON = "its RMW must be rmw_cyclonedds_cpp for services"


@pytest.fixture
def both(embedded, real):
    """Both runtimes in one domain, by name."""
    domain = own_domain({})
    return {r.name: replace(r, variables={**r.variables, **domain}) for r in (embedded, real)}


@pytest.fixture
def start(both):
    running = []

    def run(name: str, source: str) -> subprocess.Popen:
        runtime = both[name]
        process = subprocess.Popen(
            [runtime.python, "-c", START + source], env=runtime.variables, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def other(name: str) -> str:
    return "real" if name == "embedded" else "embedded"


@pytest.mark.parametrize("talker", ["embedded", "real"])
@pytest.mark.parametrize("first", ["talker", "listener"])
def test_topics_and_the_graph(start, talker, first):
    """Latched, best-effort and reliable messages, node names, types and hashes; whoever starts first."""
    if first == "talker":
        assert start(talker, TALKER).stdout.readline() == "ready\n"
    listener = start(other(talker), LISTENER)
    if first == "listener":
        assert start(talker, TALKER).stdout.readline() == "ready\n"
    out, errors = listener.communicate(timeout=LIMIT_S)
    assert out.splitlines() == EXPECTED, errors


def test_a_service_of_a_foreign_node_is_not_called_and_the_reason_is_said(start):
    assert start("real", TALKER).stdout.readline() == "ready\n"
    asker = start("embedded", ASK)
    out, errors = asker.communicate(timeout=LIMIT_S)
    assert out.splitlines() == ["False", "False"]
    assert f"no request sent to /there/service: a server is foreign, {REASON}" in errors


def test_a_request_of_a_foreign_node_is_not_answered_and_the_reason_is_said(start):
    """The real client believes that the service is there; the embedded server says why it does not answer."""
    server = start("embedded", TALKER)
    assert server.stdout.readline() == "ready\n"
    asker = start("real", ASK)
    out, errors = asker.communicate(timeout=LIMIT_S)
    assert out.splitlines()[-1] == "False", errors
    server.kill()
    _, errors = server.communicate()
    assert f"a request to /there/service came from a foreign peer and was not answered: {REASON}" in errors
