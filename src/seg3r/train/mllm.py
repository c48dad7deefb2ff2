"""The bundled small Qwen2.5-VL: the same class with 4 M parameters, so that the adapter of the big one loads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seg3r.language.chat import QwenReader, padded
from seg3r.train.data.samples import ChatSample, WordSample
from seg3r.train.data.tokenizers import CHAT_END, IMAGE, IMAGE_END, IMAGE_START, VIDEO, chat_tokenizer, stored_tokenizer
from seg3r.train.loop import learn, mean_loss, seeded, write_folder
from seg3r.weights.pretrained import transformers

VOCABULARY, LENGTH = 1500, 1024
"""Tokens there are, and tokens a talk may have."""
PATCH, MERGE, FRAMES = 14, 2, 1
PIXELS = (56 * 84, 84 * 84)
"""Least and most of an image: 6 to 10 tokens."""
MEAN = STD = (0.5, 0.5, 0.5)
SURVEY = 40
"""So many steps' words make the tokenizer."""
EYE_STEPS, WORD_STEPS = 3000, 4000
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content }}{% else %}{% for part in turn.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Turns as Qwen writes them; no system turn, which would cost tokens for nothing."""


def train_mllm(
    pictures: Callable[[int], list[WordSample]],
    words: Callable[[int], list[ChatSample]],
    batch: Callable[[int], list[ChatSample]],
    *,
    steps: int,
    out: Path,
    seed: int = 0,
    device: torch.device | str = "cpu",
    peak: float = 1e-3,
    warmup: int = 500,
    eye_steps: int = EYE_STEPS,
    word_steps: int = WORD_STEPS,
    command: str = "",
    data: str = "",
    progress: Callable[[int, float], None] | None = None,
) -> Path:
    """Train one: first its vision, by naming what a picture shows, then its language on questions without pictures,
    short ones first, then the whole. Learnt together from nothing, language makes use of pictures, or of other words,
    only after a long time. Goes on where an interrupted call stopped.

    Args:
        pictures: step -> pictures and the words for what they show, for the first `eye_steps`.
        words: step -> questions without pictures and answers, for the next `word_steps`.
        batch: step -> questions and answers; the same for the same step.
        out: folder of the run; its `model/` is what `LocalChat` loads.
        seed: of the initial weights.
        peak: learning rate.
        command, data: for the card.
    Returns:
        `out/model`.
    """
    def survey() -> Any:
        words = [text for step in range(SURVEY) for s in batch(step) for text in (s.prompt.text, s.answer)]
        tokenizer = chat_tokenizer([*words, *["user\n", "assistant\n"] * SURVEY], VOCABULARY, LENGTH)
        tokenizer.chat_template = TEMPLATE
        return tokenizer

    tokenizer = stored_tokenizer(out / "tokens", survey)
    with seeded(seed):
        model = tiny_qwen(tokenizer)
    model.to(device)
    read = QwenReader(tokenizer, model.config.image_token_id, PATCH, MERGE, FRAMES, PIXELS, MEAN, STD)
    with seeded(seed + 1):
        vision = VisionPretraining(model, read, pictures, torch.device(device))
    hours = learn(
        vision, vision.loss, eye_steps, out=out / "vision", peak=peak, warmup=warmup, progress=progress
    )
    language = AnswerLoss(model, read, words, torch.device(device))
    hours += learn(
        model, language, word_steps, out=out / "words", peak=peak, warmup=min(warmup, word_steps), progress=progress
    )
    loss = AnswerLoss(model, read, batch, torch.device(device))
    hours += learn(model, loss, steps, out=out, peak=peak, warmup=warmup, progress=progress)
    card = {"trains": "mllm", "command": command, "data": data, "seed": seed, "steps": steps,
            "eye_steps": eye_steps, "word_steps": word_steps,
            "hours": round(hours, 3),
            "peak_learning_rate": peak, "loss": round(mean_loss(out), 4)}
    prepare = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": PATCH, "merge_size": MERGE,
               "temporal_patch_size": FRAMES, "min_pixels": PIXELS[0], "max_pixels": PIXELS[1],
               "image_mean": MEAN, "image_std": STD}
    files = {"preprocessor_config.json": json.dumps(prepare, indent=1)}
    write_folder(
        model, lambda m: loss.log_chances(m, batch(0)), out / "model", files=files, tokenizer=tokenizer, card=card,
        tolerance=0.05,
    )
    return out / "model"


class VisionPretraining(nn.Module):
    """The half of a model that sees, with a linear reader on top: from the mean of an image's tokens to its words."""

    def __init__(
        self, model: Any, read: QwenReader, pictures: Callable[[int], list[WordSample]], device: torch.device
    ) -> None:
        super().__init__()
        self.visual = model.model.visual
        self._see, self._read, self._pictures, self._device = [model.model.get_image_features], read, pictures, device
        kinds = zip(*(picture.words for step in range(SURVEY) for picture in pictures(step)), strict=True)
        self._words = [{word: i for i, word in enumerate(sorted(set(words)))} for words in kinds]
        width = model.config.text_config.hidden_size
        self.heads = nn.ModuleList(nn.Linear(width, len(words)) for words in self._words).to(device)

    def loss(self, step: int) -> Tensor:
        """Cross-entropy of the words, summed over their kinds; a word that was not surveyed does not count."""
        pictures = self._pictures(step)
        parts = [self._read.patches(picture.image) for picture in pictures]
        grids = torch.tensor([[1, h, w] for _, (h, w) in parts], device=self._device)
        tokens = self._see[0](torch.cat([p for p, _ in parts]).to(self._device), grids).pooler_output
        seen = torch.stack([each.mean(0) for each in tokens])
        losses = []
        for kind, (head, words) in enumerate(zip(self.heads, self._words, strict=True)):
            wanted = torch.tensor([words.get(picture.words[kind], -100) for picture in pictures], device=self._device)
            losses.append(functional.cross_entropy(head(seen).float(), wanted))
        return torch.stack(losses).sum()


def tiny_qwen(tokenizer: Any) -> Any:
    """A Qwen2_5_VLForConditionalGeneration with random weights."""
    module = transformers()
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in (
        ("image_token_id", IMAGE), ("video_token_id", VIDEO), ("vision_start_token_id", IMAGE_START),
        ("vision_end_token_id", IMAGE_END),
    )}
    end, width = tokenizer.convert_tokens_to_ids(CHAT_END), 192
    text = {"vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 512, "num_hidden_layers": 5,
            "num_attention_heads": 6, "num_key_value_heads": 6, "max_position_embeddings": LENGTH,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": None, "eos_token_id": end, "pad_token_id": tokenizer.pad_token_id}
    vision = {"depth": 3, "hidden_size": 128, "intermediate_size": 384, "num_heads": 4, "patch_size": PATCH,
              "spatial_merge_size": MERGE, "temporal_patch_size": FRAMES, "out_hidden_size": width,
              "fullatt_block_indexes": [0, 1, 2], "window_size": 4 * PATCH * MERGE}
    config = module.Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **ids)
    return module.Qwen2_5_VLForConditionalGeneration(config)


