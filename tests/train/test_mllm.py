"""The twin of Qwen2.5-VL: it learns answers, and the adapter gives them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seg3r.language.chat import LocalChat
from seg3r.train import loop
from seg3r.train.data.samples import ChatSample, WordSample
from seg3r.train.loop import CURVE
from seg3r.train.mllm import AnswerLoss, train_mllm
from seg3r.types import Prompt

pytest.importorskip("transformers")

COLORS = {"red": (220, 30, 30), "blue": (40, 60, 220)}


def sample(color: str, images: int, size: tuple[int, int]) -> ChatSample:
    image = torch.tensor(COLORS[color], dtype=torch.uint8).expand(*size, 3).contiguous()
    return ChatSample(Prompt((image,) * images, "Which colour is this? It is 1.2 m high."), color)


def batch(step: int) -> list[ChatSample]:
    draw = torch.Generator().manual_seed(step)
    chosen = torch.randint(0, 2, (4,), generator=draw).tolist()
    return [sample(list(COLORS)[c], 1 + (step + i) % 3, (40 + 10 * (i % 2), 60)) for i, c in enumerate(chosen)]


def pictures(step: int) -> list[WordSample]:
    return [WordSample(s.prompt.images[0], (s.answer, "thing")) for s in batch(step)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train_mllm(
        pictures, batch, batch, steps=25, out=out, peak=2e-3, warmup=5, eye_steps=5, word_steps=5,
        command="the command", data="colours",
    )
    return out


def test_it_answers_what_it_learnt(trained: Path) -> None:
    losses = [json.loads(line)["loss"] for line in (trained / CURVE).read_text().splitlines()]
    assert losses[-1] < 0.2 * losses[0]
    chat = LocalChat(trained / "model")
    asked = [sample("red", 1, (50, 60)), sample("blue", 3, (60, 40)), sample("red", 2, (84, 30))]
    replies = chat([s.prompt for s in asked])
    assert [r.text for r in replies] == [s.answer for s in asked]
    for reply, s in zip(replies, asked, strict=True):
        alone = chat([s.prompt])[0]
        assert alone.text == reply.text and alone.confidence == pytest.approx(reply.confidence, abs=1e-4)


def test_the_card_says_what_was_done(trained: Path) -> None:
    card = json.loads((trained / "model" / "card.json").read_text())
    assert card["command"] == "the command" and card["data"] == "colours" and card["steps"] == 25
    assert 2e6 < card["parameters"] < 5.5e6 and card["dtype"] == "float16"


def test_the_adapter_reads_what_the_loop_read(trained: Path) -> None:
    """The confidence of a reply is what the loss says of it, the end left out."""
    chat = LocalChat(trained / "model")
    loss = AnswerLoss(chat.model, chat.read, batch, torch.device("cpu"))  # type: ignore[arg-type]
    for s in (sample("red", 2, (50, 60)), sample("blue", 1, (84, 84))):
        reply = chat([s.prompt])[0]
        with torch.no_grad():
            chances = loss.log_chances(chat.model, [ChatSample(s.prompt, reply.text)])
        assert reply.confidence == pytest.approx(float(chances[:-1].mean().exp()), abs=1e-4)


def test_only_answers_cost(trained: Path) -> None:
    chat = LocalChat(trained / "model")
    loss = AnswerLoss(chat.model, chat.read, batch, torch.device("cpu"))  # type: ignore[arg-type]
    samples = batch(1)
    with torch.no_grad():
        together = loss.log_chances(chat.model, samples)
        alone = torch.cat([loss.log_chances(chat.model, [s]) for s in samples])
    words = chat.tokenizer([s.answer for s in samples], add_special_tokens=False)["input_ids"]
    assert len(together) == sum(len(w) + 1 for w in words)
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_vision_learns_to_name(tmp_path: Path) -> None:
    """Before any question: what they lose falls, and a word that was not surveyed does not count."""
    train_mllm(pictures, batch, batch, steps=1, out=tmp_path, peak=2e-3, warmup=5, eye_steps=25, word_steps=1)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "vision" / CURVE).read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("eye_steps", [2, 4])
def test_a_cut_run_ends_like_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eye_steps: int) -> None:
    """Cut while it learns to answer, or to see."""
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))  # a checkpoint after each step

    def train(out: Path, progress: Callable[[int, float], None] | None = None) -> Path:
        return train_mllm(
            pictures, batch, batch, steps=4, out=out, warmup=2, eye_steps=eye_steps, word_steps=1, progress=progress
        )

    def stop(step: int, _: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop)
    cut, whole = (train(tmp_path / name) for name in ("cut", "whole"))
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
