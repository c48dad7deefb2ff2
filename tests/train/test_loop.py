"""The loop: it learns, an interruption leaves no trace, and what it writes is whole."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seg3r.errors import InputError
from seg3r.train import loop
from seg3r.train.data.tokenizers import phrase_tokenizer
from seg3r.train.loop import CHECKPOINT, CURVE, add_scores, learn, learning_rate, mean_loss, seeded, write_folder

transformers = pytest.importorskip("transformers")


def net() -> nn.Module:
    with seeded(3):
        return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 1))


def loss_for(model: nn.Module) -> Any:
    def loss(step: int) -> Tensor:
        x = torch.randn((32, 4), generator=torch.Generator().manual_seed(step))
        return ((model(x)[:, 0] - x.prod(1).sin()) ** 2).mean()

    return loss


class PowerCutError(Exception):
    pass


def cut_at(step: int) -> Any:
    def progress(done: int, _: float) -> None:
        if done == step:
            raise PowerCutError

    return progress


def test_the_loss_falls_and_the_curve_says_so(tmp_path: Path) -> None:
    model = net()
    seen: list[tuple[int, float]] = []
    hours = learn(
        model, loss_for(model), 200, out=tmp_path, peak=1e-2, warmup=10, progress=lambda s, v: seen.append((s, v))
    )
    curve = [json.loads(line) for line in (tmp_path / CURVE).read_text().splitlines()]
    assert [(c["step"], c["loss"]) for c in curve] == [(s, round(v, 6)) for s, v in seen]
    assert [s for s, _ in seen] == list(range(200))
    assert sum(v for _, v in seen[-20:]) < 0.5 * sum(v for _, v in seen[:20])
    assert mean_loss(tmp_path, 20) == pytest.approx(sum(v for _, v in seen[-20:]) / 20, abs=1e-5)
    assert hours > 0 and not model.training


@pytest.mark.parametrize("save_every_s", [0.0, 60.0])
def test_an_interruption_leaves_no_trace(tmp_path: Path, save_every_s: float) -> None:
    """Whether the last checkpoint is of the step before, or there is none."""
    whole, first, second = net(), net(), net()
    learn(whole, loss_for(whole), 30, out=tmp_path / "whole", peak=1e-2, warmup=5)
    with pytest.raises(PowerCutError):
        learn(
            first, loss_for(first), 30, out=tmp_path / "cut", peak=1e-2, warmup=5, save_every_s=save_every_s,
            progress=cut_at(17),
        )
    assert (tmp_path / "cut" / CHECKPOINT).exists() == (save_every_s == 0)
    with (tmp_path / "cut" / CURVE).open("a") as curve:
        curve.write('{"step": 1')  # a line cut short
    steps: list[int] = []
    learn(
        second, loss_for(second), 30, out=tmp_path / "cut", peak=1e-2, warmup=5, progress=lambda s, _: steps.append(s)
    )
    assert steps == list(range(17 if save_every_s == 0 else 0, 30))
    for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "whole" / CURVE).read_text() == (tmp_path / "cut" / CURVE).read_text()


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    first, second, out = net(), net(), tmp_path / "out"
    refusals: list[str] = []

    def another_run() -> None:
        with pytest.raises(InputError, match=r"another run \(pid \d+, since .*\) writes to .*out; wait") as caught:
            learn(second, lambda _: pytest.fail("a step of the second"), 30, out=out, peak=1e-2, warmup=5)
        refusals.append(str(caught.value))

    def progress(step: int, _: float) -> None:
        if step == 3:
            thread = threading.Thread(target=another_run)
            thread.start()
            thread.join()
        elif step == 5:
            (out / f".{CHECKPOINT}.0a1b2c3d.tmp").write_bytes(b"half")
            raise PowerCutError

    with pytest.raises(PowerCutError):
        learn(first, loss_for(first), 30, out=out, peak=1e-2, warmup=5, progress=progress)
    assert len(refusals) == 1
    learn(second, loss_for(second), 6, out=out, peak=1e-2, warmup=5)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [CHECKPOINT, CURVE, "out"]


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first, second = net(), net()
    learn(first, loss_for(first), 5, out=tmp_path, peak=1e-2, warmup=1)
    learn(second, lambda _: pytest.fail("a step too many"), 5, out=tmp_path, peak=1e-2, warmup=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_hours_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    model = net()
    first = learn(model, loss_for(model), 3, out=tmp_path, peak=1e-2, warmup=1)
    assert learn(model, loss_for(model), 6, out=tmp_path, peak=1e-2, warmup=1) > first >= 3


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    model = net()
    learn(model, loss_for(model), 2, out=tmp_path, peak=1e-2, warmup=1)
    with pytest.raises(InputError, match="another model"):
        learn(nn.Linear(4, 2), loss_for(model), 3, out=tmp_path, peak=1e-2, warmup=1)
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"cannot be read as a checkpoint .*remove it to start again"):
        learn(model, loss_for(model), 3, out=tmp_path, peak=1e-2, warmup=1)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    model = net()
    with pytest.raises(InputError, match="loss of step 0 is nan; lower"):
        learn(model, lambda _: next(model.parameters()).sum() * math.nan, 3, out=tmp_path, peak=1e-2, warmup=1)


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate(s, 100, 2.0, 10) for s in range(100)]
    assert rates[9] == rates[10] == 2.0 == max(rates) and rates[0] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True) and 0 < rates[-1] < 0.01


def test_seeds_are_kept_to_themselves() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    a, b = net(), net()
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(("factor", "dtype"), [(1.0, "float16"), (300.0, "float32")])
def test_weights_are_halved_only_if_none_would_notice(tmp_path: Path, factor: float, dtype: str) -> None:
    text = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 1}
    with seeded(0):
        model = transformers.SiglipTextModel(transformers.SiglipTextConfig(**text)).eval()
    ids = torch.arange(8)[None]

    def probe(m: nn.Module) -> Tensor:
        return factor * m(input_ids=ids).pooler_output

    write_folder(model, probe, tmp_path / "m", files={"a.json": "{}"}, tokenizer=phrase_tokenizer(["a b"], 300, 8),
                 card={"seed": 7})
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["dtype"] == dtype and card["seed"] == 7
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    again = type(model).from_pretrained(tmp_path / "m", dtype=torch.float32)
    with torch.no_grad():
        assert float((probe(again) - probe(model)).abs().max()) <= card["moved_by_rounding"] + 1e-6
    assert next(model.parameters()).dtype == torch.float32, "the model itself is left alone"
    add_scores(tmp_path / "m", {"top1": 0.5})
    add_scores(tmp_path / "m", {"top5": 0.9})
    assert json.loads((tmp_path / "m" / "card.json").read_text()) == {**card, "scores": {"top1": 0.5, "top5": 0.9}}
