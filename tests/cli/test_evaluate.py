"""`seg3r evaluate`: a method for one camera on small look-alikes of data sets, tasks in words, a room from disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg3r.api import evaluate_rooms
from seg3r.cli import main
from seg3r.rooms import split_seeds
from tests.commands import refused
from tests.datasets import lookalikes
from tests.datasets.table import SCENES, WALKED, surface
from tests.datasets.visits import write_visit
from tests.sources import layouts
from tests.worlds import write_recording

SCENE, LAST = SCENES[0], len(WALKED) - 1
THINGS = {"table": (2,), "chair": (3, 4, 5)}


@pytest.fixture(scope="module")
def scannet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last frame has no pose: as the data set has it, all -inf."""
    root = tmp_path_factory.mktemp("scannet")
    points, ids = surface()
    objects = [(name, [i]) for name, things in THINGS.items() for i in things]
    lookalikes.write_scannet(root, SCENE, points, ids.tolist(), objects)
    lookalikes.write_label_table(root)
    write_recording(root / SCENE, WALKED)
    np.savetxt(root / SCENE / "poses" / f"{LAST:05d}.txt", np.full((4, 4), -np.inf))
    return root


@pytest.fixture(scope="module")
def scenefun3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one can push is whatever stands on the table."""
    root = tmp_path_factory.mktemp("scenefun3d")
    points, ids = surface()
    shown = [np.flatnonzero(ids == i).tolist() for i in (3, 4, 5)]
    lookalikes.write_scenefun3d(root, "421254", points, [("tip_push", own) for own in shown])
    video, camera = root / "421254" / "42445132", WALKED[0][0].camera
    assert camera is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "SIZE", camera.size)
        patch.setattr(layouts, "K", camera.K.numpy())
        layouts.write_scenefun3d(video, [
            layouts.Moment(f.rgb.numpy(), f.depth.double().numpy(), f.camera.T_world_cam.numpy(), f.index / 10)
            for f, _ in WALKED if f.camera is not None and f.depth is not None
        ])
    (video / "masks_truth").mkdir()
    for color, (_, ids_seen) in zip(sorted((video / "hires_wide").iterdir()), WALKED, strict=True):
        Image.fromarray(ids_seen.numpy().astype(np.uint16)).save(video / "masks_truth" / f"{color.stem}.png")
    return root


def moon(folder: Path, *more: str, dataset: str = "scannet200") -> list[str]:
    return ["evaluate", dataset, str(folder), "--method", "moonseg3r", "--every", "1", "--masks", "masks_truth", *more]


def told(command: list[str], out: Path) -> dict[str, Any]:
    main([*command, "--json", str(out)])
    return json.loads(out.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_with_the_true_geometry_the_numbers_are_those_of_the_ordinary_evaluation(
    placement: str, scannet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ["--saved", str(tmp_path / "kept")]
    command = moon(scannet, "--reconstruct", "sensor", *kept)
    answer = told([*command, "--placement", placement], tmp_path / "moon.json")
    assert f"placement: {placement}\n" in capsys.readouterr().out
    plain = told(["evaluate", "scannet200", str(scannet), "--every", "1", "--masks", "masks_truth"],
                 tmp_path / "plain.json")
    assert plain["class_agnostic"]["AP50"] == 1
    for name in ("AP", "AP50", "AP25"):
        assert answer["class_agnostic"][name] == pytest.approx(plain["class_agnostic"][name], abs=0.1)
    assert 0 < answer["constant"]["AP"] <= 1
    settings = answer["settings"]
    assert (settings["reconstruct"], settings["placement"], settings["refiner"]) == ("sensor", placement, None)
    assert settings.get("scales") == ({SCENE: pytest.approx(1, abs=1e-3)} if placement == "aligned" else None)
    assert not {"placement", "reconstruct", "refiner", "scales"} & set(plain["settings"])
    # What is kept goes with these settings alone.
    assert told([*command, "--placement", placement], tmp_path / "again.json") == answer
    other = "aligned" if placement == "unprojected" else "unprojected"
    assert "other settings" in refused(capsys, *command, "--placement", other)
    assert "other settings" in refused(capsys, *moon(scannet, "--placement", placement, *kept))


def test_from_the_video_alone(scannet: Path, tmp_path: Path) -> None:
    """What the small network thinks of a table of one colour is not known; that it placed something is."""
    answer = told(moon(scannet), tmp_path / "moon.json")
    assert (answer["settings"]["reconstruct"], answer["settings"]["placement"]) == ("cut3r", "aligned")
    assert answer["settings"]["scales"][SCENE] > 0
    answer = told(moon(scannet, "--placement", "unprojected"), tmp_path / "moon.json")
    assert answer["class_agnostic"]["AP25"] > 0.2


def test_what_never_finds_its_way_is_said(scannet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(moon(scannet, "--reconstruct", "odometry", "--every", "4"), tmp_path / "moon.json")
    assert answer["settings"]["scales"] == {SCENE: None}
    assert answer["class_agnostic"]["AP25"] == 0
    assert f"too few views to place 1 of the scenes: {SCENE}" in capsys.readouterr().out


def test_affordances_of_one_camera(scenefun3d: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = told(
        moon(scenefun3d, "--reconstruct", "sensor", "--labels", "nearest", dataset="scenefun3d"), tmp_path / "moon.json"
    )
    assert answer["class_agnostic"]["AP25"] > 0.5
    assert answer["settings"]["labelled_by"] == "nearest" and set(answer["labelled"]["columns"]) != set()
    assert "task 2 takes opentrack3d" in refused(capsys, *moon(scenefun3d, "--task", "2", dataset="scenefun3d"))


def test_what_does_not_fit_is_said_in_one_line(
    scannet: Path, scenefun3d: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flag, value in (("--reconstruct", "sensor"), ("--placement", "aligned"), ("--refiner", str(tmp_path))):
        assert "moonseg3r's" in refused(capsys, "evaluate", "scannet200", str(scannet), flag, value)
        assert "moonseg3r's" in refused(
            capsys, "evaluate", "scenefun3d", str(scenefun3d), "--task", "2", flag, value)
    kept = tmp_path / "kept"
    assert str(tmp_path / "nobody") in refused(
        capsys, *moon(scannet, "--refiner", str(tmp_path / "nobody"), "--saved", str(kept)))
    assert not kept.exists()


def test_task_2_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the bundled weights."""
    wanted = write_visit(tmp_path / "visits")
    command = ["evaluate", "scenefun3d", str(tmp_path / "visits"), "--every", "1", "--task", "2"]
    main([*command, "--json", str(tmp_path / "2.json")])
    said = capsys.readouterr().out
    assert f"task 2: {len(wanted)} descriptions" in said and "mIoU" in said
    told = json.loads((tmp_path / "2.json").read_text())
    assert [each["text"] for each in told["descriptions"].values()] == wanted
    assert told["settings"].items() >= {
        "task": 2, "every": 1, "method": "opentrack3d", "preset": "bundled", "masks": None, "labels": "nearest",
        "model": None,
    }.items()
    for flags, why in (
        (["--labels", "votes"], "nearest or mllm"), (["--saved", str(tmp_path / "kept")], "--saved"),
        (["--method", "moonseg3r"], "opentrack3d"), (["--chat", "qwen3-vl-4b"], "mllm"),
        (["--scenes", "nowhere"], "nowhere"),
    ):
        assert why in refused(capsys, *command, *flags)
    assert not (tmp_path / "kept").exists()


def test_a_written_room_is_measured_like_the_streamed_one(tmp_path: Path) -> None:
    seed = split_seeds("train", 1)[0]
    main(["rooms", "--seed", str(seed), "--frames", "12", "--size", "320x240", "--depth", "clean", "--out",
          str(tmp_path / "room")])
    main(["run", "opentrack3d", str(tmp_path / "room"), "--masks", "truth", "--out", str(tmp_path / "map"), "--json",
          str(tmp_path / "figures.json")])
    streamed = evaluate_rooms(
        masks="truth", depth="clean", online_every=0, rooms=1, frames=12, size=(240, 320), split="train")
    assert json.loads((tmp_path / "figures.json").read_text())["AP50"] == pytest.approx(streamed["AP50"], abs=0.1)
    truth = tmp_path / "room" / "truth"
    main(["evaluate", "map", str(tmp_path / "map"), "--points", str(truth / "cloud.ply"), "--gt",
          str(truth / "ids.txt"), "--class-agnostic", "--json", str(tmp_path / "ap.json")])
    assert json.loads((tmp_path / "ap.json").read_text())["AP50"] == pytest.approx(streamed["AP50"], abs=0.1)
