"""One loop for all that learns here, and the folder it leaves behind."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from seg3r.errors import InputError
from seg3r.files import clear_left_over, replace_folder, write_tensors, write_text
from seg3r.lock import sole_writer
from seg3r.reading import DAMAGED, reading
from seg3r.train.distributed import DistributedContext
from seg3r.weights.pretrained import quiet, transformers

CHECKPOINT, CURVE = "checkpoint.safetensors", "loss.jsonl"
BETAS = (0.9, 0.98)
"""Of Adam; the second below the usual 0.999, so that short runs forget their noisy beginning."""
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers inside follow from the seed; those outside do not notice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def halves_pay() -> bool:
    """Whether this processor multiplies matrices of bfloat16 by tiles, ten times faster than those of float32."""
    return bool(torch.cpu._is_amx_tile_supported())


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear from 0 over `warmup` steps, then half a cosine to 0 (Loshchilov & Hutter, ICLR 2017)."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def learn(
    model: nn.Module,
    loss_of: Callable[[int], Tensor],
    steps: int,
    *,
    out: Path,
    peak: float,
    warmup: int,
    weight_decay: float = 0.05,
    max_norm: float = 1.0,
    save_every_s: float = 60.0,
    progress: Callable[[int, float], None] | None = None,
    context: DistributedContext | None = None,
) -> float:
    """AdamW on `loss_of(step)` until `steps` are done; goes on from `out`'s checkpoint where one is.

    What a step sees must follow from its number alone: an interrupted run then ends like an uninterrupted one. Of
    several processes each takes another number, and a step is that on the mean of their losses.

    Args:
        model: trained where it is; bfloat16 autocast where that pays.
        out: gets the checkpoint and `loss.jsonl`, a line per step.
        peak: learning rate after `warmup` steps.
        weight_decay: of matrices; vectors and scalars have none.
        progress: called with (step, loss) after each.
        context: the processes that train together (they share `out`); None: this one.
    Returns:
        Hours it took, all sittings together.
    Raises:
        InputError: a checkpoint of another model; another run writes to `out`; a loss that is not finite.
    """
    context = context or DistributedContext()
    out.mkdir(parents=True, exist_ok=True)
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=peak, betas=BETAS, fused=True)
    with sole_writer(out) if context.main else nullcontext():
        first, before_s = _resume(model, optimizer, out / CHECKPOINT)
        if context.main:
            for file in (out / CHECKPOINT, out / CURVE):
                clear_left_over(file)
            _cut_curve(out / CURVE, first)
        device = weights[0].device.type
        started = saved = time.monotonic()
        model.train()
        with (out / CURVE if context.main else Path(os.devnull)).open("a", encoding="utf-8") as curve:
            for step in range(first, steps):
                rate = learning_rate(step, steps, peak, warmup)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu" or halves_pay()):
                    loss = loss_of(context.sample_index(step))
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise InputError(
                        f"{out}: the loss of step {step} is {value}; lower the learning rate (now {rate:.2g})"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                value = context.average(weights, value)
                torch.nn.utils.clip_grad_norm_(weights, max_norm)
                optimizer.step()
                curve.write(json.dumps({"step": step, "loss": round(value, 6)}) + "\n")
                if progress is not None:
                    progress(step, value)
                now = time.monotonic()
                if context.main and (step + 1 == steps or now - saved >= save_every_s):
                    curve.flush()
                    _save(model, optimizer, out / CHECKPOINT, step + 1, before_s + now - started)
                    saved = now
    model.eval()
    return (before_s + time.monotonic() - started) / 3600


def write_folder(
    model: nn.Module,
    probe: Callable[[nn.Module], Tensor],
    folder: Path,
    *,
    files: Mapping[str, str],
    tokenizer: Any,
    card: Mapping[str, object],
    tolerance: float = 1e-2,
) -> None:
    """What an adapter loads: config, weights, tokenizer, other small files, and the card last.

    Args:
        probe: outputs of a model that matter; weights are stored in half precision if they move by less than
            `tolerance` for it.
        files: name -> text.
        card: what made the weights; completed with their count and dtype.
    """
    stored, moved = _stored(model, probe, tolerance)

    def fill(fresh: Path) -> None:
        with quiet(transformers()):
            stored.save_pretrained(fresh)  # type: ignore[operator]
            tokenizer.save_pretrained(fresh)
        for name, text in files.items():
            write_text(fresh / name, text)
        _write_card(stored, moved, fresh, card)

    replace_folder(folder, fill)


def write_weights(
    model: nn.Module, probe: Callable[[nn.Module], Tensor], folder: Path, *, config: Mapping[str, object],
    card: Mapping[str, object], tolerance: float = 1e-2,
) -> None:
    """A network of this package: `model.safetensors`, `config.json`, and the card last. See `write_folder`."""
    stored, moved = _stored(model, probe, tolerance)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.safetensors", stored.state_dict())
    write_text(folder / "config.json", json.dumps(config, indent=1))
    _write_card(stored, moved, folder, card)


def _stored(model: nn.Module, probe: Callable[[nn.Module], Tensor], tolerance: float) -> tuple[nn.Module, float]:
    """The model in half precision if that moves what matters by less than `tolerance`; and by how much it does."""
    half = copy.deepcopy(model).half()
    rounded = copy.deepcopy(half).float()
    with torch.no_grad():
        moved = float((probe(rounded) - probe(model)).abs().max())
    return (half if moved < tolerance else model), moved


def _write_card(stored: nn.Module, moved: float, folder: Path, card: Mapping[str, object]) -> None:
    count = sum(p.numel() for p in stored.parameters())
    dtype = str(next(stored.parameters()).dtype).removeprefix("torch.")
    made = {**card, "parameters": count, "dtype": dtype, "moved_by_rounding": round(moved, 6)}
    write_text(folder / "card.json", json.dumps(made, indent=1))


def add_scores(folder: Path, scores: Mapping[str, float]) -> None:
    """Write what the weights were found to be worth into their card."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    write_text(folder / "card.json", json.dumps({**card, "scores": {**card.get("scores", {}), **scores}}, indent=1))


