"""Released checkpoints -> safetensors. No code of theirs runs: PyTorch's restricted reader takes tensors and plain
containers, and refuses the rest."""

from __future__ import annotations

import argparse
import collections
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg3r.errors import InputError
from seg3r.files import write_tensors

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
PLAIN = (argparse.Namespace, collections.defaultdict, dict, list, tuple, set, int, float, str, bool)


def convert(path: Path, out: Path) -> int:
    """Write the tensors of a PyTorch checkpoint as safetensors, whole or not at all; returns how many.

    Raises:
        InputError: no such file; one that holds more than tensors, containers and option lists; or no weights in it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    allowed: list[Any] = [*PLAIN, *((Ignored, name) for name in IGNORED)]
    try:
        with torch.serialization.safe_globals(allowed):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: refused, it is no plain PyTorch checkpoint ({why})") from error
    weights = tensors_of(held)
    if not weights:
        raise InputError(f"{path}: no weights in it (looked at the top and under {', '.join(HOLDERS)})")
    write_tensors(out, {name: tensor.detach().clone() for name, tensor in weights.items()})
    return len(weights)


def tensors_of(held: Any) -> dict[str, Tensor]:
    """The named tensors of what a checkpoint holds: at its top, or under one of `HOLDERS`."""
    if not isinstance(held, Mapping):
        return {}
    for holder in HOLDERS:
        if isinstance(held.get(holder), Mapping):
            return tensors_of(held[holder])
    return {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
