"""What is counted, and how."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from seg3r.errors import InputError, check_choice

EXCLUDED_ID = 255
"""In ground truth: the vertex does not take part. No label * 1000 + instance of a class, whose ids begin at 1000."""


@dataclass(frozen=True)
class Protocol:
    """Which labels are instances, and what becomes of predictions elsewhere. Labels not listed, 0 too, are void."""

    name: str
    ids: tuple[int, ...]
    """Positive; ground truth holds label * 1000 + instance."""
    names: tuple[str, ...]
    min_region: int = 100
    """Vertices (ScanNet 100, SceneFun3D 1): smaller predictions are dropped, smaller instances are no targets."""
    void: Literal["ignored", "wrong"] = "ignored"
    """A prediction on void: neither right nor wrong (ScanNet), or a false positive (SceneFun3D)."""
    excluded_id: int | None = None
    """Vertices with this id are cut from ground truth and predictions before anything is counted."""
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Groups of classes whose means are reported, each with its members."""
    top_k: int = 300
    """(mask, class) pairs of a scene that the literature exports in its Top-K convention."""

    def __post_init__(self) -> None:
        check_choice("void", self.void, ("ignored", "wrong"))
        if not self.ids or min(self.ids) < 1 or not len(self.ids) == len(set(self.ids)) == len(self.names):
            raise InputError(f"protocol {self.name}: needs distinct, positive ids and one name for each")
        if len(set(self.names)) != len(self.names):
            raise InputError(f"protocol {self.name}: class names must differ")
        if self.min_region < 1:
            raise InputError(f"protocol {self.name}: min_region must be at least 1, got {self.min_region}")
        if self.top_k < 1:
            raise InputError(f"protocol {self.name}: top_k must be at least 1, got {self.top_k}")
        if self.excluded_id is not None and self.excluded_id // 1000 in self.ids:
            raise InputError(f"protocol {self.name}: the excluded id {self.excluded_id} is that of an instance")
        for group, members in self.groups:
            if unknown := sorted(set(members) - set(self.names)):
                raise InputError(f"protocol {self.name}: group {group} names {unknown[0]!r}, which is no class of it")

    @property
    def phrases(self) -> tuple[str, ...]:
        """The names as one would say them: tv-stand -> tv stand, tip_push -> tip push."""
        return tuple(name.replace("-", " ").replace("_", " ") for name in self.names)


def protocol_from_classes(names: Sequence[str], structural: Collection[str] = (), min_region: int = 100) -> Protocol:
    """The protocol of a generated world.

    Args:
        names: every class; the label of a class is its place in this list counted from 1 (0 = unannotated).
        structural: those that are no instances (wall, floor ...).
        min_region: vertices.
    """
    unknown = sorted(set(structural) - set(names))
    if unknown:
        raise InputError(f"structural classes {unknown} are not in the class list")
    instances = [(i, name) for i, name in enumerate(names, 1) if name not in structural]
    return Protocol("rooms", tuple(i for i, _ in instances), tuple(name for _, name in instances), min_region)


THINGS = protocol_from_classes(("thing",))
"""The class list of a map without labels."""
