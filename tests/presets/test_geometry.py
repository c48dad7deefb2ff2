"""Reconstructors by name, and what is known of a camera beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from seg3r.choices import Geometry
from seg3r.errors import InputError
from seg3r.presets.bundled import Bundled
from seg3r.presets.geometry import GeometryOptions, reconstructor
from seg3r.reconstruct.cut3r import Cut3rReconstructor
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.reconstruct.sensor import Sensor
from tests.worlds import table_scene, walk, write_recording

KINDS: dict[Geometry, type] = {
    "cut3r": Cut3rReconstructor, "odometry": Odometry, "sensor": Sensor, "saved": SavedGeometry,
}


@pytest.mark.parametrize("name", get_args(Geometry))
def test_geometry_by_name(name: Geometry, tmp_path: Path) -> None:
    write_recording(tmp_path / "saved", walk(table_scene(), 1))
    options = GeometryOptions(folder=tmp_path / "saved") if name == "saved" else None
    assert type(reconstructor(name, Bundled(), options)) is KINDS[name]


def test_geometry_without_tokens_gets_those_of_cut3r() -> None:
    joined = reconstructor("sensor", Bundled(), tokens=True)
    assert isinstance(joined, Joined)
    assert isinstance(joined.geometry, Sensor) and isinstance(joined.tokens, Cut3rReconstructor)
    assert isinstance(reconstructor("cut3r", Bundled(), tokens=True), Cut3rReconstructor), "it has its own"


def test_an_option_of_another_geometry_is_refused(tmp_path: Path) -> None:
    for name, options, why in (
        ("saved", None, "`saved` depth and poses lie in a folder; name it"),
        ("cut3r", GeometryOptions(folder=tmp_path), "belongs to reconstruct=saved, not to cut3r"),
        ("sensor", GeometryOptions(focal_px=110.0), "focal: the camera's numbers belong to reconstruct=odometry"),
        ("sensor", GeometryOptions(centre_px=(64.0, 48.0)), "centre: the camera's numbers belong to"),
    ):
        with pytest.raises(InputError, match=why) as error:
            reconstructor(name, Bundled(), options)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", [0, 3])
def test_what_is_known_of_the_camera_reaches_the_odometry(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    own = Odometry.__init__

    def init(self: Odometry, *args: object, **kwargs: object) -> None:
        told.append(kwargs)
        own(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Odometry, "__init__", init)
    reconstructor("odometry", Bundled(), GeometryOptions(focal_px=110.0, centre_px=(60.5, 50.0), seed=seed))
    reconstructor("odometry", Bundled())
    assert told == [
        {"focal_px": 110.0, "centre_px": (60.5, 50.0), "seed": seed}, {"focal_px": None, "centre_px": None, "seed": 0}
    ]


def test_a_misspelt_geometry_is_named() -> None:
    plain = getattr(reconstructor, "__wrapped__", reconstructor)
    with pytest.raises(InputError, match="reconstruct: 'cut3' is none of cut3r, odometry, sensor, saved"):
        plain("cut3", Bundled())
