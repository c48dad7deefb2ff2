"""Rotary embedding: numbers of the reference, and what makes it a position."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seg3r.models.rotary import grid, turn, turns
from tests.models.cut3r.tiny import DATA


@pytest.mark.parametrize("head", [4, 8, 12, 16, 48, 64])
def test_as_the_reference_turns_minus_one_included(head: int) -> None:
    unit = np.load(DATA / "rope_unit.npz")
    at = torch.from_numpy(unit["pos"]).long()
    assert at.min() == -1
    turned = turn(torch.from_numpy(unit[f"x_{head}"]), turns(at, head))
    assert torch.allclose(turned, torch.from_numpy(unit[f"y_{head}"]), atol=1e-5)


def test_products_depend_on_differences_of_positions_only() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 12, 16), torch.randn(1, 2, 12, 16)
    here = grid(3, 4)[None]
    moved = here + torch.tensor((5, -7))
    one = turn(q, turns(here, 16)) @ turn(k, turns(here, 16)).transpose(-1, -2)
    two = turn(q, turns(moved, 16)) @ turn(k, turns(moved, 16)).transpose(-1, -2)
    assert torch.allclose(one, two, atol=1e-4)
    assert not torch.allclose(one, q @ k.transpose(-1, -2), atol=1e-2)


def test_turning_keeps_lengths() -> None:
    x = torch.randn(2, 3, 6, 12)
    turned = turn(x, turns(grid(2, 3).expand(2, -1, -1), 12))
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_a_grid_goes_row_by_row() -> None:
    assert grid(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
