"""Image, words -> boxes with names: Grounding DINO, MM-Grounding-DINO and OWLv2 (code and weights Apache-2.0).

Grounding DINO: Liu et al., ECCV 2024; MM-Grounding-DINO: arXiv 2401.02361; OWLv2: Minderer et al., NeurIPS 2023.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from seg3r.errors import InputError
from seg3r.models import images
from seg3r.types import TensorFields
from seg3r.weights import pretrained

GROUNDING = ("grounding-dino", "mm-grounding-dino")
CLASSES = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
    "owlv2": "Owlv2ForObjectDetection",
}
STRETCH = 1333 / 800
"""Longest side of the images Grounding DINO was trained with, by their short side."""
START, END, STOP = 101, 102, 1012
"""[CLS], [SEP] and "." of BERT's uncased vocabulary: Grounding DINO cuts its caption into phrases at these very ids."""
PROMPT = "a photo of a {}"
"""Of the forms OWLv2 was trained with (its paper, app. A), the plain one."""
PROMPTS_AT_ONCE = 128

Scored = tuple[Float[Tensor, "q 4"], Float[Tensor, "q words"]]
"""Boxes in pixels, and the score of each for each word."""


@dataclass(frozen=True, eq=False)
class Boxes(TensorFields):
    """What a detector saw in an image, best first."""

    boxes: Float32[Tensor, "n 4"]
    """Left, top, right, bottom in pixels; the whole image is (0, 0, W, H)."""
    scores: Float32[Tensor, "n"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.scores.shape[0])


class Detector:
    """RGB -> Boxes, each named by one of a closed list of words, however long.

    A box gets the word it scores highest for. Duplicates fall within a word first and then between words, both at
    `nms` (OpenTrack3D's 2D stage detects with a large vocabulary; its thresholds are not published).
    """

    def __init__(
        self,
        source: str | Path | Any,
        words: Sequence[str],
        tokenizer: Any = None,
        *,
        device: torch.device | str = "cpu",
        threshold: float = 0.15,
        nms: float = 0.5,
        short_side: int = 800,
        words_at_once: int = 40,
        captions_at_once: int = 4,
    ) -> None:
        """
        Args:
            source: name of weights, a folder, or the model itself (then with its `tokenizer`).
            words: what to look for.
            threshold: boxes that score less are dropped.
            nms: boxes that overlap a better one by a higher IoU are dropped.
            short_side: of the image as Grounding DINO sees it, in pixels (OWLv2's is fixed).
            words_at_once: in one caption of Grounding DINO, which sees fewer things in long ones (40 is what
                MM-Grounding-DINO was measured with on LVIS).
            captions_at_once: in one batch.
        Raises:
            InputError: no such weights, or an empty word.
            MissingExtraError: transformers is not installed.
        """
        self.model = pretrained.model(source, CLASSES, device)
        self.tokenizer = pretrained.tokenizer(source) if tokenizer is None else tokenizer
        self.device = torch.device(device)
        self.threshold, self.nms = threshold, nms
        self.short_side, self.captions_at_once = short_side, captions_at_once
        self.words = tuple(words)
        plain = [_plain(word) for word in words]
        if not words:
            raise InputError("a detector needs words to look for; give at least one")
        self._raw: Callable[[Tensor], Scored]
        if self.model.config.model_type in GROUNDING:
            tokens = [self.tokenizer(word, add_special_tokens=False)["input_ids"] for word in plain]
            self._captions = captions(tokens, int(self.model.config.max_text_len), words_at_once)
            self._raw = self._grounding
        else:
            self._queries = self._prompts(plain)
            self._raw = self._owl

    @torch.no_grad()
    def __call__(self, rgb: UInt8[Tensor, "H W 3"]) -> Boxes:
        H, W = rgb.shape[:2]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            boxes, per_word = self._raw(rgb.to(self.device))
        scores, word = per_word.float().max(dim=1)
        boxes = images.clipped(boxes.float(), (H, W))
        # An empty box has nothing to segment, and a score that is not a number is none.
        keep = (scores >= self.threshold) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        boxes, scores, word = boxes[keep], scores[keep], word[keep]
        for classes in (word, None):
            stay = images.nms(boxes, scores, self.nms, classes)
            boxes, scores, word = boxes[stay], scores[stay], word[stay]
        names = tuple(self.words[i] for i in word.tolist())
        return Boxes(boxes.to(rgb.device), scores.to(rgb.device), names)

    # ---- Grounding DINO: one caption of many words, a logit per token ----

    def _grounding(self, rgb: Tensor) -> Scored:
        H, W = rgb.shape[:2]
        size = images.by_short_side((H, W), self.short_side, round(self.short_side * STRETCH))
        pixels = images.prepared(rgb, size, images.IMAGENET)
        boxes, scores = [], []
        for start in range(0, len(self._captions), self.captions_at_once):
            part = self._captions[start : start + self.captions_at_once]
            length = max(len(c.tokens) for c in part)
            ids = torch.zeros((len(part), length), dtype=torch.long)
            for row, caption in zip(ids, part, strict=True):
                row[: len(caption.tokens)] = torch.tensor(caption.tokens)
            filled = torch.tensor([[i < len(c.tokens) for i in range(length)] for c in part])
            seen = self.model(
                pixel_values=pixels.expand(len(part), -1, -1, -1),
                input_ids=ids.to(self.device),
                attention_mask=filled.long().to(self.device),
            )
            found = images.scaled(images.corners(seen.pred_boxes.float()).flatten(0, 1), W, H)
            boxes.append(found)
            wide = found.new_zeros((*seen.logits.shape[:2], len(self.words)))
            for i, caption in enumerate(part):
                scores_i = word_scores(seen.logits[i].float(), caption.spans)
                wide[i, :, caption.first : caption.first + len(caption.spans)] = scores_i
            scores.append(wide.flatten(0, 1))
        return torch.cat(boxes), torch.cat(scores)

    # ---- OWLv2: one prompt per word, one logit per prompt ----

    @torch.no_grad()
    def _prompts(self, words: list[str]) -> Float[Tensor, "words d"]:
        length = int(self.model.config.text_config.max_position_embeddings)
        parts = []
        for start in range(0, len(words), PROMPTS_AT_ONCE):
            read = self.tokenizer(
                [PROMPT.format(word) for word in words[start : start + PROMPTS_AT_ONCE]],
                padding="max_length", truncation=True, max_length=length, return_tensors="pt",
            )
            found = self.model.owlv2.get_text_features(
                input_ids=read["input_ids"].to(self.device), attention_mask=read["attention_mask"].to(self.device)
            )
            parts.append(torch.nn.functional.normalize(found.pooler_output, dim=-1))
        return torch.cat(parts)

    def _owl(self, rgb: Tensor) -> Scored:
        H, W = rgb.shape[:2]
        side = int(self.model.config.vision_config.image_size)
        # Padded with black, as in the original (huggingface/transformers#41938).
        pixels = images.prepared(rgb, images.by_long_side((H, W), side), images.CLIP, square=side, padding=0.0)
        grid = self.model.image_embedder(pixel_values=pixels)[0]
        with torch.autocast(self.device.type, enabled=False):  # half precision moves a box by pixels
            grid = grid.float()
            flat = grid.flatten(1, 2)
            logits = self.model.class_predictor(flat, self._queries[None])[0][0]
            boxes = images.corners(self.model.box_predictor(flat, grid)[0])
        h, w = images.by_long_side((H, W), side)
        return images.scaled(boxes, side * W / w, side * H / h), logits.sigmoid()


