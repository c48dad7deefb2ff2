"""seed -> a furnished room, a walk through it, and what a camera sees there, with the truth about everything."""

from __future__ import annotations

from seg3r.rooms.classes import CLASS_IDS, CLASSES, SPLITS, STRUCTURAL, split_seeds
from seg3r.rooms.cloud import labelled_cloud
from seg3r.rooms.noise import noisy_depth
from seg3r.rooms.path import camera_path
from seg3r.rooms.render import Rendered, Renderer
from seg3r.rooms.room import ObjectInfo, Room, build_room

__all__ = [
    "CLASSES", "CLASS_IDS", "SPLITS", "STRUCTURAL", "ObjectInfo", "Rendered", "Renderer", "Room", "build_room", "camera_path",
    "labelled_cloud", "noisy_depth", "split_seeds",
]
