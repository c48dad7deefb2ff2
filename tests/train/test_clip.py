"""The twin of SigLIP: what it learns, from what, and that the adapter finds it again."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seg3r.language.image_text import ImageText
from seg3r.train import loop
from seg3r.train.clip import PhraseLoss, TextPair, tiny_siglip, train_clip, truth_matrix
from seg3r.train.data.samples import RegionSample
from seg3r.train.data.tokenizers import phrase_tokenizer
from seg3r.train.loop import CURVE, seeded

pytest.importorskip("transformers")

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220)}


def region(color: str, size: tuple[int, int] = (30, 44)) -> RegionSample:
    image = torch.tensor(COLORS[color], dtype=torch.uint8).expand(*size, 3).contiguous()
    image[: size[0] // 3] = 128
    others = [c for c in COLORS if c != color]
    return RegionSample(image, (color, f"something {color}"), tuple(f"something {c}" for c in others))


def batch(step: int) -> list[RegionSample]:
    draw = torch.Generator().manual_seed(step)
    names = list(COLORS)
    chosen = [names[int(i)] for i in torch.randint(0, 3, (6,), generator=draw)]
    return [region(c, (30 + step % 5, 44)) for c in chosen]


def text_batch(step: int) -> list[TextPair]:
    asked = {"red": "like a tomato", "green": "like grass", "blue": "like the sky"}
    return [(c, q, c == k) for c in COLORS for k, q in asked.items()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_clip(batch, text_batch, 25, out=out, peak=2e-3, warmup=5, command="the command", data="colours")
    return out


def test_pictures_find_their_phrases_and_phrases_each_other(trained: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (trained / CURVE).read_text().splitlines()]
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    encoder = ImageText(trained / "model")
    assert encoder.independent
    seen = encoder.images([region(c).image for c in COLORS])
    said = encoder.texts([f"something {c}" for c in COLORS])
    assert (seen @ said.T).argmax(1).tolist() == [0, 1, 2]
    asked = encoder.texts(["like a tomato", "like grass", "like the sky"])
    assert (encoder.texts(list(COLORS)) @ asked.T).argmax(1).tolist() == [0, 1, 2]


def test_the_card_says_what_was_done(trained: Path) -> None:
    card = json.loads((trained / "model" / "card.json").read_text())
    assert card["command"] == "the command" and card["data"] == "colours"
    assert card["steps"] == 25 and card["seed"] == 0 and 2e6 < card["parameters"] < 3.5e6
    assert card["dtype"] == "float16" and (trained / "model" / "model.safetensors").stat().st_size < 8e6


def test_the_adapter_sees_what_the_loop_saw(trained: Path) -> None:
    encoder = ImageText(trained / "model")
    stored = PhraseLoss(encoder.model, encoder.tokenizer, batch, text_batch, 0.3, 0, torch.device("cpu"))
    samples = batch(3)
    texts = list(dict.fromkeys(t for s in samples for t in (*s.true, *s.false)))
    with torch.no_grad():
        inside = stored.cosines(encoder.model, samples)
    torch.testing.assert_close(encoder.images([s.image for s in samples]) @ encoder.texts(texts).T, inside,
                               atol=1e-5, rtol=0)


def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))  # a checkpoint after each step

    def stop(step: int, _: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    def run(out: Path, **more: Any) -> bytes:
        return (train_clip(batch, text_batch, 5, out=out, warmup=2, **more) / "model.safetensors").read_bytes()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", progress=stop)
    assert len((tmp_path / "cut" / CURVE).read_text().splitlines()) in (3, 4)
    assert run(tmp_path / "cut") == run(tmp_path / "whole")


def test_the_truth_is_what_was_said() -> None:
    a, b = region("red"), region("blue")
    place = {"red": 0, "blue": 1, "something red": 2, "something blue": 3, "something green": 4}
    assert truth_matrix([a, b], place).tolist() == [[1, 0, 1, -1, -1], [0, 1, -1, 1, -1]]


def test_what_nobody_said_moves_nothing() -> None:
    """A phrase of another crop, of which we do not know whether it fits this one, costs this one nothing."""
    tokenizer = phrase_tokenizer(["red blue something"], 300, 24)
    with seeded(0):
        model = tiny_siglip(len(tokenizer), 0, 1).eval()
    samples = [RegionSample(region("red").image, ("red",), ("blue",)),
               RegionSample(region("green").image, ("mossy",), ())]
    step = PhraseLoss(model, tokenizer, lambda _: samples, lambda _: [], 0.3, 0, torch.device("cpu"))
    with torch.no_grad():
        value = float(step(0))
        # Mirroring changes nothing here: each row of these pictures has one colour.
        logits = float(model.logit_scale.exp()) * step.cosines(model, samples) + float(model.logit_bias)
    said = [(0, 0, 1), (0, 1, -1), (1, 2, 1)]
    losses = [math.log1p(math.exp(-sign * float(logits[row, column]))) for row, column, sign in said]
    assert value == pytest.approx(sum(losses) / 3, rel=1e-4)
