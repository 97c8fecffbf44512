"""What the nodes of a stack say of themselves: who is there, who is prepared, which episode was the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SILENT_S = 5.0  # nodes speak once a second; one that is busy loading a scene may miss a few


@dataclass(frozen=True)
class _Word:
    message: str
    prepared: bool
    episode: int | None  # of the task at hand, 0: none; None: the node follows no task
    heard_s: float


class Peers:
    """The nodes that an episode needs. Times are seconds of a steady clock."""

    def __init__(self, names: Sequence[str]):
        self.newest_episode = 0
        """The highest number of an episode that any of them has heard of."""
        self._words: dict[str, _Word | None] = dict.fromkeys(names)

    def hear(
        self,
        name: str,
        message: str,
        prepared: bool,
        episode: int | None,
        newest_episode: int,
        now_s: float,
    ) -> None:
        """Take in what a node says; prepared: the first observation of its episode may come."""
        if name in self._words:
            self._words[name] = _Word(message, prepared, episode, now_s)
            self.newest_episode = max(self.newest_episode, newest_episode)

    def silent(self, now_s: float) -> list[str]:
        """The nodes that have said nothing lately."""
        return [
            f"{name}: {self._said(word, now_s)}"
            for name, word in self._words.items()
            if word is None or now_s - word.heard_s > SILENT_S
        ]

    def unprepared(self, episode: int, now_s: float) -> list[str]:
        """The nodes that are not prepared for an episode, each with what it said last."""
        return [
            f"{name}: {self._said(word, now_s)}"
            for name, word in self._words.items()
            if word is None
            or now_s - word.heard_s > SILENT_S
            or not word.prepared
            or word.episode not in (None, episode)
        ]

    def last_words(self, now_s: float) -> str:
        """What each said last."""
        return "; ".join(f"{name}: {self._said(word, now_s)}" for name, word in self._words.items())

    @staticmethod
    def _said(word: _Word | None, now_s: float) -> str:
        if word is None:
            return "not heard of"
        age_s = now_s - word.heard_s
        return f"silent for {age_s:.0f} s" if age_s > SILENT_S else word.message
