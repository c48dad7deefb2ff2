"""A recording in a world far from its origin, and one with a wild pose, from folder to folder."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from seg3r import mapping
from seg3r.api.evaluate import evaluate_map
from seg3r.id_maps import folder_reader
from seg3r.mapper import Mapper
from seg3r.mapping import map_recording
from seg3r.methods.opentrack3d import opentrack3d
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.saved import SavedGeometry
from seg3r.reconstruct.sensor import Sensor
from seg3r.scene import SceneMap
from seg3r.segment.saved import SavedMasks
from seg3r.sources import Recording, open_source
from seg3r.superpoints.mesh import read_superpoints
from tests.loops import assert_same_map
from tests.reconstruct.remembering import Late, Stubborn, Tokens
from tests.worlds import table_scene, walk, write_recording

SHIFT = np.array([5e5, 5.4e6, 100.0])
SETTINGS = {"method": "opentrack3d"}
FRAMES = 8


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), FRAMES, (90, 120)))
    return folder


@pytest.fixture(scope="module")
def far(near: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Poses of all their digits, moved."""
    folder = tmp_path_factory.mktemp("far") / "table"
    shutil.copytree(near, folder)
    for path in (folder / "poses").iterdir():
        pose = np.loadtxt(path)
        pose[:3, 3] += SHIFT
        np.savetxt(path, pose)
    return folder


def mapper(recording: Recording, **parts: Any) -> Mapper:
    assert recording.root is not None
    return opentrack3d(segment=SavedMasks(folder_reader(recording.root / "masks_truth", recording.stem)), **parts)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page takes longer than the map."""
    monkeypatch.setattr("seg3r.export.folder.write_report", lambda path, *_, **__: path.write_text(""))


def mapped(folder: Path, out: Path, **parts: Any) -> tuple[SceneMap, dict[str, Any]]:
    recording = open_source(folder)
    return map_recording(mapper(recording, **parts), recording, out, settings=SETTINGS)


@pytest.fixture(scope="module")
def maps(near: Path, far: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("maps")
    for name, folder in (("near", near), ("far", far)):
        assert len(mapped(folder, out / name)[0]) == 4
    return out / "near", out / "far"


def test_the_map_is_the_same_to_the_bit_and_lies_where_the_recording_does(maps: tuple[Path, Path]) -> None:
    near, far = (SceneMap.load(folder / "scene.safetensors") for folder in maps)
    assert near.origin.tolist() == [0, 0, 0] and far.origin.tolist() == SHIFT.tolist()
    assert_same_map(near, far)
    assert np.abs(far.world_points.numpy() - SHIFT - near.world_points.numpy()).max() < 1e-6


def test_what_is_exported_lies_in_the_world(maps: tuple[Path, Path]) -> None:
    near, far = (trimesh.load(folder / "scene.ply") for folder in maps)
    header = (maps[1] / "scene.ply").read_bytes()[:400]
    assert b"property double x" in header and b"property float x" in (maps[0] / "scene.ply").read_bytes()[:400]
    assert np.abs(far.vertices - SHIFT - near.vertices).max() < 1e-3
    assert (far.colors == near.colors).all()
    here, there = (json.loads((folder / "instances.json").read_text()) for folder in maps)
    assert here.pop("origin") == [0, 0, 0] and there.pop("origin") == SHIFT.tolist()
    for one, other in zip(here["instances"], there["instances"], strict=True):
        box, moved = one.pop("box"), other.pop("box")
        for corner in ("min", "max"):
            assert np.abs(np.array(moved[corner]) - SHIFT - box[corner]).max() < 1e-3
    assert here == there
    assert "5400000.0" in (maps[1] / "report.html").read_text() and "origin" not in _settings(maps[0])


def _settings(folder: Path) -> str:
    return (folder / "report.html").read_text().split("<h2>Settings</h2>")[1]


@pytest.mark.parametrize("suffix", [".npy", ".ply"])
def test_a_far_map_is_measured_against_a_far_cloud(maps: tuple[Path, Path], suffix: str, tmp_path: Path) -> None:
    scene = SceneMap.load(maps[0] / "scene.safetensors")
    owned = scene.owners.numpy()
    vertices = scene.points.numpy()[owned[:, 1]].astype(np.float64)
    (tmp_path / "ids.txt").write_text("".join(f"{1001 + i}\n" for i in owned[:, 0]))
    answers = []
    for folder, shift in zip(maps, (np.zeros(3), SHIFT), strict=True):
        points = tmp_path / f"{folder.name}{suffix}"
        if suffix == ".npy":
            np.save(points, vertices + shift)
        else:
            rows = (vertices + shift).astype("<f8").tobytes()
            points.write_bytes(
                f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\nproperty double x\n"
                "property double y\nproperty double z\nend_header\n".encode() + rows
            )
        answer = evaluate_map(folder, points, tmp_path / "ids.txt")
        assert answer["settings"].pop("map") == str(folder)
        answers.append({key: value for key, value in answer.items() if key != "per_scene"})
    assert answers[0] == answers[1]
    assert answers[0]["AP50"] == 1.0


@pytest.mark.usefixtures("no_report")
def test_superpoints_of_a_far_mesh(near: Path, far: Path, tmp_path: Path) -> None:
    """The table's boxes as a mesh in either world, cut fine enough for superpoints."""
    world = table_scene()
    boxes = []
    for low, high in zip(world.low, world.high, strict=True):
        box = trimesh.creation.box(bounds=(low, high)).subdivide_to_size(0.2)
        boxes.append(box)
    mesh = trimesh.util.concatenate(boxes)
    scenes = []
    for folder, shift in ((near, np.zeros(3)), (far, SHIFT)):
        path = tmp_path / f"{len(scenes)}.obj"
        path.write_text("".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in mesh.vertices + shift)
                        + "".join(f"f {a} {b} {c}\n" for a, b, c in mesh.faces + 1))
        cut = read_superpoints(path)
        scenes.append((mapped(folder, tmp_path / f"map{len(scenes)}", superpoints=cut)[0], cut[1]))
    assert torch.equal(scenes[0][1], scenes[1][1])
    assert len(scenes[0][1].unique()) > 10
    assert_same_map(scenes[0][0], scenes[1][0])
    plain, _ = mapped(near, tmp_path / "plain")
    assert plain.sizes.tolist() != scenes[0][0].sizes.tolist(), "they did something"


