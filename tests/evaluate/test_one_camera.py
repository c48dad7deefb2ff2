"""MoonSeg3R by its command and its API: where geometry comes from, what is refused, and how rooms are measured."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from seg3r.api.geometry import reconstructor
from seg3r.api.mapping import BUNDLED_MOON

from seg3r import api
from seg3r.api import geometry
from seg3r.cli import main
from seg3r.datasets.rooms import true_rooms
from seg3r.errors import InputError
from seg3r.evaluate.one_camera import Placement, map_posed, measure_monocular, without_rows
from seg3r.mapper import Mapper
from seg3r.models.query_refiner import QueryRefiner, QueryRefinerConfig
from seg3r.protocols import Reconstructor
from seg3r.reconstruct.cut3r import Cut3rReconstructor
from seg3r.reconstruct.joined import Joined
from seg3r.reconstruct.sensor import Sensor
from seg3r.sources import Recording, open_source
from seg3r.types import Frame, View
from tests.evaluate.test_placement import ORDINARY, VERTICES, ious, mapper_at, moved
from tests.evaluate.test_placement import WALKED as TRUE_WALK
from tests.loops import Walked
from tests.commands import refused
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


class Elsewhere:
    """A reconstructor that knows where everything is, in a world of its own; it is shown colour alone."""

    def __init__(self, walked: Walked, scale: float) -> None:
        self.frames, self.sensor = {frame.index: frame for frame, _ in walked}, Sensor(0.1 * scale, 8 * scale)

    def __call__(self, frame: Frame) -> tuple[View]:
        assert frame.depth is None and frame.camera is None
        return self.sensor(self.frames[frame.index])

    def finish(self) -> tuple[()]:
        return ()

    def reset(self) -> None:
        pass


def mapper_elsewhere(scale: float, seed: int = 0) -> Mapper:
    walked = moved(scale, seed)
    mapper = mapper_at(walked, scale)
    mapper.reconstruct.stage = Elsewhere(walked, scale)
    return mapper


@pytest.fixture
def posed(tmp_path: Path) -> Recording:
    """The walk whose surface `VERTICES` are."""
    write_recording(tmp_path / "posed", TRUE_WALK)
    return open_source(tmp_path / "posed")


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_a_recording_is_placed_on_its_truth_wherever_its_map_lies(posed: Recording, placement: Placement) -> None:
    own = map_posed(mapper_at(TRUE_WALK), posed, VERTICES, placement, colour_only=False)
    other = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    assert len(own.prediction) == len(other.prediction) == len(other.scene) == 4
    assert min(ious(own.prediction, other.prediction)) > 0.98
    assert min(ious(other.prediction, ORDINARY)) > (0.9 if placement == "unprojected" else 0.4)  # reach: 15 cm, not 4
    assert (own.scale, other.scale) == (
        (None, None) if placement == "unprojected" else (pytest.approx(1, abs=1e-6), pytest.approx(0.5, abs=1e-6)))


@pytest.mark.parametrize("placement", ["unprojected", "aligned"])
def test_frames_without_pose_or_depth_place_nothing(posed: Recording, placement: Placement) -> None:
    whole = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    read = posed.iterate

    def gap(frame: Frame) -> Frame:
        if frame.index in (3, 4):
            return replace(frame, camera=None)
        return replace(frame, depth=None) if frame.index == 7 else frame

    posed.iterate = lambda start=0: map(gap, read(start))  # type: ignore[method-assign]
    gaps = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    assert gaps.scene.frames == whole.scene.frames == len(TRUE_WALK)
    assert min(ious(gaps.prediction, whole.prediction)) > 0.95
    posed.iterate = lambda start=0: (  # type: ignore[method-assign]
        frame if frame.index < 2 else replace(frame, camera=None) for frame in read(start))
    lost = map_posed(mapper_elsewhere(2.0), posed, VERTICES, placement)
    if placement == "aligned":
        assert lost.scale is not None and math.isnan(lost.scale)
        assert [len(own) for own in lost.prediction.lists()] == [0] * 4
    else:
        assert 0 < len(lost.prediction.vertices) < len(whole.prediction.vertices)


def test_rows_of_the_table() -> None:
    assert without_rows(("2d", "token"), BUNDLED_MOON) == without_rows(("token", "2d"), BUNDLED_MOON)
    assert not without_rows(("refine",), BUNDLED_MOON).memory, "a memory keeps refined queries"
    assert without_rows((), BUNDLED_MOON) == BUNDLED_MOON
    with pytest.raises(InputError, match="2d, 3d, refine, memory, token"):
        without_rows(("look",), BUNDLED_MOON)
    with pytest.raises(InputError, match="class-agnostic"):
        api.evaluate_rooms("moonseg3r", rooms=1, labels="nearest")


def test_an_option_of_moonseg3r_is_refused_elsewhere() -> None:
    with pytest.raises(InputError, match="--placement is moonseg3r's"):
        api.evaluate_rooms("opentrack3d", rooms=1, placement="aligned")
    with pytest.raises(InputError, match="--reconstruct is moonseg3r's"):
        api.evaluate_rooms("opentrack3d", rooms=1, reconstruct="odometry")
