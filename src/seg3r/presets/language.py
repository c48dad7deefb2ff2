"""Who names things and who answers, with which weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from seg3r.answer.mllm import MllmAnswerer
from seg3r.answer.nearest import NearestAnswerer
from seg3r.choices import AnswererName, LabelerName
from seg3r.errors import InputError, check_choice
from seg3r.label.mllm import Mllm
from seg3r.label.nearest import Nearest
from seg3r.label.vocabulary import Vocabulary
from seg3r.label.votes import Votes, VotesElse
from seg3r.language.cache import Cached
from seg3r.language.chat import LocalChat
from seg3r.language.endpoint import EndpointChat, split_endpoint
from seg3r.presets.device import best_device
from seg3r.presets.preset import Preset
from seg3r.protocols import Answerer, Chat, Labeler
from seg3r.scene import SceneMap
from seg3r.types import Answer
from seg3r.weights import folder_of

KEY_VARIABLE = "SEG3R_API_KEY"
"""Environment variable with the key of an endpoint that wants one."""


def chat_of(model: str, device: str | None = None) -> Chat:
    """A multi-modal language model; its replies are kept on disk.

    Args:
        model: a name that `seg3r weights list` knows, a folder of weights, or URL#MODEL of an endpoint that speaks the
            OpenAI protocol (vLLM, llama.cpp, Ollama ...), such as http://127.0.0.1:8000/v1#qwen3-vl.

    Raises:
        InputError: its weights are not on this disk, or the endpoint does not answer.
    """
    if model.startswith(("http://", "https://")):
        base, name = split_endpoint(model)
        key = KEY_VARIABLE if KEY_VARIABLE in os.environ else None
        return Cached(EndpointChat(base, name, key), replies_folder())
    return Cached(LocalChat(folder_of(model), device or best_device()), replies_folder())


def replies_folder() -> Path:
    """Where replies are kept: $SEG3R_CACHE, else seg3r in the user's cache folder."""
    home = os.environ.get("SEG3R_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path(base or "~/.cache").expanduser() / "seg3r") / "answers"


def labeler_of(name: LabelerName, preset: Preset, model: str | None = None) -> Labeler:
    """Who names instances.

    Args:
        model: another language model than the preset's, see `chat_of`.

    Raises:
        InputError: no such labeler, a model that nobody would ask, or weights that are not on this disk.
    """
    check_choice("labels", name, get_args(LabelerName))
    _check_model(name, model)
    if name == "votes":
        return Votes()
    if name == "nearest":
        return Nearest(preset.image_text())
    chat, plain = _chat(preset, model)
    return Mllm(chat, preset.image_text(), plain_too=plain)


def labeler_for(
    name: LabelerName | None, words: Vocabulary | None, preset: Preset, model: str | None = None
) -> Labeler | None:
    """Who names the instances of a map, given what was asked for; None: they keep the names that came with their masks.

    Without a name but with words: the names beside the masks or, where a map has none, the nearest text.

    Raises:
        InputError: as `labeler_of`; or the nearest text without words.
    """
    if name is None:
        _check_model(name, model)
        return None if words is None else VotesElse(lambda: labeler_of("nearest", preset))
    if name == "nearest" and words is None:
        raise InputError("labels: nearest needs a vocabulary: rooms, the name of a data set, or a file of words")
    return labeler_of(name, preset, model)


def answerer_of(name: AnswererName, preset: Preset, model: str | None = None) -> Answerer:
    """Who answers questions.

    Raises:
        InputError: no such answerer, a model that nobody would ask, or weights that are not on this disk.
    """
    check_choice("answer", name, get_args(AnswererName))
    _check_model(name, model)
    if name == "nearest":
        return NearestAnswerer(preset.image_text())
    chat, plain = _chat(preset, model)
    return MllmAnswerer(chat, preset.image_text(), plain_too=plain)


class LazyAnswerer:
    """An answerer whose weights are loaded when the first question comes."""

    def __init__(self, preset: Preset, name: AnswererName | None = None, model: str | None = None) -> None:
        """Args:
            name: None: the preset's own.
            model: another language model, see `chat_of`.

        Raises:
            InputError: no such answerer, or a model that nobody would ask.
        """
        self._preset, self._name, self._model = preset, name or preset.answerer, model
        check_choice("answer", self._name, get_args(AnswererName))
        _check_model(self._name, model)
        self._answerer: Answerer | None = None

    def __call__(self, scene: SceneMap, question: str) -> Answer:
        if self._answerer is None:
            self._answerer = answerer_of(self._name, self._preset, self._model)
        return self._answerer(scene, question)


def _chat(preset: Preset, model: str | None) -> tuple[Chat, bool]:
    """The model, and whether it is also shown the views without the outline: all but those that `seg3r train` made,
    which know the prompts they were trained on and no others."""
    if model is None:
        return preset.chat(), preset.plain_views
    return chat_of(model, preset.device), not (Path(model) / "card.json").is_file()


def _check_model(name: str | None, model: str | None) -> None:
    if model is not None and name != "mllm":
        raise InputError(f"chat: {model} is asked only by the labeler or answerer mllm")
