"""View -> Masks with names: SAM 3 asked for concepts (weights and code under Meta's SAM License)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seg3r.errors import InputError
from seg3r.models import images
from seg3r.segment.grounded import settled
from seg3r.types import Masks, View
from seg3r.weights import pretrained

CLASSES = {"sam3": "Sam3Model", "sam3_video": "Sam3Model"}


class Sam3:
    """Disjoint masks of everything that fits one of the words, best first.

    The score of a mask is the model's for the mask times its belief that the concept is in the image at all. A mask
    that fits several words keeps the best; where masks overlap the smaller one wins.
    """

    def __init__(
        self,
        source: str | Path | Any,
        words: Sequence[str],
        tokenizer: Any = None,
        *,
        device: torch.device | str = "cpu",
        threshold: float = 0.3,
        nms: float = 0.5,
        min_area: int = 100,
        max_share: float = 0.6,
        words_at_once: int = 8,
    ) -> None:
        """
        Args:
            source: name of weights, a folder, or the model itself (then with its `tokenizer`).
            words: noun phrases to look for; each costs a pass through all but the image encoder.
            threshold: masks that score less are dropped.
            nms: a mask whose box overlaps a better one's by a higher IoU is dropped.
            min_area: pixels left to a mask.
            max_share: of the frame.
            words_at_once: in one batch; the image is read once.
        Raises:
            InputError: no such weights, or no words.
            MissingExtraError: transformers is not installed.
        """
        if not words or not all(word.strip() for word in words):
            raise InputError("SAM 3 needs words to look for; give at least one, and no empty ones")
        self.model = pretrained.model(source, CLASSES, device)
        self.device = torch.device(device)
        self.words = tuple(words)
        self.threshold, self.nms, self.words_at_once = threshold, nms, words_at_once
        self.min_area, self.max_share = min_area, max_share
        self.side = int(self.model.config.vision_config.image_size)
        tokenizer = pretrained.tokenizer(source) if tokenizer is None else tokenizer
        length = int(self.model.config.text_config.max_position_embeddings)
        read = tokenizer(list(words), padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        self._ids, self._filled = read["input_ids"].to(self.device), read["attention_mask"].to(self.device)

    @torch.no_grad()
    def __call__(self, view: View) -> Masks:
        rgb = view.frame.rgb
        H, W = rgb.shape[:2]
        pixels = images.prepared(rgb.to(self.device), (self.side, self.side), images.HALF)
        masks, boxes, scores, word = [], [], [], []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
            seen = self.model.get_vision_features(pixels)
            for start in range(0, len(self.words), self.words_at_once):
                part = slice(start, start + self.words_at_once)
                found = self.model(
                    vision_embeds=repeated(seen, len(self._ids[part])),
                    input_ids=self._ids[part],
                    attention_mask=self._filled[part],
                )
                score = found.pred_logits.float().sigmoid() * found.presence_logits.float().sigmoid()
                which, query = (score >= self.threshold).nonzero(as_tuple=True)
                # Cut at the model's size for now: few of these masks will be left.
                masks.append(found.pred_masks[which, query].float())
                boxes.append(found.pred_boxes[which, query].float())
                scores.append(score[which, query])
                word.append(which + start)
        named, score = torch.cat(word), torch.cat(scores)
        box = torch.cat(boxes)  # of the model's square: overlaps are the same there
        stay = torch.arange(len(score), device=score.device)
        for classes in (named, None):
            stay = stay[images.nms(box[stay], score[stay], self.nms, None if classes is None else classes[stay])]
        cut = images.restored(torch.cat(masks)[stay], (H, W)) > 0
        keep, cut = settled(cut, self.min_area, self.max_share)
        stay = stay[keep]
        names = tuple(self.words[i] for i in named[stay].tolist())
        return Masks(cut, score[stay], names=names).to(view.depth.device)


def repeated(seen: Any, count: int) -> Any:
    """What the image encoder gave for one image, as of `count` equal ones; nothing is copied."""
    def wide(maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(m.expand(count, *m.shape[1:]) for m in maps)

    return type(seen)(
        last_hidden_state=seen.last_hidden_state,
        fpn_hidden_states=wide(seen.fpn_hidden_states),
        fpn_position_encoding=wide(seen.fpn_position_encoding),
    )
