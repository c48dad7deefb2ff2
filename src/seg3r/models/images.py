"""What stands before and after a foundation model: pixels made ready, boxes, points, masks. Pure torch.

Boxes are (left, top, right, bottom) in pixels, edges of pixels being whole numbers: the whole image is (0, 0, W, H).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float32, Int, Integer, UInt8
from torch import Tensor, nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of channels in 0..1."""
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


# ---- sizes and pixels ------------------------------------------------------------------------------------------------


def by_short_side(size: tuple[int, int], short: int, longest: int | None = None, multiple: int = 1) -> tuple[int, int]:
    """(h, w): short side `short`, or less where the long one would pass `longest`; both rounded to `multiple`."""
    scale = short / min(size)
    if longest is not None:
        scale = min(scale, longest / max(size))
    h, w = (max(multiple, round(n * scale / multiple) * multiple) for n in size)
    return h, w


def by_long_side(size: tuple[int, int], long: int) -> tuple[int, int]:
    """(h, w) whose long side is `long`."""
    h, w = (max(1, round(n * long / max(size))) for n in size)
    return h, w


def prepared(
    rgb: UInt8[Tensor, "H W 3"],
    size: tuple[int, int],
    normal: tuple[Sequence[float], Sequence[float]],
    square: int | None = None,
    padding: float | None = None,
    mode: str = "bilinear",
) -> Float32[Tensor, "1 3 h w"]:
    """Resized without aliasing, normalised, and padded on the right and below.

    Args:
        size: of the image in the result.
        normal: mean and deviation of the channels, of values in 0..1.
        square: side of the result; None: `size`.
        padding: value in 0..1; None: the mean, which is 0 in the result.
        mode: of the interpolation.
    """
    mean, std = (torch.tensor(v, dtype=torch.float32, device=rgb.device).view(1, 3, 1, 1) for v in normal)
    image = rgb.permute(2, 0, 1)[None].float() / 255
    if tuple(image.shape[-2:]) != size:
        image = nn.functional.interpolate(image, size, mode=mode, antialias=True, align_corners=False).clamp(0, 1)
    image = (image - mean) / std
    if square is None or size == (square, square):
        return image
    empty = torch.zeros_like(mean) if padding is None else (padding - mean) / std
    out = empty.repeat(1, 1, square, square)
    out[..., : size[0], : size[1]] = image
    return out


def restored(
    logits: Float[Tensor, "m a b"], size: tuple[int, int], inside: tuple[float, float] = (1.0, 1.0)
) -> Float[Tensor, "m H W"]:
    """Coarse maps of a padded image at the pixels of the image itself, bilinear.

    Args:
        logits: cells of equal size over the model's square.
        size: (H, W) of the image.
        inside: share of the square's height and width that held the image.
    """
    if not len(logits):
        return logits.new_zeros((0, *size))
    if inside == (1.0, 1.0):
        return nn.functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    # The image may end inside a cell, so sample where its pixels lie instead of cutting off cells.
    y, x = (
        (torch.arange(n, device=logits.device, dtype=logits.dtype) + 0.5) / n * share * 2 - 1
        for n, share in zip(size, inside, strict=True)
    )
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    return nn.functional.grid_sample(logits[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


# ---- boxes -----------------------------------------------------------------------------------------------------------


def corners(boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """(centre x, centre y, width, height) -> (left, top, right, bottom)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def scaled(boxes: Float[Tensor, "n 4"], width: int | float, height: int | float) -> Float[Tensor, "n 4"]:
    """Each x times `width`, each y times `height`."""
    return boxes * boxes.new_tensor([width, height, width, height])


def clipped(boxes: Float[Tensor, "n 4"], size: tuple[int, int]) -> Float[Tensor, "n 4"]:
    """Clipped to an image of (H, W)."""
    return torch.minimum(boxes.clamp_min(0), boxes.new_tensor([size[1], size[0], size[1], size[0]]))


def box_iou_2d(a: Float[Tensor, "n 4"], b: Float[Tensor, "m 4"]) -> Float[Tensor, "n m"]:
    """Intersection over union; 0 where both are empty."""
    sides = torch.minimum(a[:, None, 2:], b[None, :, 2:]) - torch.maximum(a[:, None, :2], b[None, :, :2])
    shared = sides.clamp_min(0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).clamp_min(0).prod(-1) for x in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return torch.where(union > 0, shared / union.clamp_min(torch.finfo(union.dtype).tiny), 0.0)


def nms(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, "n"],
    iou: float,
    classes: Integer[Tensor, "n"] | None = None,
) -> Int[Tensor, "k"]:
    """Which boxes stay, best first: each falls to a better one that stays and overlaps it by more than `iou`.

    Args:
        classes: where given, boxes fall only to others of their class.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    rivals = box_iou_2d(boxes[order], boxes[order]) > iou
    if classes is not None:
        rivals &= classes[order][:, None] == classes[order][None]
    # One pass over the rows, on the host: each decision hangs on those before it.
    table = rivals.cpu().numpy()
    stays = [True] * len(order)
    for i in range(len(order)):
        if stays[i]:
            for j in table[i, i + 1 :].nonzero()[0]:
                stays[i + 1 + int(j)] = False
    return order[torch.tensor(stays, dtype=torch.bool, device=order.device)]


# ---- points and masks ------------------------------------------------------------------------------------------------


def point_grid(side: int) -> Float32[Tensor, "n 2"]:
    """(x, y) in 0..1: the centres of `side` x `side` cells, row by row."""
    along = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    return torch.stack(torch.meshgrid(along, along, indexing="xy"), dim=-1).reshape(-1, 2)


def stability(logits: Float[Tensor, "m H W"], offset: float) -> Float32[Tensor, "m"]:
    """IoU of each mask cut at +offset with itself cut at -offset (Kirillov et al., ICCV 2023, app. B); empty: 0."""
    inner, outer = ((logits > cut).flatten(1).sum(1) for cut in (offset, -offset))
    return inner.float() / outer.clamp_min(1).float()


def mask_boxes(masks: Bool[Tensor, "m H W"]) -> Float32[Tensor, "m 4"]:
    """The tight box of each; of an empty mask, all zero."""
    ends = []
    for along in (masks.any(1), masks.any(2)):  # columns, rows
        count = along.shape[1]
        at = torch.arange(count, device=masks.device)
        first = torch.where(along, at, count).amin(1) if count else along.new_zeros(len(masks), dtype=torch.long)
        last = torch.where(along, at + 1, 0).amax(1) if count else along.new_zeros(len(masks), dtype=torch.long)
        ends.append((torch.where(last > 0, first, 0), last))
    (left, right), (top, bottom) = ends
    return torch.stack([left, top, right, bottom], dim=1).float()


def disjoint(masks: Bool[Tensor, "m H W"]) -> Bool[Tensor, "m H W"]:
    """Each pixel stays with the smallest of the masks that cover it; of equals, with the first.

    A mask over several objects is harder to mend later than one over a part of an object (Details Matter, 2025).
    """
    out = masks.clone()
    taken = torch.zeros_like(masks[0]) if len(masks) else masks
    for i in torch.argsort(masks.flatten(1).sum(1), stable=True).tolist():
        out[i] &= ~taken
        taken |= masks[i]
    return out
