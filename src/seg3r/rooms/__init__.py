"""seed -> a furnished room, a walk through it, and what a camera sees there, with the truth about everything."""

from __future__ import annotations

from seg3r.rooms.classes import CLASS_IDS, CLASSES, SPLITS, STRUCTURAL, split_seeds
from seg3r.rooms.cloud import labelled_cloud
from seg3r.rooms.language import Question, questions
from seg3r.rooms.noise import frame_noise, noisy_depth
from seg3r.rooms.path import camera_path
from seg3r.rooms.render import Rendered, Renderer, renderer_of
from seg3r.rooms.room import ObjectInfo, Room, build_room
from seg3r.rooms.write import write_room

__all__ = [
    "CLASSES", "CLASS_IDS", "SPLITS", "STRUCTURAL", "ObjectInfo", "Question", "Rendered", "Renderer", "Room",
    "build_room", "camera_path", "frame_noise", "labelled_cloud", "noisy_depth", "questions", "renderer_of",
    "split_seeds", "write_room",
]
