"""Methods with the parts of a preset in their sockets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from jaxtyping import Float32, Int64
from torch import Tensor

from seg3r.choices import Geometry, MethodName, PresetName
from seg3r.embed.refined_queries import load_refiner
from seg3r.errors import InputError, check_choice
from seg3r.mapper import Mapper
from seg3r.methods import moonseg3r as moonseg3r_method
from seg3r.methods import opentrack3d as opentrack3d_method
from seg3r.methods.moonseg3r import MoonSeg3RConfig
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.models.query_refiner import QueryRefiner
from seg3r.presets.bundled import Bundled
from seg3r.presets.device import check_device
from seg3r.presets.foundation import Foundation
from seg3r.presets.geometry import GeometryOptions, reconstructor
from seg3r.presets.language import LazyAnswerer
from seg3r.presets.preset import Preset
from seg3r.protocols import Answerer, Embedder, Reconstructor, Segmenter
from seg3r.scene import SceneMap

METHODS: tuple[MethodName, ...] = get_args(MethodName)
Superpoints = tuple[Float32[Tensor, "v 3"], Int64[Tensor, "v"]]
"""Vertices of a mesh in the recording's world, and the superpoint of each."""


def preset_named(preset: PresetName | Preset, device: str | None = None) -> Preset:
    """The parts that go by this name; an object of parts passes as it is.

    Args:
        device: where its networks run; None: an accelerator where PyTorch sees one.

    Raises:
        InputError: no such preset, or a device that cannot be used.
    """
    if device is not None:
        check_device(device)
    if not isinstance(preset, str):
        return preset
    check_choice("preset", preset, get_args(PresetName))
    return Bundled(device) if preset == "bundled" else Foundation(device)


def opentrack3d(
    preset: PresetName | Preset = "bundled",
    config: OpenTrack3DConfig | None = None,
    *,
    words: tuple[str, ...] | None = None,
    segment: Segmenter | None = None,
    embed: Embedder | None = None,
    scene: SceneMap | None = None,
    superpoints: Superpoints | None = None,
    answer: Answerer | None = None,
    device: str | None = None,
) -> Mapper:
    """A mapper for posed RGB-D (OpenTrack3D).

    Args:
        preset: bundled: weight-free parts, and small weights that come with the package for words and answers.
            foundation: Grounding DINO -> SAM 2.1, DINOv2, SigLIP 2 and Qwen2.5-VL, from this disk.
        words: what the foundation preset's detector looks for; None: common indoor things (those of the rooms).
        segment, embed, answer: parts that replace those of the preset.
        scene: the map to continue.
        superpoints: where there is a mesh, instances follow its superpoints.
        device: of the networks, such as cpu or cuda:1.

    Raises:
        InputError: no such preset or device, or weights that are not on this disk.
    """
    parts, config = preset_named(preset, device), config or OpenTrack3DConfig()
    return opentrack3d_method.opentrack3d(
        config,
        segment=parts.detector(words) if segment is None else segment,
        embed=parts.embedder(config.pool) if embed is None else embed,
        scene=scene, superpoints=superpoints, answer=LazyAnswerer(parts) if answer is None else answer,
    )


def moonseg3r(
    preset: PresetName | Preset = "bundled",
    config: MoonSeg3RConfig | None = None,
    *,
    reconstruct: Geometry | Reconstructor | None = None,
    geometry: GeometryOptions | None = None,
    refiner: str | Path | QueryRefiner | None = None,
    segment: Segmenter | None = None,
    scene: SceneMap | None = None,
    answer: Answerer | None = None,
    device: str | None = None,
) -> Mapper:
    """A mapper for a single RGB video (MoonSeg3R).

    Args:
        preset: bundled: small weights that come with the package. foundation: CUT3R, DINOv2 and SAM 2.1, from this
            disk.
        reconstruct: who says where the camera is and how far things are, by name or itself; None: odometry, or CUT3R
            with the foundation preset.
        geometry: what is known of the camera, where `reconstruct` is a name.
        refiner: a query refiner, or its folder (`seg3r train`); None: the preset's, or no refinement where it has none.
        segment, answer: parts that replace those of the preset.
        scene: the map to continue.
        device: of the networks, such as cpu or cuda:1.

    Raises:
        InputError: no such preset, geometry or device, or weights that are not on this disk.
    """
    parts = preset_named(preset, device)
    config = config or parts.moonseg3r
    loaded = load_refiner(Path(refiner).expanduser()) if isinstance(refiner, (str, Path)) else refiner
    if config.refine and loaded is None:
        loaded = parts.query_refiner()
    if reconstruct is None or isinstance(reconstruct, str):
        reconstruct = reconstructor(reconstruct or parts.geometry, parts, geometry, tokens=True)
    elif geometry is not None:
        raise InputError("geometry: these options belong to a reconstructor by name; give them to your own directly")
    return moonseg3r_method.moonseg3r(
        reconstruct, parts.dense_features(), loaded, replace(config, refine=config.refine and loaded is not None),
        segment=parts.mask_generator() if segment is None else segment,
        scene=scene, answer=LazyAnswerer(parts) if answer is None else answer,
    )
