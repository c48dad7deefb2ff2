"""Weights of networks: names and licences (`registry`), on this disk (`disk`), from the hub (`hub`), converted from
other formats (`convert`), shipped with the package (`bundled`), made into models of transformers (`pretrained`)."""

from __future__ import annotations

from seg3r.weights.disk import check, describe, folder_of, listed, place, present, where
from seg3r.weights.hub import fetch
from seg3r.weights.registry import REGISTRY, entry

__all__ = ["REGISTRY", "check", "describe", "entry", "fetch", "folder_of", "listed", "place", "present", "where"]
