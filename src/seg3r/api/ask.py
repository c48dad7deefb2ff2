"""A map folder and a question -> an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seg3r.choices import AnswererName, PresetName
from seg3r.describe.answers import answer_record
from seg3r.errors import InputError
from seg3r.files import check_file
from seg3r.presets.language import LazyAnswerer, answerer_of
from seg3r.presets.mappers import preset_named
from seg3r.presets.preset import Preset
from seg3r.report import write_report
from seg3r.scene import SceneMap
from seg3r.scene.view import Map


def open_map(
    folder: str | Path, preset: PresetName | Preset = "bundled", *, answer: AnswererName | None = None,
    chat: str | None = None, device: str | None = None,
) -> Map:
    """The map in a folder that `run` wrote.

    Args:
        answer: who answers questions: the nearest text, or a multi-modal language model that knows where things stand;
            None: the preset's. Its weights are loaded when the first question comes.
        chat: another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint.
        device: of the networks.

    Raises:
        InputError: no map there, or a word that is none.
    """
    parts = preset_named(preset, device)
    scene = SceneMap.load(Path(folder).expanduser() / "scene.safetensors")
    return Map(scene, LazyAnswerer(parts, answer, chat))


def ask(
    folder: str | Path, question: str, answer: AnswererName = "nearest", preset: PresetName | Preset = "bundled", *,
    chat: str | None = None, device: str | None = None, page: str | Path | None = None,
) -> dict[str, Any]:
    """Put a question to a map that `run` wrote: {"question", "answers": [{"id", "score", "name"}], "text", "points",
    "mask"}, see `seg3r.describe.answers.answer_record`.

    Args:
        answer: who answers: the nearest text, or a multi-modal language model that knows where things stand.
        chat: another language model: a name from `seg3r weights list`, a folder, or URL#MODEL of an endpoint.
        device: of the networks.
        page: where to write a page that shows the answer in the map; None: nowhere.

    Raises:
        InputError: no map there, an empty question, or weights that are not on this disk.
    """
    page = None if page is None else Path(page).expanduser()
    if page is not None:
        check_file(page)
    if not question.strip():
        raise InputError('an empty question; ask for something, as in "something to sit on"')
    parts = preset_named(preset, device)
    scene = SceneMap.load(Path(folder).expanduser() / "scene.safetensors")  # before weights are loaded for it
    answerer = answerer_of(answer, parts, chat)
    found = answerer(scene, question)
    if page is not None:
        write_report(
            page, scene, title=f"{Path(folder).expanduser().resolve().name}: {question}", figures={}, seconds={},
            settings={}, answers=(found,),
        )
    return answer_record(scene, found)
