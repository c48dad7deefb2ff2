"""A small byte-level tokenizer from the phrases a model will meet: any text has tokens, frequent words have one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from seg3r.files import replace_folder

PAD, END = "<pad>", "</s>"
CHAT_PAD, CHAT_START, CHAT_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
IMAGE_START, IMAGE_END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
"""The names Qwen-VL gives them: the adapters know these."""


def phrase_tokenizer(texts: Iterable[str], size: int, length: int) -> Any:
    """A tokenizer for phrases: lower case, an end token after each.

    Args:
        texts: to learn merges from (Sennrich et al., ACL 2016, over bytes).
        size: of the vocabulary, at most; 256 bytes and the special tokens are in any case.
        length: most tokens of a phrase.
    """
    from tokenizers import processors

    tokenizer = _byte_pairs(texts, size, [PAD, END], lower=True)
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end)])
    return _wrapped(tokenizer, pad_token=PAD, eos_token=END, model_max_length=length)


def chat_tokenizer(texts: Iterable[str], size: int, length: int) -> Any:
    """A tokenizer for a chat with images; arguments as of `phrase_tokenizer`. Case stays."""
    special = [CHAT_PAD, CHAT_START, CHAT_END, IMAGE_START, IMAGE_END, IMAGE, VIDEO]
    tokenizer = _byte_pairs(texts, size, special, lower=False)
    return _wrapped(tokenizer, pad_token=CHAT_PAD, eos_token=CHAT_END, model_max_length=length)


def stored_tokenizer(folder: Path, make: Callable[[], Any]) -> Any:
    """The tokenizer a run began with, or a new one, stored in `folder`: weights mean nothing without theirs."""
    from transformers import PreTrainedTokenizerFast

    if not (folder / "tokenizer.json").is_file():
        tokenizer = make()
        replace_folder(folder, tokenizer.save_pretrained)
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _byte_pairs(texts: Iterable[str], size: int, special: list[str], lower: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    fold = [normalizers.Lowercase()] if lower else []
    # A space in front makes a word the same token at the start of a text as within.
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *fold, normalizers.Prepend(" ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _wrapped(tokenizer: Any, **names: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names
    )
