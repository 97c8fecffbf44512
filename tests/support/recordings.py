"""Recordings of an arm that never was, made by the recorder without ROS."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore

from hilam_core.observation import preprocess
from hilam_core.runtime.bags import BagReader, Topic
from hilam_core.runtime.images import image_array
from hilam_core.runtime.ingest import IngestSettings
from hilam_core.runtime.recorder import Recorder
from hilam_core.runtime.replay import Demonstration, Meaning, replay
from hilam_core.runtime.units import CommandScale

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
JOINTS = [f"joint{number}" for number in range(1, 7)]
FINGERS = ["left", "right"]
SCALE = CommandScale(position_m=0.01, rotation_rad=0.1, gripper_binary=True)
INGEST = IngestSettings(
    cameras=("agentview", "eye_in_hand"),
    camera_topics=("front/image_raw", "hand/image_raw"),
    image_size=32,
    joint_states_topic="joint_states",
    finger_joints=tuple(FINGERS),
    finger_signs=(1.0, -1.0),
    ee_pose_topic="ee_pose",
    pose_offset_m=(-0.6, 0.0, 0.0),
    control_hz=20.0,
    pairing="asof",
    pairing_tolerance_s=0.035,
    pairing_wait_s=0.02,
    pairing_hold_s=0.1,
    max_frozen_s=0.0,
)
TYPES = get_typestore(Stores.ROS2_JAZZY)


def topic_of(name: str, kind: str) -> Topic:
    """A topic of a standard type."""
    return Topic(name, kind, TYPES.generate_msgdef(kind, ros_version=2)[0], TYPES.hash_rihs01(kind))


TOPICS = {
    name: topic_of(name, kind)
    for name, kind in {
        "/front/image_raw": "sensor_msgs/msg/Image",
        "/hand/image_raw": "sensor_msgs/msg/Image",
        "/joint_states": "sensor_msgs/msg/JointState",
        "/ee_pose": "geometry_msgs/msg/PoseStamped",
        "/proposed_twist": "geometry_msgs/msg/TwistStamped",
        "/proposed_gripper": "std_msgs/msg/Float64MultiArray",
        "/phase": "std_msgs/msg/String",
    }.items()
}


def make(kind: str, **fields: Any) -> Any:
    """A message of rosbags."""
    return TYPES.types[kind](**fields)


def header(stamp_ns: int) -> Any:
    """A header with a stamp."""
    stamp = make("builtin_interfaces/msg/Time", sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id="base")


def picture(number: int) -> np.ndarray:
    """uint8 [32, 32, 3], another one for each number, in which something moves."""
    image = np.random.default_rng(number).integers(0, 60, (32, 32, 3), np.uint8)
    image[:, number % 32] = 255
    return image


def messages(seconds: float, camera_hz: float) -> list[tuple[int, str, Any]]:
    """(when, topic, message): free-running cameras, state at 100 Hz; from 0.5 s on a motion along x is
    proposed at 20 Hz, from 1.0 s on another with the gripper closed, and at last nothing."""
    found: list[tuple[int, str, Any]] = []
    for i in range(int(seconds * camera_hz)):
        for topic, offset_ns in (("/front/image_raw", 0), ("/hand/image_raw", 9_000_000)):
            at = START + round(i * SECOND / camera_hz) + offset_ns
            data = picture(i if offset_ns == 0 else 1000 + i).reshape(-1)
            size = {"height": 32, "width": 32, "encoding": "rgb8", "is_bigendian": 0, "step": 96}
            found.append((at, topic, make("sensor_msgs/msg/Image", header=header(at), data=data, **size)))
    none = np.zeros(0)
    for i in range(int(seconds * 100)):
        at = START + i * SECOND // 100 + 1_000_000
        angles = np.array([0.1 * i] * 6 + [0.03, 0.03])
        names = [*JOINTS, *FINGERS]
        states = make(
            "sensor_msgs/msg/JointState",
            header=header(at), name=names, position=angles, velocity=none, effort=none,
        )  # fmt: skip
        position = make("geometry_msgs/msg/Point", x=0.5 + 0.001 * i, y=0.0, z=0.3)
        turned = make("geometry_msgs/msg/Quaternion", x=1.0, y=0.0, z=0.0, w=0.0)
        pose = make("geometry_msgs/msg/Pose", position=position, orientation=turned)
        found.append((at, "/joint_states", states))
        found.append((at, "/ee_pose", make("geometry_msgs/msg/PoseStamped", header=header(at), pose=pose)))
    for i in range(10, int(seconds * 20) - 5):
        at = START + i * SECOND // 20 + 3_000_000
        speed = 0.1 if i < 20 else 0.2
        linear = make("geometry_msgs/msg/Vector3", x=speed, y=0.0, z=0.0)
        still = make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        twist = make("geometry_msgs/msg/Twist", linear=linear, angular=still)
        if i == 20:
            layout = make("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
            closed = make("std_msgs/msg/Float64MultiArray", layout=layout, data=np.array([0.0]))
            found.append((at, "/proposed_gripper", closed))
            found.append((at, "/phase", make("std_msgs/msg/String", data="grasp")))
        found.append(
            (at, "/proposed_twist", make("geometry_msgs/msg/TwistStamped", header=header(at), twist=twist))
        )
    return sorted(found, key=lambda message: message[0])


def record(
    output: Path,
    instruction: str = "pick up the milk",
    outcome: str = "success",
    seconds: float = 2.0,
    camera_hz: float = 30.0,
    without: str = "",
    cameras: tuple[str, ...] = INGEST.cameras,
) -> Path:
    """A recording's folder; without: a topic that nothing came on."""
    ingest = {**asdict(INGEST), "cameras": cameras}
    facts = {"ingest": ingest, "scale": asdict(SCALE), "arm_joints": JOINTS, "mode": "realtime"}
    recorder = Recorder(output, {name: json.dumps(value) for name, value in facts.items()})
    folder = recorder.start(instruction, START)
    for at_ns, topic, message in messages(seconds, camera_hz):
        if topic != without:
            data = bytes(TYPES.serialize_cdr(message, TOPICS[topic].type))
            recorder.add(TOPICS[topic], at_ns + 200_000, data, published_ns=at_ns)
    recorder.stop(outcome)
    assert not recorder.reason
    return folder


def require_parity(bag: BagReader) -> tuple[Meaning, Demonstration]:
    """A recording of lockstep replayed: what it shows is to the byte what the live node published."""
    meaning = Meaning.of(bag)
    seen_steps = replay(bag, meaning, actions=False).steps
    live = [message for _, _, message in bag.messages({"/observation"})]
    assert len(live) == len(seen_steps)
    for message, step in zip(live, seen_steps, strict=True):
        seen = preprocess(step.raw, meaning.ingest.spec)
        np.testing.assert_array_equal(seen.proprio, message.proprio)
        for camera, image in zip(message.cameras, message.images, strict=True):
            np.testing.assert_array_equal(seen.images[camera], image_array(image))
    found = replay(bag, meaning)
    # The first proposals after a launch can come before the recorder listens to a topic that is new.
    stamps = [step.stamp_ns for step in seen_steps]
    assert len(found.steps) > len(stamps) // 2
    assert [step.stamp_ns for step in found.steps] == stamps[-len(found.steps) :]
    return meaning, found
