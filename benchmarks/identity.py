"""Does the network remember who is who? (the test of MoonSeg3R's figure 5, on procedural rooms)

Of all things that two frames share: how many have, in the later frame, no token nearer to theirs than their own? For
state-distribution tokens, the same of a network that never learnt, pooled tokens, plain overlap of masks; by chance.

    python benchmarks/identity.py [--rooms 8] [--frames 40] [--gaps 1 5] [--split test] --json FILE
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt16
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from seg3r.models.cut3r import Cut3r
from seg3r.presets.bundled import bundled_cut3r
from seg3r.reconstruct.cut3r import Cut3rReconstructor
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource
from seg3r.types import View

LEAST_PX = 100
"""A thing of fewer pixels in either frame does not count."""
KINDS = ("state token", "state token, untrained", "pooled decoder tokens", "pooled encoder tokens", "mask overlap")


def soft_masks(ids: UInt16[Tensor, "H W"], view: View, grid: tuple[int, int]) -> dict[int, Float[Tensor, "h w"]]:
    """Share of each cell of the reconstructor's grid that each thing covers."""
    top, left, bottom, right = view.window or (0, 0, *view.camera.size)
    inside = ids.long()[top:bottom, left:right]
    present, counts = torch.unique(ids.long(), return_counts=True)
    kept = [int(i) for i, n in zip(present, counts, strict=True) if i and n >= LEAST_PX and bool((inside == i).any())]
    return {i: functional.adaptive_avg_pool2d((inside == i).float()[None], grid)[0] for i in kept}


def tokens(
    frame_ids: UInt16[Tensor, "H W"], trained: tuple[View, Tensor], untrained: View
) -> dict[str, dict[int, Tensor]]:
    """Every kind of token of every thing in a frame."""
    view, encoded = trained
    assert view.state_attention is not None and untrained.state_attention is not None and view.tokens is not None
    masks = soft_masks(frame_ids, view, (view.tokens.shape[0], view.tokens.shape[1]))
    return {
        "state token": {i: (view.state_attention * m).sum((1, 2)) for i, m in masks.items()},
        "state token, untrained": {i: (untrained.state_attention * m).sum((1, 2)) for i, m in masks.items()},
        "pooled decoder tokens": {i: (view.tokens * m[..., None]).sum((0, 1)) for i, m in masks.items()},
        "pooled encoder tokens": {i: (encoded * m[..., None]).sum((0, 1)) for i, m in masks.items()},
        "mask overlap": {i: m.flatten() for i, m in masks.items()},
    }


def room_tokens(
    seed: int, frames: int, model: Cut3r, blank: Cut3r
) -> Iterator[dict[str, dict[int, Tensor]]]:
    source = RoomsSource(seed, frames=frames, depth="clean")
    one, two = (Cut3rReconstructor(m, side=192, view_side=320, least_confidence=1.0) for m in (model, blank))
    heard: list[Tensor] = []
    hook = model.encoder_norm.register_forward_hook(lambda _, __, out: heard.append(out[0]))
    try:
        for frame in source:
            heard.clear()
            view = one(frame)[0]
            assert view.tokens is not None
            encoded = heard[-1].unflatten(0, view.tokens.shape[:2])
            yield tokens(source.truth(frame.index)[0], (view, encoded), two(frame)[0])
    finally:
        hook.remove()


def right(before: dict[int, Tensor], after: dict[int, Tensor]) -> tuple[int, int, float]:
    """How many of the things in both find themselves, how many there are, and how many would by chance."""
    shared = [i for i in before if i in after]
    if not shared:
        return 0, 0, 0.0
    rows, columns = list(after), torch.stack(list(after.values()))
    asked = torch.stack([before[i] for i in shared])
    cosine = functional.normalize(asked, dim=1) @ functional.normalize(columns, dim=1).T
    found = [rows[n] for n in cosine.argmax(1).tolist()]
    return sum(a == b for a, b in zip(found, shared, strict=True)), len(shared), len(shared) / len(after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=8)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--gaps", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = bundled_cut3r()
    torch.manual_seed(0)
    blank = Cut3r(model.config).eval()
    shares: dict[tuple[str, int], list[float]] = defaultdict(list)
    console = Console(stderr=True)
    for seed in split_seeds(given.split, given.rooms):
        with console.status(f"rooms:{seed}"):
            walk = list(room_tokens(seed, given.frames, model, blank))
        for gap in given.gaps:
            for kind in KINDS:
                counts = [right(a[kind], b[kind]) for a, b in zip(walk, walk[gap:], strict=False)]
                total = max(1, sum(n for _, n, _ in counts))
                shares[kind, gap].append(sum(k for k, _, _ in counts) / total)
                if kind == KINDS[0]:
                    shares["chance", gap].append(sum(c for _, _, c in counts) / total)
    rows = [
        {"token": kind, "gap": gap, "share": round(float(np.mean(values)), 4), "std": round(float(np.std(values)), 4)}
        for (kind, gap), values in sorted(shares.items(), key=lambda item: (item[0][1], -np.mean(item[1])))
    ]
    for row in rows:
        print(f"{row['gap']:>3} frames on  {row['token']:24} {row['share']:.3f} +- {row['std']:.3f}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows, "rooms": given.rooms, "frames": given.frames}, indent=1))


if __name__ == "__main__":
    main()