def mean_loss(out: Path, last: int = 200) -> float:
    """Of the last steps in the curve."""
    lines = (out / CURVE).read_text(encoding="utf-8").splitlines()[-last:]
    return sum(float(json.loads(line)["loss"]) for line in lines) / max(1, len(lines))


def _cut_curve(path: Path, first: int) -> None:
    """Forget the steps that will be done again."""
    if path.is_file():
        lines = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                step = int(json.loads(line)["step"])
            except DAMAGED:
                break  # the line a power cut left
            if step < first:
                lines.append(line + "\n")
        write_text(path, "".join(lines))


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path, step: int, seconds: float) -> None:
    tensors = {}
    for name, p in model.named_parameters():
        tensors[f"weight.{name}"] = p.detach().contiguous()
        for moment in _MOMENTS:
            if p in optimizer.state:
                tensors[f"{moment}.{name}"] = optimizer.state[p][moment].contiguous()
    write_tensors(path, tensors, {"step": str(step), "seconds": f"{seconds:.1f}"})


def _resume(model: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> tuple[int, float]:
    """Steps done and seconds spent."""
    if not path.is_file():
        return 0, 0.0
    with reading(path, "a checkpoint", "remove it to start again"), safe_open(str(path), framework="pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        steps, seconds = int(file.metadata()["step"]), float(file.metadata()["seconds"])
    shapes = {f"weight.{name}": p.shape for name, p in model.named_parameters()}
    if {n: t.shape for n, t in stored.items() if n.startswith("weight.")} != shapes:
        raise InputError(f"{path}: a checkpoint of another model; remove it to start again")
    moments = {
        f"{m}.{name}": p.shape for name, p in model.named_parameters() if f"step.{name}" in stored for m in _MOMENTS[:2]
    }
    if {n: stored[n].shape for n in moments if n in stored} != moments or steps < 0 or not seconds >= 0:
        raise InputError(f"{path}: a damaged checkpoint; remove it to start again")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(stored[f"weight.{name}"])
            if f"step.{name}" in stored:
                # Adam's step count stays where the fused kernel wants it: with its parameter.
                optimizer.state[p] = {m: stored[f"{m}.{name}"].to(p.device).clone() for m in _MOMENTS}
    return steps, seconds
