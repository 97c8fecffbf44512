"""A recording as the demonstration it holds: what the live nodes would have seen, and what was proposed.

Observations come from `Ingest`, as the live node's do, fed with the recorded messages as they arrived.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hilam_core.errors import DataError
from hilam_core.observation import ObservationError, RawObservation
from hilam_core.runtime.bags import BagReader
from hilam_core.runtime.images import image_array
from hilam_core.runtime.ingest import JOINTS, Ingest, IngestSettings
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
class Taken:
    """What was done after a step: the action float32 [7] in [-1, 1], whether something was proposed then, the
    phase that was announced (empty: none), and whether a person drove."""

    action: np.ndarray
    fresh: bool
    phase: str
    by_hand: bool


@dataclass
class Demonstration:
    """The steps of a recording, and what was done after each where actions are wanted."""

    steps: list[Step]
    taken: list[Taken] = field(default_factory=list)


def replay(bag: BagReader, meaning: Meaning, actions: bool = True) -> Demonstration:
    """What a bag demonstrates: of an episode of task_server from its announcement to its end, else all of it.

    actions: they are wanted, and steps count from the first proposal to the last; without them a bag needs no
    proposals, and all steps count.

    Raises:
        DataError: a topic is missing, nothing pairs, nothing was proposed, or images come at another rate.
    """
    _require_topics(bag, meaning, actions)
    reader = _Replay(bag, meaning)
    for topic, received_ns, message in bag.messages({*reader.streams, TASK}):
        if not reader.over:
            reader.take(topic, received_ns, message)
    if len(reader.steps) < 2:
        why = reader.refused or reader.ingest.joints.missing() or reader.ingest.pairing.lacking()
        raise DataError(f"bag '{bag.path}' has {len(reader.steps)} observations: {why or 'it is too short'}")
    _require_rate(bag, meaning, reader.steps)
    if not actions:
        return Demonstration(reader.steps)
    taken = _Proposals(bag).taken(reader.steps, meaning.scale)
    proposed = [i for i, step in enumerate(taken) if step.fresh]
    during = slice(proposed[0], proposed[-1] + 1) if proposed else slice(0)
    if len(taken[during]) < 2:
        raise DataError(f"bag '{bag.path}': motion was proposed for {len(taken[during])} observations")
    return Demonstration(reader.steps[during], taken[during])


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
    """Collects the observations of a bag."""

    def __init__(self, bag: BagReader, meaning: Meaning):
        self.ingest, self.lockstep = Ingest(meaning.ingest, meaning.lockstep), meaning.lockstep
        self.arm = JointMerge(meaning.arm_joints)
        self.joints = np.zeros(0)
        self.steps: list[Step] = []
        self.episode = int(bag.facts.get("episode", "0"))
        self.begun, self.over, self.refused = not self.episode, False, ""
        self.streams = {_absolute(topic): name for name, topic in meaning.ingest.topics.items()}

    def take(self, topic: str, received_ns: int, message: Any) -> None:
        """Take in a message of cameras, state or the task."""
        if topic == TASK:
            self._task(message)
            return
        stream = self.streams[topic]
        if stream == JOINTS:
            found = self.arm.add(message.name, message.position, stamp_to_ns(message.header.stamp))
            self.joints = self.joints if found is None else found
        if not self.begun:
            return
        try:
            self._observe(None if self.lockstep else self.ingest.poll(received_ns))
            self._observe(self.ingest.add(stream, message, received_ns))
        except ObservationError as error:
            self.refused = str(error)

    def _task(self, message: Any) -> None:
        if message.episode != self.episode or not self.episode:
            return
        if message.active and not self.begun:
            self.begun = True
            self.ingest.begin(stamp_to_ns(message.header.stamp))
        self.over = self.begun and not message.active

    def _observe(self, samples: dict[str, Any] | None) -> None:
        if samples is not None:
            first = samples[self.ingest.settings.cameras[0]]
            step = Step(stamp_to_ns(first.header.stamp), self.ingest.raw(samples), self.joints)
            self.steps.append(step)


class _Proposal(NamedTuple):
    stamp_ns: int
    twist: np.ndarray
    gripper_m: float | None  # as of then; None: nobody has told the gripper anything yet
    phase: str


class _Proposals:
    """What was proposed during a recording, in the order of its publication: the gripper and the phase first,
    then the motion that completes them."""

    def __init__(self, bag: BagReader):
        self.motions: deque[_Proposal] = deque()
        self.policy: dict[int, np.ndarray] = {}  # actions by the stamp of their observation
        self.takeovers: list[tuple[int, bool]] = []
        gripper_m, phase = None, ""
        for topic, _, message in bag.messages({PROPOSED, GRIPPER, CYCLE, PHASE, TELEOP}, published=True):
            if topic == GRIPPER and len(message.data):
                gripper_m = float(message.data[0])
            elif topic == PHASE:
                phase = str(message.data)
            elif topic == PROPOSED:
                at, turn = message.twist.linear, message.twist.angular
                twist = np.array([at.x, at.y, at.z, turn.x, turn.y, turn.z])
                self.motions.append(_Proposal(stamp_to_ns(message.header.stamp), twist, gripper_m, phase))
            elif topic == CYCLE:
                self.policy[stamp_to_ns(message.header.stamp)] = np.array(message.action, np.float32)
            elif topic == TELEOP:
                self.takeovers.append((stamp_to_ns(message.header.stamp), bool(message.active)))

    def taken(self, steps: Sequence[Step], scale: CommandScale) -> list[Taken]:
        """What was done from each observation to the next: what the policy gave for it, else the mean motion
        that was proposed, else the last one where that is young, else none.

        Where nobody has told the gripper anything yet, it was told what it does.
        """
        period_ns = round(1e9 / scale.control_hz)
        found, last = [], _Proposal(-HELD_PERIODS * period_ns, np.zeros(6), None, "")
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            end_ns = after.stamp_ns if after else step.stamp_ns + period_ns
            fresh = []
            while self.motions and self.motions[0].stamp_ns < end_ns:
                last = self.motions.popleft()
                if last.stamp_ns >= step.stamp_ns:
                    fresh.append(last.twist)
            holds = step.stamp_ns - last.stamp_ns < HELD_PERIODS * period_ns
            twist = np.mean(fresh or [last.twist if holds else np.zeros(6)], axis=0)
            gripper_m = _nearer_end(step, scale) if last.gripper_m is None else last.gripper_m
            action = self.policy.get(step.stamp_ns, scale.to_action(twist, gripper_m))
            by_hand = _last(self.takeovers, step.stamp_ns)
            found.append(Taken(action, bool(fresh) or step.stamp_ns in self.policy, last.phase, by_hand))
        return found


def _nearer_end(step: Step, scale: CommandScale) -> float:
    finger_m = abs(float(step.raw.gripper_qpos[0]))
    ends = (scale.gripper_open_m, scale.gripper_closed_m)
    return min(ends, key=lambda end_m: abs(end_m - finger_m))


def _last(events: Sequence[tuple[int, bool]], stamp_ns: int) -> bool:
    """The newest of events in order that is not after a time."""
    return next((value for at_ns, value in reversed(events) if at_ns <= stamp_ns), False)


def _absolute(topic: str) -> str:
    return topic if topic.startswith("/") else f"/{topic}"
