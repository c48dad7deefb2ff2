from __future__ import annotations

import pytest
import torch

from seg3r.models.grids import coverage, resampled


def ramp(h: int, w: int) -> torch.Tensor:
    """Value of each cell: its centre, as a share of the grid."""
    rows, columns = ((torch.arange(n) + 0.5) / n for n in (h, w))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def test_a_grid_over_everything_is_read_where_its_cells_lie() -> None:
    fine = resampled(ramp(9, 12), (18, 24), (90, 120))
    assert torch.allclose(fine[:, 1:-1, 1:-1], ramp(18, 24)[:, 1:-1, 1:-1], atol=1e-6)


def test_the_same_grid_comes_back() -> None:
    values = torch.rand((3, 5, 7), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resampled(values, (5, 7), (50, 70)), values, atol=1e-6)


def test_a_window_is_read_in_its_place_and_is_zero_outside() -> None:
    values = torch.ones(1, 4, 4)
    read = resampled(values, (8, 8), (80, 80), (20, 0, 60, 80))
    assert torch.equal(read[0], torch.ones(8, 8) * ((torch.arange(8) >= 2) & (torch.arange(8) < 6))[:, None])
    centre = resampled(ramp(4, 8), (8, 8), (80, 80), (20, 0, 60, 80))
    assert centre[0, 3, 0].item() == pytest.approx(((3.5 * 10) - 20) / 40)


def test_coverage_of_no_masks() -> None:
    assert coverage(torch.zeros(0, 8, 12, dtype=torch.bool), (2, 3)).shape == (0, 2, 3)
