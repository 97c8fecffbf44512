"""Stored latent actions and skills: HDF5 files of small arrays per clip, with the names of what made them.

Both carry their `Lineage`, the hash of each clip they were made of, and `data` and `data_hash` of all clips.
`write` is atomic; `read` loads everything (megabytes). `require_*` refuse what does not belong together and
name both sides.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from typing_extensions import Self

from hilam_core.cards import WEIGHTS, checkpoint_hash
from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import Clip, content_hash
from hilam_core.data.paths import Paths, as_list
from hilam_core.errors import CheckpointError, DataError, FileError
from hilam_core.files import replacing, writable_folder

Arrays = dict[str, np.ndarray]
Fields = dict[str, type[np.generic]]


@dataclass(frozen=True)
class Lineage:
    """What identifies latent actions: model, cameras and gap. What is built on them repeats it."""

    lam: str
    """Folder of the latent action model; empty for a model of another project."""
    lam_hash: str
    """Hash of that model's weights; of another project's model any name that tells it from others."""
    cameras: tuple[str, ...]
    """Cameras whose frames the model read: z^l has a part of each, in this order."""
    gap: int
    """k, in frames."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", tuple(self.cameras))  # JSON knows lists alone

    @property
    def attrs(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {**asdict(self), "cameras": list(self.cameras)}

    @classmethod
    def of_card(cls, card: Mapping[str, Any], source: Path | str) -> Self:
        """From the card of a skill model; CheckpointError where it names none."""
        try:
            return cls(**card["lineage"])
        except (KeyError, TypeError):
            raise CheckpointError(
                f"'{source}' does not say which latent actions it knows: train it again"
            ) from None

    def require(self, name: Path | str, other: "Lineage", other_name: Path | str) -> None:
        """DataError where `other` has another model, gap or cameras; the names say whose they are."""
        for what in ("lam_hash", "cameras", "gap"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                if what == "cameras":
                    mine, theirs = ", ".join(mine), ", ".join(theirs)
                if what == "lam_hash":
                    what, mine, theirs = "latent action model", self._model(), other._model()
                raise DataError(
                    f"{name} and {other_name} do not belong together: {what} {mine} and {theirs}; "
                    "extract again with the same"
                )

    def _model(self) -> str:
        return f"{self.lam or 'of another project'} ({self.lam_hash[:12]})"


class _Store(Mapping[str, Arrays]):
    """Arrays by clip key, plus `attrs` and the content hash of each clip (`contents`)."""

    kind: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    """attributes that name a checkpoint's folder, each with its hash in `<name>_hash`"""

    def __init__(
        self,
        clips: dict[str, Arrays],
        attrs: dict[str, Any],
        contents: dict[str, str] | None = None,
        path: Path | None = None,
    ):
        """attrs: at least the lineage; contents: key -> `Clip.content_hash` of the lineage's cameras."""
        self.clips, self.attrs, self.contents, self.path = clips, attrs, contents or {}, path

    def __getitem__(self, key: str) -> Arrays:
        if key not in self.clips:
            raise DataError(f"{self.path or 'the store'} has no {self.kind} for {key!r}: extract them")
        return self.clips[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def lineage(self) -> Lineage:
        """Which latent actions these are, or were made of."""
        return Lineage(**{name: self.attrs[name] for name in Lineage.__dataclass_fields__})

    @classmethod
    def fields(cls, attrs: Mapping[str, Any]) -> Fields:
        """Name and type of the arrays of each clip."""
        raise NotImplementedError

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Everything in the file at `path`; DataError when it is missing, corrupt, of another kind, or holds
        numbers that are not finite."""
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path} does not exist")
        try:
            with h5py.File(path, "r") as file:
                attrs = cls._attrs(file, path)
                names = cls.fields(attrs)
                keys = _keys(file)
                clips = {key: {name: file[key][name][()] for name in names} for key in keys}
                contents = {
                    key: str(file[key].attrs["content"]) for key in keys if "content" in file[key].attrs
                }
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise DataError(f"{path} cannot be read as stored {cls.kind}: {error}") from None
        store = cls(clips, attrs, contents, path)
        store._check()
        return store

    @classmethod
    def _attrs(cls, file: h5py.File, path: Path) -> dict[str, Any]:
        if file.attrs.get("kind") != cls.kind:
            raise DataError(f"{path} holds {file.attrs.get('kind', 'something else')!r}, not {cls.kind!r}")
        attrs = json.loads(file.attrs["card"])
        cls._require_lineage(attrs, path)
        return attrs

    @classmethod
    def _require_lineage(cls, attrs: Mapping[str, Any], path: Path) -> None:
        if missing := [name for name in Lineage.__dataclass_fields__ if name not in attrs]:
            raise DataError(f"{path} does not say its {missing[0]}: extract the {cls.kind} again")

    def write(self, path: str | Path) -> None:
        """Write atomically. Raises as `check_target`; DataError for numbers that are not finite."""
        self.check_target(path, self.attrs)
        self.path = Path(path)
        self._require_lineage(self.attrs, self.path)
        self._check()
        with replacing(self.path) as draft:
            self._write(draft)

    def _write(self, draft: Path) -> None:
        try:
            with h5py.File(draft, "w") as file:
                file.attrs["kind"] = self.kind
                file.attrs["card"] = json.dumps(self.attrs)
                for key, arrays in self.clips.items():
                    group = file.create_group(key)
                    if key in self.contents:
                        group.attrs["content"] = self.contents[key]
                    for name, dtype in self.fields(self.attrs).items():
                        group.create_dataset(name, data=np.asarray(arrays[name], dtype))
        except (OSError, RuntimeError) as error:  # HDF5 raises either on a full disk
            raise FileError(f"cannot write '{self.path}': {error}") from None

    @classmethod
    def check_target(cls, path: str | Path, attrs: Mapping[str, Any]) -> None:
        """Refuse, before the work, a file that cannot be written or whose content would be lost.

        What the same extraction wrote, also with an older model, is replaced; that of other cameras, another
        gap or data, or of others of its episodes, is not.

        Raises:
            FileError: such a file, a folder, or a place that cannot be written.
        """
        path = Path(path)
        writable_folder(path.parent)
        if path.is_dir():
            raise FileError(f"{path} is a folder: name a file for the {cls.kind}")
        if not path.exists():
            return
        try:
            with h5py.File(path, "r") as file:
                old = json.loads(file.attrs["card"]) if file.attrs.get("kind") == cls.kind else None
        except (OSError, RuntimeError, KeyError, ValueError):
            old = None
        if old is None:
            raise FileError(f"{path} is no file of {cls.kind}: choose another, or move it away")
        for name in ("cameras", "gap", "data", *ReadConfig().selection):
            if old.get(name) != attrs.get(name):
                raise FileError(
                    f"{path} holds {cls.kind} of {name} {old.get(name)}, not {attrs.get(name)}: "
                    "choose another file, or move it away"
                )

    def _check(self) -> None:
        for key, arrays in self.clips.items():
            for name, values in arrays.items():
                bad = ~np.isfinite(values)
                if bad.any():
                    step = int(np.argwhere(bad)[0][0]) if np.ndim(values) else 0
                    raise DataError(f"{self.path}: {key} has {name} that are not finite at step {step}")

    def require_clips(self, clips: Iterable[Clip]) -> Self:
        """DataError unless each clip is there, of this length and made of the frames it has now."""
        cameras = self.lineage.cameras
        for clip in clips:
            steps = len(self[clip.key][next(iter(self.fields(self.attrs)))])
            if steps != len(clip):
                raise DataError(f"{self.path}: {clip.key} has {steps} steps, now {len(clip)}: extract again")
            if clip.key not in self.contents:
                continue
            if not set(cameras) <= clip.frames.keys():
                raise DataError(
                    f"{self.path} is of {', '.join(cameras)}, {clip.key} shows {', '.join(clip.frames)}"
                )
            if clip.content_hash(cameras) != self.contents[clip.key]:
                raise DataError(
                    f"{self.path}: {clip.key} has changed since (data_hash differs): extract again"
                )
        return self

    def require_current(self) -> Self:
        """DataError where the folder of a model that made this holds another by now: extract again."""
        for role in self.models:
            folder, stored = self.attrs[role], self.attrs[f"{role}_hash"]
            if not folder or not (Path(folder) / WEIGHTS).is_file():
                continue
            if (now := checkpoint_hash(folder)) != stored:
                raise DataError(
                    f"{self.path} was made by {stored[:12]}, but {folder} holds another model by now "
                    f"({now[:12]}): extract the {self.kind} again, or move that model elsewhere"
                )
        return self


def _keys(file: h5py.File) -> list[str]:
    """Names of the groups that hold arrays, at any depth."""
    arrays: list[str] = []
    file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
    return list(dict.fromkeys(name.rpartition("/")[0] for name in arrays))


class LatentStore(_Store):
    """z^l per clip: `z` float32 [T, dz]; rows from `valid` on repeat the last one from a real pair."""

    kind = "latents"
    models = ("lam",)

    @classmethod
    def fields(cls, attrs: Mapping[str, Any]) -> Fields:
        return {"z": np.float32, "valid": np.int64}

    @classmethod
    def attrs_of(
        cls, lineage: Lineage, paths: Paths, config: ReadConfig, clips: list[Clip], latent_dim: int
    ) -> dict[str, Any]:
        """Attributes of the latent actions of `clips`, which `config` chooses of what `paths` hold."""
        return {
            **lineage.attrs,
            "data": [str(path.resolve()) for path in as_list(paths)],
            **config.selection,
            "data_hash": content_hash(clips, lineage.cameras),
            "latent_dim": latent_dim,
        }

    @property
    def latent_dim(self) -> int:
        """Length of z^l."""
        return int(next(iter(self.clips.values()))["z"].shape[1])

    def _check(self) -> None:
        super()._check()
        if not self.clips:
            raise DataError(f"{self.path} holds no latents")
        for key, arrays in self.clips.items():
            z, valid = arrays["z"], int(arrays["valid"])
            if z.ndim != 2 or z.shape[1] != self.latent_dim or not 0 < valid <= len(z):
                raise DataError(
                    f"{self.path}: {key} has z {list(z.shape)}, {valid} of them valid; "
                    f"expected [T, {self.latent_dim}] and 1 to T"
                )


class SkillStore(_Store):
    """Boundaries and skills at frame rate, per clip of T steps, for stages s = 1 to `stages`.

    `b<s>` bool [T] composed boundary, `p<s>` float32 [T] boundary probability on the frame axis, `z<s>`
    float32 [T, D] the segment's skill vector zbar^s, `segment<s>` int32 [T] the segment number k^s_t.
    """

    kind = "skills"
    models = ("lam", "skills")

    @classmethod
    def fields(cls, attrs: Mapping[str, Any]) -> Fields:
        types: Fields = {"b": np.bool_, "p": np.float32, "z": np.float32, "segment": np.int32}
        return {f"{name}{s}": t for s in range(1, attrs["stages"] + 1) for name, t in types.items()}

    @property
    def stages(self) -> int:
        """Stages of the skill model."""
        return int(self.attrs["stages"])


class LabelStore(_Store):
    """Labels decoded from z^l, per clip of T steps: `labels` float32 [T, A], or [T, A + 4] with the hand's
    motion. The keys of the demonstrations whose own labels they were fitted to are `labelled`."""

    kind = "labels"
    models = ("lam",)

    @classmethod
    def fields(cls, attrs: Mapping[str, Any]) -> Fields:
        return {"labels": np.float32}

    @property
    def action_dim(self) -> int:
        """A, the numbers of an action."""
        return int(self.attrs["action_dim"])

    def require_labelled(self, keys: Iterable[str]) -> Self:
        """DataError where they were fitted to labels of other demonstrations than these."""
        if extra := sorted(set(self.attrs["labelled"]) - set(keys)):
            raise DataError(
                f"{self.path} was fitted to the actions of {len(extra)} demonstrations that are not trained "
                f"on, such as {extra[0]}: decode with the same --share and --data"
            )
        return self
