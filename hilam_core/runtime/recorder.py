"""What goes into which recording: start, stop, keep, discard. It knows topics as names and bytes, and no ROS.

Times are nanoseconds since the epoch.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hilam_core.errors import DataError, FileError, HilamError
from hilam_core.files import writable_folder
from hilam_core.runtime.bags import BagWriter, Topic, add_facts, complete_bag
from hilam_core.runtime.record import folder_name, own_folder

IDLE, RECORDING, STOPPED, FAILED = "idle", "recording", "stopped", "failed"
# What came shortly before a recording began belongs to it: the first image must find a state to be paired
# with, and the episode's announcement, which begins the recording, may arrive after them.
BEFORE_NS = 500_000_000
SUCCESS = "success"


def complete_recordings(output: Path) -> list[Path]:
    """Complete what killed recorders left in a folder of recordings; which those are.

    Raises:
        FileError: one cannot be written.
    """
    completed = []
    for folder in sorted({file.parent for file in output.glob("*/*.mcap")}):
        with suppress(DataError):  # killed before anything came
            if complete_bag(folder):
                completed.append(folder)
    return completed


class RecorderError(HilamError):
    """What cannot be done now. The message is one line with the reason."""


class _Message(NamedTuple):
    topic: Topic
    received_ns: int
    data: bytes
    published_ns: int


class Recorder:
    """One recording after the other, each a bag in a folder of its own below `output`.

    settings: text by name that says what the messages mean (the profile's), a fact of every bag.

    Raises:
        FileError: the folder cannot be made or written to.
    """

    def __init__(self, output: Path, settings: Mapping[str, str]):
        self.output, self.settings = writable_folder(output), dict(settings)
        self.state, self.reason = IDLE, ""
        self.folder: Path | None = None
        self.instruction, self.episode, self.outcome = "", 0, ""
        self._bag: BagWriter | None = None
        self._before: deque[_Message] = deque()
        self._latched: dict[Topic, _Message] = {}

    @property
    def messages(self) -> int:
        """Messages of the recording under way, or the last one."""
        return sum(self._bag.counts.values()) if self._bag else 0

    @property
    def size(self) -> int:
        """Bytes that are safe on the disk."""
        return self._bag.size if self._bag else 0

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return (self._bag.end_ns - self._bag.start_ns) * 1e-9 if self._bag else 0.0

    def add(
        self, topic: Topic, received_ns: int, data: bytes, published_ns: int = 0, latched: bool = False
    ) -> None:
        """Take in a message. published_ns: 0 where it is not known. latched: it holds until the next one, so
        every recording begins with it."""
        message = _Message(topic, received_ns, data, published_ns)
        if latched:
            self._latched[topic] = message
        if self.state == RECORDING:
            self._attempt(lambda bag: bag.write(*message))
            return
        if not latched:
            self._before.append(message)
        while self._before and self._before[0].received_ns < received_ns - BEFORE_NS:
            self._before.popleft()

    def flush(self) -> None:
        """Make what has come so far safe from the end of this process."""
        if self.state == RECORDING:
            self._attempt(BagWriter.flush)

    def start(self, instruction: str, now_ns: int, episode: int = 0) -> Path:
        """Begin a recording; its folder. One that is under way is complete with that.

        episode: task_server's number; 0: none.

        Raises:
            RecorderError: there is no instruction.
            FileError: the folder cannot be made or written to.
        """
        if not instruction.strip():
            raise RecorderError("a recording needs the instruction that its demonstration follows")
        self.stop()
        self.instruction, self.episode, self.outcome, self.reason = instruction, episode, "", ""
        facts = {"instruction": instruction, "episode": str(episode), **self.settings}
        try:
            self.folder = own_folder(self.output, folder_name(instruction))
            self._bag = BagWriter(self.folder, facts)
        except FileError as error:
            self.state, self.reason = FAILED, str(error)
            raise
        self.state = RECORDING
        begin_ns = now_ns - BEFORE_NS
        for latched in self._latched.values():
            self._before.append(latched._replace(received_ns=max(latched.received_ns, begin_ns)))
        for message in sorted(self._before, key=lambda message: message.received_ns):
            if self.state == RECORDING and message.received_ns >= begin_ns:
                self._attempt(partial(BagWriter.write, **message._asdict()))
        self._before.clear()
        if self.state == FAILED:
            raise FileError(self.reason)
        return self.folder

    def stop(self, outcome: str = "", reason: str = "") -> None:
        """Complete the recording under way, if there is one. outcome, reason: as of the episode's end; empty:
        nobody has said yet."""
        facts = {"outcome": outcome, "reason": reason}
        if self.state == RECORDING:
            self.outcome, self.state = outcome, STOPPED
            self._attempt(lambda bag: bag.close(facts))
        elif self.state == FAILED and self.folder is not None and outcome and not self.outcome:
            self.outcome = outcome
            with suppress(HilamError):  # the disk is still full: the messages say how it ended
                add_facts(self.folder, facts)

    def finish(self) -> None:
        """`stop` for an operator, who is told where there is nothing to stop.

        Raises:
            RecorderError: nothing is being recorded.
        """
        if self.state != RECORDING:
            raise RecorderError("nothing is being recorded")
        self.stop()

    def keep(self) -> None:
        """The recording under way, or the last one, shows a success, unless its episode ended otherwise.

        Raises:
            RecorderError: there is none.
            HilamError: its metadata cannot be written.
        """
        folder = self._require_folder("keep")
        self.stop()
        if not self.outcome:
            add_facts(folder, {"outcome": SUCCESS, "reason": "the operator kept it"})
            self.outcome = SUCCESS
        if self.state == STOPPED:
            self.state = IDLE

    def discard(self) -> None:
        """Remove the recording under way, or the last one.

        Raises:
            RecorderError: there is none.
            FileError: it cannot be removed.
        """
        folder = self._require_folder("discard")
        self.stop()
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise FileError(f"cannot remove '{folder}': {error.strerror}") from None
        self.state, self.reason, self.folder = IDLE, "", None

    def _require_folder(self, what: str) -> Path:
        if self.folder is None or self.state == IDLE:
            raise RecorderError(f"there is no recording to {what}")
        return self.folder

    def _attempt(self, work: Callable[[BagWriter], None]) -> None:
        """Do it to the bag; where that fails the recording is over, and nothing else."""
        assert self._bag is not None
        try:
            work(self._bag)
        except FileError as error:
            self.state, self.reason = FAILED, str(error)
