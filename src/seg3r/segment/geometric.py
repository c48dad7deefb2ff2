"""A segmenter without weights: objects from the shape of surfaces and their colour."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int32

from seg3r.kernels.geometric import joining, patches, pixels, regions, surface
from seg3r.kernels.geometric.arrays import Pinhole
from seg3r.types import Masks, View

STRIP_INSIDE, CLIFF = 0.15, 4.0
"""A patch with a smaller share of inner pixels is the blur along a crease, unless half its border weighs over CLIFF."""
SMOOTHING = (4.0, 3.0)
"""Reach of the two passes over depth, standard deviations: wide first, for outliers spoil a narrow window."""
SAME_SURFACE, SAME_DEPTH = 3.0, 0.05
"""A full-size pixel lies on its reduced one within so many standard deviations, on one beside it within this share."""


@dataclass(frozen=True)
class Affinity:
    """What speaks for (+) and against (-) two bordering regions being one object: a weighted sum, joined while > 0.

    Shares, saturating ratios x / (x + half) and products of them, each about 0..1, so a weight is also its reach.
    The defaults were fitted by `python benchmarks/fit_affinity.py`: a logistic regression, drawn towards weights set by
    hand and kept to their signs, on pairs of regions in 320 noisy views of the rooms 0 to 39 (train). Only the bias
    then was lowered, by 0.6: a wrong join cannot be undone, a fragment can still be matched to its object.
    """

    bias: float = 8.49
    jumps: float = -0.09
    """Share of the border at which depth jumps."""
    wide_jumps: float = -3.58
    """The same, the more the wider the gap (half: 0.1 m)."""
    concave: float = -0.71
    """Mean angle by which the surface turns towards the camera across the border (half: 0.3 rad); Stein et al."""
    convex: float = 0.4
    """Likewise, turning away."""
    color: float = -2.24
    """Difference of the mean colours."""
    hues: float = -0.48
    """Bhattacharyya distance of the colour histograms."""
    contrast: float = -1.15
    """Colour difference across the border."""
    one_bounds: float = -0.84
    """One lies on a floor, wall or ceiling, the other does not, or on another."""
    smooth_hues: float = -0.28
    """The surface runs on, and the hues change: a thing that is flat."""
    misfit: float = -0.37
    """How far both together are from one plane."""
    size: float = -3.14
    """Logarithm of the smaller one's pixels."""
    enclosed: float = 0.84
    """Share of the border of the one with less that is with the other."""
    extent: float = -3.84
    """Diagonal of the box around both (half: 1 m): few things are large."""
    concave_hues: float = -2.9
    """Concave, and of other hues: a thing on a thing."""
    jumps_hues: float = -0.5
    """A jump, and other hues: a thing before a thing."""
    concave_enclosed: float = 0.0
    """Concave all around: a small thing on a large one."""
    jumps_enclosed: float = -1.76
    """A jump all around."""
    larger: float = -0.82
    """Logarithm of the larger one's pixels."""
    on_bounds_hues: float = -0.97
    """Both on one floor, wall or ceiling, one over ten times the other, and of other hues: a rug, a picture."""
    enclosed_hues: float = 0.02
    """Other hues all around: a print on a thing."""


@dataclass(frozen=True)
class SurfacePatches:
    """A view cut into patches, and what `Affinity` weighs of them. Joining regions edits the last four."""

    depth_m: Float32[np.ndarray, "H W"]
    """0 where distrusted."""
    step: int
    """Image pixels to one reduced pixel."""
    disparity: Float32[np.ndarray, "h w"]
    """Smoothed, 1 / m."""
    sigma: Float32[np.ndarray, "h w"]
    labels: Int32[np.ndarray, "h w"]
    """Patch of each reduced pixel, -1 = none."""
    sums: Float64[np.ndarray, "p sums"]
    boxes: Float32[np.ndarray, "p 6"]
    border: Float32[np.ndarray, "p p border"]
    bounds: Int32[np.ndarray, "p"]


