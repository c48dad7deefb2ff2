"""The same four frames in every layout come out as the same four Frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.sources import open_source
from seg3r.types import Frame

from . import layouts

KINDS = {
    "rgbd_folder": "RGB-D folder", "float_folder": "RGB-D folder", "tum": "TUM RGB-D", "seven_scenes": "7-Scenes",
    "replica": "Replica (NICE-SLAM)", "scannet": "ScanNet export", "sens": "ScanNet .sens",
    "scannetpp": "ScanNet++ iPhone", "scenefun3d": "SceneFun3D",
}
every_layout = pytest.mark.parametrize("layout", list(layouts.WRITERS))


def write(layout: str, root: Path, frames: list[layouts.Moment]) -> Path:
    root.mkdir(exist_ok=True)
    return layouts.WRITERS[layout](root, frames)


def same(a: Frame, b: Frame) -> bool:
    assert a.depth is not None and b.depth is not None and a.camera is not None and b.camera is not None
    return (
        a.index == b.index and a.time_s == b.time_s and torch.equal(a.rgb, b.rgb) and torch.equal(a.depth, b.depth)
        and torch.equal(a.camera.T_world_cam, b.camera.T_world_cam)
    )


@every_layout
def test_reads_what_was_written(layout: str, tmp_path: Path) -> None:
    written = layouts.moments()
    source = open_source(write(layout, tmp_path / "recording", written))
    assert source.kind == KINDS[layout]
    frames = list(source)
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert not source.skipped
    for frame, moment in zip(frames, written, strict=True):
        assert frame.depth is not None and frame.camera is not None
        assert frame.camera.size == layouts.SIZE
        np.testing.assert_allclose(frame.camera.K.numpy(), layouts.K, rtol=1e-6)
        np.testing.assert_allclose(frame.camera.T_world_cam.numpy(), moment.pose, atol=1e-6)
        np.testing.assert_allclose(frame.depth.numpy(), moment.depth, atol=6e-4)
        assert np.array_equal(frame.depth.numpy() == 0, moment.depth == 0)
        assert np.abs(frame.rgb.numpy().astype(int) - moment.rgb.astype(int)).max() <= 4
        assert frame.time_s - frames[0].time_s == pytest.approx(moment.time_s, abs=1e-5)


@every_layout
def test_restart_stride_and_resume(layout: str, tmp_path: Path) -> None:
    path = write(layout, tmp_path / "recording", layouts.moments(7))
    source = open_source(path, every=3)
    frames = list(source)
    assert [f.index for f in frames] == [0, 3, 6]
    assert len(source) == 3  # type: ignore[arg-type]
    assert all(same(a, b) for a, b in zip(frames, source, strict=True))
    resumed = list(source.iterate(source.position(3) + 1))
    assert [f.index for f in resumed] == [6]
    assert same(resumed[0], frames[2])
    assert list(source.iterate(len(frames))) == []
    with pytest.raises(InputError, match="no frame 1 at stride 3"):
        source.position(1)


@every_layout
def test_one_frame_is_a_recording(layout: str, tmp_path: Path) -> None:
    assert len(list(open_source(write(layout, tmp_path / "recording", layouts.moments(1))))) == 1


@every_layout
def test_describe(layout: str, tmp_path: Path) -> None:
    written = layouts.moments()
    path = write(layout, tmp_path / "recording", written)
    folder = path if path.is_dir() else path.parent
    layouts.save_image(np.zeros(layouts.SIZE, np.uint16), folder / "masks_objects" / "00000.png")
    told = open_source(path).describe()
    positions = np.stack([m.pose[:3, 3] for m in written])
    assert (told["frames"], told["color_size"], told["depth_size"]) == (4, layouts.SIZE, layouts.SIZE)
    assert told["path_m"] == pytest.approx(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum(), rel=1e-5)
    assert told["extent_m"] == pytest.approx(tuple(np.ptp(positions, axis=0)), rel=1e-5)
    assert told["missing_depth"] == pytest.approx(24 / (24 * 32), rel=1e-5)
    assert told["median_depth_m"] == pytest.approx(
        np.median([np.median(m.depth[m.depth > 0]) for m in written]), abs=2e-3
    )
    assert told["masks"] == {"masks_objects": 1}
    assert told["skipped"] == {}


@pytest.mark.parametrize(("layout", "stem"), [
    ("rgbd_folder", "00002"), ("float_folder", "2"), ("seven_scenes", "frame-000002"), ("replica", "000002"),
    ("scannet", "2"), ("sens", "2"), ("tum", "1305031102.241971"), ("scannetpp", "frame_000002"),
    ("scenefun3d", "42445132_7997.966667"),
])
def test_stem_names_the_files(layout: str, stem: str, tmp_path: Path) -> None:
    source = open_source(write(layout, tmp_path / "recording", layouts.moments()))
    assert source.stem(2) == stem
    assert source.root == tmp_path / "recording"


def test_index_is_the_number_in_the_name(tmp_path: Path) -> None:
    root = layouts.write_rgbd_folder(tmp_path, layouts.moments())
    for folder, suffix in (("color", "png"), ("depth", "png"), ("poses", "txt")):
        for n in (3, 2, 1, 0):
            (root / folder / f"{n:05d}.{suffix}").rename(root / folder / f"{3 + 5 * n}.{suffix}")
    source = open_source(root)
    assert [f.index for f in source] == [3, 8, 13, 18]
    assert [source.stem(i) for i in (3, 18)] == ["3", "18"]
    assert source.position(13) == 2


def test_a_folder_with_one_sens_file_is_that_file(tmp_path: Path) -> None:
    layouts.write_sens(tmp_path, layouts.moments())
    assert open_source(tmp_path).kind == "ScanNet .sens"


def test_published_intrinsics_where_the_folder_states_none(tmp_path: Path) -> None:
    large = layouts.moments(1)[0]
    grown = layouts.Moment(
        np.kron(large.rgb, np.ones((20, 20, 1), np.uint8)), np.kron(large.depth, np.ones((20, 20))), large.pose, 0.0
    )
    for name, fx, cx in (("rgbd_dataset_freiburg1_desk", 517.3, 318.6), ("fr2_xyz", 520.9, 325.1),
                         ("freiburg3_office", 535.4, 320.1), ("own", 525.0, 319.5)):
        root = tmp_path / name
        root.mkdir()
        layouts.write_tum(root, [grown])
        (root / "intrinsics.txt").unlink()
        camera = next(iter(open_source(root))).camera
        assert camera is not None and (camera.K[0, 0], camera.K[0, 2]) == (fx, cx)
    seven = tmp_path / "seq-01"
    seven.mkdir()
    layouts.write_seven_scenes(seven, [grown])
    (seven / "intrinsics.txt").unlink()
    camera = next(iter(open_source(seven))).camera
    assert camera is not None and camera.K.tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]


def test_replica_parameters_lie_beside_the_scenes(tmp_path: Path) -> None:
    root = write("replica", tmp_path / "room0", layouts.moments())
    (root / "cam_params.json").rename(tmp_path / "cam_params.json")
    assert len(list(open_source(root))) == 4
    (tmp_path / "cam_params.json").unlink()
    with pytest.raises(InputError, match=r"\(599.5, 339.5\) but the images are 32x24: K seems to be for another size"):
        open_source(root)
    (root / "cam_params.json").write_text('{"camera": {"fx": 1}}')
    with pytest.raises(InputError, match=r"cam_params.json: .*'fy' is missing.*expected"):
        open_source(root)


def test_replica_without_parameters_is_as_published(tmp_path: Path) -> None:
    layouts.save_image(np.full((680, 1200, 3), 90, np.uint8), tmp_path / "results" / "frame000000.jpg")
    layouts.save_image(np.full((680, 1200), 13107, np.uint16), tmp_path / "results" / "depth000000.png")
    np.savetxt(tmp_path / "traj.txt", np.eye(4).reshape(1, 16))
    frame = next(iter(open_source(tmp_path)))
    assert frame.depth is not None and frame.camera is not None
    assert float(frame.depth[0, 0]) == 2.0
    assert frame.camera.K.tolist() == [[600, 0, 599.5], [0, 600, 339.5], [0, 0, 1]]


def test_scannet_poses_are_of_the_base_frame(tmp_path: Path) -> None:
    """Whatever the colour camera's extrinsics, the depth camera stands at pose @ extrinsic_depth."""
    written = layouts.moments(1)
    root = layouts.write_scannet(tmp_path, written)
    E_color, E_depth = np.eye(4), np.eye(4)
    E_color[:3, 3], E_depth[:3, 3] = (0.02, 0.0, 0.01), (0.05, 0.01, 0.0)
    layouts.save_matrix(E_color, root / "intrinsic" / "extrinsic_color.txt")
    layouts.save_matrix(E_depth, root / "intrinsic" / "extrinsic_depth.txt")
    camera = next(iter(open_source(root))).camera
    assert camera is not None
    np.testing.assert_allclose(camera.T_world_cam.numpy(), written[0].pose @ E_depth, atol=1e-6)
