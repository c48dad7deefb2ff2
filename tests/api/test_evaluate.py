"""How good is it? Asked in one call: rooms, questions, tasks, a map against a cloud; and which options go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seg3r.api import evaluate as evaluating
from seg3r.api import evaluate_data, evaluate_map, evaluate_questions, evaluate_rooms, evaluate_tasks
from seg3r.datasets.scenefun3d import SCENEFUN3D
from seg3r.errors import InputError
from seg3r.methods.opentrack3d import OpenTrack3DConfig
from seg3r.scene import SceneMap
from seg3r.types import Answer
from tests.datasets.table import WALKED, surface
from tests.datasets.visits import write_visit
from tests.loops import mapper_of, run
from tests.seen import Colours

SMALL: dict[str, Any] = {"rooms": 1, "frames": 6, "size": (120, 160), "split": "train", "masks": "truth",
                         "depth": "clean", "online_every": 0}
ROOM: dict[str, Any] = {**SMALL, "method": "moonseg3r", "frames": 10, "reconstruct": "sensor", "without": ("refine",)}


# ---- rooms -----------------------------------------------------------------------------------------------------------


def test_rooms_are_measured_with_what_was_asked_for() -> None:
    ticks: list[tuple[int, int]] = []
    answer = evaluate_rooms(
        **{**SMALL, "online_every": 3}, without=("merge", "look"), config=OpenTrack3DConfig(voxel_m=0.03),
        progress=lambda *told: ticks.append(told),
    )
    assert [point["frame"] for point in answer["online"]] == [3, 6] and [done for done, _ in ticks] == [1]
    assert answer["settings"].items() >= {
        "method": "opentrack3d", "preset": "bundled", "split": "train", "masks": "truth", "association": "own",
        "depth": "clean", "rooms": 1, "frames": 6, "size": "160x120", "without": ["look", "merge"], "start": 0,
        "labels": None, "vocabulary": None, "superpoints": False, "max_dist_m": pytest.approx(0.045),
    }.items()
    json.dumps(answer, allow_nan=False)


def test_an_unknown_switch_is_named() -> None:
    with pytest.raises(InputError, match="denoise"):
        evaluate_rooms(without=("nothing",), **SMALL)
    with pytest.raises(InputError, match="2d, 3d, refine, memory, token"):
        evaluate_rooms("moonseg3r", rooms=1, without=("look",))


def test_the_online_curve_ends_at_the_result() -> None:
    answer = evaluate_rooms(placement="unprojected", **{**ROOM, "online_every": 5})
    assert [point["frame"] for point in answer["online"]] == [5, 10]
    assert answer["online"][-1]["AP"] == pytest.approx(answer["AP"], abs=1e-4)


def test_a_camera_of_two_frames_cannot_be_placed() -> None:
    answer = evaluate_rooms(placement="aligned", **{**ROOM, "frames": 2})
    assert answer["settings"]["scales"] == [None]
    assert not answer["AP"]


def test_an_option_of_moonseg3r_is_refused_elsewhere() -> None:
    with pytest.raises(InputError, match=r"placement: opentrack3d takes depth and pose .* it is moonseg3r's"):
        evaluate_rooms("opentrack3d", rooms=1, placement="aligned")
    with pytest.raises(InputError, match=r"reconstruct: opentrack3d .* it is moonseg3r's"):
        evaluate_rooms("opentrack3d", rooms=1, reconstruct="odometry")
    with pytest.raises(InputError, match=r"refiner: opentrack3d .* it is moonseg3r's"):
        evaluate_data("scannet200", "nowhere", refiner="somewhere")


@pytest.mark.parametrize("option", [
    {"labels": "nearest"}, {"superpoints": True}, {"association": "truth"}, {"config": OpenTrack3DConfig()},
])
def test_moonseg3r_is_measured_class_agnostic(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="class-agnostic"):
        evaluate_rooms("moonseg3r", rooms=1, **option)


@pytest.mark.parametrize("name", ["rooms", "frames"])
def test_nothing_cannot_be_measured(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=0: they are counted from 1"):
        evaluate_rooms(**{**SMALL, name: 0})


# ---- questions -------------------------------------------------------------------------------------------------------


def test_questions_are_put_to_who_was_asked_for() -> None:
    preset = Colours()
    answer = evaluate_questions("mllm", preset, rooms=1, frames=4, size=(90, 120), per_kind=2, labels="votes")
    assert preset.loaded == ["chat", "encoder"] and preset.told.prompts
    assert 0 < answer["count"]["all"] <= 8
    assert answer["settings"] == {
        "labels": "mllm", "naming": "votes", "preset": "bundled", "split": "val", "masks": "truth", "depth": "noisy",
        "rooms": 1, "frames": 4, "size": "120x90", "per_kind": 2, "model": None, "start": 0,
    }
    with pytest.raises(InputError, match="per_kind=0"):
        evaluate_questions(per_kind=0)
    with pytest.raises(InputError, match="asked only by the labeler or answerer mllm"):
        evaluate_questions("nearest", Colours(), chat="qwen3-vl-4b")


# ---- tasks in words --------------------------------------------------------------------------------------------------


def test_descriptions_are_asked_of_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of things that are named by what one does to them."""
    asked, wanted = list[str](), write_visit(tmp_path)

    class All:
        """Points at everything, whatever is asked; what has a name by then has one of the nine."""

        def __call__(self, scene: SceneMap, question: str) -> Answer:
            asked.append(question)
            assert {name for name in scene.names if name} <= set(SCENEFUN3D.phrases)
            return Answer(question, tuple(scene.ids.tolist()), (0.9,) * len(scene))

    monkeypatch.setattr(evaluating, "answerer_of", lambda answer, preset, model: All())
    result = evaluate_tasks(tmp_path, every=1)
    assert asked == wanted == list(result.texts.values())
    assert 0 < result.as_one_mask["mIoU"] < 1 and len(result.masks) == len(asked) > 2
    assert result.constant.overall.ap25 > 0
    told = result.as_json()["settings"]
    assert (told["task"], told["labels"], told["every"], told["visits"]) == (2, "nearest", 1, ["421254"])


# ---- a map against a cloud -------------------------------------------------------------------------------------------


def test_a_map_against_a_labelled_cloud(tmp_path: Path) -> None:
    mapper = mapper_of(WALKED)
    run(mapper, WALKED)
    mapper.refined().save(tmp_path / "scene.safetensors")
    points, ids = surface()
    np.save(tmp_path / "cloud.npy", points)
    np.savetxt(tmp_path / "ids.txt", np.where(ids > 0, 1000 + ids, 0), fmt="%d")
    cloud = (tmp_path, tmp_path / "cloud.npy", tmp_path / "ids.txt")
    answer = evaluate_map(*cloud)
    assert answer["AP50"] == 1 and answer["purity"] > 0.9 and answer["online"] == []
    assert answer["settings"].items() >= {"scores": "ranked", "max_dist_m": pytest.approx(0.03)}.items()
    assert evaluate_map(*cloud, max_dist_m=1e-6)["AP"] < answer["AP"], "hardly a vertex is so near"
    with pytest.raises(InputError, match="no names to compare with"):
        evaluate_map(*cloud, class_agnostic=False)
