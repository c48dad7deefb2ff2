"""seg3r: online 3D maps of object instances from RGB and RGB-D video, with open-vocabulary answers.

    import seg3r
    mapper = seg3r.opentrack3d()
    for frame in seg3r.frames("recordings/office"):
        scene = mapper.step(frame)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seg3r.api import evaluate_rooms, frames, map_recording
    from seg3r.errors import InputError, MissingExtraError
    from seg3r.mapper import Mapper
    from seg3r.presets import moonseg3r, opentrack3d
    from seg3r.scene import SceneMap
    from seg3r.types import Answer, Camera, Frame, Labels, Masks, Matches, Segments, View

_HOMES = {
    "evaluate_rooms": "api", "frames": "api", "map_recording": "api", "moonseg3r": "presets",
    "opentrack3d": "presets",
    "InputError": "errors", "MissingExtraError": "errors", "Mapper": "mapper", "SceneMap": "scene",
    "Answer": "types", "Camera": "types", "Frame": "types", "Labels": "types", "Masks": "types", "Matches": "types",
    "Segments": "types", "View": "types",
}

__all__ = [
    "Answer", "Camera", "Frame", "InputError", "Labels", "Mapper", "Masks", "Matches", "MissingExtraError", "SceneMap",
    "Segments", "View", "evaluate_rooms", "frames", "map_recording", "moonseg3r", "opentrack3d",
]


def __getattr__(name: str) -> Any:
    """Public names are fetched when first used: `import seg3r` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seg3r' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"seg3r.{_HOMES[name]}"), name)
