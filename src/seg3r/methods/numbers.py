"""What the numbers of a method must be, whoever gives them. Light: the command line makes flags of configs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from seg3r.errors import InputError, check_choice

Config = TypeVar("Config")


def check_numbers(config: Any) -> None:
    """Raise InputError, naming the field, unless every number of a dataclass is finite, every length (`_m`) above 0,
    and no count (a field of int) below 0, or below 1 where it is a stride (`_every`)."""
    for field in fields(config):
        value, name = getattr(config, field.name), field.name
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if not math.isfinite(value):
            raise InputError(f"{name}: {value}; it must be finite")
        if name.endswith("_m") and value <= 0:
            raise InputError(f"{name}: {value} metres; a length is more than 0")
        least = 1 if name.endswith("_every") else 0
        if field.type in ("int", int) and value < least:
            raise InputError(f"{name}: {value}; it is counted from {least}")


def without_parts(config: Config, parts: tuple[str, ...], ablations: Mapping[str, Mapping[str, Any]]) -> Config:
    """A config with these parts of its method switched off, as its table of ablations says.

    Raises:
        InputError: no such part.
    """
    for part in parts:
        check_choice("without", part, ablations)
        config = replace(config, **ablations[part])  # type: ignore[type-var]
    return config
