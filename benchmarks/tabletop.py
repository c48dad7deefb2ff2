"""How well a single view is cut into objects: the tabletop scenes with per-pixel labels, seen by a Kinect.

    python benchmarks/tabletop.py [--data DIR] [--json FILE]

DIR holds `tabletop/*_color.png`, `*_depth_mm.png`, `*_label.png` (the Object Segmentation Database as kept by the
Point Cloud Library); without it, the environment variable SEG3R_DATA or ../shared/data beside the repository. Per view:
the mean over true objects of the best IoU of any mask, and AP50 of the masks ranked by score, where masks that lie
mostly on unlabelled pixels or the table are ignored, as unlabelled points are on ScanNet.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from seg3r.geometry import mask_iou, unproject
from seg3r.segment.geometric import GeometricSegmenter
from seg3r.types import Camera, Frame, Masks, View

K = torch.tensor([[525.0, 0.0, 319.5], [0.0, 525.0, 239.5], [0.0, 0.0, 1.0]], dtype=torch.float64)


def read_view(color: Path, index: int) -> tuple[View, torch.Tensor]:
    """A view at the identity pose, and its true objects [H W] (0 = none or table)."""
    stem = str(color)[: -len("_color.png")]
    rgb = torch.from_numpy(np.array(Image.open(color).convert("RGB")))
    depth = torch.from_numpy(np.array(Image.open(f"{stem}_depth_mm.png")).astype(np.float32) / 1000)
    label = torch.from_numpy(np.array(Image.open(f"{stem}_label.png")).astype(np.int64))
    camera = Camera(K, torch.eye(4, dtype=torch.float64), (rgb.shape[0], rgb.shape[1]))
    frame = Frame(index, 0.0, rgb, depth, camera)
    view = View(frame, camera, depth, unproject(depth, K), (depth > 0).float())
    return view, torch.where(label >= 20, label // 10 - 1, 0)


def average_precision(ious: torch.Tensor, scores: torch.Tensor, ignored: torch.Tensor, threshold: float) -> float:
    """Area under the interpolated precision-recall curve; each object is found once, by the best-scored mask."""
    found = torch.zeros(ious.shape[1], dtype=torch.bool)
    hits = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        iou, j = torch.where(found, torch.zeros(()), ious[i]).max(0)
        if iou > threshold:
            found[j] = True
            hits.append(1.0)
        elif not bool(ignored[i]):
            hits.append(0.0)
    hit = np.array([*hits, 0.0])
    precision = np.cumsum(hit) / np.arange(1, hit.size + 1)
    best_after = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best_after * hit).sum() / ious.shape[1])


def score_view(masks: Masks, truth: torch.Tensor) -> dict[str, float]:
    """Mean best IoU, AP50 and counts of one view."""
    ids = torch.unique(truth)
    objects = truth.flatten()[None] == ids[ids > 0][:, None]
    flat = masks.masks.flatten(1)
    ious = mask_iou(flat, objects)
    ignored = (flat & (truth.flatten() > 0)).sum(1) < 0.5 * flat.sum(1)
    return {
        "objects": int(objects.shape[0]),
        "masks": len(masks),
        "best_iou": float(ious.max(0).values.mean()) if len(masks) else 0.0,
        "ap50": average_precision(ious, masks.scores, ignored, 0.5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SEG3R_DATA", str(beside))))
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    colors = sorted((options.data / "tabletop").glob("*_color.png"))
    if not colors:
        sys.exit(f"{options.data / 'tabletop'}: no *_color.png here; name the folder above with --data or SEG3R_DATA")
    torch.set_num_threads(1)
    segment = GeometricSegmenter()
    segment(read_view(colors[0], 0)[0])  # compiles
    rows: dict[str, dict[str, float]] = {}
    for index, color in enumerate(colors):
        view, truth = read_view(color, index)
        start = time.perf_counter()
        masks = segment(view)
        milliseconds = (time.perf_counter() - start) * 1000
        rows[color.name[: -len("_color.png")]] = score_view(masks, truth) | {"ms": milliseconds}
    means = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
    table = Table("view", "objects", "masks", "mean best IoU", "AP50", "ms", title="tabletop")
    for name, row in [*rows.items(), ("mean", means)]:
        table.add_row(name, *(f"{row[key]:.3g}" for key in ("objects", "masks", "best_iou", "ap50", "ms")))
    Console().print(table)
    if options.json:
        temporary = options.json.with_suffix(".tmp")
        temporary.write_text(json.dumps({"views": rows, "mean": means}, indent=1), encoding="utf-8")
        temporary.replace(options.json)


if __name__ == "__main__":
    main()
