"""Fit the weights by which the geometric segmenter joins patches, on pairs of regions seen in rooms of the train split.

    python benchmarks/fit_affinity.py [--rooms N] [--json FILE]

Every 8th frame of a 60-frame walk with noisy depth is cut into patches. Bordering regions are compared in the order
in which the segmenter would join them, and joined where they should be, so that pairs of whole objects are seen too.
Two regions belong together if most pixels of both are of one object; if those are structure, of one class. The weights
minimise the logistic loss, a pair counting with the root of the smaller one's pixels, are drawn towards PRIOR, set by
hand, and keep its signs. Prints the defaults of `Affinity`, but for the bias, which there is lower.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from seg3r.geometry import unproject
from seg3r.kernels.geometric import joining, regions
from seg3r.rooms import renderer_of, split_seeds
from seg3r.segment.geometric import Affinity, GeometricSegmenter, SurfacePatches
from seg3r.sources.rooms import RoomsSource
from seg3r.types import View

PRIOR = {
    "bias": 2.0, "jumps": -3.0, "wide_jumps": -3.0, "concave": -3.0, "color": -2.0, "hues": -4.0, "contrast": -1.0,
    "one_bounds": -4.0, "smooth_hues": -2.0, "misfit": -0.3, "enclosed": 1.0, "extent": -1.0, "concave_hues": -3.0,
    "jumps_hues": -3.0, "concave_enclosed": -1.0, "jumps_enclosed": -1.0, "on_bounds_hues": -2.0,
}
"""Where the fit starts and is drawn to; 0 for the rest."""
FREE = ("bias", "misfit", "size", "larger", "enclosed", "enclosed_hues")
"""May take either sign; `convex` must not part, the rest must not join."""
PULL = 5e-4
"""Towards PRIOR: half of it times the squared distance is added to the mean loss."""
ROUNDS = 2
"""The order of joining follows the weights, so pairs are collected again with those fitted."""
PURE = 0.75
"""Patches with a smaller share of one object teach nothing."""
Pairs = list[tuple[np.ndarray, bool, float]]
"""(features, together, pixels of the smaller)"""


def views(seed: int, every: int = 8) -> Iterator[tuple[View, np.ndarray]]:
    """Frames of a room, and of every pixel its object, or minus the class of structure."""
    source = RoomsSource(seed, frames=60, depth="noisy", every=every)
    for frame in source:
        camera, depth = frame.camera, frame.depth
        assert camera is not None and depth is not None
        rendered = renderer_of(source.room).render(camera)
        instances, classes = rendered.instances.numpy().astype(np.int64), rendered.classes.numpy().astype(np.int64)
        view = View(frame, camera, depth, unproject(depth, camera.K), (depth > 0).float())
        yield view, np.where(instances > 0, instances, -classes)


def majority(patches: SurfacePatches, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The commonest truth of each patch, and its share."""
    h, w = patches.labels.shape
    half = patches.step // 2
    seen = truth[half :: patches.step, half :: patches.step][:h, :w]
    known = patches.labels >= 0
    values, at = np.unique(seen[known], return_inverse=True)
    votes = np.zeros((len(patches.sums), len(values)))
    np.add.at(votes, (patches.labels[known], at), 1)
    return values[votes.argmax(1)], votes.max(1) / votes.sum(1)


def pairs_of(patches: SurfacePatches, truth: np.ndarray, pure: np.ndarray, weights: np.ndarray) -> Pairs:
    """Those met while joining what belongs together. Walls that meet in a corner are neither joined nor a lesson."""
    sums, boxes, border, bounds = (x.copy() for x in (patches.sums, patches.boxes, patches.border, patches.bounds))
    out: Pairs = []
    features = np.zeros(joining.FEATURES)
    score = np.full((len(sums), len(sums)), -np.inf)

    def weigh(a: int, b: int) -> None:
        score[a, b] = score[b, a] = joining.affinity(a, b, sums, boxes, border, bounds, weights, features)

    for a, b in np.argwhere(np.triu(border[:, :, regions.PAIRS]) > 0):
        weigh(a, b)
    while score.size and score.max() > -np.inf:
        a, b = sorted(int(k) for k in np.unravel_index(score.argmax(), score.shape))
        joining.pair_features(a, b, sums, boxes, border, bounds, features)
        together = truth[a] == truth[b]
        corner = together and truth[a] < 0 and bounds[a] != bounds[b] and min(bounds[a], bounds[b]) >= 0
        if pure[a] and pure[b] and not corner:
            out.append((features.copy(), bool(together), min(sums[a, regions.AREA], sums[b, regions.AREA])))
        score[a, b] = score[b, a] = -np.inf
        if together and not corner:
            joining.absorb(a, b, sums, boxes, border, bounds)
            score[b, :] = score[:, b] = -np.inf
            for c in np.flatnonzero(border[a, :, regions.PAIRS]):
                weigh(a, c)
    return out


def fit(pairs: Pairs, prior: np.ndarray) -> np.ndarray:
    """Weights [FEATURES] of least loss."""
    x = np.array([features for features, _, _ in pairs])
    y = np.array([together for _, together, _ in pairs], float)
    share = np.sqrt([pixels for _, _, pixels in pairs])
    share /= share.sum()

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        value = share @ (np.logaddexp(0, z) - y * z) + 0.5 * PULL * ((w - prior) ** 2).sum()
        return float(value), x.T @ (share * (expit(z) - y)) + PULL * (w - prior)

    signs: dict[str, tuple[float | None, float | None]] = dict.fromkeys(FREE, (None, None)) | {"convex": (0, None)}
    limits = [signs.get(f.name, (None, 0)) for f in fields(Affinity)]
    return np.asarray(minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=limits).x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", type=int, default=40, help="the first N of the train split")
    parser.add_argument("--json", type=Path, help="write the weights here")
    options = parser.parse_args()
    segment = GeometricSegmenter()
    lessons = []
    for seed in split_seeds("train", options.rooms):
        for view, truth in views(seed):
            patches = segment.patches(view)
            own, share = majority(patches, truth)
            lessons.append((patches, own, share > PURE))
    weights = prior = np.array([PRIOR.get(f.name, 0.0) for f in fields(Affinity)])
    for _ in range(ROUNDS):
        pairs = [pair for lesson in lessons for pair in pairs_of(*lesson, weights)]
        weights = fit(pairs, prior)
    named = {f.name: round(float(w), 2) for f, w in zip(fields(Affinity), weights, strict=True)}
    print(f"# {len(pairs)} pairs in {len(lessons)} views of {options.rooms} rooms")
    for name, weight in named.items():
        print(f"    {name}: float = {weight}")
    if options.json:
        options.json.write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
