"""View, Masks -> Segments: the one place where a pixel becomes a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seg3r.errors import InputError
from seg3r.kernels import lift as kernels
from seg3r.types import Masks, Segments, View


@dataclass(frozen=True)
class Lift:
    """Erode each mask, gate its depth, keep its clusters (docs/opentrack3d.md, 3.2 and D-9: the paper names a
    denoising step and does not describe it).

    Segments come out in the raster order of their first pixel, whatever the order of the masks; a mask with too little
    left gives none.
    """

    near_m: float = 0.1
    far_m: float = 5.0
    """Range of trusted depth (ScanNet-class sensors)."""
    erode_px: float = 0.0
    """At 640 columns; scaled with the width of the image. Eroding by 2 costs thin things more than it gains (D-9),
    once points on depth edges are dropped and views vote."""
    edge_jump: float = 0.10
    """A pixel with a 3x3 neighbour off by more than this share of its depth lies on a depth edge and is dropped."""
    mads: float = 8.0
    """Keep |D - median| within so many (normal-consistent) median absolute deviations ..."""
    least_m: float = 0.25
    """... or within this, if larger: only what leaked far away goes, not the back of an elongated thing."""
    eps_m: float = 0.05
    """Clusters: neighbours are closer than this (or than three pixels at that range, where those are sparser)."""
    neighbours: int = 2
    """Of the 24 lattice neighbours, so many within eps make a core point."""
    share: float = 0.05
    """Keep clusters of at least this share of the largest."""
    min_pixels: int = 50
    """Drop segments with fewer pixels of depth."""
    denoise: bool = True
    """False: all masked pixels with depth become points (the ablation "w/o denoise" of the paper's table 5)."""

    def __call__(self, view: View, masks: Masks) -> Segments:
        """Points lie on a lattice of at most 320 columns: finer ones would fall into the same voxels."""
        H, W = view.camera.size
        if not masks.masks.shape[1:] == view.depth.shape == (H, W):
            raise InputError(
                f"frame {view.frame.index}: masks of {list(masks.masks.shape[1:])} and depth of "
                f"{list(view.depth.shape)} for a camera of {[H, W]}; all must be of one size"
            )
        stride = max(1, W // 320)
        erode = round(self.erode_px * W / 640) if self.denoise else 0
        depth = view.depth.numpy()
        usable = np.empty((H, W), np.uint8)
        jump = self.edge_jump if self.denoise else 0.0
        kernels.edge_free(depth, view.confidence.numpy(), stride, jump, self.near_m, self.far_m, usable)

        bits = masks.masks.contiguous().view(torch.uint8).numpy()
        sizes, boxes = np.empty(len(masks), np.int32), np.empty((len(masks), 4), np.int32)
        words = bits.view(np.uint64) if W % 8 == 0 else np.zeros((0, 0, 0), np.uint64)
        kernels.count_pixels(bits, words, stride, sizes, boxes)
        starts = np.zeros(len(masks) + 1, np.int32)
        np.cumsum(sizes, out=starts[1:])
        pixels, counts = np.empty(int(starts[-1]), np.int32), np.zeros(len(masks), np.int32)
        fx, fy = float(view.camera.K[0, 0]), float(view.camera.K[1, 1])
        kernels.clean_pixels(
            bits, depth, usable, fx, fy, stride, erode, self.mads if self.denoise else 0.0, self.least_m,
            self.eps_m if self.denoise else 0.0, self.neighbours, self.share, boxes, starts, pixels, counts,
        )

        enough = np.flatnonzero(counts * stride**2 >= max(self.min_pixels, 1))
        pixels_of = {i: pixels[starts[i] : starts[i] + counts[i]] for i in enough}
        scores = masks.scores.numpy()
        order = np.array(
            sorted(pixels_of, key=lambda i: (
                pixels_of[i][0], counts[i], sizes[i], scores[i], pixels_of[i].tobytes()
            )), np.int64
        )
        # By numpy: the threads of one array library must not wait for those of the other within a frame.
        flat = np.concatenate([np.empty(0, np.int32), *(pixels_of[i] for i in order)]).astype(np.int64)
        chosen = torch.from_numpy(order)
        return Segments(
            points=torch.from_numpy(view.points.numpy().reshape(-1, 3).take(flat, axis=0)),
            colors=torch.from_numpy(view.frame.rgb.numpy().reshape(-1, 3).take(flat, axis=0)),
            segment_ids=torch.from_numpy(np.repeat(np.arange(len(order)), counts[order])),
            pixels=torch.from_numpy(np.stack((flat // W, flat % W), axis=1)),
            scores=masks.scores[chosen],
            areas=torch.from_numpy((sizes[order] * stride**2).astype(np.float32)),
            frame_index=view.frame.index,
            stride=stride,
            features=None if masks.features is None else masks.features[chosen],
            identity=None if masks.identity is None else masks.identity[chosen],
            names=None if masks.names is None else tuple(masks.names[i] for i in order),
        )
