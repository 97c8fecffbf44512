"""A recording as the demonstration it holds: what the live nodes would have seen, and what was proposed.

Observations come from `Ingest`, as the live node's do, fed with the recorded messages as they arrived.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilam_core.errors import DataError
from hilam_core.observation import ObservationError, RawObservation
from hilam_core.runtime.bags import BagReader
from hilam_core.runtime.images import image_array
from hilam_core.runtime.ingest import JOINTS, FrozenError, Ingest, IngestSettings, StampError
from hilam_core.runtime.joints import JointMerge
from hilam_core.runtime.pairing import RateGate
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.units import CommandScale

PROPOSED, GRIPPER, CYCLE = "/proposed_twist", "/proposed_gripper", "/cycle_timing"
TASK, TELEOP, PHASE = "/task", "/teleop/state", "/phase"
HELD_PERIODS = 2  # a proposal that lacks one period is a hiccup; then the arm was told to stand still


@dataclass(frozen=True)
class Meaning:
    """What a bag says of its topics: the profile's settings under which it was recorded."""

    ingest: IngestSettings
    scale: CommandScale
    arm_joints: tuple[str, ...]
    lockstep: bool

    @classmethod
    def of(cls, bag: BagReader) -> Meaning:
        """From the facts of a bag.

        Raises:
            DataError: it has none: another program than `recorder` made it.
        """
        try:
            found = {name: json.loads(bag.facts[name]) for name in ("ingest", "scale", "arm_joints", "mode")}
            settings: dict[str, Any] = {
                n: tuple(v) if isinstance(v, list) else v for n, v in found["ingest"].items()
            }
            arm_joints, lockstep = tuple(found["arm_joints"]), found["mode"] == "lockstep"
            return cls(IngestSettings(**settings), CommandScale(**found["scale"]), arm_joints, lockstep)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"bag '{bag.path}' does not say what its topics mean ({error!r}): record it with hilam_ros"
            ) from None


@dataclass
class Step:
    """One control step: the stamp of the first camera's image, what was seen, and the arm's joints [rad]."""

    stamp_ns: int
    raw: RawObservation
    joints: np.ndarray


@dataclass
class Demonstration:
    """The steps of a recording, and for each the action float32 [7] in [-1, 1] that followed it, whether a
    person drove, and the phase that was announced (empty: none)."""

    steps: list[Step] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    by_hand: list[bool] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)


def replay(bag: BagReader, meaning: Meaning, actions: bool = True) -> Demonstration:
    """What a bag demonstrates: of an episode of task_server from its announcement to its end, else all of it.

    actions: they are wanted, and steps count from the first proposal to the last; without them a bag needs no
    proposals, and all steps count.

    Raises:
        DataError: a topic is missing, nothing pairs, nothing was proposed, or images come at another rate.
    """
    _require_topics(bag, meaning, actions)
    reader = _Replay(bag, meaning)
    for topic, received_ns, message in bag.messages(reader.handlers.keys()):
        if reader.over:
            break
        reader.take(topic, received_ns, message)
    if len(reader.steps) < 2:
        why = reader.refused or reader.ingest.joints.missing() or reader.ingest.pairing.lacking()
        raise DataError(f"bag '{bag.path}' has {len(reader.steps)} observations: {why or 'it is too short'}")
    _require_rate(bag, meaning, reader.steps)
    found = Demonstration(reader.steps)
    if actions:
        taken = _actions(meaning, reader)
        proposed = [i for i, (_, fresh) in enumerate(taken) if fresh]
        during = slice(proposed[0], proposed[-1] + 1) if proposed else slice(0)
        found.steps, found.actions = found.steps[during], [action for action, _ in taken[during]]
        if len(found.steps) < 2:
            raise DataError(f"bag '{bag.path}': motion was proposed for {len(found.steps)} observations")
    found.by_hand = [_last(reader.takeovers, step.stamp_ns, False) for step in found.steps]
    found.phases = [_last(reader.phases, step.stamp_ns, "") for step in found.steps]
    return found


