"""One training in several processes, a GPU each, as `accelerate launch` or `torchrun` start them.

Every process holds the whole model and sees a sample of its own at every step; gradients are averaged, so all take the
same step. Only the main one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from seg3r.errors import MissingExtraError

PATIENCE = timedelta(days=7)
"""The others wait while the main process prepares data, however long that takes."""


class DistributedContext:
    """The processes of a training: one, unless a launcher says otherwise (WORLD_SIZE in the environment)."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        """
        Args:
            device: of a single process, or `cpu` for several too; else each of several takes a device of its own.
        Raises:
            MissingExtraError: several processes, and accelerate is not installed.
        """
        self.rank, self.count, self.device = 0, 1, torch.device(device)
        self._state: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            try:
                from accelerate import PartialState
            except ImportError as error:
                raise MissingExtraError(
                    "training in several processes needs accelerate: pip install 'seg3r[train]'"
                ) from error
            self._state = PartialState(cpu=self.device.type == "cpu", timeout=PATIENCE)
            self.rank, self.count = int(self._state.process_index), int(self._state.num_processes)
            self.device = torch.device(self._state.device)

    @property
    def main(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def sample_index(self, step: int) -> int:
        """Which of all training samples this process takes at a step; those of one step are `count` in a row."""
        return step * self.count + self.rank

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """What is inside is done by the main process, then by the others, who find it done."""
        if self._state is None:
            yield
            return
        with self._state.main_process_first():
            yield

    def average(self, weights: Sequence[nn.Parameter], loss: float) -> float:
        """Gradients become their mean over the processes; so does the loss, which is returned.

        A weight without a gradient counts as zero where another process has one, and keeps none where nobody has.
        """
        if self._state is None:
            return loss
        from accelerate.utils import reduce

        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
        has = torch.tensor([float(p.grad is not None) for p in weights] + [loss], device=self.device)
        flat: Tensor = reduce(torch.cat([has, *(g.float().flatten() for g in grads)]), "mean")
        shares, rest = flat[: len(has)].tolist(), torch.split(flat[len(has) :], [p.numel() for p in weights])
        for p, share, mean in zip(weights, shares[:-1], rest, strict=True):
            if share:
                p.grad = mean.view_as(p).to(p.dtype).clone()
        return float(shares[-1])
