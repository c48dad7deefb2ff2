"""What each process of a joint training does: run as a module, with a folder, as a launcher would run it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seg3r.train import loop
from seg3r.train.distributed import DistributedContext
from seg3r.train.loop import learn, seeded

STEPS, CUT, SHARES = 10, 4, 2


class Net(nn.Module):
    """One of its weights learns from every second sample only, one from none."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 1))
        self.sometimes, self.never = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(3))


class CutError(Exception):
    pass


def net() -> Net:
    with seeded(3):
        return Net()


def loss_for(model: Net) -> Callable[[int], Tensor]:
    def loss(sample: int) -> Tensor:
        x = torch.randn((32, 4), generator=torch.Generator().manual_seed(sample))
        off: Tensor = ((model.body(x)[:, 0] - x.prod(1).sin()) ** 2).mean()
        return off + (model.sometimes**2).sum() if sample % 2 else off

    return loss


def trained(out: Path, context: DistributedContext | None, joint: bool = False, cut: bool = False) -> Net:
    model = net()
    one = loss_for(model)

    def both(step: int) -> Tensor:
        return torch.stack([one(SHARES * step + share) for share in range(SHARES)]).mean()

    def progress(step: int, _: float) -> None:
        if cut and step == CUT:
            raise CutError

    learn(
        model, both if joint else one, STEPS, out=out, peak=1e-2, warmup=3, save_every_s=0.0, progress=progress,
        context=context,
    )
    return model


def main(out: Path) -> None:
    loop.halves_pay = lambda: False  # in half precision a sum over both samples rounds otherwise than over processes
    context = DistributedContext()
    if context.count == 1:
        model = trained(out / "joint", context, joint=True)
        assert "accelerate" not in sys.modules
        save_file(model.state_dict(), out / "joint.safetensors")
        return
    with context.main_first():
        if not (out / "prepared").exists():
            (out / "prepared").write_text(str(context.rank))
    save_file(trained(out / "whole", context).state_dict(), out / f"whole-{context.rank}.safetensors")
    with suppress(CutError):
        trained(out / "cut", context, cut=True)
    save_file(trained(out / "cut", context).state_dict(), out / f"cut-{context.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
