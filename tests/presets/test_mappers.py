"""Methods with the parts of a preset in their sockets."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pytest
from safetensors.torch import save_file

from seg3r.embed.patches import Patches, PatchGrid
from seg3r.embed.refined_queries import RefinedQueries
from seg3r.errors import InputError
from seg3r.methods.moonseg3r_config import BUNDLED_NUMBERS
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.presets.bundled import Bundled
from seg3r.presets.foundation import Foundation
from seg3r.presets.geometry import GeometryOptions
from seg3r.presets.language import LazyAnswerer
from seg3r.presets.mappers import METHODS, moonseg3r, opentrack3d, preset_named
from seg3r.presets.preset import Preset, PresetName
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.odometry import Odometry
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.segment.geometric import GeometricSegmenter
from seg3r.types import Answer, Masks, View
from tests.loops import masks_of
from tests.reconstruct.remembering import Tokens
from tests.worlds import table_scene, walk

WALKED = walk(table_scene(), 3, (60, 80))


def perfect(view: View) -> Masks:
    return masks_of(WALKED[view.frame.index][1])


def silent(scene: SceneMap, question: str) -> Answer:
    return Answer(question, (), ())


@pytest.mark.parametrize("name", get_args(PresetName))
def test_presets_by_name(name: PresetName) -> None:
    found = preset_named(name)
    assert isinstance(found, Preset) and found.name == name
    assert type(found) is {"bundled": Bundled, "foundation": Foundation}[name]
    assert preset_named(name, "cpu").device == "cpu"  # type: ignore[attr-defined]


def test_an_object_of_parts_passes_as_it_is() -> None:
    own = Bundled(plain_views=True)
    assert preset_named(own) is own
    assert not isinstance(object(), Preset) and not isinstance("bundled", Preset)


@pytest.mark.parametrize("make", [preset_named, opentrack3d, moonseg3r])
def test_a_device_that_cannot_be_used_is_named(make: object) -> None:
    with pytest.raises(InputError, match=r"device: 'cuda:99' cannot be used here .*cpu always can") as error:
        make("bundled", device="cuda:99")  # type: ignore[operator]
    assert "\n" not in str(error.value)


def test_posed_depth_by_the_bundled_parts() -> None:
    made = opentrack3d()
    assert isinstance(made.reconstruct, Sensor) and isinstance(made.segment, GeometricSegmenter)
    assert isinstance(made.embed, Patches) and isinstance(made.answer, LazyAnswerer)


def test_own_parts_take_the_place_of_the_presets() -> None:
    embed, scene = Patches(patches_high=10), SceneMap()  # empty, and still the one that was given
    made = opentrack3d(segment=perfect, embed=embed, scene=scene, answer=silent)
    assert (made.segment, made.embed, made.scene, made.answer) == (perfect, embed, scene, silent)
    other = moonseg3r(reconstruct=Joined(Sensor(), Tokens()), segment=perfect, scene=scene, answer=silent)
    assert (other.segment, other.scene, other.answer) == (perfect, scene, silent)


def test_one_camera_by_the_bundled_parts() -> None:
    made = moonseg3r()
    assert isinstance(made.reconstruct, Joined) and isinstance(made.reconstruct.geometry, Odometry)
    assert isinstance(made.embed, RefinedQueries) and isinstance(made.embed.features2d, PatchGrid)
    assert made.embed.refiner is not None, "the bundled one"
    assert made.embed.merge == BUNDLED_NUMBERS.merge_within, "the numbers that go with the features"


def test_what_is_known_of_a_camera_belongs_to_geometry_by_name() -> None:
    options = GeometryOptions(focal_px=110.0)
    made = moonseg3r(geometry=options)
    assert isinstance(made.reconstruct, Joined) and made.reconstruct.geometry.focal_px == 110.0  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="these options belong to a reconstructor by name"):
        moonseg3r(reconstruct=Sensor(), geometry=options)


def test_a_refiner_is_given_by_itself_or_by_its_folder(tmp_path: Path) -> None:
    own = QueryRefiner(QueryRefinerConfig(tokens=3, features=81, width=16, heads=2, ffn=16, psi=16, layers=1))
    save_file(own.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(asdict(own.config)))
    geometry = Joined(Sensor(), Tokens())
    by_itself = moonseg3r(reconstruct=geometry, refiner=own).embed
    assert isinstance(by_itself, RefinedQueries) and by_itself.refiner is own
    for folder in (tmp_path, str(tmp_path)):
        loaded = moonseg3r(reconstruct=geometry, refiner=folder).embed
        assert isinstance(loaded, RefinedQueries) and loaded.refiner is not None
        assert loaded.refiner.config == own.config, "a str is a folder, no network"
    with pytest.raises(InputError, match="nowhere"):
        moonseg3r(reconstruct=geometry, refiner=str(tmp_path / "nowhere"))
    without = moonseg3r(config=replace(BUNDLED_NUMBERS, refine=False, memory=False), reconstruct=geometry).embed
    assert isinstance(without, RefinedQueries) and without.refiner is None


def test_a_preset_without_a_refiner_pools_features() -> None:
    class Bare(Bundled):
        def query_refiner(self) -> None:  # type: ignore[override]
            return None

    made = moonseg3r(Bare(), reconstruct=Joined(Sensor(), Tokens()))
    assert isinstance(made.embed, RefinedQueries) and made.embed.refiner is None
    for frame, _ in WALKED:
        made.step(frame)
    assert made.scene.frames == 3


@pytest.mark.parametrize("make", [opentrack3d, moonseg3r])
def test_weights_that_are_not_there_are_named_when_a_mapper_is_made(
    make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SEG3R_WEIGHTS", "HF_HOME", "HF_HUB_CACHE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises(InputError, match="seg3r weights fetch") as error:
        make("foundation", device="cpu")  # type: ignore[operator]
    assert "\n" not in str(error.value)


def test_methods_are_listed() -> None:
    assert METHODS == ("opentrack3d", "moonseg3r")
