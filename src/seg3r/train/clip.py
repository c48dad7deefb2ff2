"""The bundled small SigLIP: a SiglipModel of 3 M parameters, so that the adapter of the big one loads it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from seg3r.language.image_text import image_vectors, prepared_crops, text_vectors
from seg3r.train.data.samples import RegionSample
from seg3r.train.data.tokenizers import phrase_tokenizer, stored_tokenizer
from seg3r.train.loop import learn, mean_loss, seeded, write_folder
from seg3r.weights.pretrained import transformers

IMAGE, PATCH, LENGTH, VOCABULARY = 64, 8, 24, 1200
"""Pixels of an image and of a patch; tokens of a phrase and of the tokenizer."""
MEAN = STD = (0.5, 0.5, 0.5)
SURVEY = 40
"""So many steps' phrases make the tokenizer."""

TextPair = tuple[str, str, bool]
"""Two phrases, and whether a thing that one fits is one that the other fits."""


def train_clip(
    batch: Callable[[int], list[RegionSample]],
    text_batch: Callable[[int], list[TextPair]],
    steps: int,
    *,
    out: Path,
    seed: int = 0,
    device: torch.device | str = "cpu",
    peak: float = 1e-3,
    warmup: int = 500,
    text_weight: float = 0.3,
    command: str = "",
    data: str = "",
    progress: Callable[[int, float], None] | None = None,
) -> Path:
    """Train one on crops and phrases; goes on where an interrupted call stopped.

    Args:
        batch: step -> crops with what is true and false of each; the same for the same step.
        text_batch: step -> pairs of phrases.
        out: folder of the run; its `model/` is what `ImageText` loads.
        seed: of the initial weights and of mirroring.
        peak: learning rate.
        text_weight: of the pairs of phrases in the loss.
        command, data: for the card.
    Returns:
        `out/model`.
    """
    tokenizer = stored_tokenizer(out / "tokens", lambda: phrase_tokenizer(
        [text for step in range(SURVEY) for text in _texts(batch(step), text_batch(step))], VOCABULARY, LENGTH
    ))
    with seeded(seed):
        model = tiny_siglip(len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)
    model.to(device)
    loss = PhraseLoss(model, tokenizer, batch, text_batch, text_weight, seed, torch.device(device))
    hours = learn(model, loss, steps, out=out, peak=peak, warmup=warmup, progress=progress)
    card = {"trains": "clip", "command": command, "data": data, "seed": seed, "steps": steps, "hours": round(hours, 3),
            "peak_learning_rate": peak, "loss": round(mean_loss(out), 4)}
    prepare = {"image_processor_type": "SiglipImageProcessor", "do_pad": True, "do_resize": True,
               "size": {"height": IMAGE, "width": IMAGE}, "resample": 3, "image_mean": MEAN, "image_std": STD}
    files = {"preprocessor_config.json": json.dumps(prepare, indent=1)}
    write_folder(
        model, lambda m: loss.cosines(m, batch(0)), out / "model", files=files, tokenizer=tokenizer, card=card
    )
    return out / "model"


def tiny_siglip(vocabulary: int, pad: int, end: int) -> Any:
    """A SiglipModel with random weights."""
    module = transformers()
    text = {"vocab_size": vocabulary, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 3,
            "num_attention_heads": 4, "max_position_embeddings": LENGTH, "projection_size": 192,
            "pad_token_id": pad, "bos_token_id": end, "eos_token_id": end}
    vision = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 6,
              "image_size": IMAGE, "patch_size": PATCH}
    model = module.SiglipModel(module.SiglipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        model.logit_scale.fill_(math.log(10.0))
        model.logit_bias.fill_(-3.0)
    return model


@dataclass(frozen=True, eq=False)
class PhraseLoss:
    """step -> loss: sigmoid over pairs (SigLIP, arXiv 2303.15343) of which we know the truth, be they on no diagonal.

    Pairs of phrases go through the same sigmoid, whose scale and bias they do not move: a name and a phrase are then
    as near as a picture and a phrase.
    """

    model: Any
    tokenizer: Any
    batch: Callable[[int], list[RegionSample]]
    text_batch: Callable[[int], list[TextPair]]
    text_weight: float
    seed: int
    device: torch.device

    def __call__(self, step: int) -> Tensor:
        samples, pairs = self.batch(step), self.text_batch(step)
        texts = list(dict.fromkeys(_texts(samples, pairs)))
        place = {text: i for i, text in enumerate(texts)}
        vectors = text_vectors(self.model, self._tokens(texts))
        seen = image_vectors(self.model, self._pixels(samples, step))
        scale, bias = self.model.logit_scale.exp(), self.model.logit_bias
        truth = truth_matrix(samples, place).to(self.device)
        loss = _sigmoid_loss(scale * seen @ vectors.T + bias, truth)
        if pairs:
            a, b = (vectors[[place[text] for text in side]] for side in ([p[0] for p in pairs], [p[1] for p in pairs]))
            same = torch.tensor([1.0 if pair[2] else -1.0 for pair in pairs], device=self.device)
            cosine = (a * b).sum(1)
            loss = loss + self.text_weight * _sigmoid_loss(scale.detach() * cosine + bias.detach(), same)
        return loss

    def cosines(self, model: nn.Module, samples: Sequence[RegionSample]) -> Tensor:
        """Of every crop with every phrase."""
        texts = list(dict.fromkeys(_texts(samples, [])))
        pixels = _squares([s.image for s in samples]).to(self.device)
        return image_vectors(model, pixels) @ text_vectors(model, self._tokens(texts)).T

    def _tokens(self, texts: list[str]) -> dict[str, Tensor]:
        read = self.tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt")
        return {"input_ids": read["input_ids"].to(self.device)}

    def _pixels(self, samples: Sequence[RegionSample], step: int) -> Tensor:
        pixels = _squares([s.image for s in samples])
        draw = torch.Generator().manual_seed((self.seed << 32) + step)
        mirrored = torch.rand(len(samples), generator=draw) < 0.5
        pixels[mirrored] = pixels[mirrored].flip(-1)
        return pixels.to(self.device)


def truth_matrix(samples: Sequence[RegionSample], place: dict[str, int]) -> Float32[Tensor, "b u"]:
    """1 where phrase u is true of crop b, -1 where false, 0 where it is not known.

    Args:
        place: phrase -> column.
    """
    truth = torch.zeros((len(samples), len(place)))
    for row, sample in enumerate(samples):
        truth[row, [place[text] for text in sample.false]] = -1
        truth[row, [place[text] for text in sample.true]] = 1
    return truth


def _squares(crops: Sequence[UInt8[Tensor, "_ _ 3"]]) -> Tensor:
    return prepared_crops(crops, IMAGE, "pad", MEAN, STD)


def _texts(samples: Sequence[RegionSample], pairs: Sequence[TextPair]) -> list[str]:
    phrases = [text for s in samples for text in (*s.true, *s.false)]
    return phrases + [text for pair in pairs for text in pair[:2]]


def _sigmoid_loss(logits: Tensor, truth: Tensor) -> Tensor:
    known = truth != 0
    return -functional.logsigmoid(truth[known] * logits[known]).sum() / known.sum().clamp(min=1)
