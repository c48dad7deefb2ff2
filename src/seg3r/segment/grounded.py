"""View -> Masks with names: boxes of an open-vocabulary detector, cut out by a promptable segmenter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from seg3r.models import images
from seg3r.segment.detect import Boxes
from seg3r.types import Masks, View


@dataclass(frozen=True)
class Grounded:
    """Disjoint masks, named and scored by the detector, best first.

    Where masks overlap the smaller one wins; then those that are left too small, and those too large from the start,
    are dropped (the 2D stage of OpenTrack3D, arXiv 2512.03532: detector + SAM 2; the rules are our choice).
    """

    detect: Callable[[UInt8[Tensor, "H W 3"]], Boxes]
    cut: Callable[
        [UInt8[Tensor, "H W 3"], Float32[Tensor, "n 4"]], tuple[Bool[Tensor, "n H W"], Float32[Tensor, "n"]]
    ]
    """RGB, boxes -> masks and their quality, such as Sam2."""
    min_area: int = 100
    """Pixels left to a mask."""
    max_share: float = 0.6
    """Of the frame."""

    def __call__(self, view: View) -> Masks:
        rgb = view.frame.rgb
        found = self.detect(rgb)
        masks, _ = self.cut(rgb, found.boxes)
        keep, masks = settled(masks, self.min_area, self.max_share)
        names = tuple(found.names[i] for i in keep.tolist())
        return Masks(masks, found.scores[keep], names=names).to(view.depth.device)


def settled(
    masks: Bool[Tensor, "m H W"], min_area: int, max_share: float
) -> tuple[Tensor, Bool[Tensor, "k H W"]]:
    """Which masks stay, and what is left of them once each pixel belongs to the smallest."""
    H, W = masks.shape[1:]
    fits = (masks.flatten(1).sum(1) <= max_share * H * W).nonzero().flatten()
    alone = images.disjoint(masks[fits])
    large = alone.flatten(1).sum(1) >= min_area
    return fits[large], alone[large]
