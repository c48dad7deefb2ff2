"""Looks as pictures."""

from __future__ import annotations

import torch

from seg3r.describe.crops import CONTOUR, closed, contoured, faded, plain
from tests.seen import sighting, square


def lattice(mask: torch.Tensor, stride: int = 3) -> torch.Tensor:
    """The mask as a mapper keeps it where it reduced a picture: with seams."""
    seams = mask.clone()
    seams[::stride] = False
    seams[:, ::stride] = False
    return seams


def test_the_outline_goes_around_the_thing_and_touches_nothing_else() -> None:
    look = sighting(square())
    image = contoured(look)
    drawn = (image == torch.tensor(CONTOUR, dtype=torch.uint8)).all(-1)
    changed = (image != look.crop).any(-1)
    assert torch.equal(drawn, changed)
    assert not bool((drawn & look.mask).any())
    ring = torch.zeros_like(look.mask)
    ring[8:-8, 8:-8] = True
    assert torch.equal(drawn, ring & ~look.mask)
    assert torch.equal(look.crop, sighting(square()).crop)  # what was kept is not drawn on


def test_the_seams_of_a_lattice_are_no_outline() -> None:
    seams = lattice(square())
    look = sighting(square())
    torn = type(look)(
        look.frame_index, look.box, look.score, look.area, look.crop, seams, look.direction, look.camera
    )
    assert int((torch.from_numpy(closed(torn)) & ~seams).sum()) > 100
    drawn = (contoured(torn) == torch.tensor(CONTOUR, dtype=torch.uint8)).all(-1)
    assert not bool(drawn[13:27, 13:27].any())
    assert bool(drawn.any())


def test_fading_keeps_the_thing_and_cuts_close() -> None:
    inside, outside = (200, 40, 40), (20, 60, 220)
    image = faded(sighting(square(60, 20), inside, outside))
    assert image.shape == (20 + 2 * 3, 20 + 2 * 3, 3)
    assert bool((image[3:-3, 3:-3] == torch.tensor(inside, dtype=torch.uint8)).all())
    corner = image[0, 0].int()
    assert bool(((corner - 128).abs() < (torch.tensor(outside) - 128).abs()).all())
    assert float((corner - 128).abs().max()) <= 0.3 * float((torch.tensor(outside) - 128).abs().max())


def test_an_empty_mask_and_one_that_fills_the_crop() -> None:
    nothing = sighting(torch.zeros(9, 12, dtype=torch.bool))
    assert torch.equal(faded(nothing), nothing.crop)
    assert torch.equal(contoured(nothing), nothing.crop)
    everything = sighting(torch.ones(9, 12, dtype=torch.bool))
    assert torch.equal(faded(everything), everything.crop)
    assert torch.equal(contoured(everything), everything.crop)
    assert torch.equal(plain(everything), everything.crop)


def test_one_pixel() -> None:
    look = sighting(torch.ones(1, 1, dtype=torch.bool))
    for function in (contoured, faded, plain):
        assert function(look).shape == (1, 1, 3)
