"""MoonSeg3R by its command and its API: where geometry comes from, what is refused, and how rooms are measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import av
import pytest
import torch
from safetensors.torch import save_file

from seg3r import api
from seg3r.api import geometry
from seg3r.api.geometry import reconstructor
from seg3r.api.mapping import BUNDLED_MOON
from seg3r.api.monocular import Placement, measure_monocular, without_rows
from seg3r.api.truth import true_rooms
from seg3r.cli import main
from seg3r.errors import InputError
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.cut3r import Cut3rReconstructor
from seg3r.reconstruct.joined import Joined
from tests.test_cli import refused
from tests.worlds import table_scene, walk, write_recording

WALKED = walk(table_scene(), 6, (96, 128))
ROOM = {"method": "moonseg3r", "rooms": 1, "frame_count": 10, "size": (120, 160), "split": "train", "masks": "truth",
        "depth": "clean", "reconstruct": "sensor", "without": ("refine",), "online_every": 0}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, WALKED)
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "table.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for frame, _ in WALKED:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame.rgb.numpy(), "rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return path


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, for the tokens and features of the bundled preset."""
    folder = tmp_path_factory.mktemp("refiner")
    network = reconstructor("cut3r")
    view = network(WALKED[0][0])[0]
    assert view.tokens is not None
    sizes = QueryRefinerConfig(tokens=view.tokens.shape[2], features=81, width=16, heads=2, ffn=16, psi=16, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(QueryRefiner(sizes).state_dict(), str(folder / "model.safetensors"))
    (folder / "config.json").write_text(json.dumps(asdict(sizes)))
    return folder


def test_run_with_the_recordings_own_geometry_and_with_the_same_from_a_folder(
    recording: Path, refiner: Path, tmp_path: Path
) -> None:
    said = []
    for name, more in (("sensor", []), ("saved", ["--geometry", str(recording)])):
        out, figures = tmp_path / name, tmp_path / f"{name}.json"
        main(["run", "moonseg3r", str(recording), "--reconstruct", name, "--masks", "masks_truth", "--refiner",
              str(refiner), "--out", str(out), "--json", str(figures), *more])
        assert json.loads(figures.read_text())["frames"] == 6
        assert (out / "report.html").is_file()
        said.append([i["points"] for i in json.loads((out / "instances.json").read_text())["instances"]])
    assert len(said[0]) > 0
    assert said[0] == said[1]


def test_a_video_is_enough(video: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["run", "moonseg3r", str(video), "--refiner", str(refiner), "--out", str(tmp_path / "map")]
    assert "frame 0 has no depth" in refused(capsys, *common, "--reconstruct", "sensor")
    main([*common, "--reconstruct", "cut3r"])
    assert json.loads((tmp_path / "map" / "instances.json").read_text())["points"] > 0


def test_what_does_not_fit_is_said_in_one_line(
    recording: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "map")]
    moon = ["run", "moonseg3r", str(recording), *out]
    assert "--reconstruct is moonseg3r's" in refused(
        capsys, "run", "opentrack3d", str(recording), *out, "--reconstruct", "cut3r")
    assert "--centre is moonseg3r's" in refused(
        capsys, "run", "opentrack3d", str(recording), *out, "--centre", "64", "48")
    for flag in (["--focal", "110"], ["--centre", "64", "48"]):
        assert f"{flag[0]}: the camera's numbers belong to --reconstruct odometry; sensor" in refused(
            capsys, *moon, "--reconstruct", "sensor", *flag)
    assert "--geometry DIR" in refused(capsys, *moon, "--refiner", str(refiner), "--reconstruct", "saved")
    assert "belongs to --reconstruct saved" in refused(
        capsys, *moon, "--reconstruct", "cut3r", "--geometry", str(recording))
    assert str(tmp_path / "nobody") in refused(
        capsys, *moon, "--reconstruct", "sensor", "--refiner", str(tmp_path / "nobody"))
    assert "a mesh goes with opentrack3d" in refused(
        capsys, *moon, "--reconstruct", "sensor", "--mesh", str(_mesh(tmp_path)))


def _mesh(folder: Path) -> Path:
    import trimesh

    path = folder / "box.ply"
    trimesh.creation.box().export(path)
    return path


def test_what_is_known_of_the_camera_reaches_the_odometry(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(focal_px: object, centre_px: object, seed: int) -> Reconstructor:
        raise InputError(f"focal {focal_px}, centre {centre_px}")

    monkeypatch.setattr(geometry, "Odometry", told)
    command = ["run", "moonseg3r", str(recording), "--out", str(tmp_path / "map")]
    assert "focal 110.0, centre (60.5, 50.0)" in refused(capsys, *command, "--focal", "110", "--centre", "60.5", "50")
    assert "focal None, centre None" in refused(capsys, *command)


def test_geometry_by_name() -> None:
    assert isinstance(reconstructor("cut3r"), Cut3rReconstructor)
    assert isinstance(reconstructor("sensor", tokens=True), Joined)
    with pytest.raises(InputError, match="--geometry DIR"):
        reconstructor("saved")


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_with_true_masks_and_geometry_a_room_is_nearly_whole(placement: Placement) -> None:
    config = replace(BUNDLED_MOON, refine=False, memory=False, merge_within=2.0)  # untrained looks merge too much
    rooms = true_rooms("train", 1, 0, 12, (240, 320), "clean")
    answer = measure_monocular(rooms, masks="truth", reconstruct="sensor", placement=placement, config=config)
    assert answer["AP50"] > 0.6
    assert answer["purity"] > 0.85
    assert answer["settings"]["placement"] == placement
    assert answer["settings"]["scales"] == ([None] if placement == "unprojected" else [pytest.approx(1, abs=1e-3)])
    assert 0 < answer["constant"]["AP"] <= 1


def test_the_online_curve_ends_at_the_result() -> None:
    answer = api.evaluate_rooms(placement="unprojected", **{**ROOM, "online_every": 5})  # type: ignore[arg-type]
    assert [point["frame"] for point in answer["online"]] == [5, 10]
    assert answer["online"][-1]["AP"] == pytest.approx(answer["AP"], abs=1e-4)


def test_a_camera_of_two_frames_cannot_be_placed() -> None:
    answer = api.evaluate_rooms(placement="aligned", **{**ROOM, "frame_count": 2})  # type: ignore[arg-type]
    assert answer["settings"]["scales"] == [None]
    assert not answer["AP"]


def test_rows_of_the_table() -> None:
    assert without_rows(("2d", "token"), BUNDLED_MOON) == without_rows(("token", "2d"), BUNDLED_MOON)
    assert not without_rows(("refine",), BUNDLED_MOON).memory, "a memory keeps refined queries"
    assert without_rows((), BUNDLED_MOON) == BUNDLED_MOON
    with pytest.raises(InputError, match="2d, 3d, refine, memory, token"):
        without_rows(("look",), BUNDLED_MOON)
    with pytest.raises(InputError, match="class-agnostic"):
        api.evaluate_rooms("moonseg3r", rooms=1, labels="nearest")