def replay_images(bag: BagReader, topic: str, rate_hz: float, lockstep: bool) -> list[np.ndarray]:
    """The images uint8 [H, W, 3] of one topic, thinned to a rate as observations are; all in lockstep.

    Raises:
        DataError: there are fewer than two, they come at a lower rate, or one cannot be read.
    """
    name, gate = _absolute(topic), RateGate(rate_hz)
    images, stamps = [], []
    for _, _, message in bag.messages({name}):
        stamp_ns = stamp_to_ns(message.header.stamp)
        if not (lockstep or gate.passes(stamp_ns)):
            continue
        try:
            images.append(image_array(message))
        except (ObservationError, AttributeError) as error:
            raise DataError(f"bag '{bag.path}': {name}: {error}") from None
        stamps.append(stamp_ns)
    if len(images) < 2:
        there = ", ".join(sorted(bag.counts))
        raise DataError(f"bag '{bag.path}' has {len(images)} images on {name}; it has {there}")
    found_hz = (len(stamps) - 1) / max(stamps[-1] - stamps[0], 1) * 1e9
    if not lockstep and found_hz < 0.9 * rate_hz:
        raise DataError(f"bag '{bag.path}' has {found_hz:.1f} images a second on {name}, not {rate_hz:g}")
    return images


def _actions(meaning: Meaning, reader: _Replay) -> list[tuple[np.ndarray, bool]]:
    """(action, whether something was proposed) of each observation until the next: what the policy gave for
    it, else the mean motion that was proposed.

    Where nobody has told the gripper anything yet, it was told what it does.
    """
    scale, period_ns = meaning.scale, round(1e9 / meaning.scale.control_hz)
    ends = (scale.gripper_open_m, scale.gripper_closed_m)
    twists, actions, held = deque(reader.twists), [], (-HELD_PERIODS * period_ns, np.zeros(6))
    for step, after in zip(reader.steps, [*reader.steps[1:], None], strict=True):
        end_ns = after.stamp_ns if after else step.stamp_ns + period_ns
        fresh = []
        while twists and twists[0][0] < end_ns:
            held = twists.popleft()
            if held[0] >= step.stamp_ns:
                fresh.append(held[1])
        if step.stamp_ns in reader.policy:
            actions.append((reader.policy[step.stamp_ns], True))
            continue
        holds = step.stamp_ns - held[0] < HELD_PERIODS * period_ns
        twist = np.mean(fresh or [held[1] if holds else np.zeros(6)], axis=0)
        finger_m = abs(float(step.raw.gripper_qpos[0]))
        nearer_m = min(ends, key=lambda end_m, at_m=finger_m: abs(end_m - at_m))  # type: ignore[misc]
        gripper_m = _last(reader.grippers, end_ns, nearer_m)
        actions.append((scale.to_action(twist, gripper_m), bool(fresh)))
    return actions


def _require_topics(bag: BagReader, meaning: Meaning, actions: bool) -> None:
    wanted = [_absolute(topic) for topic in meaning.ingest.topics.values()]
    for topic in [*wanted, *([PROPOSED] if actions else [])]:
        if not bag.counts[topic]:
            there = ", ".join(sorted(bag.counts))
            raise DataError(f"bag '{bag.path}' has nothing on {topic}; it has {there}")


def _require_rate(bag: BagReader, meaning: Meaning, steps: list[Step]) -> None:
    wanted_hz = meaning.ingest.control_hz
    seconds = (steps[-1].stamp_ns - steps[0].stamp_ns) * 1e-9
    if meaning.lockstep or seconds <= 0:
        return  # steps follow each other, however long the simulation took
    rate_hz = (len(steps) - 1) / seconds
    if abs(rate_hz - wanted_hz) > 0.1 * wanted_hz:
        raise DataError(
            f"bag '{bag.path}' has {rate_hz:.1f} observations a second, control_hz is {wanted_hz:g}: "
            "images came at another rate, or were lost"
        )


