"""Names and answers: which labeler, with which weights, over which words."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float32
from torch import Tensor

import seg3r
from seg3r.errors import InputError
from seg3r.evaluate.datasets import DATASETS
from seg3r.label.cache import Cached
from seg3r.label.chat import LocalChat
from seg3r.label.endpoint import EndpointChat
from seg3r.label.image_text import ImageText
from seg3r.label.mllm import Mllm, MllmAnswers
from seg3r.label.nearest import Nearest, NearestAnswers
from seg3r.label.prompts import same_name
from seg3r.label.vocabulary import Vocabulary, read_vocabulary
from seg3r.label.votes import Votes, best_names
from seg3r.protocols import Answerer, Chat, ImageTextEncoder
from seg3r.reading import printable
from seg3r.rooms import CLASSES, STRUCTURAL
from seg3r.scene import SceneMap
from seg3r.types import Labels
from seg3r.weights import REGISTRY, folder_of, present

Preset = Literal["bundled", "foundation"]
LabelsBy = Literal["votes", "nearest", "mllm"]
"""votes: names beside the masks; nearest: the nearest text (CLIP family); mllm: a multi-modal language model."""

BUNDLED = Path(seg3r.__file__).parent / "bundled"
ENCODER, CHAT = "siglip2-base", "qwen2.5-vl-7b"
"""Of the foundation preset (specification, D-13)."""
KEY_VARIABLE = "SEG3R_API_KEY"
"""Environment variable with the key of an endpoint that wants one."""
ROOM_WORDS = Vocabulary(tuple(name for name in CLASSES[1:] if name not in STRUCTURAL))


@runtime_checkable
class Namer(Protocol):
    """A Labeler that can also tell the probability of every word."""

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels: ...

    def chances(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]: ...


def encoder_of(preset: Preset, device: str | None = None) -> ImageTextEncoder:
    """The preset's image-text encoder.

    Raises:
        InputError: its weights are not on this disk.
    """
    return ImageText(BUNDLED / "clip" if preset == "bundled" else folder_of(ENCODER), device or best_device())


def chat_of(preset: Preset, model: str | None = None, device: str | None = None) -> Chat:
    """A multi-modal language model: the preset's, or another one; what it said is kept on disk.

    Args:
        model: a name that `seg3r weights list` knows, a folder of weights, or URL#MODEL of an endpoint that speaks the
            OpenAI protocol (vLLM, llama.cpp, Ollama ...), such as http://127.0.0.1:8000/v1#qwen3-vl.

    Raises:
        InputError: its weights are not on this disk, or the endpoint does not answer.
    """
    if model is None and preset == "bundled":
        return LocalChat(BUNDLED / "mllm", device or "cpu", at_once=32)
    named = model or CHAT
    if named.startswith(("http://", "https://")):
        base, _, name = named.partition("#")
        if not name:
            raise InputError(f"{named}: name the model after a #, as in {base}#qwen3-vl")
        key = KEY_VARIABLE if KEY_VARIABLE in os.environ else None
        return Cached(EndpointChat(base, name, key), answers_folder())
    return Cached(LocalChat(folder_of(named), device or best_device()), answers_folder())


def best_device() -> str:
    """An accelerator where PyTorch sees one."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if accelerator is None else str(accelerator)


