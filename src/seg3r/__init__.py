"""seg3r: online 3D maps of object instances from RGB and RGB-D video, with open-vocabulary answers.

    import seg3r
    with seg3r.opentrack3d() as mapper:
        for frame in seg3r.frames("recordings/office"):
            mapper.step(frame)
    scene = mapper.refined()                    # or seg3r.open_map("out/office"), which `seg3r run` wrote
    scene.ask("the brown chair")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seg3r.api.ask import ask, open_map
    from seg3r.api.evaluate import evaluate_data, evaluate_map, evaluate_questions, evaluate_rooms, evaluate_tasks
    from seg3r.api.name import name
    from seg3r.api.run import frames, run
    from seg3r.errors import InputError, MissingExtraError
    from seg3r.label.vocabulary import Vocabulary
    from seg3r.mapper import Mapper
    from seg3r.mapping import map_recording
    from seg3r.methods.moonseg3r import MoonSeg3RConfig
    from seg3r.methods.opentrack3d import OpenTrack3DConfig
    from seg3r.presets import Bundled, Foundation, GeometryOptions, moonseg3r, opentrack3d, vocabulary_named
    from seg3r.scene import SceneMap
    from seg3r.scene.build import add_sightings, map_from_cloud, set_instances
    from seg3r.scene.view import Instance, Map
    from seg3r.sources import Recording
    from seg3r.types import (
        Answer,
        Camera,
        Frame,
        Keyframe,
        Labels,
        Masks,
        Matches,
        Segments,
        Sighting,
        View,
    )

_HOMES = {
    **dict.fromkeys((
        "ask", "evaluate_data", "evaluate_map", "evaluate_questions", "evaluate_rooms", "evaluate_tasks", "frames",
        "name", "open_map", "run",
    ), "api"),
    **dict.fromkeys(("InputError", "MissingExtraError"), "errors"),
    "Vocabulary": "label.vocabulary", "Mapper": "mapper", "map_recording": "mapping",
    "MoonSeg3RConfig": "methods.moonseg3r", "OpenTrack3DConfig": "methods.opentrack3d",
    **dict.fromkeys(
        ("Bundled", "Foundation", "GeometryOptions", "moonseg3r", "opentrack3d", "vocabulary_named"), "presets"
    ),
    "SceneMap": "scene", **dict.fromkeys(("add_sightings", "map_from_cloud", "set_instances"), "scene.build"),
    **dict.fromkeys(("Instance", "Map"), "scene.view"), "Recording": "sources",
    **dict.fromkeys((
        "Answer", "Camera", "Frame", "Keyframe", "Labels", "Masks", "Matches", "Segments", "Sighting", "View",
    ), "types"),
}

__all__ = [
    "Answer", "Bundled", "Camera", "Foundation", "Frame", "GeometryOptions", "InputError", "Instance", "Keyframe",
    "Labels", "Map", "Mapper", "Masks", "Matches", "MissingExtraError", "MoonSeg3RConfig", "OpenTrack3DConfig",
    "Recording", "SceneMap", "Segments", "Sighting", "View", "Vocabulary", "add_sightings", "ask", "evaluate_data",
    "evaluate_map", "evaluate_questions", "evaluate_rooms", "evaluate_tasks", "frames", "map_from_cloud",
    "map_recording", "moonseg3r", "name", "open_map", "opentrack3d", "run", "set_instances", "vocabulary_named",
]


def __getattr__(attribute: str) -> Any:
    """Public names are fetched when first used: `import seg3r` itself costs nothing."""
    if attribute == "__version__":
        from importlib.metadata import version

        return version("seg3r")
    if attribute not in _HOMES:
        raise AttributeError(f"module 'seg3r' has no attribute {attribute!r}")
    from importlib import import_module

    return getattr(import_module(f"seg3r.{_HOMES[attribute]}"), attribute)


def __dir__() -> list[str]:
    """What is public."""
    return [*__all__, "__version__"]
