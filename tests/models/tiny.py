"""Foundation models of their real classes, but tiny and untrained, and tokenizers to match: no files, no network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

WORDS = ["chair", "table", "lamp", "coffee", "cup", "a", "photo", "of"]


def in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, as on an accelerator: what only there runs in bfloat16 does so on the CPU too."""
    real = torch.autocast

    def autocast(device: str, dtype: torch.dtype | None = None, enabled: bool = True) -> Any:
        return real(device, torch.bfloat16, enabled=dtype is not None)

    monkeypatch.setattr(torch, "autocast", autocast)


def bert_tokenizer() -> Any:
    """Words to ids, with BERT's special signs where Grounding DINO expects them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
    vocab |= {word: 2000 + i for i, word in enumerate(WORDS)}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]")


def clip_tokenizer() -> Any:
    """Words to ids between a start and an end sign; the end sign has the highest id, where CLIP looks for it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {"!": 0, "<unk>": 1} | {word: 2 + i for i, word in enumerate(WORDS)} | {"<s>": 48, "</s>": 49}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 48), ("</s>", 49)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", pad_token="!", bos_token="<s>",
                                   eos_token="</s>")


def _swin() -> Any:
    from transformers import SwinConfig

    return SwinConfig(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
                      out_indices=[2, 3, 4])


def _bert() -> Any:
    from transformers import BertConfig

    return BertConfig(vocab_size=2048, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=16, max_position_embeddings=64)


def grounding_dino(kind: str = "grounding-dino") -> Any:
    import transformers as t

    config, model = {
        "grounding-dino": (t.GroundingDinoConfig, t.GroundingDinoForObjectDetection),
        "mm-grounding-dino": (t.MMGroundingDinoConfig, t.MMGroundingDinoForObjectDetection),
    }[kind]
    torch.manual_seed(0)
    return model(config(
        backbone_config=_swin(), text_config=_bert(), num_queries=20, encoder_layers=1, decoder_layers=2, d_model=32,
        encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2, max_text_len=24,
        disable_custom_kernels=True,
    )).eval()


def owlv2() -> Any:
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    torch.manual_seed(0)
    return Owlv2ForObjectDetection(Owlv2Config(
        text_config={"vocab_size": 50, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                     "num_attention_heads": 2, "max_position_embeddings": 8, "bos_token_id": 48, "eos_token_id": 49},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 64, "patch_size": 8},
        projection_dim=16,
    )).eval()


def sam2() -> Any:
    from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[64, 64], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
                              backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]])
    return Sam2Model(Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 16},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    )).eval()


def sam() -> Any:
    from transformers import SamConfig, SamModel

    torch.manual_seed(0)
    return SamModel(SamConfig(
        vision_config={"hidden_size": 16, "output_channels": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 64, "patch_size": 8, "window_size": 0, "global_attn_indexes": [0],
                       "num_pos_feats": 16, "mlp_dim": 16, "initializer_range": 0.02},
        prompt_encoder_config={"hidden_size": 32, "image_size": 64, "patch_size": 8},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
    )).eval()


def sam3() -> Any:
    from transformers import Sam3Config, Sam3Model

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return Sam3Model(Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "window_size": 2,
                "global_attn_indexes": [0], "pretrain_image_size": 28,
            },
            "fpn_hidden_size": 32, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "model_type": "clip_text_model", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 16,
            "projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 8,
            "bos_token_id": 48, "eos_token_id": 49,
        },
        geometry_encoder_config=small, detr_encoder_config=small, detr_decoder_config=small | {"num_queries": 6},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )).eval()


def dino(kind: str = "dinov2") -> Any:
    import transformers as t

    torch.manual_seed(0)
    small = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64}
    if kind == "dinov2":
        return t.Dinov2Model(t.Dinov2Config(**small, patch_size=14, mlp_ratio=1)).eval()
    if kind == "dinov2_with_registers":
        config = t.Dinov2WithRegistersConfig(**small, patch_size=14, mlp_ratio=1, num_register_tokens=2)
        return t.Dinov2WithRegistersModel(config).eval()
    config = t.DINOv3ViTConfig(**small, patch_size=16, intermediate_size=24, num_register_tokens=3)
    return t.DINOv3ViTModel(config).eval()
