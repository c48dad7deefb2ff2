"""Read a map (01): its things one by one, their points and pictures, and whose each of your own points is.

    python examples/03_read_a_map.py out/office
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import seg3r


def main(folder: str = "out/example") -> None:
    scene = seg3r.open_map(folder)
    print(scene)
    for thing in sorted(scene, key=lambda thing: -thing.score)[:5]:
        low, high = thing.box
        print(f"{thing}, {len(thing.points)} points, from {np.round(low, 2)} to {np.round(high, 2)} m")
        if thing.views:
            Image.fromarray(thing.crop()).save(Path(folder, f"thing-{thing.id}.png"))
    yours = scene.points[::10] + 0.005  # any points in the recording's world: those of a scan, of a gripper ...
    ids = scene.labels(yours)
    print(f"{np.count_nonzero(ids)} of your {len(yours)} points belong to {len(np.unique(ids[ids > 0]))} things")


if __name__ == "__main__":
    main(*sys.argv[1:])
