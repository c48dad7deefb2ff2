"""What the numbers of a method must be, whoever gives them. Light: the command line makes flags of configs."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from seg3r.errors import InputError


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
