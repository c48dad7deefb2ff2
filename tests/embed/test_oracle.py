from __future__ import annotations

import pytest
import torch

from seg3r.embed.oracle import TruthIdentity
from seg3r.errors import InputError
from seg3r.types import Masks
from tests.segment.scenes import render

VIEW, _ = render([], (8, 12))
TRUTH = torch.zeros(8, 12, dtype=torch.int32)
TRUTH[:4, :6] = 1
TRUTH[:4, 6:] = 3


def masks_of(*regions: tuple[slice, slice]) -> Masks:
    masks = torch.zeros(len(regions), 8, 12, dtype=torch.bool)
    for i, region in enumerate(regions):
        masks[i][region] = True
    return Masks(masks, torch.ones(len(regions)))


def test_the_majority_decides() -> None:
    embed = TruthIdentity(lambda index: TRUTH, 4)
    masks = embed(VIEW, masks_of((slice(0, 4), slice(0, 8)), (slice(0, 8), slice(5, 12)), (slice(6, 8), slice(0, 3)),
                                 (slice(1, 3), slice(8, 10)), (slice(0, 0), slice(0, 0))))
    assert masks.identity is not None
    expected = torch.zeros(5, 4)
    expected[0, 0] = expected[3, 2] = 1
    assert torch.equal(masks.identity, expected)


def test_no_masks() -> None:
    identity = TruthIdentity(lambda index: TRUTH, 4)(VIEW, masks_of()).identity
    assert identity is not None
    assert identity.shape == (0, 4)


def test_what_does_not_fit_is_refused() -> None:
    masks = masks_of((slice(0, 2), slice(0, 2)))
    with pytest.raises(InputError, match="the truth is none"):
        TruthIdentity(lambda index: None, 4)(VIEW, masks)
    with pytest.raises(InputError, match="the truth is 6x8, needed 12x8"):
        TruthIdentity(lambda index: TRUTH[:, :6], 4)(VIEW, masks)
    with pytest.raises(InputError, match=r"true ids 0\.\.3, expected 0\.\.2"):
        TruthIdentity(lambda index: TRUTH, 2)(VIEW, masks)
