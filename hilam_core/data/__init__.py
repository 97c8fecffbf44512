"""What the stages read and write: demonstrations, videos, stored latent actions and skills."""

from hilam_core.data.episodes import (
    CAMERAS,
    Clip,
    Episode,
    content_hash,
    read_clips,
    read_demonstrations,
    split_held_out,
)
from hilam_core.data.stores import LatentStore, SkillStore
from hilam_core.data.video import read_video, write_video

__all__ = [
    "CAMERAS",
    "Clip",
    "Episode",
    "LatentStore",
    "SkillStore",
    "content_hash",
    "read_clips",
    "read_demonstrations",
    "read_video",
    "split_held_out",
    "write_video",
]
