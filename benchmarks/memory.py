"""What a long video costs in memory: the bundled CUT3R must carry as much after 500 frames as after 50.

    python benchmarks/memory.py [--frames 500] [--side 48] [--pose solver] [--json FILE]

It walks up and down in a procedural room. Told at every 50th frame: bytes of what the reconstructor would put into a
checkpoint, tensors and views alive in the process, and the memory that the process has.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from seg3r.presets.bundled import bundled_cut3r
from seg3r.reconstruct.cut3r import FOCALS, Cut3rReconstructor
from seg3r.sources.rooms import RoomsSource
from seg3r.types import Frame, View

SEED, SIZE, WALK = 11, (48, 64), 10
SETTLED = FOCALS
"""By then all that is bounded is full: the focal lengths remembered are what takes longest."""
MARGIN_MB = 8.0
"""What the process may take more between the first and the last look: allocators keep some; 450 kept views of 48x64
would be 15 MB or more."""


@dataclass(frozen=True)
class Look:
    """At one frame."""

    frame: int
    carried: dict[str, tuple[str, tuple[int, ...]]]
    """What a checkpoint would hold: name -> type and shape."""
    carried_bytes: int
    tensors: int
    views: int
    process_mb: float


def looks(stage: Cut3rReconstructor, frames: Iterable[Frame], every: int) -> Iterator[Look]:
    """After every so many frames; views are let go at once."""
    for count, frame in enumerate(frames, 1):
        stage(frame)
        if count % every == 0:
            gc.collect()
            alive = [type(each) for each in gc.get_objects()]
            carried = {n: (str(t.dtype), tuple(t.shape), t.nbytes) for n, t in stage.state().items()}
            yield Look(
                count, {name: about[:2] for name, about in carried.items()},
                sum(size for _, _, size in carried.values()),
                sum(issubclass(kind, torch.Tensor) for kind in alive), sum(issubclass(kind, View) for kind in alive),
                process_mb(),
            )


def process_mb() -> float:
    """Resident now; where the system does not tell, the most it ever was."""
    now = Path("/proc/self/statm")
    if now.is_file():
        return int(now.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def growth(told: list[Look]) -> list[str]:
    """What grew between the first look and any later one; nothing is what one wants to see."""
    first, grown = told[0], []
    for each in told[1:]:
        if each.carried != first.carried:
            grown.append(f"frame {each.frame} carries {each.carried_bytes} bytes, frame {first.frame} had "
                         f"{first.carried_bytes}")
        if each.tensors > first.tensors or each.views > first.views:
            grown.append(f"frame {each.frame}: {each.tensors} tensors and {each.views} views are alive, were "
                         f"{first.tensors} and {first.views}")
        if each.process_mb > first.process_mb + MARGIN_MB:
            grown.append(f"frame {each.frame}: {each.process_mb:.1f} MB, were {first.process_mb:.1f}")
    return grown


def measured(frames: int, side: int, pose: Any, every: int = SETTLED) -> list[Look]:
    """The bundled network on a walk."""
    stage = Cut3rReconstructor(
        bundled_cut3r(), side=side, view_side=max(SIZE), least_confidence=1.0, layers=2, pose=pose
    )
    return list(looks(stage, there_and_back(frames), every))


def there_and_back(count: int) -> Iterator[Frame]:
    """A short walk over and over, with frame numbers that go on: rendering a long one would take longer than all
    else."""
    walk = list(RoomsSource(SEED, frames=WALK, size=SIZE, depth="clean"))
    shown = cycle([*walk, *walk[-2:0:-1]])
    for index in range(count):
        yield replace(next(shown), index=index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--side", type=int, default=48, help="long side of the image as the network sees it")
    parser.add_argument("--pose", default="solver", choices=("head", "solver"))
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    told = measured(args.frames, args.side, args.pose)
    if len(told) < 2:
        parser.error(f"--frames {args.frames}: needed are {2 * SETTLED} or more")
    table = Table(title=f"bundled CUT3R, {args.side} pixels, pose by the {args.pose}")
    for name in ("frame", "carried bytes", "tensors", "views", "process MB"):
        table.add_column(name, justify="right")
    for each in told:
        table.add_row(
            str(each.frame), str(each.carried_bytes), str(each.tensors), str(each.views), f"{each.process_mb:.1f}"
        )
    Console(file=sys.stdout).print(table)
    grown = growth(told)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        figures = {"looks": [asdict(each) for each in told], "grown": grown, "margin_mb": MARGIN_MB}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if grown:
        sys.exit("\n".join(grown))


if __name__ == "__main__":
    main()
