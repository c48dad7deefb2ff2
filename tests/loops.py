"""The loop over a world that is known: its true masks, the whole mapper, and what holds of every map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from seg3r.associate.fused import Fused
from seg3r.lift import Lift
from seg3r.mapper import Mapper
from seg3r.protocols import Associator, Embedder, Lifter, Refiner, Segmenter
from seg3r.reconstruct.sensor import Sensor
from seg3r.refine.chain import Chain, Every
from seg3r.refine.consistency import Consistency
from seg3r.refine.merge import Merge
from seg3r.refine.prune import Prune, Unconfirmed
from seg3r.scene import SceneMap
from seg3r.types import Frame, Masks, Segments, View

Walked = Sequence[tuple[Frame, torch.Tensor]]
"""Frames with the truth id of every pixel."""


def moved(walked: Walked, T: torch.Tensor) -> list[tuple[Frame, torch.Tensor]]:
    """The same recording in a world moved by T."""
    out = []
    for frame, ids in walked:
        assert frame.camera is not None
        out.append((replace(frame, camera=replace(frame.camera, T_world_cam=T @ frame.camera.T_world_cam)), ids))
    return out


def masks_of(ids: torch.Tensor) -> Masks:
    """One mask per truth id in the image, ascending."""
    present = [i for i in ids.unique().tolist() if i]
    masks = torch.stack([ids == i for i in present]) if present else torch.zeros(0, *ids.shape, dtype=torch.bool)
    return Masks(masks, torch.ones(len(present)))


class Truth:
    """A segmenter that knows; with a seed it tells in another order."""

    def __init__(self, walked: Walked, seed: int | None = None) -> None:
        self.ids, self.seed = {frame.index: ids for frame, ids in walked}, seed

    def __call__(self, view: View) -> Masks:
        masks = masks_of(self.ids[view.frame.index])
        if self.seed is None:
            return masks
        return masks[torch.from_numpy(np.random.default_rng((self.seed, view.frame.index)).permutation(len(masks)))]


class Sloppy:
    """A segmenter that knows, but loses masks, cuts some in two, and sees things that are not there. Seeded."""

    def __init__(self, walked: Walked) -> None:
        self.ids = {frame.index: ids for frame, ids in walked}

    def __call__(self, view: View) -> Masks:
        rng = np.random.default_rng(view.frame.index)
        ids, masks = self.ids[view.frame.index], []
        for mask in masks_of(ids).masks:
            if rng.random() < 0.2:
                continue
            if rng.random() < 0.3:
                right = torch.arange(mask.shape[1]) >= int(mask.any(0).nonzero().float().mean())
                masks += [mask & right, mask & ~right]
            else:
                masks.append(mask)
        r, c = rng.integers(0, ids.shape[0] - 20), rng.integers(0, ids.shape[1] - 20)
        blob = torch.zeros(ids.shape, dtype=torch.bool)
        blob[r : r + 20, c : c + 20] = True
        return Masks(torch.stack([*masks, blob]), torch.linspace(0.5, 1, len(masks) + 1))


class NoLook:
    """An embedder that says nothing."""

    def __call__(self, view: View, masks: Masks) -> Masks:
        return masks

    def reset(self) -> None:
        pass


class Looks:
    """An embedder that describes each mask by the truth id that most of it shows."""

    def __init__(self, walked: Walked, looks: Mapping[int, Sequence[float]]) -> None:
        self.ids = {frame.index: ids for frame, ids in walked}
        unit = torch.nn.functional.normalize
        self.looks = {i: unit(torch.tensor(v, dtype=torch.float32), dim=0) for i, v in looks.items()}

    def __call__(self, view: View, masks: Masks) -> Masks:
        ids, width = self.ids[view.frame.index], len(next(iter(self.looks.values())))
        features = torch.zeros(len(masks), width)
        for i, mask in enumerate(masks.masks):
            features[i] = self.looks.get(int(ids[mask].mode().values) if mask.any() else 0, torch.zeros(width))
        return replace(masks, features=features)

    def reset(self) -> None:
        pass


def mapper_of(
    walked: Walked,
    segment: Segmenter | None = None,
    embed: Embedder | None = None,
    lift: Lifter | None = None,
    associate: Associator | None = None,
    refine: Refiner | None = None,
    scene: SceneMap | None = None,
) -> Mapper:
    """The weight-free loop; by default it is told the true masks and judges by space alone."""
    return Mapper(
        Sensor(), segment or Truth(walked), embed or NoLook(), lift or Lift(), associate or Fused(),
        Every(4, Chain((Merge(), Unconfirmed()))), refine or Chain((Consistency(), Merge(), Prune())),
        SceneMap() if scene is None else scene,
    )


def run(mapper: Mapper, walked: Walked) -> SceneMap:
    """All frames; the living map."""
    for frame, _ in walked:
        mapper.step(frame)
    return mapper.scene


PUBLIC = (
    "points", "colors", "pixels", "seen", "owners", "hits", "views", "ids", "features", "identity", "weights",
    "observations", "missed", "mean_scores", "scores", "sizes", "boxes", "best_owners",
)


def assert_same_map(a: SceneMap, b: SceneMap) -> None:
    """Bit for bit, in everything that can be asked."""
    for name in PUBLIC:
        one, other = getattr(a, name), getattr(b, name)
        assert one.dtype == other.dtype, name
        assert torch.equal(one, other), f"{name}: {one} is not {other}"
    for name in ("frames", "last_frame", "next_id", "name_votes", "name_labels", "names", "voxel_m", "visible_m",
                 "widths"):
        assert getattr(a, name) == getattr(b, name), name
    assert [a.became(i) for i in range(a.next_id)] == [b.became(i) for i in range(b.next_id)]
    assert np.array_equal(a.T_world_map, b.T_world_map)
    assert len(a.keyframes) == len(b.keyframes)
    for k, q in zip(a.keyframes, b.keyframes, strict=True):
        assert (k.frame_index, k.camera.size) == (q.frame_index, q.camera.size)
        for name in ("depth", "packed_masks", "instance_ids"):
            assert torch.equal(getattr(k, name), getattr(q, name)), f"keyframe {k.frame_index}: {name}"
        assert torch.equal(k.camera.K, q.camera.K)
        assert torch.equal(k.camera.T_world_cam, q.camera.T_world_cam)
    for i in a.ids.tolist():
        mine, theirs = a.sightings.get(i, ()), b.sightings.get(i, ())
        assert len(mine) == len(theirs)
        for s, t in zip(mine, theirs, strict=True):
            assert (s.frame_index, s.box, s.score, s.area) == (t.frame_index, t.box, t.score, t.area)
            assert all(torch.equal(getattr(s, n), getattr(t, n)) for n in ("crop", "mask", "direction"))
        for one, other in zip(a.points_of(i), b.points_of(i), strict=True):
            assert torch.equal(one, other)


def assert_sound(scene: SceneMap) -> None:
    """What holds of every map."""
    n, k = scene.point_count, len(scene)
    everything = torch.arange(n)
    assert len({tuple(v) for v in scene.voxels_of(everything).tolist()}) == n, "a voxel with two points"
    assert scene.ids.tolist() == sorted(set(scene.ids.tolist()))
    assert not k or int(scene.ids.max()) < scene.next_id
    owners, sizes = scene.owners, scene.sizes
    assert len({tuple(e) for e in owners.tolist()}) == len(owners), "an edge twice"
    assert torch.equal(torch.bincount(owners[:, 0], minlength=k), sizes.long())
    assert not len(owners) or (int(owners.min()) >= 0 and int(owners[:, 1].max()) < n)
    assert bool((scene.hits >= 1).all())
    assert bool((scene.hits <= scene.views).all())
    for position, i in enumerate(scene.ids.tolist()):
        points, hits, views = scene.points_of(i)
        mine = owners[:, 0] == position
        assert torch.equal(points, owners[mine, 1])
        assert torch.equal(hits, scene.hits[mine])
        assert torch.equal(views, scene.views[mine])
        others, shared = scene.shared_with(i)
        inside = owners[torch.isin(owners[:, 1], points) & ~mine, 0]
        assert others.tolist() == scene.ids[inside.unique()].tolist()
        assert shared.tolist() == inside.unique(return_counts=True)[1].tolist()
    assert bool((scene.seen >= 1).all())
    claimed = torch.cat([k.instance_ids for k in scene.keyframes]) if scene.keyframes else torch.zeros(0)
    assert set(claimed.tolist()) <= {-1, *scene.ids.tolist()}, "a keyframe names an instance that is not there"


def segments_of(view: View, masks: Masks) -> Segments:
    """Lifted as they are."""
    return Lift(denoise=False, min_pixels=1)(view, masks)
