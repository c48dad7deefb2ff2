"""Ground truth as the data sets ship it, from small look-alikes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from seg3r.datasets import DATASETS, dataset_called
from seg3r.datasets.read import instance_id, paint_segments, read_ply, read_vertices
from seg3r.datasets.replica import objects_of_vertices
from seg3r.datasets.scannetpp import SCANNETPP_SEMANTIC
from seg3r.datasets.scenefun3d import read_queries, read_scenefun3d
from seg3r.errors import InputError
from seg3r.metrics.protocol import EXCLUDED_ID

from . import lookalikes

POINTS = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
PLUS = {name: i for i, name in enumerate(SCANNETPP_SEMANTIC)}


def ids_of(name: str, folder: Path, scene: str) -> list[int]:
    truth = dataset_called(name).truth(folder, scene)
    assert truth.vertices.dtype == np.float32
    np.testing.assert_array_equal(truth.vertices, POINTS[: len(truth.vertices)])
    return truth.ids.tolist()


def fails(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_ply(order: str, tmp_path: Path) -> None:
    faces, objects = np.array([[0, 1, 2, 3], [4, 5, 6, 7]]), np.array([70_000, -1])
    path = lookalikes.write_ply(tmp_path / "a.ply", POINTS, faces, objects, order)
    np.testing.assert_array_equal(read_vertices(path), POINTS)
    columns = read_ply(path, ("vertex", "face"))["face"]
    assert columns["vertex_indices"].tolist() == faces.tolist() and columns["object_id"].tolist() == [70_000, -1]


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_ply_of_another_program(encoding: str, tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 2, 3))
    (tmp_path / "box.ply").write_bytes(trimesh.exchange.ply.export_ply(box, encoding=encoding))
    np.testing.assert_allclose(read_vertices(tmp_path / "box.ply"), box.vertices, atol=1e-6)
    corners = next(iter(read_ply(tmp_path / "box.ply", ("face",))["face"].values()))
    assert corners.tolist() == box.faces.tolist()
    cloud = trimesh.PointCloud(POINTS, np.full((10, 4), 9, np.uint8))
    (tmp_path / "cloud.ply").write_bytes(trimesh.exchange.ply.export_ply(cloud, encoding=encoding))
    np.testing.assert_allclose(read_vertices(tmp_path / "cloud.ply"), POINTS, atol=1e-6)


def test_bad_ply_is_named(tmp_path: Path) -> None:
    path = lookalikes.write_ply(tmp_path / "a.ply", POINTS, np.array([[0, 1, 2], [1, 2, 3]]))
    whole = path.read_bytes()
    fails(lambda: read_vertices(tmp_path / "none.ply"), "none.ply", "no such file")
    fails(lambda: read_ply(path, ("vertex", "edge")), str(path), "'edge'")
    for spoilt, word in (
        (whole[:-40], "ends after 9 of 10 rows of vertex"), (b"PK" + whole, "not 'ply'"), (whole[:60], "does not end"),
        (whole.replace(b"property float z", b"property half z "), "'half'"),
        (whole.replace(b"binary_little_endian", b"binary"), "'binary'"),
        (whole.replace(b"property float x", b"property float w"), "no x"),
    ):
        path.write_bytes(spoilt)
        fails(lambda: read_vertices(path), str(path), word)
    path.write_bytes(whole[:-13] + b"\x02" + whole[-12:])
    fails(lambda: read_ply(path, ("face",)), str(path), "different lengths")


def test_paint_keeps_the_last() -> None:
    segments = np.array([5, 5, 9, 70, 9])
    assert paint_segments(segments, [([5, 9], 1), ([9, 1234, -3], 2)]).tolist() == [1, 1, 2, 0, 2]
    assert paint_segments(np.zeros(0, np.int64), [([1], 1)]).tolist() == []
    assert instance_id(7, 999, Path("a")) == 7999
    fails(lambda: instance_id(7, 1000, Path("a")), "a: instance 1000", "999")


def test_unknown_names() -> None:
    assert list(DATASETS) == ["scannet200", "scannet20", "replica", "scannetpp", "scenefun3d"]
    fails(lambda: dataset_called("matterport"), "matterport", "scannet200, scannet20")


# -- ScanNet -----------------------------------------------------------------------------------------------------------

SEGMENTS = [3, 3, 8, 8, 8, 20, 20, 41, 41, 50]
OBJECTS = [("chair", [8]), ("wall", [3]), ("chair", [20, 41]), ("whatsit", [50])]


@pytest.fixture
def scannet(tmp_path: Path) -> Path:
    lookalikes.write_scannet(tmp_path, "scene0011_00", POINTS, SEGMENTS, OBJECTS)
    lookalikes.write_label_table(tmp_path)
    return tmp_path


def test_scannet(scannet: Path) -> None:
    chair, other, wall = [2001] * 3, [2003] * 4, [1002] * 2
    assert ids_of("scannet200", scannet, "scene0011_00") == [*wall, *chair, *other, 4]
    chair, other = [5001] * 3, [5003] * 4
    assert ids_of("scannet20", scannet, "scene0011_00") == [*wall, *chair, *other, 4]
    dataset = dataset_called("scannet200")
    assert dataset.scenes(scannet) == ["scene0011_00"]
    assert dataset.recording(scannet, "scene0011_00") == scannet / "scene0011_00"


def test_scannet_below_scans(tmp_path: Path) -> None:
    lookalikes.write_scannet(tmp_path / "scans", "scene0011_00", POINTS, SEGMENTS, OBJECTS)
    lookalikes.write_label_table(tmp_path)
    assert dataset_called("scannet20").scenes(tmp_path) == ["scene0011_00"]
    assert ids_of("scannet20", tmp_path, "scene0011_00")[2] == 5001


@pytest.mark.parametrize("place", ["ground_truth", "instance_gt/validation"])
def test_scannet_preprocessed(place: str, tmp_path: Path) -> None:
    lookalikes.write_ply(tmp_path / "scene0011_00" / "scene0011_00_vh_clean_2.ply", POINTS)
    lookalikes.write_lines(tmp_path / place / "scene0011_00.txt", [1191001, *[0] * 9])
    assert dataset_called("scannet200").scenes(tmp_path) == ["scene0011_00"]
    assert ids_of("scannet200", tmp_path, "scene0011_00") == [1191001, *[0] * 9]
    fails(lambda: ids_of("scannet20", tmp_path, "scene0011_00"), "those of ScanNet200")
    lookalikes.write_lines(tmp_path / place / "scene0011_00.txt", [2001])
    fails(lambda: ids_of("scannet200", tmp_path, "scene0011_00"), "1 ids for the 10 vertices")


def test_scannet_errors(scannet: Path) -> None:
    scene = scannet / "scene0011_00"
    (scannet / lookalikes.LABEL_TABLE).write_text("id\traw_category\n1\tthing\n")
    fails(lambda: ids_of("scannet200", scannet, scene.name), lookalikes.LABEL_TABLE, "knows none of the labels")
    fails(lambda: ids_of("scannet20", scannet, scene.name), lookalikes.LABEL_TABLE, "no column 'nyu40id'")
    (scannet / lookalikes.LABEL_TABLE).unlink()
    fails(lambda: ids_of("scannet200", scannet, scene.name), lookalikes.LABEL_TABLE, "no such file")
    lookalikes.write_label_table(scannet)
    lookalikes.write_json(scene / f"{scene.name}.aggregation.json", {"segGroups": [{"label": "chair", "segments": []}]})
    fails(lambda: ids_of("scannet200", scannet, scene.name), "aggregation.json", "'objectId'")
    lookalikes.write_json(scene / f"{scene.name}.aggregation.json", [])
    fails(lambda: ids_of("scannet200", scannet, scene.name), "aggregation.json", "'segGroups'")
    lookalikes.write_json(scene / f"{scene.name}_vh_clean_2.0.010000.segs.json", {"segIndices": [1, 2]})
    fails(lambda: ids_of("scannet200", scannet, scene.name), "segs.json", "2 segments for 10 vertices")


# -- Replica -----------------------------------------------------------------------------------------------------------


def test_replica(tmp_path: Path) -> None:
    # vertices 1, 2 are shared by two faces of object 40 and one of 7; object 3 has no class; 9 touches no face
    faces = np.array([[0, 1, 2, 3], [1, 2, 4, 5], [1, 2, 5, 4], [6, 7, 8, 6]])
    lookalikes.write_replica(
        tmp_path / "office_0" / "habitat", POINTS, faces, np.array([7, 40, 40, 3]), {7: 20, 40: 80, 3: -1, 1200: 98}
    )
    # ranks by object id: 3, 7, 40, 1200
    assert ids_of("replica", tmp_path, "office0") == [20002, 80003, 80003, 20002, 80003, 80003, 0, 0, 0, 0]
    dataset = dataset_called("replica")
    (tmp_path / "office_0" / "textures").mkdir()
    assert dataset.scenes(tmp_path) == []  # as Replica ships it: no frames
    (tmp_path / "office0" / "results").mkdir(parents=True)
    assert dataset.scenes(tmp_path) == ["office0"]
    assert dataset.recording(tmp_path, "office0") == tmp_path / "office0"


def test_a_vertex_between_two_objects_takes_the_lower() -> None:
    assert objects_of_vertices(np.array([[0, 1], [1, 2]]), np.array([9, 4]), 4).tolist() == [9, 4, 4, -1]
    assert objects_of_vertices(np.zeros((0, 4), np.int64), np.zeros(0, np.int64), 2).tolist() == [-1, -1]


@pytest.mark.parametrize("mesh", ["office0/office0_mesh.ply", "office0_mesh.ply"])
def test_replica_preprocessed(mesh: str, tmp_path: Path) -> None:
    (tmp_path / "office0" / "results").mkdir(parents=True)
    lookalikes.write_ply(tmp_path / mesh, POINTS, np.array([[0, 1, 2, 3]]))
    lookalikes.write_lines(tmp_path / "ground_truth" / "office0.txt", [*[20001] * 5, *[0] * 5])
    assert dataset_called("replica").scenes(tmp_path) == ["office0"]
    assert ids_of("replica", tmp_path, "office0") == [*[20001] * 5, *[0] * 5]


def test_replica_errors(tmp_path: Path) -> None:
    fails(lambda: ids_of("replica", tmp_path, "room0"), str(tmp_path), "no truth of room0", "habitat/mesh_semantic.ply")
    habitat = tmp_path / "room0" / "habitat"
    lookalikes.write_ply(habitat / "mesh_semantic.ply", POINTS, np.array([[0, 1, 2, 3]]))
    fails(lambda: ids_of("replica", tmp_path, "room0"), "mesh_semantic.ply", "object_id")
    lookalikes.write_replica(habitat, POINTS, np.array([[0, 1, 2, 30]]), np.array([1]), {1: 2})
    fails(lambda: ids_of("replica", tmp_path, "room0"), "mesh_semantic.ply", "a vertex that is not there")
    lookalikes.write_replica(habitat, POINTS, np.array([[0, 1, 2, 3]]), np.array([1]), {})
    lookalikes.write_json(habitat / "info_semantic.json", {"objects": [{"id": 1}]})
    fails(lambda: ids_of("replica", tmp_path, "room0"), "info_semantic.json", "class_id")


# -- ScanNet++ ---------------------------------------------------------------------------------------------------------


def test_scannetpp(tmp_path: Path) -> None:
    objects = [
        ("wall", range(10)),  # of the 100, not of the 84: takes part in who is smallest, is no instance
        ("table", range(2, 7)), ("reflection", [0]), ("odd thing", [1]),
        ("books", [4]),  # mapped to book, and on the table
        ("chair", [7, 8]), ("wall", [8]), ("table", [5, 7]),
    ]
    lookalikes.write_scannetpp(tmp_path, "0a7cc12c0e", POINTS, objects, masked=[9])
    table, book, chair, second = (PLUS[n] * 1000 + i for i, n in enumerate(("table", "book", "chair", "table"), 1))
    # 5: the smaller table; 7: of two with two vertices the earlier; 8: a piece of wall
    assert ids_of("scannetpp", tmp_path, "0a7cc12c0e") == [
        0, 0, table, table, book, second, table, chair, 0, EXCLUDED_ID,
    ]
    dataset = dataset_called("scannetpp")
    assert dataset.scenes(tmp_path) == ["0a7cc12c0e"]
    assert dataset.recording(tmp_path, "0a7cc12c0e") == tmp_path / "data" / "0a7cc12c0e" / "iphone"


def test_scannetpp_errors(tmp_path: Path) -> None:
    lookalikes.write_scannetpp(tmp_path, "s", POINTS, [("chair", [1])])
    scans, metadata = tmp_path / "data" / "s" / "scans", tmp_path / "metadata" / "semantic_benchmark"
    lookalikes.write_lines(metadata / "top100.txt", SCANNETPP_SEMANTIC)
    assert max(ids_of("scannetpp", tmp_path, "s")) == PLUS["chair"] * 1000 + 1
    lookalikes.write_lines(metadata / "top100.txt", SCANNETPP_SEMANTIC[::-1])
    fails(lambda: ids_of("scannetpp", tmp_path, "s"), "top100.txt", "not the 100 classes")
    (metadata / "top100.txt").unlink()
    for content, word in ((["x"], "one vertex index"), ([10], "outside 0..9")):
        lookalikes.write_lines(scans / "mesh_aligned_0.05_mask.txt", content)
        fails(lambda: ids_of("scannetpp", tmp_path, "s"), "mask.txt", word)
    (metadata / "map_benchmark.csv").unlink()
    fails(lambda: ids_of("scannetpp", tmp_path, "s"), "map_benchmark.csv", "no such file")
    lookalikes.write_json(scans / "segments.json", {"segIndices": [0]})
    fails(lambda: ids_of("scannetpp", tmp_path, "s"), "segments.json", "1 segments for 10 vertices")


# -- SceneFun3D --------------------------------------------------------------------------------------------------------

ANNOTATIONS = [("rotate", [0, 1]), ("exclude", [3, 4]), ("hook_pull", [1, 2, 3]), ("exclude", [9])]


def test_scenefun3d(tmp_path: Path) -> None:
    lookalikes.write_scenefun3d(tmp_path, "421254", POINTS, ANNOTATIONS)
    x = EXCLUDED_ID
    assert ids_of("scenefun3d", tmp_path, "421254") == [1001, 4002, 4002, x, x, 0, 0, 0, 0, x]
    dataset = dataset_called("scenefun3d")
    assert dataset.scenes(tmp_path) == ["421254"]
    fails(lambda: dataset.recording(tmp_path, "421254"), "421254", "hires_wide")
    for video in ("42444950", "42444946"):
        (tmp_path / "421254" / video / "hires_wide").mkdir(parents=True)
    assert dataset.recording(tmp_path, "421254").name == "42444946"


def test_scenefun3d_cropped(tmp_path: Path) -> None:
    keep = np.arange(10) % 2 == 0
    lookalikes.write_scenefun3d(tmp_path, "421254", POINTS, ANNOTATIONS, [("open the drawer", [2])], keep)
    truth = read_scenefun3d(tmp_path / "421254", crop=True)
    np.testing.assert_array_equal(truth.vertices, POINTS[keep])
    assert truth.ids.tolist() == [1001, 4002, EXCLUDED_ID, 0, 0]
    vertices, (query,) = read_queries(tmp_path / "421254", crop=True)
    np.testing.assert_array_equal(vertices, POINTS[keep])
    assert len(query.ids) == 5
    np.save(tmp_path / "421254" / "421254_crop_mask.npy", keep[:3])
    fails(lambda: read_scenefun3d(tmp_path / "421254", crop=True), "crop_mask.npy", "(3,)")


def test_scenefun3d_queries(tmp_path: Path) -> None:
    lookalikes.write_scenefun3d(tmp_path, "421254", POINTS, ANNOTATIONS, [("turn it up", [0]), ("both", [2, 0])])
    _, (one, both) = read_queries(tmp_path / "421254")
    assert (one.name, one.text) == ("d0", "turn it up")
    x = EXCLUDED_ID
    assert one.ids.tolist() == [1001, 1001, 0, x, x, 0, 0, 0, 0, x]
    assert both.ids.tolist() == [1002, 1002, 1001, 1001, x, 0, 0, 0, 0, x]


def test_scenefun3d_errors(tmp_path: Path) -> None:
    lookalikes.write_scenefun3d(tmp_path, "1", POINTS, [("twirl", [0])], [("what", [5])])
    fails(lambda: ids_of("scenefun3d", tmp_path, "1"), "1_annotations.json", "'twirl'")
    fails(lambda: read_queries(tmp_path / "1"), "1_descriptions.json", "'a5'")
    lookalikes.write_scenefun3d(tmp_path, "1", POINTS, [("rotate", [10])])
    fails(lambda: ids_of("scenefun3d", tmp_path, "1"), "1_annotations.json", "outside 0..9")
    fails(lambda: read_scenefun3d(tmp_path / "2"), "2_laser_scan.ply", "no such file")
