"""Crops and phrases in one space: the real classes of the CLIP family, tiny and untrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seg3r.errors import InputError
from seg3r.language.image_text import ImageText, prepared_crops
from seg3r.protocols import ImageTextEncoder
from seg3r.train.data.tokenizers import phrase_tokenizer

transformers = pytest.importorskip("transformers")

WORDS = ["a chair", "the red chair", "something to sit on", "a lamp on the desk"] * 3
LONG = "a chair " * 60
PHRASES = ["a chair", "the RED chair", "", LONG, "椅子 🪑 stół", "something to sit on"]


def crops() -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    sizes = [(32, 32), (20, 90), (90, 20), (7, 3), (1, 50), (64, 48)]
    return [torch.randint(0, 256, (*s, 3), dtype=torch.uint8, generator=draw) for s in sizes]


def write(folder: Path, kind: str, seed: int = 0) -> Path:
    tokenizer = phrase_tokenizer(WORDS, 300, 16)
    end = tokenizer.eos_token_id
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": end,
            "eos_token_id": end}
    vision = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}
    torch.manual_seed(seed)
    model: Any
    if kind == "siglip":
        model = transformers.SiglipModel(
            transformers.SiglipConfig(text_config={**text, "projection_size": 48}, vision_config=vision)
        )
        model.logit_scale.data.fill_(2.0)
        model.logit_bias.data.fill_(-3.0)
        prepare = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    else:
        model = transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
        )
        prepare = {"size": {"shortest_edge": 32}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32},
                   "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "resample": 3}
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    return folder


@pytest.fixture(scope="module", params=["siglip", "clip"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ImageText:
    return ImageText(write(tmp_path_factory.mktemp(request.param), request.param))


def test_it_fits_the_socket(encoder: ImageText) -> None:
    assert isinstance(encoder, ImageTextEncoder)


def test_vectors_are_unit_length_one_by_one_as_all_together(encoder: ImageText) -> None:
    seen, said = encoder.images(crops()), encoder.texts(PHRASES)
    assert seen.shape[1] == said.shape[1]
    for vectors in (seen, said):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)))
    torch.testing.assert_close(torch.cat([encoder.images([c]) for c in crops()]), seen, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.cat([encoder.texts([p]) for p in PHRASES]), said, atol=1e-5, rtol=0)
    assert float((seen[0] - seen[1]).abs().max()) > 1e-3 and float((said[0] - said[4]).abs().max()) > 1e-3


def test_more_than_a_batch_keeps_its_order(encoder: ImageText) -> None:
    many = [f"chair {i}" for i in range(150)]
    torch.testing.assert_close(encoder.texts(many)[140], encoder.texts([many[140]])[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder.images(crops() * 6)[33], encoder.images([crops()[3]])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("phrase", ["a chair \ud83d", "\udc80", "a\x00b"])
def test_half_a_surrogate_pair_is_encoded_too(encoder: ImageText, phrase: str) -> None:
    assert bool(encoder.texts([phrase]).isfinite().all())


def test_nothing_in_nothing_out(encoder: ImageText) -> None:
    assert encoder.images([]).shape == (0, encoder.images(crops()[:1]).shape[1])
    assert encoder.texts([]).shape == (0, encoder.texts(["a"]).shape[1])


def test_the_logit_is_the_models_own(encoder: ImageText) -> None:
    pixels = prepared_crops(crops(), encoder.size, encoder.fit, encoder.mean, encoder.std)
    read = encoder.tokenizer(PHRASES, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
    tokens = {"input_ids": read["input_ids"]}
    if not encoder.independent:
        tokens["attention_mask"] = read["attention_mask"]
    with torch.no_grad():
        expected = encoder.model(pixel_values=pixels, **tokens).logits_per_image
    ours = encoder.scale * encoder.images(crops()) @ encoder.texts(PHRASES).T + encoder.bias
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-5)
    assert encoder.independent == (encoder.bias != 0)


def test_a_long_phrase_loses_its_end_and_keeps_its_beginning(encoder: ImageText) -> None:
    a, b, c = encoder.texts([LONG + "lamp", LONG + "desk", "lamp " + LONG])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    assert float((a - c).abs().max()) > 1e-4


@pytest.mark.parametrize("size", [(32, 32), (50, 90), (90, 20)])
def test_squashing_is_the_models_own_preparation(size: tuple[int, int]) -> None:
    # Not up to black and white: enlarging overshoots, and some versions of Pillow clip that between their two passes.
    crop = torch.randint(64, 192, (*size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    processor = transformers.models.siglip.image_processing_pil_siglip.SiglipImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    expected = torch.from_numpy(np.stack(processor([crop.numpy()])["pixel_values"]))
    ours = prepared_crops([crop], 32, "squash", (0.5,) * 3, (0.5,) * 3)
    assert float((ours - expected).abs().max()) < 2.5 / 127.5  # its pixels are rounded to 8 bits


def test_padding_keeps_the_shape_and_the_ends() -> None:
    crop = torch.full((10, 40, 3), 255, dtype=torch.uint8)
    crop[:, :4] = 0
    out = prepared_crops([crop], 32, "pad", (0.5,) * 3, (0.5,) * 3)[0]
    assert torch.equal(out[:, :12], torch.zeros(3, 12, 32)) and torch.equal(out[:, 20:], torch.zeros(3, 12, 32))
    assert float(out[:, 12:20, :2].max()) < -0.9 and float(out[:, 12:20, 8:].min()) > 0.9


def test_a_clip_is_padded_where_it_would_cut_the_ends_off(tmp_path: Path) -> None:
    assert ImageText(write(tmp_path, "clip")).fit == "pad"


def test_the_name_tells_weights_apart_and_knows_no_card(tmp_path: Path) -> None:
    first = ImageText(write(tmp_path / "a" / "twin", "siglip")).name
    (tmp_path / "a" / "twin" / "card.json").write_text("{}")
    assert ImageText(tmp_path / "a" / "twin").name == first
    assert ImageText(write(tmp_path / "b" / "twin", "siglip")).name == first
    assert ImageText(write(tmp_path / "c" / "twin", "siglip", seed=1)).name != first


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        ImageText(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "siglip2"}')
    with pytest.raises(InputError, match=r"no \*.safetensors"):
        ImageText(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="type 'siglip2'"):
        ImageText(tmp_path)
