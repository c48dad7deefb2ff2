"""Who says where the camera is and how far things are: reconstructors by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from seg3r.api.labelling import BUNDLED, Preset, best_device
from seg3r.errors import InputError
from seg3r.models.cut3r import Cut3r
from seg3r.models.query_refiner import QueryRefiner
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.cut3r import Cut3rReconstructor, load_cut3r
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.saved import Saved
from seg3r.reconstruct.sensor import Sensor

Geometry = Literal["cut3r", "odometry", "sensor", "saved"]
TWIN_SIDE, TWIN_VIEW = 192, 320
"""Long side of the image as the bundled network sees it, and of its views."""
TWIN_CONFIDENCE = 1.0
"""The twin's confidence is none to gate by: everything it sees counts."""
CUT3R, FEATURES = "cut3r-512", "dinov2-large"
"""Of the foundation preset. The paper has DINOv3, which its authors hand out after their licence was accepted (D3)."""


def reconstructor(
    name: Geometry,
    preset: Preset = "bundled",
    seed: int = 0,
    focal_px: float | None = None,
    centre_px: tuple[float, float] | None = None,
    folder: Path | None = None,
    stem: Callable[[int], str] | None = None,
    tokens: bool = False,
    **options: Any,
) -> Reconstructor:
    """
    Args:
        seed: of the odometry's random samples.
        focal_px, centre_px: of the camera, where they are known (odometry).
        folder: where `saved` geometry lies; `stem`: frame index -> name of its files.
        tokens: geometry that comes without tokens gets those of CUT3R.
        options: of `Cut3rReconstructor` (`pose`, `reset_every`, `gate`).

    Raises:
        InputError: no such name, or weights that are not on this disk.
    """
    if name == "cut3r":
        return cut3r(preset, **options)
    geometry: Reconstructor
    if name == "odometry":
        geometry = Odometry(focal_px=focal_px, centre_px=centre_px, seed=seed)
    elif name == "sensor":
        geometry = Sensor()
    elif name == "saved":
        if folder is None:
            raise InputError("`saved` geometry: name its folder (--geometry DIR)")
        geometry = Saved(folder) if stem is None else Saved(folder, stem)
    else:
        raise InputError(f"no geometry {name!r}; there are: cut3r, odometry, sensor, saved")
    return Joined(geometry, cut3r(preset, pose="head")) if tokens else geometry


def cut3r(preset: Preset = "bundled", **options: Any) -> Cut3rReconstructor:
    """CUT3R with the bundled weights, or with the released ones from this disk."""
    if preset == "foundation":
        from seg3r import weights

        return Cut3rReconstructor(load_cut3r(weights.where(CUT3R)), device=best_device(), **options)
    given: dict[str, Any] = {"pose": "solver", **options}
    return Cut3rReconstructor(
        load_bundled_cut3r(), side=TWIN_SIDE, view_side=TWIN_VIEW, least_confidence=TWIN_CONFIDENCE, layers=2, **given
    )


def load_bundled_cut3r() -> Cut3r:
    """The twin."""
    return load_cut3r(_bundled("cut3r"))


def load_bundled_refiner(plain: bool = False) -> QueryRefiner:
    """The twin of the query refiner; `plain`: learnt without the distillation loss (for the ablation)."""
    from seg3r.embed.refined_queries import load_refiner

    return load_refiner(_bundled("refiner_plain" if plain else "refiner"))


def _bundled(name: str) -> Path:
    folder = BUNDLED / name
    if not (folder / "model.safetensors").is_file():
        raise InputError(f"{folder}: the bundled weights '{name}' are not there; `seg3r train` makes them")
    return folder
