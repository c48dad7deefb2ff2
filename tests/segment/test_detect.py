"""Words -> boxes, with tiny untrained models of the real classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.models import images
from seg3r.segment.detect import END, START, STOP, Detector, captions, word_scores
from tests.models import tiny
from tests.models.views import random_rgb

KINDS = ["grounding-dino", "mm-grounding-dino", "owlv2"]
WORDS = ["chair", "Coffee Cup", "lamp", "table"]


def detector(kind: str, words: list[str] | None = None, **options: Any) -> Detector:
    options = {"threshold": 0.0, "nms": 1.0, "short_side": 64} | options
    words = WORDS if words is None else words
    if kind == "owlv2":
        return Detector(tiny.owlv2(), words, tiny.clip_tokenizer(), **options)
    return Detector(tiny.grounding_dino(kind), words, tiny.bert_tokenizer(), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_lie_in_the_image_best_first(kind: str) -> None:
    found = detector(kind)(random_rgb(48, 80))
    assert len(found) > 0 and found.boxes.shape == (len(found), 4) and len(found.names) == len(found)
    assert set(found.names) <= set(WORDS)
    assert (found.boxes[:, :2] >= 0).all() and (found.boxes[:, 2] <= 80).all() and (found.boxes[:, 3] <= 48).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_thresholds(kind: str) -> None:
    rgb = random_rgb(48, 80)
    everything = detector(kind)(rgb)
    half = float(everything.scores.median())
    some = detector(kind, threshold=half)(rgb)
    assert 0 < len(some) < len(everything) and (some.scores >= half).all()
    none = detector(kind, threshold=1.1)(rgb)
    assert none.boxes.shape == (0, 4) and none.names == ()
    apart = detector(kind, nms=0.5)(rgb).boxes
    assert (images.box_iou_2d(apart, apart) - torch.eye(len(apart))).max() <= 0.5


@pytest.mark.parametrize("kind", KINDS[:2])
def test_captions_in_a_batch_are_captions_alone(kind: str) -> None:
    """Of unequal length, so that the batch is padded."""
    words, rgb = ["chair", "coffee cup lamp", "table", "lamp"], random_rgb(48, 80)
    alone, batch = (detector(kind, words, words_at_once=1, captions_at_once=n)(rgb) for n in (1, 4))
    assert alone.names == batch.names
    assert torch.allclose(alone.boxes, batch.boxes, atol=1e-3)
    assert torch.allclose(alone.scores, batch.scores, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_any_length_and_number(kind: str) -> None:
    words = ["chair " * 60, "coffee. cup?", "something never heard of", *(f"lamp {i}" for i in range(40))]
    found = detector(kind, words)(random_rgb(30, 20))
    assert set(found.names) <= set(words)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_stays_near(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, d = random_rgb(48, 80), detector(kind)
    exact = d(rgb)
    tiny.in_half_precision(monkeypatch)
    near = d(rgb)
    assert near.boxes.dtype == near.scores.dtype == torch.float32
    assert near.boxes.isfinite().all() and near.scores.isfinite().all()
    assert abs(len(near) - len(exact)) <= 2
    # Each box has one like it; the order is free.
    assert torch.cdist(near.boxes, exact.boxes).min(1).values.median() < 1.0


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_phrase_of_grounding_dino_names_and_places_its_box(kind: str) -> None:
    """Query 3 of the second caption says "coffee cup" at a known place of a wide image."""
    d = detector(kind, ["chair", "lamp", "coffee cup", "table"], words_at_once=2, threshold=0.5)
    H, W = 40, 100

    def forward(pixel_values: Any, input_ids: Any, attention_mask: Any) -> SimpleNamespace:
        assert pixel_values.shape[0] == 2 and pixel_values.shape[3] > 2 * pixel_values.shape[2]
        known = {tiny.WORDS.index(w) + 2000 for w in ("coffee", "cup")}
        logits = torch.full((2, 5, 24), -20.0)
        for at, token in enumerate(input_ids[1].tolist()):
            if token in known:
                logits[1, 3, at] = 3.0
        boxes = torch.tensor([0.5, 0.25, 0.2, 0.1]).expand(2, 5, 4)
        return SimpleNamespace(logits=logits, pred_boxes=boxes)

    d.model.forward = forward
    found = d(random_rgb(H, W))
    assert found.names == ("coffee cup",)
    assert torch.allclose(found.boxes, torch.tensor([[40.0, 8.0, 60.0, 12.0]]), atol=1e-4)
    assert found.scores.item() == pytest.approx(torch.tensor(3.0).sigmoid().item(), abs=1e-5)


@pytest.mark.parametrize(("H", "W"), [(48, 64), (64, 48)])
def test_padding_moves_no_box_of_owl(H: int, W: int) -> None:
    """The model pads to a square; an image that is padded already is the same to it, and so are its pixels."""
    rgb = random_rgb(H, W)
    square = torch.zeros(64, 64, 3, dtype=torch.uint8)
    square[:H, :W] = rgb
    d = detector("owlv2")
    with torch.no_grad():
        boxes, scores = d._raw(rgb)
        same, same_scores = d._raw(square)
        twice, _ = d._raw(rgb.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert torch.allclose(boxes, same, atol=1e-4) and torch.allclose(scores, same_scores, atol=1e-5)
    assert (twice / 2 - boxes).abs().median() < 1


def test_words_of_owl_do_not_know_one_another() -> None:
    rgb = random_rgb(48, 80)
    with torch.no_grad():
        together = detector("owlv2")._raw(rgb)[1]
        alone = torch.cat([detector("owlv2", [w])._raw(rgb)[1] for w in WORDS], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)


@given(st.lists(st.lists(st.integers(2000, 2999), min_size=1, max_size=30), min_size=1, max_size=40),
       st.integers(8, 40), st.integers(1, 10))
def test_captions_hold_each_word_once_in_order(words: list[list[int]], longest: int, at_once: int) -> None:
    made = captions(words, longest, at_once)
    read = []
    for caption in made:
        assert len(caption.tokens) <= longest and 1 <= len(caption.spans) <= at_once
        assert caption.tokens[0] == START and caption.tokens[-2:] == (STOP, END)
        assert caption.first == len(read)
        assert caption.tokens.count(STOP) == len(caption.spans)
        read += [list(caption.tokens[a:b]) for a, b in caption.spans]
    assert read == [word[: longest - 3] for word in words]


def test_captions_are_what_the_models_own_processor_writes() -> None:
    """chair. coffee cup. -> [CLS] chair . coffee cup . [SEP]"""
    tokenizer = tiny.bert_tokenizer()
    words = [tokenizer(w, add_special_tokens=False)["input_ids"] for w in ("chair", "coffee cup")]
    whole = tokenizer("chair. coffee cup.", add_special_tokens=False)["input_ids"]
    assert captions(words, 24, 40)[0].tokens == (START, *whole, END)


def test_word_scores_are_means_of_probabilities() -> None:
    logits = torch.logit(torch.tensor([[0.1, 0.9, 0.5, 0.3]]))
    assert torch.allclose(word_scores(logits, [(0, 1), (1, 3)]), torch.tensor([[0.1, 0.7]]))


@pytest.mark.parametrize("words", [[], ["chair", " "], ["."]])
def test_no_words(words: list[str]) -> None:
    with pytest.raises(InputError, match="word"):
        detector("owlv2", words)


def test_another_model() -> None:
    with pytest.raises(InputError, match="type 'dinov2'; expected grounding-dino or"):
        Detector(tiny.dino(), WORDS, tiny.bert_tokenizer())