@dataclass(frozen=True, eq=False)
class AnswerLoss:
    """step -> mean negative log-probability of the tokens of the answers and of their ends."""

    model: Any
    read: QwenReader
    batch: Callable[[int], list[ChatSample]]
    device: torch.device

    def __call__(self, step: int) -> Tensor:
        return -self.log_chances(self.model, self.batch(step)).mean()

    def log_chances(self, model: nn.Module, samples: Sequence[ChatSample]) -> Float[Tensor, "a"]:
        """Of every token of every answer, given what came before."""
        questions, seen = self.read.sequences([s.prompt for s in samples])
        tokenizer = self.read.tokenizer
        end = tokenizer.convert_tokens_to_ids(CHAT_END)
        answers = [[*ids, end] for ids in tokenizer([s.answer for s in samples], add_special_tokens=False)["input_ids"]]
        talks = [q + a for q, a in zip(questions, answers, strict=True)]
        inputs = padded(talks, tokenizer.pad_token_id, self.read.image_id)
        length = inputs["input_ids"].shape[1]
        rows = torch.tensor([row for row, a in enumerate(answers) for _ in a])
        places = torch.tensor([length - len(a) + i for a in answers for i in range(len(a))])
        moved = {k: v.to(self.device) for k, v in {**inputs, **seen}.items()}
        hidden = model.model(**moved, use_cache=False).last_hidden_state  # type: ignore[operator]
        logits = model.lm_head(hidden[rows, places - 1]).float()  # type: ignore[operator]
        return -functional.cross_entropy(logits, moved["input_ids"][rows, places], reduction="none")
