"""The `ros2` command and nodes of another RMW, which tell their names late and cannot be called."""

from __future__ import annotations

import subprocess
import sys

import pytest

# As a Fast DDS node does: no service ids, and node names some seconds after somebody has discovered it.
FOREIGN = """
import time
from embedded_dds import dds
from embedded_dds.graph import Graph, NodeKey
from rclpy.context import environment_domain_id

participant = dds.Participant(environment_domain_id())
qos, readers = dds.Qos(user_data=b"typehash=x;"), []
for name, kind in (("go", "std_srvs::srv::dds_::Trigger"),
                   ("late/list_parameters", "rcl_interfaces::srv::dds_::ListParameters"),
                   ("late/get_state", "lifecycle_msgs::srv::dds_::GetState")):
    readers.append(participant.reader(f"rq/ns/{name}Request", f"{kind}_Request_", qos))
    participant.writer(f"rr/ns/{name}Reply", f"{kind}_Response_", qos)
print("ready", flush=True)
while len(participant.participants()) < 2:
    time.sleep(0.02)
time.sleep(2.0)
graph = Graph(participant)
ends = graph.add_node(NodeKey("/ns", "late"))
for reader in readers:
    graph.update(ends.readers, reader.gid)
time.sleep(600)
"""


@pytest.fixture
def foreign(ros_env, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", FOREIGN], env=ros_env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def ros2(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    result = subprocess.run(["ros2", *arguments], env=env, capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout, result.stderr


def test_a_node_that_tells_its_name_late_is_listed(foreign, ros_env):
    assert ros2(ros_env, "node", "list") == (0, "/ns/late\n", "")


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("service call /ns/go std_srvs/srv/Trigger", "/ns/go"),
        ("param list /ns/late", "/ns/late/list_parameters"),
        ("param list", "/ns/late/list_parameters"),
        ("lifecycle get", "/ns/late/get_state"),
    ],
)
def test_a_service_that_we_cannot_call_is_refused_with_the_reason(foreign, ros_env, command, service):
    code, _, error = ros2(ros_env, *command.split())
    assert code == 1
    assert error.count("\n") == 1
    assert f"service '{service}' belongs to a foreign node: its RMW must be rmw_cyclonedds_cpp" in error


def test_the_doctor_knows_it(foreign, ros_env):
    code, _, error = ros2(ros_env, "doctor")
    assert code == 0
    assert "[WARN] graph: /ns/late is on another RMW: topics work" in error
