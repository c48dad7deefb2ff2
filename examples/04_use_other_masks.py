"""Use the masks of any other network: one id map (PNG, 0 = nothing) for each frame, or a function of your own.

    python examples/04_use_other_masks.py recordings/office out/office masks_objects
"""

import sys

import torch

import seg3r


def bright_things(view: seg3r.View) -> seg3r.Masks:
    """A segmenter is anything that makes masks of a view: here, of what is brighter or darker than the middle."""
    light = view.frame.rgb.float().mean(-1)
    masks = torch.stack((light > light.median() + 40, light < light.median() - 40))
    return seg3r.Masks(masks, torch.ones(2), names=("bright", "dark"))


def main(source: str, out: str = "out/example", masks: str = "truth") -> None:
    scene, _ = seg3r.run(source, out, masks=masks)
    print(f"with the masks in {masks}: {scene}")
    mapper = seg3r.opentrack3d(segment=bright_things)
    for _ in mapper.run(seg3r.frames(source)):
        pass
    print(f"with masks of a function: {mapper.result()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
