"""What an operator sees of a stack: its last minute, in bounded memory, and texts that are safe to show.

Times (`now_s`) are seconds of a steady clock. Whoever listens to the topics tells what it heard; `view`
gives one moment of it, which another thread may read while the next one is made.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hilam_core.runtime.episode import SUCCESS
from hilam_core.runtime.health import ERROR, InputHealth
from hilam_core.runtime.tasks import Task
from hilam_core.runtime.timing import Cycle

WINDOW_S = 60.0
"""How far the timeline and the plots look back."""
MAX_TEXT = 400  # of a message that is shown: a few lines of the page
SILENT_S = 5.0  # nodes speak once a second; as for `Peers`
# 20 Hz for the window, and as much again: lockstep may run faster than real time.
_SAMPLES = 2400
_NOTES = 30
_NODES = 60  # drivers may report on /diagnostics too
KEYS = frozenset("wsadrfikjluog")
"""The keys that drive the arm, see hilam_msgs/TeleopKeys."""
KEYS_LAST_S = 0.25  # the window says them every 0.1 s; teleop holds the arm 0.3 s after the last message
LIMITED = "limited "  # how the counters of the safety monitor begin, one for each limit


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """A text from outside as one line of at most `limit` characters, without control characters or such that
    turn the direction of reading."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"


@dataclass(frozen=True)
class Order:
    """A task that an operator asks for; the last four only in simulation."""

    instruction: str
    time_limit_s: float
    scene: str = ""
    placement: str = "stored"
    index: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Recorder:
    """What the recorder does, and with which recording; without a state there is none."""

    state: str = ""
    text: str = ""


@dataclass(frozen=True)
class NodeStatus:
    """What a node said of itself last."""

    name: str
    level: str  # ok, warn or error, as of `health`
    message: str
    limits: Mapping[str, int]  # of safety_monitor: how often each limit was hit
    heard_s: float


@dataclass(frozen=True)
class SkillSample:
    """One plan of pi^h."""

    time_s: float
    episode: int
    skill_id: int
    boundary_probability: float


@dataclass(frozen=True)
class Segment:
    """The time in which one skill was followed."""

    episode: int
    skill_id: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class CycleSample:
    """Where the time of one control cycle went, in milliseconds."""

    time_s: float
    plan_ms: float
    act_ms: float
    total_ms: float | None  # from the observation's stamp to its command


@dataclass(frozen=True)
class Rates:
    """Messages a second."""

    time_s: float
    hz: Mapping[str, float]


@dataclass(frozen=True)
class Note:
    """Something that the operator asked for or should know."""

    at: str  # time of day
    text: str
    bad: bool


