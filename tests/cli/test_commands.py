"""The commands as a person types them: what they write, what they say, and how they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seg3r.cli import main
from seg3r.presets.words import ROOM_WORDS
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource
from tests.commands import refused
from tests.worlds import table_scene, walk, write_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, walk(table_scene(), 24, (90, 120)))
    return folder


def test_run_writes_a_whole_map_folder(recording: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "map"), "--json",
          str(figures)])
    for name in ("scene.safetensors", "scene.ply", "instances.json", "report.html"):
        assert (tmp_path / "map" / name).stat().st_size > 0
    said = json.loads(figures.read_text())
    assert said["frames"] == 24
    assert said["instances"] == 4
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_run_with_the_geometric_segmenter_finds_things(recording: Path, tmp_path: Path) -> None:
    main(["run", "opentrack3d", str(recording), "--out", str(tmp_path / "map")])
    assert len(json.loads((tmp_path / "map" / "instances.json").read_text())["instances"]) >= 2


def test_every_takes_every_nth_frame(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--every", "5", "--out",
          str(tmp_path / "map"), "--json"])
    printed = capsys.readouterr().out
    assert json.loads(printed[: printed.rindex("}") + 1])["frames"] == 5


def test_one_frame_is_a_recording(recording: Path, tmp_path: Path) -> None:
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--every", "1000", "--out",
          str(tmp_path / "map")])
    assert json.loads((tmp_path / "map" / "instances.json").read_text())["instances"] == []  # one look is no instance


def test_frames_without_masks_give_a_map_without_instances(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "masks_none").mkdir()
    Image.fromarray(np.zeros((90, 120), np.uint16)).save(tmp_path / "masks_none" / "00000.png")
    main(["run", "opentrack3d", str(recording), "--masks", str(tmp_path / "masks_none"), "--out",
          str(tmp_path / "map")])
    told = json.loads((tmp_path / "map" / "instances.json").read_text())
    assert told["instances"] == []
    assert told["points"] > 1000


def start_and_kill(words: list[str], partial: Path) -> None:
    """Run with a checkpoint after every frame and kill -9 as soon as there is one."""
    code = "import sys; from importlib import import_module as of; of('seg3r.mapping').CHECKPOINT_S = 0.0\n" \
           "from seg3r.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(partial.glob("at-*")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_and_resumed_ends_in_the_same_map_bit_for_bit(recording: Path, tmp_path: Path) -> None:
    common = ["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out"]
    main([*common, str(tmp_path / "alone")])
    interrupted = tmp_path / "interrupted"
    start_and_kill([*common, str(interrupted)], tmp_path / ".interrupted.partial")
    assert not interrupted.exists()
    figures = tmp_path / "figures.json"
    main([*common, str(interrupted), "--resume", "--json", str(figures)])
    assert json.loads(figures.read_text())["resumed_at"] > 0
    for name in ("scene.safetensors", "scene.ply", "instances.json"):
        assert (interrupted / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_resume_refuses_the_checkpoint_of_another_run(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "map")]
    start_and_kill(common, tmp_path / ".map.partial")
    assert "other settings" in refused(capsys, *common, "--every", "2", "--resume")


def test_evaluate_map_against_a_labelled_cloud(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "map")])
    points, ids = [], []
    for frame, truth in walk(table_scene(), 24, (90, 120))[::4]:
        from seg3r.geometry import transform, unproject

        world = transform(frame.camera.T_world_cam, unproject(frame.depth, frame.camera.K))[frame.depth > 0]
        points.append(world.numpy())
        ids.append(truth[frame.depth > 0].numpy())
    labels = np.concatenate(ids)
    np.save(tmp_path / "cloud.npy", np.concatenate(points))
    np.savetxt(tmp_path / "ids.txt", np.where(labels > 0, 1000 + labels, 0), fmt="%d")
    common = ["evaluate", "map", str(tmp_path / "map"), "--points", str(tmp_path / "cloud.npy"), "--gt",
              str(tmp_path / "ids.txt")]
    main([*common, "--class-agnostic", "--json", str(tmp_path / "ap.json")])
    answer = json.loads((tmp_path / "ap.json").read_text())
    assert answer["AP50"] == 1.0
    assert answer["AP"] > 0.8
    assert "class-agnostic" in refused(capsys, *common)


def test_superpoints_of_a_mesh(tmp_path: Path) -> None:
    """A box has six sides, and the command says of each vertex what the function says."""
    import trimesh

    from seg3r.superpoints import mesh_superpoints, read_mesh

    path, out = tmp_path / "box.ply", tmp_path / "labels.npy"
    trimesh.creation.box((1, 1, 1)).subdivide().subdivide().subdivide().export(path)
    main(["superpoints", str(path), "--k", "0.01", "--min-verts", "2", "--out", str(out)])
    labels = np.load(out)
    vertices, faces = read_mesh(path)
    assert labels.tolist() == mesh_superpoints(vertices, faces, 0.01, 2).tolist() and len(labels) == len(vertices)
    main(["superpoints", str(path), "--k", "0.01", "--min-verts", "50", "--out", str(out)])
    assert len(np.unique(np.load(out))) < len(np.unique(labels)), "the options arrive"


def test_info_as_json(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(recording), "--json"])
    holds = json.loads(capsys.readouterr().out)
    assert holds["frames"] == 24
    assert holds["masks"] == {"masks_truth": 24}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "opentrack3d", "nowhere", "--out", "OUT"), "nowhere"),
        (("run", "opentrack3d", "RECORDING", "--out", "FILE"), "file"),
        (("run", "opentrack3d", "RECORDING", "--masks", "masks_none", "--out", "OUT"), "masks_none"),
        (("run", "opentrack3d", "RECORDING", "--masks", "truth", "--out", "OUT"), "truth"),
        (("run", "opentrack3d", "RECORDING", "--every", "0", "--out", "OUT"), "every"),
        (("run", "opentrack3d", "RECORDING", "--preset", "foundation", "--out", "OUT"), "bundled"),
        (("run", "opentrack3d", "EMPTY", "--out", "OUT"), "EMPTY"),
        (("run", "opentrack3d", "IMAGES", "--out", "OUT"), "depth"),
        (("info", "nowhere"), "nowhere"),
        (("superpoints", "nowhere.ply", "--out", "OUT"), "nowhere.ply"),
        (("evaluate", "files", "--gt", "nowhere", "--pred", "EMPTY"), "nowhere"),
        (("evaluate", "map", "EMPTY", "--points", "a.npy", "--gt", "b.txt", "--class-agnostic"), "EMPTY"),
        (("rooms", "--size", "big", "--out", "OUT"), "320x240"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    words: tuple[str, ...], said: str, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "EMPTY").mkdir()
    places = {"RECORDING": recording, "OUT": tmp_path / "out", "FILE": tmp_path / "file", "EMPTY": tmp_path / "EMPTY",
              "IMAGES": recording / "color"}
    line = refused(capsys, *(str(places.get(word, word)) for word in words))
    assert said.lower() in line.lower()
    assert {p.name for p in tmp_path.iterdir()} == {"file", "EMPTY"}  # nothing half-written, nothing left behind


def test_a_method_that_is_none_is_refused_with_those_that_are(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", "nothing3d", str(recording), "--out", str(tmp_path / "map")])
    said = "".join(capsys.readouterr())
    assert stop.value.code not in (0, None) and "nothing3d" in said
    assert "opentrack3d" in said and "moonseg3r" in said and not list(tmp_path.iterdir())


def test_help_and_import_are_light() -> None:
    code = "import sys, seg3r, seg3r.cli; sys.exit(int(any(m in sys.modules for m in ('torch', 'numba', 'numpy'))))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- names and answers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished room on disk, seen ten times."""
    folder = tmp_path_factory.mktemp("rooms") / "room"
    main(["rooms", "--seed", str(split_seeds("val", 1)[0]), "--frames", "10", "--size", "320x240", "--depth", "clean",
          "--out", str(folder)])
    return folder


