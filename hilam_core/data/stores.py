"""Stored latent actions and skills: HDF5 files of small arrays per episode, with the names of what made them.

`write` is atomic; `read` loads everything (megabytes). `require` refuses a store made by another checkpoint
or from other data and says which.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from typing_extensions import Self

from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing


class _Store(Mapping[str, dict[str, np.ndarray]]):
    """Arrays by episode key, plus `attrs`: checkpoint, checkpoint_hash, data, data_hash, config, ..."""

    kind: ClassVar[str]
    fields: ClassVar[dict[str, type]]

    def __init__(
        self, episodes: dict[str, dict[str, np.ndarray]], attrs: dict[str, Any], path: Path | None = None
    ):
        self.episodes, self.attrs, self.path = episodes, attrs, path

    def __getitem__(self, key: str) -> dict[str, np.ndarray]:
        if key not in self.episodes:
            raise DataError(f"{self.path or 'the store'} has no {self.kind} for episode {key!r}")
        return self.episodes[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.episodes)

    def __len__(self) -> int:
        return len(self.episodes)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Everything in the file at `path`; DataError when it is missing, corrupt or of another kind."""
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path} does not exist")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("kind") != cls.kind:
                    raise DataError(
                        f"{path} holds {file.attrs.get('kind', 'something else')!r}, not {cls.kind!r}"
                    )
                attrs = json.loads(file.attrs["card"])
                episodes = {
                    key: {name: file[key][name][()] for name in cls.fields} for key in _episode_keys(file)
                }
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read as stored {cls.kind}: {error}") from None
        return cls(episodes, attrs, path)

    def write(self, path: str | Path) -> None:
        """Write atomically; the episodes must hold exactly the fields of this kind."""
        self.path = Path(path)
        with replacing(self.path) as draft:
            self._write(draft)

    def _write(self, draft: Path) -> None:
        try:
            with h5py.File(draft, "w") as file:
                file.attrs["kind"] = self.kind
                file.attrs["card"] = json.dumps(self.attrs, default=str)
                for key, arrays in self.episodes.items():
                    group = file.create_group(key)
                    for name, dtype in self.fields.items():
                        group.create_dataset(name, data=np.asarray(arrays[name], dtype))
        except (OSError, RuntimeError) as error:  # HDF5 raises either on a full disk
            raise FileError(f"cannot write '{self.path}': {error}") from None

    def require(self, keys_and_lengths: Mapping[str, int] | None = None, **expected: Any) -> Self:
        """Check attributes (e.g. checkpoint_hash=...) and that the episodes are there with these lengths."""
        for name, value in expected.items():
            if self.attrs.get(name) != value:
                raise DataError(
                    f"{self.path} was made with {name} {self.attrs.get(name)!r}, {value!r} is needed: "
                    f"extract the {self.kind} again"
                )
        for key, length in (keys_and_lengths or {}).items():
            stored = len(self[key][next(iter(self.fields))])
            if stored != length:
                raise DataError(
                    f"{self.path}: {key} has {stored} steps, the demonstration {length}: extract again"
                )
        return self


def _episode_keys(file: h5py.File) -> list[str]:
    """Names of the groups that hold arrays, at any depth."""
    arrays: list[str] = []
    file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
    return list(dict.fromkeys(name.rpartition("/")[0] for name in arrays))


class LatentStore(_Store):
    """z^l per episode: `z` float32 [T, dz]; rows from `valid` on repeat the last one from a real pair."""

    kind = "latents"
    fields: ClassVar[dict[str, type]] = {"z": np.float32, "valid": np.int64}


class SkillStore(_Store):
    """Boundaries and skills at frame rate, per episode of T steps, for stages s = 1, 2.

    `b<s>` bool [T] composed boundary, `p<s>` float32 [T] boundary probability on the frame axis, `z<s>`
    float32 [T, D] the segment's skill vector zbar^s, `segment<s>` int32 [T] the segment number k^s_t.
    """

    kind = "skills"
    fields: ClassVar[dict[str, type]] = {
        **{f"b{s}": np.bool_ for s in (1, 2)},
        **{f"p{s}": np.float32 for s in (1, 2)},
        **{f"z{s}": np.float32 for s in (1, 2)},
        **{f"segment{s}": np.int32 for s in (1, 2)},
    }
