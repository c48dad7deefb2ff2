"""CUT3R at its released size (744 of 793 million parameters are needed for images), random weights: seconds and memory.

    python benchmarks/full_size.py [--frames 3] [--size 512x384] [--device cpu|cuda] --json FILE
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from seg3r.models.cut3r import Cut3r, Cut3rConfig

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def measure(dtype: str, device: str, frames: int, size: tuple[int, int]) -> dict[str, float | str | int]:
    """One configuration in this process, whose peak memory is its own.

    Args:
        size: (H, W).
    """
    torch.manual_seed(0)
    with torch.device(device):
        model = Cut3r(Cut3rConfig()).to(DTYPES[dtype]).eval()
    image = torch.rand(1, 3, *size, device=device, dtype=DTYPES[dtype]) * 2 - 1
    seconds = []
    with torch.no_grad():
        carried = model.initial()
        for _ in range(frames + 1):  # the first warms up
            start = time.perf_counter()
            prediction, carried = model(image, carried, tap=range(6, 12))
            if device != "cpu":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    assert bool(torch.isfinite(prediction.points).all())
    peak = (
        torch.cuda.max_memory_allocated() if device != "cpu"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "dtype": dtype, "device": device, "size": f"{size[1]}x{size[0]}", "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds_per_frame": round(sorted(seconds[1:])[frames // 2], 3), "peak_gb": round(peak / 1e9, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3)
    parser.add_argument("--size", default="512x384")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dtype", choices=tuple(DTYPES), help="only this one, in this process")
    given = parser.parse_args()
    width, height = (int(n) for n in given.size.split("x"))
    if given.dtype:
        print(json.dumps(measure(given.dtype, given.device, given.frames, (height, width))))
        return
    rows = []
    for dtype in DTYPES:
        command = [sys.executable, __file__, "--dtype", dtype, "--device", given.device, "--frames", str(given.frames),
                   "--size", given.size]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        row = rows[-1]
        print(f"{dtype:9} {given.device} {row['size']}: {row['seconds_per_frame']:.2f} s a frame, {row['peak_gb']} GB")
    if given.json:
        given.json.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