class Cut(BaseException):
    """The power goes."""


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("kind", ["at once", "late", "cannot put it down"])
@pytest.mark.parametrize("at", [1, 4])
def test_a_resumed_run_keeps_the_origin(
    far: Path, kind: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a lag of three frames the first checkpoint holds no view yet, and yet where the map begins."""

    def made(recording: Recording) -> Mapper:
        new = mapper(recording)
        late = Sensor() if kind == "at once" else (Late if kind == "late" else Stubborn)(Sensor(), 3)
        new.reconstruct = Joined(late, Tokens())
        return new

    recording = open_source(far)
    whole, _ = map_recording(made(recording), recording, tmp_path / "whole", settings=SETTINGS)
    assert whole.origin.tolist() == SHIFT.tolist()
    monkeypatch.setattr(mapping, "CHECKPOINT_S", 0.0)
    calls = iter(range(100))

    def progress(frames: int, instances: int) -> None:
        if next(calls) == at:
            raise Cut

    run = partial(map_recording, recording=recording, out=tmp_path / "map", settings=SETTINGS)
    with pytest.raises(Cut):
        run(made(recording), progress=progress)
    scene, figures = run(made(recording), resume=True)
    assert figures["resumed_at"] == at
    assert torch.equal(scene.origin, whole.origin)
    assert_same_map(scene, whole)


@pytest.mark.usefixtures("no_report")
def test_geometry_saved_in_a_far_world(near: Path, far: Path, tmp_path: Path) -> None:
    """Whatever the poses of the recording's own frames, saved geometry says where the map lies."""
    scenes = []
    for geometry in (near, far):
        for frames in (near, far):
            recording = open_source(frames)
            new = mapper(recording)
            new.reconstruct = SavedGeometry(geometry, recording.stem)
            scenes.append(map_recording(new, recording, tmp_path / f"{len(scenes)}", settings=SETTINGS)[0])
    assert [scene.origin.tolist() for scene in scenes] == [[0, 0, 0]] * 2 + [SHIFT.tolist()] * 2
    assert_same_map(scenes[0], scenes[1])
    assert_same_map(scenes[2], scenes[3])
    # Its files are not rounded where the world is near.
    assert (scenes[0].sizes - scenes[2].sizes).abs().max() <= 0.01 * scenes[0].sizes.max()


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(("wild", "which"), [(1e12, 0), (1e20, 0), (1e20, 3)])
def test_a_wild_pose_costs_its_frame_and_no_more(near: Path, wild: float, which: int, tmp_path: Path) -> None:
    folder, without = tmp_path / "wild", tmp_path / "without"
    for copy in (folder, without):
        shutil.copytree(near, copy)
    path = folder / "poses" / f"{which:05d}.txt"
    pose = np.loadtxt(path)
    pose[1, 3] = wild
    np.savetxt(path, pose)
    for name in ("color", "depth"):
        (without / name / f"{which:05d}.png").unlink()
    scene, figures = mapped(folder, tmp_path / "map")
    assert figures["frames"] == FRAMES - 1
    assert figures["skipped"] == {"pose more than 1 km off": 1}
    assert scene.origin.tolist() == [0, 0, 0]
    assert_same_map(scene, mapped(without, tmp_path / "other")[0])
