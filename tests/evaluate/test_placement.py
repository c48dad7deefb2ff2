"""Two ways to the truth: with the true geometry both agree with the ordinary evaluation, and where a map happens to lie
changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.evaluate.placement import ViewAssignment, aligned, centres, unprojected
from seg3r.evaluate.run import predict
from seg3r.scene import SceneMap
from seg3r.types import Camera
from tests.evaluate.placed import LOG, MAPPER, ORDINARY, SCENE, THINGS, VERTICES, camera, ious, mapped, moved, true


def test_with_the_true_geometry_aligned_is_the_ordinary_evaluation() -> None:
    said, similarity = aligned(SCENE, LOG.views, camera, VERTICES)
    assert similarity.scale == pytest.approx(1, abs=1e-6)
    assert np.allclose(similarity.R, np.eye(3), atol=1e-6) and np.allclose(similarity.t, 0, atol=1e-6)
    near = predict(SCENE, VERTICES, 0.15)  # its reach
    assert min(ious(said, near)) > 0.999
    assert np.array_equal(said.scores, ORDINARY.scores)


def test_with_the_true_geometry_unprojected_agrees_with_the_ordinary_evaluation() -> None:
    said = unprojected(SCENE, LOG.views, true, VERTICES)
    assert len(said) == len(ORDINARY) == 4
    assert min(ious(said, ORDINARY)) > 0.9
    for own in said.lists():
        votes = np.bincount(THINGS[own])
        assert votes.max() > 0.97 * votes.sum(), "each is one thing"
    assert np.array_equal(said.scores, ORDINARY.scores)


@pytest.mark.parametrize(("scale", "seed"), [(1.0, 0), (0.5, 1), (4.0, 2)])
def test_where_and_how_large_an_aligned_map_is_changes_nothing(scale: float, seed: int) -> None:
    mapper, log = mapped(moved(scale, seed), scale)
    said, similarity = aligned(mapper.refined(), log.views, camera, VERTICES)
    assert similarity.scale == pytest.approx(1 / scale, rel=1e-4)
    as_it_was, _ = aligned(SCENE, LOG.views, camera, VERTICES)
    assert len(said) == len(as_it_was)
    assert min(ious(said, as_it_was)) > 0.98


def test_where_a_map_lies_does_not_matter_to_unprojected() -> None:
    mapper, log = mapped(moved(2.0, 3), 2.0)
    said, as_it_was = (unprojected(m.refined(), of.views, true, VERTICES) for m, of in
                       ((mapper, log), (MAPPER, LOG)))
    assert min(ious(said, as_it_was)) > 0.98


def test_wrong_geometry_costs_aligned_only() -> None:
    """Half the cameras are off by a metre: what each view said of its pixels is as before."""
    scene = SCENE
    off = [replace(each, camera=replace(each.camera, T_world_cam=each.camera.T_world_cam + 0.7 * (each.frame_index % 2)
                                        * torch.eye(4, dtype=torch.float64).roll(1, 0))) for each in LOG.views]
    same = unprojected(scene, off, true, VERTICES)
    assert ious(same, unprojected(scene, LOG.views, true, VERTICES)) == [1.0] * 4
    worse, _ = aligned(scene, off, camera, VERTICES)
    assert min(ious(worse, ORDINARY)) < 0.7


def test_merged_and_dropped_instances() -> None:
    """Who was merged counts for whom it became, also over two steps; who was dropped for nobody."""
    before = unprojected(SCENE, LOG.views, true, VERTICES).lists()
    scene = SCENE.copy()
    a, b, c, d = scene.ids.tolist()
    scene.merge(b, c)
    scene.merge(a, b)
    scene.drop([d])
    after = unprojected(scene, LOG.views, true, VERTICES).lists()
    assert len(after) == 1
    assert np.array_equal(after[0], np.sort(np.concatenate(before[:3])))
    scene.drop([a])
    assert unprojected(scene, LOG.views, true, VERTICES).lists() == []


def test_views_at_another_resolution() -> None:
    """The reconstructor looked at half the image: pixels find their places."""
    half = [
        ViewAssignment(each.frame_index, replace(each.camera, size=(45, 60)), each.pixels[even] // 2, each.ids[even], 1)
        for each in LOG.views for even in [(each.pixels % 2 == 0).all(1)]
    ]
    said = unprojected(SCENE, half, true, VERTICES)
    assert min(ious(said, ORDINARY)) > 0.8


def test_hidden_vertices_are_not_voted_on() -> None:
    behind = VERTICES - np.float32((0, 0, 0.5))  # below the table and the floor
    assert sum(len(own) for own in unprojected(SCENE, LOG.views, true, behind).lists()) < 0.25 * len(
        np.concatenate(ORDINARY.lists()))


def test_views_of_which_nothing_true_is_known_do_not_count() -> None:
    rest = [each for each in LOG.views if each.frame_index not in (2, 5)]

    def seen(frame_index: int) -> tuple[torch.Tensor, Camera] | None:
        return None if frame_index in (2, 5) else true(frame_index)

    def stood(frame_index: int) -> Camera | None:
        return None if frame_index in (2, 5) else camera(frame_index)

    for all_views, only_known in (
        (unprojected(SCENE, LOG.views, seen, VERTICES), unprojected(SCENE, rest, true, VERTICES)),
        (aligned(SCENE, LOG.views, stood, VERTICES)[0], aligned(SCENE, rest, camera, VERTICES)[0]),
    ):
        assert np.array_equal(all_views.vertices, only_known.vertices)
        assert np.array_equal(all_views.starts, only_known.starts)
    with pytest.raises(InputError, match="2 views"):
        aligned(SCENE, LOG.views, lambda i: camera(i) if i < 2 else None, VERTICES)


def test_two_views_place_nothing() -> None:
    with pytest.raises(InputError, match="2 views"):
        aligned(SCENE, LOG.views[:2], camera, VERTICES)
    assert centres([]).shape == (0, 3)
    nothing = unprojected(SceneMap(), [], true, VERTICES)
    assert len(nothing) == 0
