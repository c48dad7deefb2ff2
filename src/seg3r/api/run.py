"""A recording's name -> a map folder, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg3r.choices import Geometry, LabelerName, MethodName, PresetName
from seg3r.datasets.rooms import truth_surface
from seg3r.errors import InputError, check_choice
from seg3r.evaluate.run import Progress
from seg3r.export import check_out
from seg3r.mapping import map_recording
from seg3r.methods.moonseg3r_config import MoonSeg3RConfig
from seg3r.methods.opentrack3d_config import OpenTrack3DConfig
from seg3r.presets.geometry import GeometryOptions
from seg3r.presets.language import labeler_for
from seg3r.presets.mappers import METHODS, moonseg3r, opentrack3d, preset_named
from seg3r.presets.masks import masks_from
from seg3r.presets.preset import Preset
from seg3r.presets.words import vocabulary_named
from seg3r.scene.view import Map
from seg3r.sources import Recording, open_source
from seg3r.superpoints.mesh import read_superpoints


def frames(source: str | Path, every: int = 1) -> Recording:
    """Open a recording: a video, a camera, a folder, a dataset scene, `rooms:SEED`.

    Raises:
        InputError: nothing there, or nothing usable.
    """
    return open_source(source, every=every)


def method_for(recording: Recording) -> MethodName:
    """opentrack3d where a recording has depth and poses, moonseg3r where it has colour alone."""
    holds = recording.describe()
    return "opentrack3d" if holds["has_depth"] and holds["has_pose"] else "moonseg3r"


def run(
    source: str | Path,
    out: str | Path,
    method: MethodName | None = None,
    preset: PresetName | Preset = "bundled",
    *,
    config: OpenTrack3DConfig | MoonSeg3RConfig | None = None,
    masks: str | Path | None = None,
    vocabulary: str | Path | None = None,
    labels: LabelerName | None = None,
    chat: str | None = None,
    mesh: str | Path | None = None,
    reconstruct: Geometry | None = None,
    geometry: str | Path | None = None,
    focal: float | None = None,
    centre: tuple[float, float] | None = None,
    refiner: str | Path | None = None,
    every: int = 1,
    resume: bool = False,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    recording: Recording | None = None,
) -> tuple[Map, dict[str, Any]]:
    """Map a recording into a folder with one call; returns the refined map and the run's figures.

    Args:
        source: see `frames`.
        method: None: what goes with the recording, see `method_for`.
        config: the method's numbers; None: those of the preset.
        masks: a folder of id maps in the recording (or anywhere), or `truth`; None: a segmenter.
        vocabulary: words to name instances with: `rooms`, the name of a data set, or a file with one name a line.
        labels: who names them; None: the names beside the masks or, with a vocabulary, the nearest text.
        chat: another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint.
        mesh: of opentrack3d: in the recording's world; instances follow its superpoints.
        reconstruct, geometry, focal, centre, refiner: of moonseg3r: where camera and depth come from, the folder of
            `saved` ones, the camera's focal length and principal point (column, row) in pixels, another query refiner.
        every: stride over the frames.
        resume: go on where an interrupted call with the same arguments stopped.
        seed: of parts that draw.
        device: of the networks.
        recording: `source`, where it is open already.

    Raises:
        InputError: a word or a number that is none, an argument of the other method, weights that are not on this disk,
            and what `map_recording` raises.
    """
    target, parts = Path(out).expanduser(), preset_named(preset, device)
    check_out(target)
    if seed < 0:
        raise InputError(f"seed: {seed}; seeds are counted from 0")
    recording = frames(source, every) if recording is None else recording
    method = method_for(recording) if method is None else method
    check_choice("method", method, METHODS)
    words = None if vocabulary is None else vocabulary_named(vocabulary)
    labeler = labeler_for(labels, words, parts, chat)
    segment = masks_from(recording, masks)
    if method == "moonseg3r":
        _check_unused(method, "opentrack3d", {"mesh": mesh})
        if config is not None and not isinstance(config, MoonSeg3RConfig):
            raise InputError(f"config: {type(config).__name__} is none of moonseg3r's; give a MoonSeg3RConfig")
        standard: OpenTrack3DConfig | MoonSeg3RConfig = parts.moonseg3r
        reconstruct = reconstruct or parts.geometry
        folder = None if geometry is None else Path(geometry).expanduser()
        mapper = moonseg3r(
            parts, config, reconstruct=reconstruct, refiner=refiner, segment=segment,
            geometry=GeometryOptions(focal, centre, folder, recording.stem, seed),
        )
    else:
        _check_unused(method, "moonseg3r", {"reconstruct": reconstruct, "geometry": geometry, "focal": focal,
                                            "centre": centre, "refiner": refiner})
        if config is not None and not isinstance(config, OpenTrack3DConfig):
            raise InputError(f"config: {type(config).__name__} is none of opentrack3d's; give an OpenTrack3DConfig")
        standard = OpenTrack3DConfig()
        mapper = opentrack3d(
            parts, config, words=None if words is None else words.words, segment=segment,
            superpoints=None if mesh is None else read_superpoints(Path(mesh).expanduser()),
        )
    given = {"source": Path(source).expanduser(), "masks": masks, "vocabulary": vocabulary, "mesh": mesh,
             "geometry": geometry, "refiner": refiner}
    settings: dict[str, object] = {name: None if value is None else str(value) for name, value in given.items()}
    settings |= {"method": method, "preset": parts.name, "every": every, "seed": seed, "labels": labels, "chat": chat,
                 "reconstruct": reconstruct, "focal": focal, "centre": centre, **_changed(config, standard)}
    # A map of one camera lies elsewhere than the truth and has another scale: `evaluate rooms` brings them together.
    truth = truth_surface(recording) if reconstruct in (None, "sensor") else None
    scene, figures = map_recording(
        mapper, recording, target, settings=settings, resume=resume, truth=truth, progress=progress, labeler=labeler,
        vocabulary=words,
    )
    return Map(scene, mapper.answer), figures


def _check_unused(method: str, other: str, given: Mapping[str, object]) -> None:
    if unused := [name for name, value in given.items() if value is not None]:
        raise InputError(f"{unused[0]}: belongs to {other}, not to {method}")


def _changed(config: object, standard: OpenTrack3DConfig | MoonSeg3RConfig) -> dict[str, object]:
    """The numbers of a config that are not the preset's."""
    if config is None:
        return {}
    return {name: getattr(config, name) for name, value in vars(standard).items() if getattr(config, name) != value}
