"""Superpoints of a mesh: those of the reference program, and what must hold of any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from seg3r.errors import InputError
from seg3r.kernels.superpoints import edge_weights, vertex_normals
from seg3r.superpoints import mesh_superpoints, read_mesh
from tests.superpoints.meshes import load, roof, same_partition

MESHES = ("hololens_crop", "bumpy_steps", "three_boxes", "three_boxes_noisefree")
SETTINGS = ("k0.01_m20", "k0.01_m50", "k0.05_m20", "k0.01_m1")
TIES = ("three_boxes_noisefree", "k0.01_m20")
"""Thousands of equal weights, and the reference's sort is unstable."""


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