@dataclass(frozen=True)
class View:
    """A moment of the stack; see `ConsoleState` for what the fields mean."""

    now_s: float = 0.0
    episode: int = 0
    instruction: str = ""
    active: bool = False
    step: int = 0
    outcome: str = ""
    safety: str = ""
    safety_reason: str = ""
    nodes: tuple[NodeStatus, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    skills: tuple[SkillSample, ...] = ()
    segments: tuple[Segment, ...] = ()
    cycles: tuple[CycleSample, ...] = ()
    rates: tuple[Rates, ...] = ()
    cameras: Mapping[str, str] = field(default_factory=dict)
    instructions: tuple[str, ...] = ()
    other_instructions: bool = False
    recorder: Recorder = Recorder()
    driver: str = ""
    present: frozenset[str] = frozenset()
    notes: tuple[Note, ...] = ()


class ConsoleState:
    """Takes in what a stack says, gives what an operator sees.

    cameras: their names, in the order in which they are shown.
    """

    def __init__(self, cameras: tuple[str, ...]):
        self.pressed: tuple[str, ...] = ()
        """Keys for teleoperation that are down."""
        self.task: Task | None = None
        self.step = 0
        self.outcome = ""
        """How the last episode ended, and why."""
        self.safety, self.safety_reason = "", ""
        """What safety_monitor does (following, holding, stopped; empty: it was not heard) and why."""
        self.instructions: tuple[str, ...] = ()
        self.other_instructions = False
        self.recorder = Recorder()
        self.driver = ""
        """What a person drives the arm with; empty: nobody does."""
        self.present: frozenset[str] = frozenset()
        """The nodes that buttons need and that are there."""
        self._pressed_s, self._said_none = -math.inf, True
        self._cameras = {camera: InputHealth(camera) for camera in cameras}
        self._flows = {name: InputHealth(name) for name in ("skill", "command")}
        self._nodes: dict[str, NodeStatus] = {}
        self._skills: deque[SkillSample] = deque(maxlen=_SAMPLES)
        self._cycles: deque[CycleSample] = deque(maxlen=_SAMPLES)
        self._rates: deque[Rates] = deque(maxlen=_SAMPLES)
        self._notes: deque[Note] = deque(maxlen=_NOTES)

    # What is heard

    def on_task(self, task: Task) -> None:
        """A task was announced, or is over."""
        if self.task is None or task.episode != self.task.episode:
            self.step, self.outcome = 0, ""
        self.task = task

    def on_skill(self, episode: int, skill_id: int, boundary_probability: float, now_s: float) -> None:
        """The planner gave a skill."""
        self._flows["skill"].arrived(round(now_s * 1e9))
        self._skills.append(SkillSample(now_s, episode, skill_id, boundary_probability))

    def on_cycle(self, step: int, cycle: Cycle, now_s: float) -> None:
        """The executor proposed a command."""
        self._flows["command"].arrived(round(now_s * 1e9))
        self.step = step + 1
        total_ms = None if cycle.total_s is None else 1e3 * cycle.total_s
        self._cycles.append(CycleSample(now_s, 1e3 * cycle.plan_s, 1e3 * cycle.act_s, total_ms))

    def on_safety(self, state: str, reason: str) -> None:
        """The safety monitor follows, holds or has stopped."""
        state, reason = plain(state), plain(reason)
        if state == "stopped" != self.safety:
            self.note(f"the arm was stopped: {reason}", bad=True)
        self.safety, self.safety_reason = state, reason

    def on_status(self, name: str, level: str, message: str, values: Mapping[str, str], now_s: float) -> None:
        """A node said something of itself on /diagnostics."""
        name, message = plain(name, 60), plain(message)
        before = self._nodes.get(name)
        if before is None and len(self._nodes) >= _NODES:
            return
        self._nodes[name] = NodeStatus(name, level, message, _limits(values), now_s)
        # The action has no place for why a goal is rejected.
        if message.startswith("goal rejected: ") and (before is None or before.message != message):
            self.note(message, bad=True)

    def on_image(self, camera: str, now_s: float) -> None:
        """A camera sent an image."""
        self._cameras[camera].arrived(round(now_s * 1e9))

    def on_instructions(self, instructions: list[str], others: bool) -> None:
        """The planner said which instructions its policy knows, and whether it takes others."""
        self.instructions = tuple(plain(text) for text in instructions)
        self.other_instructions = others

    def on_outcome(self, episode: int, outcome: str, reason: str) -> None:
        """An episode is over."""
        self.outcome = plain(f"episode {episode}: {outcome}: {reason}")
        self.note(self.outcome, bad=outcome != SUCCESS)

    def on_recorder(self, state: str, reason: str, path: str, duration_s: float, size: int) -> None:
        """The recorder said what it does."""
        text = f"{path}, {duration_s:.0f} s, {size / 1e6:.1f} MB" if path else ""
        if state == "failed" != self.recorder.state:
            self.note(f"the recording failed: {reason}", bad=True)
        self.recorder = Recorder(plain(state, 20), plain(f"{text}{': ' if text and reason else ''}{reason}"))

    def on_teleop(self, active: bool, source: str) -> None:
        """Whether a person drives the arm, and with what."""
        self.driver = plain(source, 40) if active else ""

    def press(self, keys: Iterable[str], now_s: float) -> None:
        """These keys are down in the operator's window; it says so again while they are."""
        self.pressed, self._pressed_s = tuple(sorted(KEYS.intersection(keys))), now_s

    def keys_to_send(self, now_s: float) -> list[str] | None:
        """The keys that teleop is told of now; none once, when all are up; None: nothing is to be said.

        A window that says nothing more, because it was closed or its network was cut, has no keys down.
        """
        if now_s - self._pressed_s > KEYS_LAST_S:
            self.pressed = ()
        if not self.pressed and self._said_none:
            return None
        self._said_none = not self.pressed
        return list(self.pressed)

    def note(self, text: str, bad: bool = False) -> None:
        """Tell the operator something."""
        self._notes.append(Note(time.strftime("%H:%M:%S"), plain(text), bad))

    # What is shown

    def sample_rates(self, now_s: float) -> None:
        """Keep the rates of now for the plot; what has stopped has none."""
        self._rates.append(Rates(now_s, {name: _rate(flow, now_s) for name, flow in self._flows.items()}))

    def view(self, now_s: float) -> View:
        """The moment `now_s`."""
        for samples in (self._skills, self._cycles, self._rates):
            while samples and samples[0].time_s < now_s - WINDOW_S:
                samples.popleft()
        monitor, task = self._nodes.get("safety_monitor"), self.task
        return View(
            now_s=now_s,
            episode=task.episode if task else 0,
            instruction=plain(task.instruction) if task else "",
            active=bool(task and task.active),
            step=self.step,
            outcome=self.outcome,
            safety=self.safety,
            safety_reason=self.safety_reason,
            nodes=tuple(_as_of(status, now_s) for _, status in sorted(self._nodes.items())),
            limits=monitor.limits if monitor else {},
            skills=tuple(self._skills),
            segments=tuple(segments(self._skills, now_s)),
            cycles=tuple(self._cycles),
            rates=tuple(self._rates),
            cameras={name: health.report(round(now_s * 1e9)) for name, health in self._cameras.items()},
            instructions=self.instructions,
            other_instructions=self.other_instructions,
            recorder=self.recorder,
            driver=self.driver,
            present=self.present,
            notes=tuple(self._notes),
        )


def segments(samples: deque[SkillSample], now_s: float, last_s: float = 1.0) -> list[Segment]:
    """The segments of plans in the order of time. One ends where the next begins; where none does, and for
    the last one, `last_s` after its last plan."""
    found: list[Segment] = []
    for sample in samples:
        end_s = min(sample.time_s + last_s, now_s)
        before = found[-1] if found else None
        if before and (before.episode, before.skill_id) == (sample.episode, sample.skill_id):
            found[-1] = Segment(before.episode, before.skill_id, before.start_s, end_s)
            continue
        if before and before.end_s > sample.time_s:
            found[-1] = Segment(before.episode, before.skill_id, before.start_s, sample.time_s)
        found.append(Segment(sample.episode, sample.skill_id, sample.time_s, end_s))
    return found


def _as_of(status: NodeStatus, now_s: float) -> NodeStatus:
    """What a node said last, unless that was long ago."""
    age_s = now_s - status.heard_s
    if age_s <= SILENT_S:
        return status
    silent = f"silent for {age_s:.0f} s; it said: {status.message}"
    return replace(status, level=ERROR, message=plain(silent))


def _limits(values: Mapping[str, str]) -> dict[str, int]:
    """How often each limit was hit: the counters of a status that begin so, and are numbers."""
    counters = {plain(k, 60).removeprefix(LIMITED): v for k, v in values.items() if k.startswith(LIMITED)}
    return {limit: int(count) for limit, count in counters.items() if count.isdecimal()}


def _rate(flow: InputHealth, now_s: float) -> float:
    now_ns = round(now_s * 1e9)
    age_s = flow.age_s(now_ns)
    return 0.0 if age_s is None or age_s > 1.0 else flow.rate_hz()
