"""Two ways to the truth: with the true geometry both agree with the ordinary evaluation, and where a map happens to lie
changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.evaluate.placement import Ledger, Said, aligned, centres, unprojected
from seg3r.evaluate.run import predict
from seg3r.geometry import transform, unproject
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.metrics.instance_ap import ScenePrediction
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain
from seg3r.scene import SceneMap
from seg3r.types import Camera, Frame
from tests.loops import Walked, mapper_of
from tests.worlds import table_scene, walk

SIZE = (90, 120)
WALKED = walk(table_scene(), 12, SIZE)


def mapper_at(walked: Walked, scale: float = 1.0) -> Mapper:
    """All thresholds grow with the world: the same map at any scale."""
    lift = Lift(denoise=False, near_m=0.1 * scale, far_m=8 * scale)
    mapper = mapper_of(walked, lift=lift, refine=Chain(()), scene=SceneMap(0.025 * scale, 0.05 * scale))
    mapper.reconstruct.stage = Sensor(0.1 * scale, 8 * scale)
    return mapper


def mapped(walked: Walked, scale: float = 1.0) -> tuple[Mapper, Ledger]:
    mapper = mapper_at(walked, scale)
    ledger = Ledger()
    mapper.add.stage = ledger.add  # type: ignore[assignment]
    for frame, _ in walked:
        mapper.step(frame)
    return mapper, ledger


MAPPER, LEDGER = mapped(WALKED)
SCENE = MAPPER.refined()


def true(frame_index: int) -> tuple[torch.Tensor, Camera]:
    frame = WALKED[frame_index][0]
    assert frame.camera is not None and frame.depth is not None
    return frame.depth, frame.camera


def camera(frame_index: int) -> Camera:
    return true(frame_index)[1]


def surface() -> tuple[np.ndarray, np.ndarray]:
    """Points on things, and which thing each is on."""
    points, ids = [], []
    for frame, truth in WALKED[::3]:
        depth, seen = true(frame.index)
        world = transform(seen.T_world_cam.float(), unproject(depth, seen.K.float()))
        points.append(world[depth > 0][::3].numpy())
        ids.append(truth[depth > 0][::3].numpy())
    return np.concatenate(points), np.concatenate(ids)


VERTICES, THINGS = surface()
ORDINARY = predict(SCENE, VERTICES, 0.04)


def ious(a: ScenePrediction, b: ScenePrediction) -> list[float]:
    """Of each of a's instances with b's."""
    pairs = zip(a.lists(), b.lists(), strict=True)
    return [len(np.intersect1d(x, y)) / max(len(np.union1d(x, y)), 1) for x, y in pairs]


def moved(scale: float, seed: int = 0) -> list[tuple[Frame, torch.Tensor]]:
    """The recording in a world turned, shifted and scaled at random."""
    rng = np.random.default_rng(seed)
    R, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    R, t = torch.from_numpy(R * np.sign(np.linalg.det(R))), torch.from_numpy(rng.normal(size=3) * 5)
    out = []
    for frame, ids in WALKED:
        depth, seen = true(frame.index)
        T = seen.T_world_cam.clone()
        T[:3, :3], T[:3, 3] = R @ T[:3, :3], scale * (R @ T[:3, 3]) + t
        out.append((replace(frame, depth=depth * scale, camera=replace(seen, T_world_cam=T)), ids))
    return out


def test_with_the_true_geometry_aligned_is_the_ordinary_evaluation() -> None:
    said, similarity = aligned(SCENE, LEDGER.said, camera, VERTICES)
    assert similarity.scale == pytest.approx(1, abs=1e-6)
    assert np.allclose(similarity.R, np.eye(3), atol=1e-6) and np.allclose(similarity.t, 0, atol=1e-6)
    near = predict(SCENE, VERTICES, 0.15)  # its reach
    assert min(ious(said, near)) > 0.999
    assert np.array_equal(said.scores, ORDINARY.scores)


def test_with_the_true_geometry_unprojected_agrees_with_the_ordinary_evaluation() -> None:
    said = unprojected(SCENE, LEDGER.said, true, VERTICES)
    assert len(said) == len(ORDINARY) == 4
    assert min(ious(said, ORDINARY)) > 0.9
    for own in said.lists():
        votes = np.bincount(THINGS[own])
        assert votes.max() > 0.97 * votes.sum(), "each is one thing"
    assert np.array_equal(said.scores, ORDINARY.scores)


@pytest.mark.parametrize(("scale", "seed"), [(1.0, 0), (0.5, 1), (4.0, 2)])
def test_where_and_how_large_an_aligned_map_is_changes_nothing(scale: float, seed: int) -> None:
    mapper, ledger = mapped(moved(scale, seed), scale)
    said, similarity = aligned(mapper.refined(), ledger.said, camera, VERTICES)
    assert similarity.scale == pytest.approx(1 / scale, rel=1e-4)
    as_it_was, _ = aligned(SCENE, LEDGER.said, camera, VERTICES)
    assert len(said) == len(as_it_was)
    assert min(ious(said, as_it_was)) > 0.98


def test_where_a_map_lies_does_not_matter_to_unprojected() -> None:
    mapper, ledger = mapped(moved(2.0, 3), 2.0)
    said, as_it_was = (unprojected(m.refined(), of.said, true, VERTICES) for m, of in
                       ((mapper, ledger), (MAPPER, LEDGER)))
    assert min(ious(said, as_it_was)) > 0.98


def test_wrong_geometry_costs_aligned_only() -> None:
    """Half the cameras are off by a metre: what each view said of its pixels is as before."""
    scene = SCENE
    off = [replace(each, camera=replace(each.camera, T_world_cam=each.camera.T_world_cam + 0.7 * (each.frame_index % 2)
                                        * torch.eye(4, dtype=torch.float64).roll(1, 0))) for each in LEDGER.said]
    same = unprojected(scene, off, true, VERTICES)
    assert ious(same, unprojected(scene, LEDGER.said, true, VERTICES)) == [1.0] * 4
    worse, _ = aligned(scene, off, camera, VERTICES)
    assert min(ious(worse, ORDINARY)) < 0.7


def test_merged_and_dropped_instances() -> None:
    """Who was merged counts for whom it became, also over two steps; who was dropped for nobody."""
    before = unprojected(SCENE, LEDGER.said, true, VERTICES).lists()
    scene = SCENE.copy()
    a, b, c, d = scene.ids.tolist()
    scene.merge(b, c)
    scene.merge(a, b)
    scene.drop([d])
    after = unprojected(scene, LEDGER.said, true, VERTICES).lists()
    assert len(after) == 1
    assert np.array_equal(after[0], np.sort(np.concatenate(before[:3])))
    scene.drop([a])
    assert unprojected(scene, LEDGER.said, true, VERTICES).lists() == []


def test_views_at_another_resolution() -> None:
    """The reconstructor looked at half the image: pixels find their places."""
    half = [
        Said(each.frame_index, replace(each.camera, size=(45, 60)), each.pixels[even] // 2, each.ids[even], 1)
        for each in LEDGER.said for even in [(each.pixels % 2 == 0).all(1)]
    ]
    said = unprojected(SCENE, half, true, VERTICES)
    assert min(ious(said, ORDINARY)) > 0.8


def test_hidden_vertices_are_not_voted_on() -> None:
    behind = VERTICES - np.float32((0, 0, 0.5))  # below the table and the floor
    assert sum(len(own) for own in unprojected(SCENE, LEDGER.said, true, behind).lists()) < 0.25 * len(
        np.concatenate(ORDINARY.lists()))


def test_views_of_which_nothing_true_is_known_do_not_count() -> None:
    rest = [each for each in LEDGER.said if each.frame_index not in (2, 5)]

    def seen(frame_index: int) -> tuple[torch.Tensor, Camera] | None:
        return None if frame_index in (2, 5) else true(frame_index)

    def stood(frame_index: int) -> Camera | None:
        return None if frame_index in (2, 5) else camera(frame_index)

    for all_views, only_known in (
        (unprojected(SCENE, LEDGER.said, seen, VERTICES), unprojected(SCENE, rest, true, VERTICES)),
        (aligned(SCENE, LEDGER.said, stood, VERTICES)[0], aligned(SCENE, rest, camera, VERTICES)[0]),
    ):
        assert np.array_equal(all_views.vertices, only_known.vertices)
        assert np.array_equal(all_views.starts, only_known.starts)
    with pytest.raises(InputError, match="2 views"):
        aligned(SCENE, LEDGER.said, lambda i: camera(i) if i < 2 else None, VERTICES)


def test_two_views_place_nothing() -> None:
    with pytest.raises(InputError, match="2 views"):
        aligned(SCENE, LEDGER.said[:2], camera, VERTICES)
    assert centres([]).shape == (0, 3)
    nothing = unprojected(SceneMap(), [], true, VERTICES)
    assert len(nothing) == 0
