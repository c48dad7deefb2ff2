"""The labelled cloud."""

from __future__ import annotations

import numpy as np
import pytest

from seg3r.geometry import transform, unproject
from seg3r.rooms import Renderer, build_room, camera_path, labelled_cloud
from seg3r.rooms.cloud import sample_surface

SEED = 4
SPACING = 0.03


@pytest.fixture(scope="module")
def cloud() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    room = build_room(SEED)
    return labelled_cloud(room, camera_path(room, 60, SEED, (120, 160))[::3], SPACING)


def test_evenly_on_all_surfaces() -> None:
    room = build_room(SEED)
    samples = sample_surface(room, SPACING)
    a, b, c = (room.vertices[room.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert abs(len(samples.points) - area.sum() / SPACING**2) <= 1
    large = area > 0.5
    count = np.bincount(samples.face, minlength=len(area))
    np.testing.assert_allclose(count[large], (area / SPACING**2)[large], atol=1.01)
    assert (samples.u >= 0).all() and (samples.v >= 0).all() and (samples.u + samples.v <= 1 + 1e-6).all()
    # No clumps: in a face of half a square metre no cell of four spacings is empty or holds twice its share.
    face = int(np.flatnonzero(large)[0])
    on = samples.points[samples.face == face]
    cells, number = np.unique(np.floor(on / (4 * SPACING)), axis=0, return_counts=True)
    assert len(cells) > 20 and number.max() <= 32


def test_labels_and_what_was_seen(cloud: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    points, instances, classes, seen = cloud
    room = build_room(SEED)
    assert len(points) == len(instances) == len(classes) == len(seen)
    assert 0.15 < seen.mean() < 0.8
    for o in room.objects:
        mine = points[instances == o.id]
        assert (mine > np.array(o.box[0]) - 1e-3).all() and (mine < np.array(o.box[1]) + 1e-3).all()
    # What touches the floor or a wall from behind is never seen.
    under = (instances > 0) & (points[:, 2] < -0.0005)
    assert not seen[under].any()


def test_seen_is_what_pictures_show(cloud: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Most pixels have a seen point of their instance nearby, and every large instance shown is in the cloud."""
    from scipy.spatial import cKDTree

    points, instances, _, seen = cloud
    room = build_room(SEED)
    renderer = Renderer(room)
    tree = cKDTree(points[seen])
    label = instances[seen]
    for camera in camera_path(room, 60, SEED, (60, 80))[::15]:
        view = renderer.render(camera)
        where = transform(camera.T_world_cam, unproject(view.depth, camera.K)).numpy().reshape(-1, 3)
        gap, nearest = tree.query(where)
        assert (gap < 2 * SPACING).mean() > 0.9
        agree = label[nearest] == view.instances.numpy().ravel()
        assert agree.mean() > 0.9


def test_a_hidden_side_is_not_seen() -> None:
    room = build_room(SEED)
    camera = camera_path(room, 1, SEED, (120, 160))
    points, instances, _, seen = labelled_cloud(room, camera, SPACING)
    T = camera[0].T_world_cam.numpy()
    behind = (points - T[:3, 3]) @ T[:3, 2] < 0
    assert behind.any() and not seen[behind].any() and seen.any()
    assert not labelled_cloud(room, [], SPACING)[3].any()
    assert instances.max() <= len(room.objects)
