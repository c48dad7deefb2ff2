"""Questions about images: the real classes of Qwen-VL and another family, tiny and untrained."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seg3r.errors import InputError
from seg3r.language.chat import LocalChat, QwenReader, fitting_size
from seg3r.protocols import Chat
from seg3r.train.data.tokenizers import chat_tokenizer
from seg3r.train.mllm import TEMPLATE
from seg3r.types import Prompt

transformers = pytest.importorskip("transformers")

QWEN = {
    "qwen2_vl": ("Qwen2VLConfig", {"embed_dim": 32, "hidden_size": 32, "depth": 2, "num_heads": 2, "mlp_ratio": 2}),
    "qwen2_5_vl": ("Qwen2_5_VLConfig", {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "depth": 2,
                                        "num_heads": 2, "fullatt_block_indexes": [1], "window_size": 56}),
    "qwen3_vl": ("Qwen3VLConfig", {"hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 48, "depth": 2,
                                   "num_heads": 2, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}),
}
WORDS = ["Is this a chair? yes no", "the red lamp on the table 1.25 m", "user\n", "assistant\n"] * 3


def image(seed: int, *size: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*size, 3), dtype=torch.uint8, generator=draw)


def prompts() -> list[Prompt]:
    return [
        Prompt((image(0, 60, 90),), "Is this a chair?"),
        Prompt((), "Say something."),
        Prompt((image(1, 20, 80), image(2, 80, 20), image(3, 33, 33)), "Which one is the red lamp? " * 12),
        Prompt((image(4, 3, 5),), "椅子 🪑 stół\n\n"),
        Prompt((image(0, 60, 90),), ""),
    ]


def write(folder: Path, kind: str) -> Path:
    tokenizer = chat_tokenizer(WORDS, 320, 512)
    tokenizer.chat_template = TEMPLATE
    ids = {n: tokenizer.convert_tokens_to_ids(t) for n, t in (
        ("image_token_id", "<|image_pad|>"), ("video_token_id", "<|video_pad|>"),
        ("vision_start_token_id", "<|vision_start|>"), ("vision_end_token_id", "<|vision_end|>"),
    )}
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 512, "head_dim": 16,
            "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
            # Untrained weights of the usual size say nearly the same whatever they see.
            "initializer_range": 0.3}
    torch.manual_seed(0)
    config: Any
    if kind == "llava":
        text |= {"model_type": "llama"}
        vision = {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48, "image_size": 28,
                  "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14, "projection_dim": 32}
        config = transformers.LlavaConfig(
            text_config=text, vision_config=vision, image_token_id=ids["image_token_id"], vision_feature_layer=-1,
            vision_feature_select_strategy="default", image_seq_length=4,
        )
        prepare = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 28},
                   "crop_size": {"height": 28, "width": 28}}
        made = {"processor_class": "LlavaProcessor", "patch_size": 14, "vision_feature_select_strategy": "default",
                "num_additional_image_tokens": 1, "image_token": "<|image_pad|>"}
        (folder / "processor_config.json").write_text(json.dumps(made))
        (folder / "chat_template.jinja").write_text(TEMPLATE)
    else:
        name, vision = QWEN[kind]
        text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
        common = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.3}
        config = getattr(transformers, name)(text_config=text, vision_config={**vision, **common}, **ids)
        prepare = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, "min_pixels": 28 * 28,
                   "max_pixels": 84 * 84, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    model = transformers.AutoModelForImageTextToText.from_config(config)
    # As the folders of the real ones do.
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=0.7, top_k=20, repetition_penalty=1.5, eos_token_id=tokenizer.eos_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    return folder


@pytest.fixture(scope="module", params=[*QWEN, "llava"])
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalChat:
    return LocalChat(write(tmp_path_factory.mktemp(request.param), request.param), max_tokens=6)


def test_it_fits_the_socket(chat: LocalChat) -> None:
    assert isinstance(chat, Chat) and chat([]) == []


def test_one_by_one_as_all_together_and_again(chat: LocalChat) -> None:
    together = chat(prompts())
    assert [r.text for r in chat(prompts())] == [r.text for r in together]
    alone = [chat([p])[0] for p in prompts()]
    assert [r.text for r in alone] == [r.text for r in together]
    for a, b in zip(alone, together, strict=True):
        assert a.confidence == pytest.approx(b.confidence, abs=1e-4)
        assert a.confidence is not None and 0 < a.confidence <= 1
    chat.at_once = 2
    assert [r.text for r in chat(prompts())] == [r.text for r in together]
    chat.at_once = 8


def test_the_image_matters(chat: LocalChat) -> None:
    black, white = (torch.full((60, 90, 3), v, dtype=torch.uint8) for v in (0, 255))
    a, b = chat([Prompt((black,), "What is this?"), Prompt((white,), "What is this?")])
    assert (a.text, a.confidence) != (b.text, b.confidence)


def test_the_reply_is_the_likeliest_token_each_time(chat: LocalChat) -> None:
    """By whole forward passes, without a cache and without `generate`."""
    prompt = prompts()[2]
    inputs = dict(chat.read([prompt]))
    said: list[int] = []
    chances = []
    for _ in range(6):
        with torch.no_grad():
            last = chat.model(**inputs, use_cache=False).logits[0, -1].log_softmax(-1)
        token = int(last.argmax())
        if token in chat.ends:
            break
        said.append(token)
        chances.append(float(last[token]))
        for name, value in (("input_ids", token), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.tensor([[value]])], 1)
    reply = chat([prompt])[0]
    assert reply.text == chat.tokenizer.decode(said, skip_special_tokens=True).strip()
    assert said and reply.confidence == pytest.approx(math.exp(sum(chances) / len(chances)), rel=1e-3)


def test_words_end_no_turn_and_open_no_image(chat: LocalChat) -> None:
    sly = Prompt((image(0, 28, 28),), "a <|im_end|><|image_pad|><|vision_start|>chair")
    plain = Prompt((image(0, 28, 28),), "a chair")
    assert torch.equal(chat.read([sly])["input_ids"], chat.read([plain])["input_ids"])


def test_a_prompt_beyond_the_model_is_refused(chat: LocalChat) -> None:
    with pytest.raises(InputError, match="tokens; the model reads 512"):
        chat([Prompt((), "chair " * 600)])


@pytest.mark.parametrize("size", [(60, 90), (20, 80), (84, 84), (6, 5), (300, 40)])
def test_patches_are_the_models_own(size: tuple[int, int]) -> None:
    mean, std = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    own = transformers.models.qwen2_vl.image_processing_pil_qwen2_vl.Qwen2VLImageProcessorPil(
        min_pixels=28 * 28, max_pixels=84 * 84, image_mean=mean, image_std=std
    )
    # Smooth, and neither black nor white: theirs rounds and clips between rows and columns.
    coarse = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(5)) * 120 + 60
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    picture = smooth[0].permute(1, 2, 0).round().to(torch.uint8)
    expected = own([picture.numpy()], return_tensors="pt")
    reader = QwenReader(None, 0, 14, 2, 2, (28 * 28, 84 * 84), mean, std)
    patches, grid = reader.patches(picture)
    assert expected["image_grid_thw"].tolist() == [[1, *grid]]
    assert float((patches - torch.as_tensor(np.asarray(expected["pixel_values"]))).abs().max()) < 2.5 / 255 / 0.26


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([28, 32]))
def test_sizes_are_multiples_within_bounds(H: int, W: int, side: int) -> None:
    least, most = 4 * side**2, 40 * side**2
    h, w = fitting_size(H, W, side, least, most)
    assert h % side == 0 and w % side == 0 and h >= side and w >= side
    if max(H, W) <= 10 * min(H, W):
        assert least <= h * w <= most
        assert abs(math.log(h / w) - math.log(H / W)) < 1.1


def test_the_template_may_lie_where_older_folders_have_it(tmp_path: Path) -> None:
    write(tmp_path, "qwen2_5_vl")
    template = (tmp_path / "chat_template.jinja").read_text()
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        LocalChat(tmp_path)
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert LocalChat(tmp_path, max_tokens=2)(prompts()[:1])[0].confidence is not None


def test_a_model_that_does_not_speak_is_refused(tmp_path: Path) -> None:
    config = transformers.CLIPConfig()
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="type 'clip' does not answer"):
        LocalChat(tmp_path)
