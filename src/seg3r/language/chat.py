"""Images and words -> words: a multi-modal language model from a folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from seg3r.errors import InputError
from seg3r.text import well_formed
from seg3r.types import Prompt, Reply
from seg3r.weights.pretrained import SAFELY, checked_folder, fingerprint, quiet, read_json, transformers

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
"""Their own processors ask for torchvision (for video, which we have not): the reader below stands in."""


class LocalChat:
    """Chat over what transformers loads as AutoModelForImageTextToText: Qwen-VL and others with a chat template.

    Greedy. A reply's confidence is the geometric mean of the probabilities of its tokens, the end token left out.
    """

    def __init__(
        self, folder: Path | str, device: torch.device | str = "cpu", max_tokens: int = 64, at_once: int = 8
    ) -> None:
        """
        Args:
            folder: weights in the Hugging Face format; nothing is downloaded.
            device: where the model runs: in float32 on a CPU, else in the precision it is stored in.
            max_tokens: of a reply.
            at_once: prompts in a batch.
        Raises:
            InputError: no such model in the folder, or no chat template.
            MissingExtraError: transformers is not installed.
        """
        module, folder = transformers(), checked_folder(Path(folder))
        self.device, self.at_once = torch.device(device), at_once
        self.name = fingerprint(folder)
        with quiet(module):
            config = module.AutoConfig.from_pretrained(folder, **SAFELY)
            if type(config) not in module.AutoModelForImageTextToText._model_mapping:
                raise InputError(f"{folder}: a model of type '{config.model_type}' does not answer questions on images")
            self.model = module.AutoModelForImageTextToText.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32 if self.device.type == "cpu" else "auto", **SAFELY
            ).to(self.device).eval().requires_grad_(False)
            self.read: QwenReader | ProcessorReader
            if config.model_type in QWEN:
                self.read = qwen_reader(folder, config)
            else:
                self.read = ProcessorReader(module.AutoProcessor.from_pretrained(folder, **SAFELY))
                if self.read.processor.chat_template is None:
                    raise InputError(f"{folder}: no chat template; fetch chat_template.jinja with the weights")
        self.tokenizer = self.read.tokenizer
        self.limit = int(getattr(config.get_text_config(), "max_position_embeddings", 0)) or None
        ends = self.model.generation_config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        self.ends = sorted({*ends, self.tokenizer.eos_token_id} - {None})
        # A fresh one: the folder's own may sample, penalise repetition or cut the reply.
        self.model.generation_config = module.GenerationConfig(
            do_sample=False, max_new_tokens=max_tokens, eos_token_id=self.ends, pad_token_id=_pad(self.tokenizer),
            return_dict_in_generate=True, output_logits=True,
        )

    def __call__(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """Replies in the order of the prompts.

        Raises:
            InputError: a prompt with more tokens than the model can read.
        """
        replies: list[Reply] = []
        for start in range(0, len(prompts), self.at_once):
            replies += self._batch(prompts[start : start + self.at_once])
        return replies

    @torch.no_grad()
    def _batch(self, prompts: Sequence[Prompt]) -> list[Reply]:
        inputs = self.read(prompts)
        length = inputs["input_ids"].shape[1]
        if self.limit is not None and length > self.limit:
            raise InputError(f"{self.name}: a prompt of {length} tokens; the model reads {self.limit}; ask for less")
        generated = self.model.generate(**{k: _moved(v, self.model) for k, v in inputs.items()})
        tokens = generated.sequences[:, length:].cpu()
        logits = torch.stack([step.float().log_softmax(-1).cpu() for step in generated.logits], 1)
        chosen = logits.gather(2, tokens[..., None])[..., 0]
        return [self._reply(row, chances) for row, chances in zip(tokens.tolist(), chosen.tolist(), strict=True)]

    def _reply(self, tokens: list[int], log_chances: list[float]) -> Reply:
        end = next((i for i, token in enumerate(tokens) if token in self.ends), len(tokens))
        counted = log_chances[: max(1, end)]  # of an empty reply: that it ends at once
        text = self.tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
        mean = sum(counted) / len(counted)
        return Reply(text, None if math.isnan(mean) else math.exp(min(mean, 0.0)))


@dataclass(frozen=True, eq=False)
class ProcessorReader:
    """Prompts -> what a model takes, by the processor of its folder."""

    processor: Any

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    def __call__(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        from PIL import Image

        talks = []
        for prompt in prompts:
            images = [{"type": "image", "image": Image.fromarray(i.cpu().numpy())} for i in prompt.images]
            text = {"type": "text", "text": _harmless(prompt.text, self.tokenizer)}
            talks.append([{"role": "user", "content": [*images, text]}])
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        read = self.processor.apply_chat_template(
            talks, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        return dict(read)


@dataclass(frozen=True, eq=False)
class QwenReader:
    """Prompts -> what a Qwen-VL takes: images of any shape become runs of patches (Qwen2-VL, arXiv 2409.12191)."""

    tokenizer: Any
    image_id: int
    patch: int
    """Side in pixels."""
    merge: int
    """So many patches squared are one token of the language model."""
    repeat: int
    """A still image is so many frames of a film."""
    pixels: tuple[int, int]
    """Least and most of an image."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """Padded on the left."""
        sequences, seen = self.sequences(prompts)
        return {**padded(sequences, _pad(self.tokenizer), self.image_id), **seen}

    def sequences(self, prompts: Sequence[Prompt]) -> tuple[list[list[int]], dict[str, Tensor]]:
        """Tokens of each prompt, and the patches of all images with their grids."""
        parts = [self.patches(image) for prompt in prompts for image in prompt.images]
        talks = []
        for prompt in prompts:
            images = [{"type": "image"}] * len(prompt.images)
            text = {"type": "text", "text": _harmless(prompt.text, self.tokenizer)}
            talks.append([{"role": "user", "content": [*images, text]}])
        texts = self.tokenizer.apply_chat_template(talks, tokenize=False, add_generation_prompt=True)
        runs = iter([h * w // self.merge**2 for _, (h, w) in parts])
        sequences = []
        for tokens in self.tokenizer(texts, add_special_tokens=False)["input_ids"]:
            sequences.append([t for token in tokens for t in [token] * (next(runs) if token == self.image_id else 1)])
        if not parts:
            return sequences, {}
        grids = torch.tensor([[1, h, w] for _, (h, w) in parts])
        return sequences, {"pixel_values": torch.cat([p for p, _ in parts]), "image_grid_thw": grids}

    def patches(self, image: UInt8[Tensor, "H W 3"]) -> tuple[Float32[Tensor, "p c"], tuple[int, int]]:
        """Patches, those of one token together, and how many high and wide."""
        side, m, p = self.patch * self.merge, self.merge, self.patch
        h, w = fitting_size(image.shape[0], image.shape[1], side, *self.pixels)
        x = image.permute(2, 0, 1)[None].float() / 255
        if x.shape[2:] != (h, w):
            x = functional.interpolate(x, (h, w), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (self.mean, self.std))
        x = ((x[0] - mean) / std).view(3, h // side, m, p, w // side, m, p)
        x = x.permute(1, 4, 2, 5, 0, 3, 6)[:, :, :, :, :, None].expand(-1, -1, -1, -1, -1, self.repeat, -1, -1)
        return x.reshape(h * w // p**2, 3 * self.repeat * p**2), (h // p, w // p)


def qwen_reader(folder: Path, config: Any) -> QwenReader:
    """From the files of a folder.

    Raises:
        InputError: no chat template.
    """
    tokenizer = transformers().AutoTokenizer.from_pretrained(folder, **SAFELY)
    if tokenizer.chat_template is None:
        # Where folders written by older versions keep it.
        tokenizer.chat_template = read_json(folder / "chat_template.json").get("chat_template")
    if tokenizer.chat_template is None:
        raise InputError(f"{folder}: no chat template; fetch chat_template.jinja (or .json) with the weights")
    prepare, vision = read_json(folder / "preprocessor_config.json"), config.vision_config
    size = prepare.get("size", {})
    least = prepare.get("min_pixels") or size.get("shortest_edge") or 56 * 56
    most = prepare.get("max_pixels") or size.get("longest_edge") or 28 * 28 * 1280
    mean, std = prepare.get("image_mean", (0.5,) * 3), prepare.get("image_std", (0.5,) * 3)
    return QwenReader(
        tokenizer, int(config.image_token_id), int(vision.patch_size), int(vision.spatial_merge_size),
        int(vision.temporal_patch_size), (int(least), int(most)), tuple(mean), tuple(std),
    )


def fitting_size(H: int, W: int, side: int, least: int, most: int) -> tuple[int, int]:
    """Size of about the same shape, in multiples of `side`, with `least` to `most` pixels (each at least one side)."""
    h, w = (round(v / side) * side for v in (H, W))  # 0 is less than `least`
    if h * w > most:
        shrink = math.sqrt(H * W / most)
        h, w = (max(1, math.floor(v / shrink / side)) * side for v in (H, W))
    elif h * w < least:
        grow = math.sqrt(least / (H * W))
        h, w = (math.ceil(v * grow / side) * side for v in (H, W))
    return h, w


def padded(
    sequences: Sequence[Sequence[int]], pad: int, image_id: int
) -> dict[str, Int64[Tensor, "b t"]]:
    """Tokens, which of them count, and which are of images; shorter ones are filled on the left."""
    length = max(len(s) for s in sequences)
    ids = torch.tensor([[pad] * (length - len(s)) + list(s) for s in sequences])
    counts = torch.tensor([[0] * (length - len(s)) + [1] * len(s) for s in sequences])
    return {"input_ids": ids, "attention_mask": counts, "mm_token_type_ids": (ids == image_id).long()}


def _harmless(text: str, tokenizer: Any) -> str:
    """Without what would end a turn or open an image: names in a map are not to be trusted."""
    text = well_formed(text)
    for token in tokenizer.get_added_vocab():
        text = text.replace(token, "")
    return text


def _pad(tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if pad is None else pad)


def _moved(value: Tensor, model: Any) -> Tensor:
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
