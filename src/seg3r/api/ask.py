"""A map folder and a question -> an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg3r.errors import InputError
from seg3r.label.votes import best_names
from seg3r.presets.language import answerer_of
from seg3r.presets.mappers import preset_named
from seg3r.presets.preset import AnswererName, Preset, PresetName
from seg3r.scene import SceneMap


def ask(
    folder: str | Path, question: str, answer: AnswererName = "nearest", preset: PresetName | Preset = "bundled", *,
    chat: str | None = None, device: str | None = None,
) -> dict[str, Any]:
    """Put a question to a map that `run` wrote: {"question", "answers": [{"id", "score", "name"}], "text"}.

    Args:
        answer: who answers: the nearest text, or a multi-modal language model that knows where things stand.
        chat: another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint.
        device: of the networks.

    Raises:
        InputError: no map there, an empty question, or weights that are not on this disk.
    """
    if not question.strip():
        raise InputError('an empty question; ask for something, as in "something to sit on"')
    answerer = answerer_of(answer, preset_named(preset, device), chat)
    scene = SceneMap.load(Path(folder).expanduser() / "scene.safetensors")
    found = answerer(scene, question)
    names = dict(zip(scene.ids.tolist(), best_names(scene), strict=True))
    answers = [
        {"id": i, "score": score, "name": names[i]}
        for i, score in zip(found.instance_ids, found.scores, strict=True)
    ]
    return {"question": question, "answers": answers, "text": found.text or in_one_line(answers)}


def in_one_line(answers: Sequence[Mapping[str, Any]]) -> str:
    """An answer in one line."""
    if not answers:
        return "Nothing fits."
    first = answers[0]
    others = f" and {len(answers) - 1} more" if len(answers) > 1 else ""
    return f"{first['name'] or 'Instance'} #{first['id']}{others}."
