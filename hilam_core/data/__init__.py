"""What the stages read and write: demonstrations, clips, stored latent actions and skills."""

from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import (
    Clip,
    Episode,
    content_hash,
    describe_data,
    first_share,
    labelled_and_rest,
    require_one_robot,
    split_held_out,
)
from hilam_core.data.read import camera_names, read_clips, read_demonstrations, require_rate
from hilam_core.data.stores import LabelStore, LatentStore, Lineage, SkillStore
from hilam_core.data.videos import read_captions

__all__ = [
    "Clip",
    "Episode",
    "LabelStore",
    "LatentStore",
    "Lineage",
    "ReadConfig",
    "SkillStore",
    "camera_names",
    "content_hash",
    "describe_data",
    "first_share",
    "labelled_and_rest",
    "read_captions",
    "read_clips",
    "read_demonstrations",
    "require_one_robot",
    "require_rate",
    "split_held_out",
]