def test_a_map_is_named_and_asked(furnished: Path, tmp_path: Path) -> None:
    """By the bundled weights: most things get a name, some the right one, and what is asked for by name is found."""
    map_folder = tmp_path / "map"
    main(["run", "opentrack3d", str(furnished), "--masks", "truth", "--vocabulary", "rooms", "--labels", "nearest",
          "--out", str(map_folder)])
    told = json.loads((map_folder / "instances.json").read_text())["instances"]
    names = [each["name"] for each in told if each["name"] is not None]
    assert len(names) > len(told) / 2 and set(names) <= set(ROOM_WORDS.names)
    there = {thing.name for thing in RoomsSource(split_seeds("val", 1)[0], frames=1).room.objects}
    assert len(set(names) & there) >= 3, f"of {there} it found {names}"
    for name in sorted(set(names) & there)[:3]:
        main(["ask", str(map_folder), f"the {name}", "--json", str(tmp_path / "answer.json")])
        answer = json.loads((tmp_path / "answer.json").read_text())
        assert {"question", "answers", "text", "points", "mask"} == answer.keys()
        assert answer["question"] == f"the {name}"
        assert all({"id", "score", "name"} == each.keys() for each in answer["answers"])
        assert {each["id"] for each in told if each["name"] == name} & {each["id"] for each in answer["answers"]}
        first = answer["answers"][0]
        assert first["name"] == name and answer["text"].startswith(f"{name} #{first['id']}")
    main(["ask", str(map_folder), "the purple elephant", "--json", str(tmp_path / "answer.json")])
    other = json.loads((tmp_path / "answer.json").read_text())
    assert len(other["answers"]) < len(told), "what is not there is not everything"