@dataclass(frozen=True)
class Caption:
    """Some of the words as Grounding DINO reads them."""

    tokens: tuple[int, ...]
    first: int
    """Index of the first word among all."""
    spans: tuple[tuple[int, int], ...]
    """Where each word's tokens start and end in `tokens`."""


def captions(words: Sequence[Sequence[int]], longest: int, words_at_once: int) -> list[Caption]:
    """Words, in their order, cut into captions of at most `longest` tokens: [CLS] word . word . [SEP].

    A word too long even for a caption of its own loses its end.
    """
    out: list[Caption] = []
    tokens: list[int] = [START]
    spans: list[tuple[int, int]] = []
    first = 0
    for i, whole in enumerate(words):
        word = whole[: longest - 3]
        if spans and (len(tokens) + len(word) + 2 > longest or len(spans) == words_at_once):
            out.append(Caption((*tokens, END), first, tuple(spans)))
            tokens, spans, first = [START], [], i
        spans.append((len(tokens), len(tokens) + len(word)))
        tokens += [*word, STOP]
    return [*out, Caption((*tokens, END), first, tuple(spans))]


def word_scores(
    logits: Float[Tensor, "q t"], spans: Sequence[tuple[int, int]]
) -> Float[Tensor, "q words"]:
    """Mean probability of the tokens of each word (as Grounding DINO is scored on detection benchmarks)."""
    probabilities = logits.sigmoid()
    return torch.stack([probabilities[:, a:b].mean(dim=1) for a, b in spans], dim=1)


def _plain(word: str) -> str:
    """Lower case, without the signs that end a phrase.

    Raises:
        InputError: nothing is left.
    """
    plain = re.sub(r"[.?\s]+", " ", word).strip().lower()
    if not plain:
        raise InputError(f"'{word}' is no word to look for; leave it out")
    return plain
