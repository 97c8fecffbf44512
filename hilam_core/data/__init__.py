"""What the stages read and write: demonstrations, clips, stored latent actions and skills."""

from hilam_core.data.clips import CAPTIONS, read_captions, read_clips
from hilam_core.data.episode import Clip, Episode, content_hash, describe_data, split_held_out
from hilam_core.data.hdf5 import read_demonstrations
from hilam_core.data.stores import LatentStore, Lineage, SkillStore

__all__ = [
    "CAPTIONS",
    "Clip",
    "Episode",
    "LatentStore",
    "Lineage",
    "SkillStore",
    "content_hash",
    "describe_data",
    "read_captions",
    "read_clips",
    "read_demonstrations",
    "split_held_out",
]