def test_a_question_that_cannot_be_put_is_one_line(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "opentrack3d", str(recording), "--masks", "masks_truth", "--out", str(tmp_path / "map")])
    assert "no such map" in refused(capsys, "ask", str(tmp_path / "nowhere"), "the box")
    assert "empty question" in refused(capsys, "ask", str(tmp_path / "map"), " ")
    assert "qwen3-vl-4b is asked only" in refused(capsys, "ask", str(tmp_path / "map"), "x", "--chat", "qwen3-vl-4b")


def test_words_that_are_not_there_are_said_before_any_frame(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["run", "opentrack3d", str(recording), "--out", str(tmp_path / "map")]
    assert "neither a file nor one of" in refused(capsys, *common, "--vocabulary", "nowhere.txt")
    assert "vocabulary" in refused(capsys, *common, "--labels", "nearest")
    assert "weights fetch" in refused(capsys, *common, "--preset", "foundation")
    assert not (tmp_path / "map").exists()


def test_weights_are_listed_and_checkpoints_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["weights", "list", "--json", str(tmp_path / "weights.json")])
    rows = json.loads((tmp_path / "weights.json").read_text())["weights"]
    assert {"sam2.1-large", "siglip2-base"} <= {row["name"] for row in rows}
    assert all(row["licence"] for row in rows)
    torch.save({"model": {"w": torch.ones(2)}}, tmp_path / "model.pth")
    main(["weights", "convert", str(tmp_path / "model.pth")])
    assert (tmp_path / "model.safetensors").is_file()
    assert "no weights are called" in refused(capsys, "weights", "fetch", "nonsense")


def test_a_training_in_the_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run" / "tokens").mkdir(parents=True)
    assert "--resume" in refused(capsys, "train", "clip", "--out", str(tmp_path / "run"))


def test_a_data_set_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("scannet200", "scannet20", "replica", "scannetpp", "scenefun3d"):
        assert str(tmp_path) in refused(capsys, "evaluate", name, str(tmp_path))


def test_the_package_is_the_command_too() -> None:
    answer = subprocess.run([sys.executable, "-m", "seg3r", "--help"], check=True, capture_output=True, text=True)
    assert answer.stdout.startswith("usage: seg3r")
