from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.kernels.superpoints import edge_weights, vertex_normals
from seg3r.superpoints import graph_superpoints, mesh_superpoints, read_mesh, segment_graph
from seg3r.superpoints.graph import _ascending

DATA = Path(__file__).parent / "data" / "superpoints"
MESHES = ("hololens_crop", "bumpy_steps", "three_boxes", "three_boxes_noisefree")
SETTINGS = ("k0.01_m20", "k0.01_m50", "k0.05_m20", "k0.01_m1")
TIES = ("three_boxes_noisefree", "k0.01_m20")
"""Thousands of equal weights, and the reference's sort is unstable."""


def load(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    with np.load(DATA / f"{name}.npz") as file:
        arrays = dict(file)
    if "vertices" not in arrays:
        return *read_mesh(DATA / f"{name}.ply"), arrays
    return arrays["vertices"], arrays["faces"].astype(np.int64), arrays


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack((a, b)), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


def grid(rows: int, columns: int, height: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A height field of 1 cm cells."""
    y, x = np.mgrid[:rows, :columns] * 0.01
    z = np.zeros((rows, columns)) if height is None else height
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, :-1].ravel(), i[1:, 1:].ravel()
    faces = np.concatenate((np.stack((a, b, c), 1), np.stack((b, d, c), 1)))
    return np.stack((x, y, z), axis=-1).reshape(-1, 3).astype(np.float32), faces


def roof() -> tuple[np.ndarray, np.ndarray]:
    """Two planes that meet at a right angle: the left and the right half of the columns."""
    return grid(12, 21, np.broadcast_to(np.abs(np.arange(21) - 10) * -0.01, (12, 21)))


# -- the reference program ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESHES)
def test_reference_segments(name: str) -> None:
    vertices, faces, expected = load(name)
    for setting in SETTINGS:
        k, size = setting.split("_")
        ids = mesh_superpoints(vertices, faces, float(k[1:]), int(size[1:]))
        if (name, setting) == TIES:
            assert abs(ids.max() + 1 - len(np.unique(expected[f"labels_{setting}"]))) <= 1
        else:
            assert same_partition(ids, expected[f"labels_{setting}"]), setting


@pytest.mark.parametrize("name", ["bumpy_steps", "three_boxes_noisefree"])
def test_reference_normals_and_weights_to_the_bit(name: str) -> None:
    vertices, faces, expected = load(name)
    normals = vertex_normals(vertices, faces)
    edges = np.ascontiguousarray(faces[:, [0, 1, 0, 2, 2, 1]].reshape(-1, 2))
    np.testing.assert_array_equal(normals, expected["vertex_normals"])
    np.testing.assert_array_equal(edge_weights(vertices, normals, edges).reshape(-1, 3), expected["edge_weights"])


# -- meshes ------------------------------------------------------------------------------------------------------------


def test_a_fold_parts_two_planes() -> None:
    vertices, faces = roof()
    ids = mesh_superpoints(vertices, faces).reshape(12, 21)
    assert len(np.unique(ids[:, :10])) == len(np.unique(ids[:, 11:])) == 1
    assert ids[0, 0] == 0 and ids[0, 20] != 0


def test_ids_are_dense_and_in_order_of_appearance() -> None:
    vertices, faces, _ = load("bumpy_steps")
    ids = mesh_superpoints(vertices, faces)
    first = np.unique(ids, return_index=True)[1]
    assert ids.dtype == np.int64 and ids[0] == 0
    assert np.unique(ids).tolist() == list(range(ids.max() + 1)) and (np.diff(first) > 0).all()


def test_small_segments_join_a_neighbour_if_they_have_one() -> None:
    vertices, faces, _ = load("bumpy_steps")
    alone = np.setdiff1d(np.arange(len(vertices)), faces)
    sizes = np.bincount(mesh_superpoints(vertices, faces, min_verts=50))
    assert len(alone) == 3
    assert (sizes < 50).sum() == 3 and sizes.min() == 1


def test_loose_vertices_are_segments_of_their_own() -> None:
    vertices = np.zeros((4, 3), np.float32)
    assert mesh_superpoints(vertices, np.empty((0, 3), np.int64)).tolist() == [0, 1, 2, 3]
    assert mesh_superpoints(vertices[:0], np.empty((0, 3), np.int64)).tolist() == []


def test_faces_without_area_change_no_normal() -> None:
    vertices, faces = roof()
    more = np.concatenate((np.array([[0, 0, 0], [0, 1, 1], [40, 40, 41]]), faces))
    np.testing.assert_array_equal(vertex_normals(vertices, more), vertex_normals(vertices, faces))
    assert same_partition(mesh_superpoints(vertices, more), mesh_superpoints(vertices, faces))
    huge = vertices * np.float32(1e30)  # the cross product overflows
    assert len(mesh_superpoints(huge, faces)) == len(vertices)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16])
def test_any_integer_faces_and_any_layout(dtype: type) -> None:
    vertices, faces = roof()
    ids = mesh_superpoints(np.asfortranarray(vertices), np.asfortranarray(faces.astype(dtype)))
    assert ids.tolist() == mesh_superpoints(vertices, faces).tolist()


def test_moving_a_mesh_keeps_its_segments() -> None:
    vertices, faces = roof()
    c, s = np.cos(0.7), np.sin(0.7)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    moved = (vertices @ R.T + [1, -2, 0.5]).astype(np.float32)
    ids, before = (mesh_superpoints(v, faces).reshape(12, 21) for v in (moved, vertices))
    off_ridge = np.arange(21) != 10  # on the ridge itself weights are equal but for rounding
    assert same_partition(ids[:, off_ridge].ravel(), before[:, off_ridge].ravel())


def test_bad_meshes_are_named() -> None:
    vertices, faces = roof()
    for wrong in (len(vertices), -1):
        bad = faces.copy()
        bad[7, 1] = wrong
        with pytest.raises(InputError, match="face 7 names a point outside"):
            mesh_superpoints(vertices, bad)
    vertices[3, 1] = np.nan
    with pytest.raises(InputError, match="point 3 is not finite"):
        mesh_superpoints(vertices, faces)
    with pytest.raises(InputError, match="k must be positive"):
        mesh_superpoints(vertices[:3], faces[:0], k=0.0)


# -- graphs ------------------------------------------------------------------------------------------------------------


def test_graph_of_a_mesh_is_the_mesh() -> None:
    vertices, faces, _ = load("bumpy_steps")
    edges = faces[:, [0, 1, 0, 2, 2, 1]].reshape(-1, 2)
    ids = graph_superpoints(vertices, vertex_normals(vertices, faces), edges)
    assert ids.tolist() == mesh_superpoints(vertices, faces).tolist()
    with pytest.raises(InputError, match="edge 0 names a point outside"):
        graph_superpoints(vertices, vertices, np.array([[0, len(vertices)]]))


def test_unknown_normals_and_points_in_one_place_do_no_harm() -> None:
    points = np.zeros((4, 3), np.float32)
    normals = np.array([[0, 0, 1], [0, 0, 1], [np.nan] * 3, [0, 0, 1]], np.float32)
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    assert graph_superpoints(points, normals, edges, min_points=1).tolist() == [0, 0, 1, 2]
    assert graph_superpoints(points, normals, edges, min_points=2).tolist() == [0, 0, 0, 0]


def test_segment_graph_by_hand() -> None:
    # k = 1: 0-1 joins (0.2; the limit becomes 0.2 + 1/2), 2-3 joins, then 1-2 (0.8 > 0.7) does not.
    weights = np.array([0.8, 0.2, 0.1], np.float32)
    edges = np.array([[1, 2], [0, 1], [2, 3]])
    assert segment_graph(weights, edges, 5, 1.0, 1).tolist() == [0, 0, 1, 1, 2]
    assert segment_graph(weights, edges, 5, 1.5, 1).tolist() == [0, 0, 0, 0, 1]
    assert segment_graph(weights, edges, 5, 1.0, 3).tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(InputError, match=r"0\.\.2"):
        segment_graph(weights, edges, 3, 1.0, 1)


def components(edges: np.ndarray, n: int) -> np.ndarray:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 60), st.integers(1, 40))
def test_segments_lie_in_components(seed: int, n: int, e: int, min_size: int) -> None:
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, n, (e, 2))
    weights = rng.choice(np.array([0.0, 0.1, 0.5, np.nan], np.float32), e)
    ids, whole = segment_graph(weights, edges, n, 0.3, min_size), components(edges, n)
    pairs = np.unique(np.stack((ids, whole)), axis=1)
    assert pairs.shape[1] == ids.max() + 1  # each segment in one component
    sizes, component_sizes = np.bincount(ids), np.bincount(whole)
    assert (sizes[pairs[0]] >= np.minimum(min_size, component_sizes[pairs[1]])).all()
    assert same_partition(segment_graph(weights, edges, n, 0.3, n), whole)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1.0])), max_size=60))
def test_ascending_is_a_stable_argsort(values: list[float]) -> None:
    weights = np.array(values, np.float32)
    np.testing.assert_array_equal(_ascending(weights), np.argsort(weights, kind="stable"))


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["ply", "obj", "off", "glb"])
def test_read_mesh_keeps_the_order(tmp_path: Path, suffix: str) -> None:
    vertices, faces = roof()
    vertices, faces = np.concatenate((vertices, vertices[:2])), faces[::-1]  # doubles and loose vertices stay
    path = tmp_path / f"mesh.{suffix}"
    trimesh.Trimesh(vertices, faces, process=False).export(path)
    got_vertices, got_faces = read_mesh(path)
    np.testing.assert_allclose(got_vertices, vertices, atol=1e-6)
    np.testing.assert_array_equal(got_faces, faces)
    assert got_vertices.dtype == np.float32 and got_faces.dtype == np.int64


def test_unreadable_meshes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.ply does not exist"):
        read_mesh(tmp_path / "none.ply")
    for name in ("broken.ply", "broken.obj", "strange.xyzzy"):
        (tmp_path / name).write_bytes(b"ply\nnot a mesh \xff\x00")
        with pytest.raises(InputError, match=name):
            read_mesh(tmp_path / name)
    trimesh.PointCloud(np.zeros((3, 3))).export(tmp_path / "points.ply")
    with pytest.raises(InputError, match="holds no faces"):
        read_mesh(tmp_path / "points.ply")
