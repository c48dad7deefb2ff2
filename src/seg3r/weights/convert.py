"""Released checkpoints -> safetensors. No code of theirs runs: PyTorch's restricted reader takes tensors and plain
containers, and refuses the rest."""

from __future__ import annotations

import argparse
import collections
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg3r.errors import InputError
from seg3r.files import write_tensors
from seg3r.reading import quoted, reading
from seg3r.text import printable

HOLDERS = ("model", "state_dict", "model_state_dict", "module")
"""Where training scripts keep the weights."""


class Ignored:
    """Stands for an object of a library that is not needed to read weights: takes any state and keeps none."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


IGNORED = (
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata", "omegaconf.base.SCMode", "omegaconf.nodes.AnyNode", "omegaconf.nodes.StringNode",
    "omegaconf.nodes.IntegerNode", "omegaconf.nodes.FloatNode", "omegaconf.nodes.BooleanNode", "typing.Any",
)
"""Options that lie beside the weights (those of CUT3R's release are of this kind)."""
_INTEGERS = {
    torch.bool, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.uint8, torch.uint16, torch.uint32, torch.uint64,
}
LARGEST_GROWTH = 16
"""A checkpoint's tensors may share memory in the file and not in ours, but not more than so many times."""
PLAIN = (argparse.Namespace, collections.defaultdict, dict, list, tuple, set, int, float, str, bool)


def convert(path: Path, out: Path) -> int:
    """Write the tensors of a PyTorch checkpoint as safetensors, whole or not at all; returns how many.

    Raises:
        InputError: no such file; one that holds more than tensors, containers and option lists; no weights in it; or
            weights that safetensors cannot hold (quantised, sparse, nested, without numbers, larger than the file).
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if out.exists() and out.samefile(path):
        raise InputError(f"{out}: the checkpoint itself; give another file to write")
    allowed: list[Any] = [*PLAIN, *((Ignored, name) for name in IGNORED)]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore")
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the file makes the reader do
        raise InputError(f"{path}: refused, it is no plain PyTorch checkpoint ({_first_line(error)})") from error
    weights = tensors_of(held)
    if not weights:
        raise InputError(f"{path}: no weights in it (looked at the top and under {', '.join(HOLDERS)})")
    for name, tensor in weights.items():
        if why := _unfit(name, tensor):
            raise InputError(f"{path}: tensor {quoted(name)} {why}; save plain weights and convert those")
    total = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if total > LARGEST_GROWTH * path.stat().st_size:
        raise InputError(f"{path}: its tensors spread to {total} bytes, far more than the file holds; it is damaged")
    with reading(path, "weights"):
        plain = {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
    write_tensors(out, plain)
    return len(weights)


def _unfit(name: str, tensor: Tensor) -> str | None:
    """Why safetensors cannot hold it."""
    if name == "__metadata__" or name != name.encode("utf-8", "replace").decode():
        return "has a name that safetensors does not allow"
    if tensor.is_meta:
        return "has a shape and no numbers (device meta)"
    if tensor.is_quantized:
        return "is quantised"
    if tensor.is_nested:
        return "is nested"
    if tensor.layout is not torch.strided:
        return f"is not dense ({str(tensor.layout).removeprefix('torch.')})"
    if not (tensor.is_floating_point() or tensor.dtype in _INTEGERS):
        return f"holds {str(tensor.dtype).removeprefix('torch.')}"
    return None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__


def tensors_of(held: Any) -> dict[str, Tensor]:
    """The named tensors of what a checkpoint holds: at its top, or under one of `HOLDERS`."""
    seen: list[int] = []
    while isinstance(held, Mapping) and id(held) not in seen:
        seen.append(id(held))
        inner = next((held[name] for name in HOLDERS if isinstance(held.get(name), Mapping)), None)
        if inner is None:
            return {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
        held = inner
    return {}
