"""One attention: masked, fused and spelt out."""

from __future__ import annotations

import pytest
import torch

from seg3r.models.attention import CrossAttention, SelfAttention, attended


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("learning", [False, True])
def test_masked_attention_sees_its_cells_only(learning: bool) -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 4)
    x, y = random(1, 2, 16), random(1, 9, 16, seed=1)
    allowed = torch.zeros(1, 1, 2, 9, dtype=torch.bool)
    allowed[0, 0, 0, :3], allowed[0, 0, 1, 5] = True, True
    with torch.set_grad_enabled(learning):
        seen = attention(x, y, allowed=allowed)
        other = y.clone()
        other[0, 3:5], other[0, 6:] = 7.0, -3.0
        torch.testing.assert_close(attention(x, other, allowed=allowed), seen)
        other[0, 5] += 1
        changed = attention(x, other, allowed=allowed)
    torch.testing.assert_close(changed[0, 0], seen[0, 0])
    assert not torch.allclose(changed[0, 1], seen[0, 1])


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_spelt_out_for_learning_is_what_is_fused(masked: bool) -> None:
    q, k, v = random(2, 4, 5, 8), random(2, 4, 7, 8, seed=1), random(2, 4, 7, 8, seed=2)
    allowed = (random(2, 1, 5, 7, seed=3) > 0) | (torch.arange(7) == 2) if masked else None
    with torch.no_grad():
        fused = attended(q, k, v, allowed)
    torch.testing.assert_close(attended(q.requires_grad_(), k, v, allowed).detach(), fused, atol=1e-5, rtol=1e-5)


def test_tokens_in_another_order_come_out_in_that_order() -> None:
    torch.manual_seed(0)
    attention, x, order = SelfAttention(16, 4), random(2, 6, 16), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(attention(x[:, order], None), attention(x, None)[:, order])
