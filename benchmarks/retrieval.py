"""Does the query memory recall the right history? (MoonSeg3R's section 3.2, on procedural rooms)

Every thing in every frame leaves a query in the 3D query index memory; before that, the memory is asked what the camera
should see again. A recall is right if the thing that most of its cells show now is the thing it was made of. Of the
things in view that an earlier frame had shown too: how many have a right recall?

    python benchmarks/retrieval.py [--rooms 3] [--frames 60] [--split test] --json FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt16
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from seg3r.choices import Geometry
from seg3r.embed.memory import QueryIndexMemory, spatial_keys
from seg3r.presets import Bundled, reconstructor
from seg3r.protocols import Reconstructor
from seg3r.rooms import split_seeds
from seg3r.sources.rooms import RoomsSource
from seg3r.types import View

GRID = (18, 24)
GEOMETRIES: tuple[Geometry, ...] = ("sensor", "cut3r", "odometry")


class Counted:
    """Recalls, those that are right; things seen again, those that a right recall names; over all frames."""

    def __init__(self) -> None:
        self.memory = QueryIndexMemory()
        self.thing: dict[int, int] = {}
        self.recalls = self.right = self.again = self.named = 0

    def __call__(self, view: View, ids: UInt16[Tensor, "H W"]) -> None:
        """One view, asked and then remembered; `ids` as the view's camera sees them."""
        size = (view.camera.size[0], view.camera.size[1])
        if ids.shape != size:
            ids = functional.interpolate(ids[None, None].float(), size)[0, 0].to(torch.uint16)
        present = [int(i) for i in torch.unique(ids.int()) if i]
        if not present:
            return
        shares = torch.stack([functional.adaptive_avg_pool2d((ids == i).float()[None], GRID)[0] for i in present])
        shown = torch.cat((1 - shares.sum(0)[None], shares)).argmax(0)  # 0: no thing
        recalled = self.memory.retrieve(view.camera, view.depth, GRID)
        named = set()
        for query, footprint in zip(recalled.ids.tolist(), recalled.footprints, strict=True):
            now = int(torch.bincount(shown[footprint]).argmax())
            if now and present[now - 1] == self.thing[query]:
                self.right += 1
                named.add(self.thing[query])
        known = set(present) & set(self.thing.values())
        self.recalls, self.again = self.recalls + len(recalled.ids), self.again + len(known)
        self.named += len(named & known)
        keys, valid = spatial_keys(view, GRID)
        for query, thing in zip(self.memory.add(keys, valid, shares, torch.eye(len(present))[:, :1]).tolist(), present,
                                strict=True):
            self.thing[query] = thing


def walk(seed: int, frames: int, geometry: Reconstructor) -> Counted:
    """A room with true masks."""
    source, counted = RoomsSource(seed, frames=frames, depth="clean"), Counted()
    views = [view for frame in source for view in geometry(frame)] + list(geometry.finish())
    for view in views:
        counted(view, source.truth(view.frame.index)[0])
    return counted


def measure(split: str, rooms: int, frames: int) -> list[dict[str, Any]]:
    rows, console = [], Console(stderr=True)
    for name in GEOMETRIES:
        counts = []
        for seed in split_seeds(split, rooms):
            with console.status(f"{name}, rooms:{seed}"):
                counts.append(walk(seed, frames, reconstructor(name, Bundled())))
        rows.append({
            "reconstruct": name,
            "right": round(sum(c.right for c in counts) / max(1, sum(c.recalls for c in counts)), 4),
            "found": round(sum(c.named for c in counts) / max(1, sum(c.again for c in counts)), 4),
            "recalls": sum(c.recalls for c in counts), "seen_again": sum(c.again for c in counts),
        })
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=3)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = measure(given.split, given.rooms, given.frames)
    for row in rows:
        print(f"{row['reconstruct']:9} recalls right {row['right']:.3f} of {row['recalls']}, "
              f"things found again {row['found']:.3f} of {row['seen_again']}")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows, "rooms": given.rooms, "frames": given.frames}, indent=1))


if __name__ == "__main__":
    main()