def answers_folder() -> Path:
    """Where replies are kept: $SEG3R_CACHE, else seg3r in the user's cache folder."""
    home = os.environ.get("SEG3R_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path(base or "~/.cache").expanduser() / "seg3r") / "answers"


def words_called(name: str) -> Vocabulary:
    """`rooms`, the class list of a data set, or a file with one name a line.

    Raises:
        InputError: none of these.
    """
    if name == "rooms":
        return ROOM_WORDS
    if name in DATASETS:
        return Vocabulary(DATASETS[name].protocol.phrases)
    if not Path(name).is_file():
        raise InputError(f"vocabulary {name!r}: neither a file nor one of rooms, {', '.join(DATASETS)}")
    return read_vocabulary(Path(name))


def namer_of(labels: LabelsBy, preset: Preset = "bundled", model: str | None = None) -> Namer:
    """Who names instances.

    Raises:
        InputError: its weights are not on this disk.
    """
    if labels == "votes":
        return VotedWords()
    if labels == "nearest":
        return Nearest(encoder_of(preset))
    return Mllm(chat_of(preset, model), encoder_of(preset), plain_too=shows_plain(preset, model))


def shows_plain(preset: Preset, model: str | None = None) -> bool:
    """Whether a language model is also shown the views without the outline: all but those that `seg3r train` made,
    which know the prompts they were trained on and no others."""
    return preset == "foundation" if model is None else not (Path(model) / "card.json").is_file()


def namer_for(
    labels: LabelsBy | None, words: Vocabulary | None, preset: Preset = "bundled", model: str | None = None
) -> Namer | None:
    """Who names the instances of a run that asked for `labels` and `words`; None: they keep the names that came with
    their masks.

    Raises:
        InputError: the nearest text needs words; a model was given that nobody would ask; or weights are not on this
            disk.
    """
    if labels == "nearest" and words is None:
        raise InputError("--labels nearest needs --vocabulary: rooms, the name of a data set, or a file of words")
    if model is not None and labels != "mllm":
        raise InputError(f"--chat {model} is asked only with --labels mllm")
    if labels is None and words is not None:
        return VotesElseNearest(preset)
    return None if labels is None else namer_of(labels, preset, model)


def answerer_of(labels: Literal["nearest", "mllm"], preset: Preset = "bundled", model: str | None = None) -> Answerer:
    """Who answers questions.

    Raises:
        InputError: its weights are not on this disk.
    """
    if labels == "nearest":
        return NearestAnswers(encoder_of(preset))
    return MllmAnswers(chat_of(preset, model), encoder_of(preset), plain_too=shows_plain(preset, model))


class VotesElseNearest:
    """The names that came with the masks or, where a map has none, the nearest text."""

    def __init__(self, preset: Preset) -> None:
        self._preset: Preset = preset
        self._nearest: Namer | None = None

    def __call__(self, scene: SceneMap, vocabulary: Sequence[str]) -> Labels:
        return self._chosen(scene)(scene, vocabulary)

    def chances(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Of the one that is asked."""
        return self._chosen(scene).chances(scene, vocabulary)

    def _chosen(self, scene: SceneMap) -> Namer:
        if any(scene.name_votes.values()):
            return VotedWords()
        if self._nearest is None:
            self._nearest = namer_of("nearest", self._preset)
        return self._nearest


class VotedWords(Votes):
    """Votes as probabilities."""

    def chances(self, scene: SceneMap, vocabulary: Sequence[str]) -> Float32[Tensor, "k c"]:
        """Share of the votes of each word."""
        place = {word: i for i, word in enumerate(vocabulary)}
        table = torch.zeros(len(scene), len(vocabulary))
        for row, instance_id in enumerate(scene.ids.tolist()):
            votes = scene.name_votes.get(instance_id, {})
            for name, vote in votes.items():
                if (word := same_name(name, vocabulary)) is not None:
                    table[row, place[word]] += vote / max(sum(votes.values()), 1e-9)
        return table


def label_map(scene: SceneMap, namer: Namer, vocabulary: Vocabulary | None) -> Labels:
    """Name every instance of a finished map; the names take the place of what was voted on the way.

    Args:
        vocabulary: None = words of the labeler's own.
    """
    labels = namer(scene, () if vocabulary is None else vocabulary.words)
    if vocabulary is not None:
        labels = vocabulary.named(labels)
    for instance_id, name, score in zip(scene.ids.tolist(), labels.names, labels.scores.tolist(), strict=True):
        if name is None:
            scene.name_votes.pop(instance_id, None)
        else:
            scene.name_votes[instance_id] = {name: round(float(score), 4)}
    return labels


def ask(
    folder: Path, question: str, labels: Literal["nearest", "mllm"] = "nearest", preset: Preset = "bundled",
    model: str | None = None,
) -> dict[str, Any]:
    """Put a question to a map that `run` wrote: {"question", "answers": [{"id", "score", "name"}], "text"}.

    Raises:
        InputError: no map there, an empty question, or weights that are not on this disk.
    """
    if model is not None and labels != "mllm":
        raise InputError(f"--chat {model} is asked only with --labels mllm")
    question = printable(question)
    if not question:
        raise InputError('an empty question; ask for something, as in "something to sit on"')
    scene = SceneMap.load(folder / "scene.safetensors")
    answer = answerer_of(labels, preset, model)(scene, question)
    names = dict(zip(scene.ids.tolist(), best_names(scene), strict=True))
    answers = [
        {"id": i, "score": score, "name": names[i]}
        for i, score in zip(answer.instance_ids, answer.scores, strict=True)
    ]
    return {"question": question, "answers": answers, "text": answer.text or said(answers)}


def said(answers: Sequence[Mapping[str, Any]]) -> str:
    """An answer in one line."""
    if not answers:
        return "Nothing fits."
    first = answers[0]
    others = f" and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{first['name'] or 'Instance'} #{first['id']}{others}."


def weights_listed() -> list[dict[str, Any]]:
    """What `seg3r weights` can fetch, and what of it is on this disk."""
    return [
        {"name": name, "use": known.use, "licence": known.licence, "megabytes": known.megabytes, "repo": known.repo,
         "gated": known.gated, "here": present(name) is not None}
        for name, known in REGISTRY.items()
    ]
