"""A finished map and words -> names."""

from __future__ import annotations

from pathlib import Path

from seg3r.choices import LabelerName, PresetName
from seg3r.errors import InputError
from seg3r.label.label_map import label_map
from seg3r.label.vocabulary import Vocabulary
from seg3r.presets.language import labeler_for
from seg3r.presets.mappers import preset_named
from seg3r.presets.preset import Preset
from seg3r.presets.words import vocabulary_named
from seg3r.scene.view import Map


def name(
    scene: Map, vocabulary: str | Path | Vocabulary | None = None, labels: LabelerName | None = None,
    preset: PresetName | Preset = "bundled", *, chat: str | None = None, device: str | None = None,
) -> None:
    """Name every instance of a map, in place; what its masks were called stays beside the names.

    Args:
        vocabulary: `rooms`, the name of a data set, a file with one name a line, or words; None: words of the language
            model's own, or of the masks.
        labels: who names them; None: the names beside the masks or, where there are none, the nearest text.
        chat: another language model.
        device: of the networks.

    Raises:
        InputError: neither words nor a labeler that has its own, or weights that are not on this disk.
    """
    words = vocabulary if isinstance(vocabulary, Vocabulary) or vocabulary is None else vocabulary_named(vocabulary)
    labeler = labeler_for(labels, words, preset_named(preset, device), chat)
    if labeler is None:
        raise InputError("vocabulary: give words to name things with, or labels=\"mllm\", which has its own")
    label_map(scene.scene, labeler, words)
