"""Which parts go together: small ones that work offline (`bundled`), large ones from this disk (`foundation`)."""

from __future__ import annotations

from seg3r.presets.bundled import Bundled
from seg3r.presets.foundation import Foundation
from seg3r.presets.geometry import GeometryOptions, reconstructor
from seg3r.presets.language import answerer_of, labeler_for, labeler_of
from seg3r.presets.mappers import METHODS, moonseg3r, opentrack3d, preset_named
from seg3r.presets.preset import Preset
from seg3r.presets.words import ROOM_WORDS, vocabulary_named

__all__ = [
    "METHODS", "ROOM_WORDS", "Bundled", "Foundation", "GeometryOptions", "Preset", "answerer_of", "labeler_for",
    "labeler_of", "moonseg3r", "opentrack3d", "preset_named", "reconstructor", "vocabulary_named",
]
