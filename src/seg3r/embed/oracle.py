"""Perfect association: each mask remembered as the true instance it shows. A rung of the oracle ladder, no method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from seg3r.errors import InputError
from seg3r.types import Masks, View


@dataclass(frozen=True)
class TruthIdentity:
    """Fills `masks.identity` one-hot with the true instance that holds most of each mask's pixels.

    A mask most of whose pixels lie on no instance gets all zero. Ties go to the lower id, none being the lowest.

    Raises:
        InputError: no truth for a frame, truth of another size, or ids outside 0..instances.
    """

    read: Callable[[int], Int[Tensor, "H W"] | None]
    """Frame index -> true instance of each pixel, 1..instances, 0 = none."""
    instances: int
    """In the whole recording."""

    def __call__(self, view: View, masks: Masks) -> Masks:
        index = view.frame.index
        truth = self.read(index)
        if truth is None or truth.shape != masks.masks.shape[1:]:
            have = "is none" if truth is None else f"is {truth.shape[1]}x{truth.shape[0]}"
            H, W = masks.masks.shape[1:]
            raise InputError(f"frame {index}: the truth {have}, needed {W}x{H}; map the recording it belongs to")
        truth = truth.to(masks.masks.device, torch.int64)
        if truth.numel() and (int(truth.min()) < 0 or int(truth.max()) > self.instances):
            raise InputError(
                f"frame {index}: true ids {int(truth.min())}..{int(truth.max())}, expected 0..{self.instances}"
            )
        votes = torch.stack([torch.bincount(truth[m], minlength=self.instances + 1) for m in masks.masks]) if len(
            masks
        ) else truth.new_zeros((0, self.instances + 1))
        winners = votes.argmax(1)
        identity = torch.nn.functional.one_hot(winners, self.instances + 1)[:, 1:].to(torch.float32)
        return replace(masks, identity=identity)

    def reset(self) -> None:
        """Remembers nothing."""
