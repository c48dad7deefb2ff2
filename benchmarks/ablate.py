"""What each part of a method brings: the whole, each part switched off, and the oracle ladder, on procedural rooms."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg3r.api import METHODS, SWITCHES, evaluate_rooms

MEASURES = ("AP", "AP50", "AP25", "purity", "completeness")


def variants(depth: str) -> dict[str, dict[str, Any]]:
    """Row -> arguments of `evaluate_rooms`."""
    rows: dict[str, dict[str, Any]] = {"whole": {}}
    rows.update({f"no {name}": {"without": (name,)} for name in SWITCHES})
    rows["perfect association"] = {"association": "truth"}
    rows["perfect masks"] = {"masks": "truth"}
    rows["perfect masks and association"] = {"masks": "truth", "association": "truth"}
    return {name: {"depth": depth, **arguments} for name, arguments in rows.items()}


def row(name: str, arguments: Mapping[str, Any], split: str, rooms: int, frames: int) -> dict[str, Any]:
    """One variant: pooled over the rooms, with the spread of the rooms' own values."""
    answer = evaluate_rooms(split=split, rooms=rooms, frame_count=frames, online_every=0, **arguments)
    spread = {
        m: round(statistics.pstdev([v for s in answer["per_scene"].values() if (v := s[m]) is not None]), 4)
        for m in ("AP", "AP50", "AP25")
    }
    return {"name": name, **{m: round(answer[m], 4) for m in MEASURES}, "std": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--depth", choices=("clean", "noisy"), default="noisy")
    parser.add_argument("--rooms", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--only", nargs="*", help="rows to run, by name")
    parser.add_argument("--quick", action="store_true", help="two rooms of 20 frames")
    parser.add_argument("--json", type=Path, help="write the table here")
    args = parser.parse_args()
    rooms, frames = (2, 20) if args.quick else (args.rooms, args.frames)
    rows = []
    print(f"{'':30} {'AP':>7} {'AP50':>7} {'AP25':>7} {'purity':>7} {'compl.':>7}")
    for name, arguments in variants(args.depth).items():
        if args.only and name not in args.only:
            continue
        rows.append(row(name, arguments, args.split, rooms, frames))
        print(f"{name:30} " + " ".join(f"{rows[-1][m]:7.3f}" for m in MEASURES))
        sys.stdout.flush()
    settings = {"method": args.method, "split": args.split, "depth": args.depth, "rooms": rooms, "frames": frames}
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"rows": rows, "settings": settings}, indent=2) + "\n")


if __name__ == "__main__":
    main()