class _Replay:
    """Collects what the topics of a bag say."""

    def __init__(self, bag: BagReader, meaning: Meaning):
        self.ingest, self.lockstep = Ingest(meaning.ingest, meaning.lockstep), meaning.lockstep
        self.arm = JointMerge(meaning.arm_joints)
        self.joints: np.ndarray | None = None
        self.steps: list[Step] = []
        self.twists: list[tuple[int, np.ndarray]] = []  # by stamp
        self.grippers: list[tuple[int, float]] = []  # by arrival: they have no stamp
        self.policy: dict[int, np.ndarray] = {}  # actions by the stamp of their observation
        self.takeovers: list[tuple[int, bool]] = []
        self.phases: list[tuple[int, str]] = []
        self.episode = int(bag.facts.get("episode", "0"))
        self.begun, self.over, self.refused = not self.episode, False, ""
        self.streams = {_absolute(topic): name for name, topic in meaning.ingest.topics.items()}
        own = {
            TASK: self._task,
            PROPOSED: self._proposed,
            GRIPPER: self._gripper,
            CYCLE: self._cycle,
            TELEOP: self._teleop,
            PHASE: self._phase,
        }
        self.handlers = own | dict.fromkeys(self.streams)

    def take(self, topic: str, received_ns: int, message: Any) -> None:
        handler = self.handlers[topic]
        if handler is None:
            self._sample(self.streams[topic], received_ns, message)
        else:
            handler(received_ns, message)

    def _task(self, received_ns: int, message: Any) -> None:
        if message.episode != self.episode or not self.episode:
            return
        if message.active and not self.begun:
            self.begun = True
            self.ingest.begin(stamp_to_ns(message.header.stamp))
        self.over = self.begun and not message.active

    def _sample(self, stream: str, received_ns: int, message: Any) -> None:
        if stream == JOINTS:
            found = self.arm.add(message.name, message.position, stamp_to_ns(message.header.stamp))
            self.joints = self.joints if found is None else found
        if not self.begun:
            return
        try:
            due = None if self.lockstep else self.ingest.poll(received_ns)
            self._observe(due)
            self._observe(self.ingest.add(stream, message, received_ns))
        except (StampError, FrozenError, ObservationError) as error:
            self.refused = str(error)

    def _observe(self, samples: Mapping[str, Any] | None) -> None:
        if samples is None:
            return
        first = samples[self.ingest.settings.cameras[0]]
        raw = self.ingest.raw(dict(samples))
        joints = np.zeros(0) if self.joints is None else self.joints
        self.steps.append(Step(stamp_to_ns(first.header.stamp), raw, joints))

    def _proposed(self, received_ns: int, message: Any) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        self.twists.append((stamp_to_ns(message.header.stamp), twist))

    def _cycle(self, received_ns: int, message: Any) -> None:
        self.policy[stamp_to_ns(message.header.stamp)] = np.array(message.action, np.float32)

    def _gripper(self, received_ns: int, message: Any) -> None:
        if len(message.data):
            self.grippers.append((received_ns, float(message.data[0])))

    def _teleop(self, received_ns: int, message: Any) -> None:
        self.takeovers.append((stamp_to_ns(message.header.stamp), bool(message.active)))

    def _phase(self, received_ns: int, message: Any) -> None:
        self.phases.append((received_ns, str(message.data)))


def _absolute(topic: str) -> str:
    return topic if topic.startswith("/") else f"/{topic}"


def _last(events: list[tuple[int, Any]], stamp_ns: int, default: Any) -> Any:
    """The newest of events in order that is not after a time."""
    found = default
    for at_ns, value in events:
        if at_ns > stamp_ns:
            break
        found = value
    return found
