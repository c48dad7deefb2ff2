"""Put a part of your own into a socket: it fits if it can be called so, and inherits from nothing.

    python examples/05_add_a_part.py recordings/office

Here an embedder: how each mask looks, as its mean colour. `seg3r.protocols` lists the sockets.
"""

import sys
from dataclasses import dataclass, replace

import torch

import seg3r


@dataclass(frozen=True)
class MeanColor:
    """View, Masks -> Masks with unit features: colour around grey."""

    contrast: float = 2.0

    def __call__(self, view: seg3r.View, masks: seg3r.Masks) -> seg3r.Masks:
        flat, rgb = masks.masks.flatten(1).float(), view.frame.rgb.flatten(0, 1).float() / 255
        mean = flat @ rgb / flat.sum(1, keepdim=True).clamp_min(1)
        return replace(masks, features=torch.nn.functional.normalize(self.contrast * (mean - 0.5) + 0.1, dim=1))

    def reset(self) -> None:
        """It remembers nothing."""


def main(source: str = "rooms:2000001:noisy") -> None:
    with seg3r.opentrack3d(embed=MeanColor()) as mapper:
        for frame in seg3r.frames(source):
            mapper.step(frame)
    print(mapper.result())


if __name__ == "__main__":
    main(*sys.argv[1:])
