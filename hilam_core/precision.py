"""In which floating-point type networks compute."""

from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "float32", "bfloat16"]


def choose_precision(
    wanted: Precision, device: torch.device, model: nn.Module
) -> tuple[Literal["float32", "bfloat16"], str]:
    """("float32" or "bfloat16", the reason in a few words); auto takes what is fast on `device`."""
    if wanted != "auto":
        return wanted, "as asked"
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bfloat16", "the GPU computes in it") if able else ("float32", "the GPU has no bfloat16")
    if device.type != "cpu":
        return "float32", f"bfloat16 was not tried on {device.type}"
    if any(isinstance(module, nn.LSTM) for module in model.modules()):
        return "float32", "LSTMs gain nothing from bfloat16 on a CPU"
    if any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name):
        return "bfloat16", "the processor computes in it"
    # Emulated bfloat16 is up to 15 times slower than float32.
    return "float32", "the processor has no bfloat16 (AVX-512 BF16 or AMX)"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The block in which networks on `device` compute in "float32" or "bfloat16".

    Casts of weights are not kept: a CUDA graph that is recorded within would replay stale ones.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=torch.is_grad_enabled()
    )
