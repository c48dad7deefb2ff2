"""Superpoints of a graph of points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.kernels.superpoints import vertex_normals
from seg3r.superpoints import graph_superpoints, mesh_superpoints, segment_graph
from seg3r.superpoints.graph import _ascending
from tests.superpoints.meshes import components, load, same_partition


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
