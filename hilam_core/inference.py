"""Running trained networks fast: bfloat16, torch.compile, and CUDA graphs for calls that repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hilam_core.device import leaves, map_tensors
from hilam_core.errors import ConfigError
from hilam_core.precision import autocast

Function = Callable[..., Any]


def accelerate(function: Function, device: torch.device, precision: str, backend: str | None) -> Function:
    """A function of tensors on `device`, made faster; it gives copies, and takes inputs of few shapes.

    precision: "float32" or "bfloat16"; backend: of torch.compile, None without. On a GPU each shape of the
    inputs is recorded as a CUDA graph: a policy step is some hundred small kernels, whose launches take
    longer than they run.

    Raises:
        ConfigError: an unknown backend.
    """

    def in_precision(*inputs: Any) -> Any:
        with autocast(device, precision):
            return function(*inputs)

    call: Function = in_precision
    if backend is not None:
        call = compiled(call, backend)
    return Replayed(call) if device.type == "cuda" else call


def compiled(function: Function, backend: str) -> Function:
    """The function by torch.compile; the first call of each shape takes seconds to minutes."""
    return torch.compile(function, backend=require_backend(backend))


def require_backend(backend: str) -> str:
    """The backend of torch.compile of that name; ConfigError for an unknown one."""
    if backend not in torch.compiler.list_backends(exclude_tags=()):
        choices = ", ".join(torch.compiler.list_backends())
        raise ConfigError(f"unknown backend of torch.compile {backend!r}; choices: {choices}")
    return backend


class Replayed:
    """A function that runs on tensors in fixed places: a CUDA graph is recorded there once and replayed.

    On a CPU the same places are filled and the function is called: what tests can try without a GPU.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.recordings: dict[Any, _Recording] = {}

    @torch.inference_mode()
    def __call__(self, *inputs: Any) -> Any:
        given = leaves(inputs)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in given)
        if shapes not in self.recordings:
            self.recordings[shapes] = _Recording(self.function, inputs)
        return self.recordings[shapes].replay(given)


class _Recording:
    """One function at one shape of its inputs."""

    def __init__(self, function: Function, inputs: tuple) -> None:
        self.function = function
        self.inputs = map_tensors(torch.clone, inputs)
        self.places = leaves(self.inputs)
        self.graph: torch.cuda.CUDAGraph | None = None
        if self.places[0].is_cuda:
            self._record()

    def _record(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries choose kernels and workspaces in their first calls
            for _ in range(3):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.function(*self.inputs)

    def replay(self, given: list[Tensor]) -> Any:
        for place, tensor in zip(self.places, given, strict=True):
            place.copy_(tensor)
        if self.graph is None:
            self.outputs = self.function(*self.inputs)
        else:
            self.graph.replay()
        return map_tensors(torch.clone, self.outputs)
