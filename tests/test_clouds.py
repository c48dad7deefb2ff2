"""A map that nobody walked, from end to end: no frame, no sighting, no keyframe."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from seg3r import api
from seg3r.answer.mllm import MllmAnswerer
from seg3r.answer.nearest import NearestAnswerer
from seg3r.export import CONTENT, write_map_folder
from seg3r.label.votes import Votes
from seg3r.protocols import Answerer
from seg3r.scene import SceneMap
from seg3r.scene.build import map_from_cloud, set_instances
from seg3r.types import Answer, Reply
from tests.report.test_page import Outline
from tests.seen import ColorEncoder


def cloud(normals: bool = False) -> SceneMap:
    """A floor with two things on it; one has a name."""
    rng = np.random.default_rng(0)
    floor = np.append(rng.uniform(-1, 1, (2000, 2)), np.zeros((2000, 1)), 1)
    things = rng.uniform(-0.1, 0.1, (600, 3)) + np.repeat([[0.5, 0, 0.1], [-0.5, 0, 0.1]], 300, 0)
    points = torch.from_numpy(np.concatenate((floor, things))).float()
    colors = torch.full((2600, 3), 120, dtype=torch.uint8)
    up = torch.tensor([[0.0, 0, 1]]).expand(2600, 3) if normals else None
    scene = map_from_cloud(points, colors, normals=up)
    own = [torch.arange(2000, 2300), torch.arange(2300, 2600)]
    set_instances(scene, own, torch.tensor([0.75, 0.5]), names=("chair", None))
    return scene


def written(scene: SceneMap, out: Path) -> Path:
    write_map_folder(scene, out, title="a cloud", figures={}, seconds={}, settings={})
    return out


@pytest.mark.parametrize("normals", [False, True])
def test_its_folder_is_whole(normals: bool, tmp_path: Path) -> None:
    scene = cloud(normals)
    out = written(scene, tmp_path / "map")
    assert sorted(p.name for p in out.iterdir()) == sorted(CONTENT)
    content = json.loads((out / "instances.json").read_text())
    chair, other = content["instances"]
    assert (content["frames"], content["points"]) == (0, 2600)
    assert (chair["name"], chair["score"], chair["points"], chair["label"]) == ("chair", 0.75, 300, None)
    assert (other["name"], other["score"], other["observations"], other["best_views"]) == (None, 0.5, 0, [])
    assert list((out / "crops").iterdir()) == []
    ply = trimesh.load(out / "scene.ply")
    assert isinstance(ply, trimesh.PointCloud)
    np.testing.assert_array_equal(ply.vertices.astype(np.float32), scene.points.numpy())
    held = ply.metadata["_ply_raw"]["vertex"]["data"]
    assert (held["instance"].ravel() == np.repeat([-1, 1, 2], [2000, 300, 300])).all()
    assert ("nz" in held.dtype.names) == normals and (not normals or (held["nz"] == 1).all())
    text = (out / "report.html").read_text()
    outline = Outline(text)
    assert not outline.open and "chair" in text and "300 points" in text
    assert "frames -1" not in text and "seen 0" not in text
    again = SceneMap.load(out / "scene.safetensors")
    assert torch.equal(again.points, scene.points) and again.names == scene.names == ("chair", None)
    assert (again.normals is None) != normals


def test_without_an_instance_or_a_point_too(tmp_path: Path) -> None:
    scene = cloud()
    set_instances(scene, [], torch.zeros(0))
    assert "holds no instance" in (written(scene, tmp_path / "a") / "report.html").read_text()
    empty = map_from_cloud(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
    assert "The map is empty" in (written(empty, tmp_path / "b") / "report.html").read_text()
    assert SceneMap.load(tmp_path / "b" / "scene.safetensors").point_count == 0



class Unasked:
    """A model that must not be asked: there is no picture."""

    name = "unasked"

    def __call__(self, prompts: object) -> list[Reply]:
        raise AssertionError("there is nothing to look at")


def test_who_answers_by_looks_alone_says_nothing_of_it() -> None:
    """Names still count, where there are some; without pictures a language model is not asked."""
    scene = cloud()
    by_name = NearestAnswerer(ColorEncoder(), named=1.0)(scene, "the chair")
    assert by_name.instance_ids == (1,) and by_name.mask is not None and int(by_name.mask.sum()) == 300
    assert MllmAnswerer(Unasked())(scene, "the chair").instance_ids == ()
    assert Votes()(scene, ("chair", "lamp")).names == ("chair", None)


class Segments:
    """A network that answers with points of its own, as one with a [SEG] token would."""

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        return Answer(question, (), (0.5,), "The left half of it.", scene.points[:, 0] < 0)


def test_asked_on_disk_it_answers_with_points_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = cloud()
    out = written(scene, tmp_path / "map")
    answerers: list[Answerer] = [NearestAnswerer(ColorEncoder(), named=1.0), Segments()]
    monkeypatch.setattr(sys.modules["seg3r.api.ask"], "answerer_of", lambda *_: answerers.pop(0))
    named = api.ask(out, "the chair", page=tmp_path / "answer.html")
    assert [a["id"] for a in named["answers"]] == [1] and named["points"] == 300
    assert named["mask"] == {"length": 2600, "counts": "2001 300"}
    page = (tmp_path / "answer.html").read_text()
    assert "the chair" in page and "#instance-1" in page and not Outline(page).open
    left = api.ask(out, "the left half")
    assert left["answers"] == [] and left["text"] == "The left half of it."
    assert left["points"] == int((scene.points[:, 0] < 0).sum())
    json.dumps(left, allow_nan=False)
