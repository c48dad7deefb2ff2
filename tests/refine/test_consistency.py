"""Points that other views deny leave their instance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.refine.consistency import Consistency, clusters, widened_masks
from seg3r.scene import SceneMap
from seg3r.types import Camera, Keyframe, Masks, View
from tests.loops import Truth, Walked, assert_sound, mapper_of, run, segments_of
from tests.worlds import table_scene

WORLD = table_scene()
WALKED = [
    WORLD.frame(i, WORLD.camera((1.7 * np.sin(a), -1.7 * np.cos(a), 1.6), (0, 0, 0.8), (120, 160)))
    for i, a in enumerate(np.linspace(-0.4, 0.4, 6))
]
"""Six keyframes."""
THING = 3


class Leaky:
    """Tells the truth, but in one frame the mask of a thing spills far over its border."""

    def __init__(self, walked: Walked, frame: int) -> None:
        self.truth, self.frame = Truth(walked), frame

    def __call__(self, view: View) -> Masks:
        masks = self.truth(view)
        if view.frame.index != self.frame:
            return masks
        ids = self.truth.ids[self.frame]
        position = [i for i in ids.unique().tolist() if i].index(THING)
        leaked = masks.masks.clone()
        leaked[position] |= torch.roll(leaked[position], 25, dims=1)
        return Masks(leaked, masks.scores)


def instance_at(scene: SceneMap) -> int:
    """The instance with most points on the box of truth id THING."""
    on_the_box = [int((~off_the_box(scene, i)).sum()) for i in scene.ids.tolist()]
    return int(scene.ids[int(np.argmax(on_the_box))])


def off_the_box(scene: SceneMap, instance_id: int) -> torch.Tensor:
    low, high = (torch.from_numpy(x[THING - 1]).float() for x in (WORLD.low, WORLD.high))
    points = scene.points[scene.points_of(instance_id)[0]]
    return ((points < low - 0.02) | (points > high + 0.02)).any(1)


@pytest.mark.parametrize("frame", [0, 3, 5])
def test_what_leaked_in_one_of_six_views_goes_and_the_rest_stays(frame: int) -> None:
    walked = WALKED
    scene = run(mapper_of(walked, Leaky(walked, frame), lift=segments_of), walked)
    thing = instance_at(scene)

    def leaked(refined: SceneMap) -> int:
        """Points off the box that at least three frames saw: what one alone saw, none can deny."""
        seen = refined.seen[refined.points_of(thing)[0]] >= 3
        return int((off_the_box(refined, thing) & seen).sum())

    before, there = leaked(scene), int((~off_the_box(scene, thing)).sum())
    assert before > 100, "it did leak"
    clean = Consistency()(scene.copy())
    assert_sound(clean)
    assert leaked(clean) <= 0.1 * before, "but for a rim of one reduced pixel"
    assert int((~off_the_box(clean, thing)).sum()) > 0.97 * there
    assert leaked(Consistency(least=0.0, share=0.0)(scene.copy())) == before


def test_true_masks_lose_nothing() -> None:
    scene = run(mapper_of(WALKED, lift=segments_of), WALKED)
    clean = Consistency()(scene.copy())
    assert clean.ids.tolist() == scene.ids.tolist()
    assert bool((clean.sizes >= 0.97 * scene.sizes).all())
    assert torch.equal(clean.points, scene.points)


def test_where_no_keyframe_looks_the_counts_made_online_decide() -> None:
    scene = run(mapper_of(WALKED, lift=segments_of), WALKED[:1])
    thing = int(scene.ids[0])
    points, hits, views = scene.points_of(thing)
    hits, views = torch.full_like(hits, 1), torch.full_like(views, 2)
    views[::2] = 3
    scene.set_points(thing, points, hits, views)
    blind = scene.copy()
    blind._keyframes.rename(thing, -1)
    left = Consistency(least=0.4, share=0.0)(blind).points_of(thing)[0]
    assert torch.equal(left, points[1::2]), "1 of 2 stays, 1 of 3 goes"


def test_an_instance_denied_everywhere_is_left_empty() -> None:
    scene = run(mapper_of(WALKED, lift=segments_of), WALKED[:2])
    middles = scene.boxes[:, :3] + scene.boxes[:, 3:]
    apart = torch.cdist(middles, middles)
    a, b = scene.ids[torch.stack(torch.unravel_index(apart.argmax(), apart.shape))].tolist()
    (pa, _, _), (pb, hb, vb) = scene.points_of(a), scene.points_of(b)
    none = torch.zeros(0, dtype=torch.int32)
    scene.set_points(a, pb, hb, vb)  # the masks of a cover none of these
    clean = Consistency()(scene)
    assert len(clean.points_of(a)[0]) == 0
    clean.set_points(a, none.long(), none, none)
    assert len(Consistency()(clean).points_of(a)[0]) == 0
    assert len(pa) > 0


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_clusters_below_their_share_go(share: float) -> None:
    scene = run(mapper_of(WALKED, lift=segments_of), WALKED[:1])
    ids = scene.ids.tolist()[:3]
    a, b, c = (scene.points_of(i) for i in ids)
    sizes = [len(a[0]), len(b[0]) // 3, 20]
    both = [torch.cat([t[:n] for t, n in zip(column, sizes, strict=True)]) for column in zip(a, b, c, strict=True)]
    order = both[0].argsort()
    scene.set_points(ids[0], *(t[order] for t in both))
    scene._keyframes.rename(ids[0], -1)
    left = set(Consistency(least=0.0, share=share)(scene).points_of(ids[0])[0].tolist())
    for (points, _, _), n in zip((a, b, c), sizes, strict=True):
        own = points[:n]
        labels = clusters(scene.voxels_of(own), 2)
        for label in labels.unique():
            cluster = set(own[labels == label].tolist())
            assert cluster <= left or not cluster & left
    largest = clusters(scene.voxels_of(a[0]), 2).bincount().max()
    assert len(left & set(a[0].tolist())) >= int(largest)
    assert (len(left & set(c[0][:20].tolist())) > 0) == (share == 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_components_of_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxels = np.unique(rng.integers(-12, 12, (60, 3)), axis=0)
    cells = np.floor_divide(voxels, 2)
    near = np.abs(cells[:, None] - cells[None]).max(2) <= 1
    reach = np.linalg.matrix_power(near.astype(float), 64) > 0
    labels = clusters(torch.from_numpy(voxels), 2).numpy()
    assert np.array_equal(labels[:, None] == labels[None], reach)
    apart = np.abs(voxels[:, None] - voxels[None]).max(2)
    assert (labels[:, None] == labels[None])[apart <= 2].all()


def test_masks_are_widened_by_one_pixel() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 7, 9)) < 0.1
    camera = Camera(torch.eye(3).double(), torch.eye(4).double(), (7, 9))
    packed = torch.from_numpy(np.packbits(masks.reshape(3, -1), axis=1))
    keyframe = Keyframe(0, camera, torch.ones(7, 9), packed, torch.arange(3))
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    expected = np.any([padded[:, r : r + 7, c : c + 9] for r in range(3) for c in range(3)], axis=0)
    assert np.array_equal(np.asarray(widened_masks(keyframe)).reshape(3, 7, 9), expected)
