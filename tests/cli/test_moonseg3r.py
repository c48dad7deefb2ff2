"""MoonSeg3R by its command: where geometry comes from, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from seg3r.cli import main
from seg3r.errors import InputError
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.presets import geometry
from seg3r.presets.bundled import Bundled
from seg3r.protocols import Reconstructor
from tests.commands import refused
from tests.worlds import table_scene, walk, write_recording

WALKED = walk(table_scene(), 6, (96, 128))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "table"
    write_recording(folder, WALKED)
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "table.mp4"
    write_video(path, [frame.rgb.numpy() for frame, _ in WALKED])
    return path


def write_video(path: Path, images: Sequence[np.ndarray]) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for image in images:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, for the tokens and features of the bundled preset."""
    folder = tmp_path_factory.mktemp("refiner")
    network = Bundled().cut3r()
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


@pytest.mark.parametrize("count", [1, 8])
def test_a_video_without_a_start_says_why_and_leaves_nothing(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "dark.mp4", [np.zeros((96, 128, 3), np.uint8)] * count)
    line = refused(capsys, "run", "moonseg3r", str(tmp_path / "dark.mp4"), "--out", str(tmp_path / "map"))
    assert "dark: odometry found no start" in line and "--reconstruct cut3r" in line
    assert [p.name for p in tmp_path.iterdir()] == ["dark.mp4"]


def test_what_does_not_fit_is_said_in_one_line(
    recording: Path, refiner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "map")]
    moon = ["run", "moonseg3r", str(recording), *out]
    assert "--reconstruct: belongs to moonseg3r" in refused(
        capsys, "run", "opentrack3d", str(recording), *out, "--reconstruct", "cut3r")
    assert "--centre: belongs to moonseg3r" in refused(
        capsys, "run", "opentrack3d", str(recording), *out, "--centre", "64", "48")
    for flag in (["--focal", "110"], ["--centre", "64", "48"]):
        assert f"{flag[0][2:]}: the camera's numbers belong to" in refused(
            capsys, *moon, "--reconstruct", "sensor", *flag)
    saved = ("--refiner", str(refiner), "--reconstruct", "saved")
    assert "depth and poses lie in a folder" in refused(capsys, *moon, *saved)
    assert f"{recording} belongs to" in refused(
        capsys, *moon, "--reconstruct", "cut3r", "--geometry", str(recording))
    assert str(tmp_path / "nobody") in refused(
        capsys, *moon, "--reconstruct", "sensor", "--refiner", str(tmp_path / "nobody"))
    assert "--mesh: belongs to opentrack3d" in refused(
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