@dataclass(frozen=True)
class GeometricSegmenter:
    """View -> disjoint Masks of objects, and of floors, walls and ceilings; class-agnostic, deterministic.

    1. Smooth depth up to its edges, in disparity, where planes are linear in the image and the noise of structured
       light is nearly constant; fit a plane around each pixel.
    2. Patches: a graph over pixels cut where depth jumps, normals turn or colour changes (Felzenszwalb & Huttenlocher,
       IJCV 2004). Colour alone parts flat things (rugs, posters, doors) from the plane they lie in.
    3. Bounding planes: what has nothing of the scene behind it is floor, wall or ceiling, whichever way is up.
    4. Objects: the two bordering patches with the highest `Affinity` join, again and again, while that is positive.
       Concave borders part (locally convex connected patches: Stein et al., CVPR 2014; Karpathy et al., ICRA 2013;
       Tateno et al., IROS 2015), unless both sides are alike: a sofa's arm against its seat. That the relations of
       patches are weighed together follows Richtsfeld et al., IROS 2012, who learn them.

    Only the camera's frame is used: a rigid motion of the world changes nothing. A mask's score says how clearly it
    parts from its neighbours (mean logistic of minus the affinity along its border), less at the image's rim and for
    small ones.
    """

    work_size: tuple[int, int] = (240, 320)
    """Images are reduced by the whole number that brings them nearest to this size (H, W)."""
    noise_floor_m: float = 0.0012
    """Depth noise at 0.4 m, standard deviation; positive."""
    noise_growth: float = 0.0019
    """Its growth with (z - 0.4)^2, per metre (Nguyen et al., 3DIMPVT 2012, for a Kinect)."""
    window: int = 4
    """Radius of the plane fits, reduced pixels."""
    jump: float = 3.0
    """A step in depth of so many standard deviations, beyond what the plane explains, weighs 1."""
    min_jump_m: float = 0.015
    """No jump between patches is smaller."""
    angle: float = 0.5
    """A turn of the normal by so many radians weighs 1 (a convex one a third)."""
    grain: float = 30.0
    """Colour differences up to this size, of 255, are smoothed."""
    contrast: float = 8.0
    """A colour difference of this size, of 255, weighs 1."""
    scale: float = 80.0
    """Patches of n pixels join over edges up to their heaviest inner one + scale / n."""
    patch_pixels: int = 20
    """Smallest patch, reduced pixels."""
    max_patches: int = 500
    """More: the smallest grow."""
    bridge: int = 6
    """Regions border each other over so many pixels without depth."""
    bounds_share: float = 0.03
    """A floor, wall or ceiling fills at least this share of what is measured,"""
    bounds_misfit: float = 2.5
    """fits its plane to so many standard deviations,"""
    bounds_behind: float = 0.02
    """and has at most this share behind it,"""
    bounds_tolerance_m: float = 0.04
    """by more than this."""
    min_pixels: int = 60
    """Smallest mask, pixels of the frame."""
    half_pixels: float = 300.0
    """A region of so many reduced pixels has half the score of a large one: fragments are small."""
    affinity: Affinity = Affinity()

    def __call__(self, view: View) -> Masks:
        device = view.depth.device
        p = self.patches(view)
        weights = np.array(astuple(self.affinity))
        region = joining.merge_regions(p.sums, p.boxes, p.border, p.bounds, weights)
        apart = joining.apartness(p.sums, p.boxes, p.border, p.bounds, weights)

        count = region.size
        full = pixels.expand(p.labels, p.disparity, p.sigma, p.depth_m, p.step, SAME_SURFACE, SAME_DEPTH)
        sizes = np.bincount(region[full[full >= 0]], minlength=count)
        large = np.flatnonzero(sizes >= self.min_pixels)
        slots = np.full(count, -1, np.int32)
        slots[large] = np.arange(large.size)
        area, rim = p.sums[large, regions.AREA], p.sums[large, regions.RIM]
        scores = np.maximum(apart[large] * (1.0 - 0.5 * rim / area) * area / (area + self.half_pixels), 1e-3)
        masks = pixels.masks_of_labels(full, slots[region], large.size)
        return Masks(torch.from_numpy(masks).to(device), torch.from_numpy(scores.astype(np.float32)).to(device))

    def patches(self, view: View) -> SurfacePatches:
        """Steps 1 to 3: what is joined next."""
        depth = torch.where(view.confidence > 0, view.depth, torch.zeros_like(view.depth))
        depth_m = np.ascontiguousarray(depth.cpu().numpy())
        rgb = np.ascontiguousarray(view.frame.rgb.cpu().numpy())
        step = max(1, round(max(depth.shape[0] / self.work_size[0], depth.shape[1] / self.work_size[1])))
        (fx, _, cx), (_, fy, cy) = view.camera.K[:2].tolist()
        pinhole = (fx / step, fy / step, (cx + 0.5) / step - 0.5, (cy + 0.5) / step - 0.5)

        disparity, color = surface.shrink(depth_m, rgb, step)
        sigma = surface.disparity_noise(disparity, self.noise_floor_m, self.noise_growth)
        for reach in SMOOTHING:
            disparity = surface.smooth_disparity(disparity, sigma, 2, reach)
        color = surface.smooth_color(color, 2, self.grain)
        planes = surface.fit_planes(disparity, sigma, pinhole, self.window, SAME_SURFACE)
        labels, count = self._cut(disparity, sigma, planes, color, pinhole)

        sums, boxes = regions.region_sums(labels, count, disparity, sigma, color, pinhole)
        border = regions.border_sums(
            labels, sums, disparity, sigma, planes, color, pinhole, self.bridge, self.jump, self.min_jump_m
        )
        bounds = regions.bounding_planes(
            sums, disparity, sigma, pinhole,
            self.bounds_share, self.bounds_misfit, self.bounds_behind, self.bounds_tolerance_m,
        )
        return SurfacePatches(depth_m, step, disparity, sigma, labels, sums, boxes, border, bounds)

    def _cut(
        self, disparity: Float32[np.ndarray, "h w"], sigma: Float32[np.ndarray, "h w"],
        planes: Float32[np.ndarray, "h w k"], color: Float32[np.ndarray, "h w 3"], pinhole: Pinhole,
    ) -> tuple[Int32[np.ndarray, "h w"], int]:
        """Patch of each reduced pixel, -1 where there is none, and how many there are."""
        right, down = patches.patch_edge_weights(
            disparity, sigma, planes, color, pinhole, self.jump, self.angle, self.contrast
        )
        labels, count = patches.graph_patches(right, down, disparity, self.scale, self.patch_pixels, self.max_patches)
        labels, count = patches.dissolve_strips(labels, count, right, down, STRIP_INSIDE, CLIFF)
        sums, _ = regions.region_sums(labels, count, disparity, sigma, color, pinhole)
        labels = regions.settle(
            labels, sums, disparity, sigma, color, pinhole, self.jump, self.contrast, self.window
        )
        return labels, count
