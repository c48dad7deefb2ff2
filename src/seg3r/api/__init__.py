"""One-call forms for persons: recordings in, maps, answers and measures out. Every command of the command line is one
function here."""

from seg3r.api.files import write_json
from seg3r.api.labelling import ask, namer_for, weights_listed, words_called
from seg3r.api.mapping import (
    METHODS,
    frames,
    geometry_parts,
    make_mapper,
    map_recording,
    masks_from,
    mesh_of,
    moonseg3r,
    opentrack3d,
    refuse_moonseg3rs,
)
from seg3r.api.measuring import (
    SWITCHES,
    evaluate_data,
    evaluate_map,
    evaluate_rooms,
    give_identity,
    switched_off,
)
from seg3r.api.questions import evaluate_questions, evaluate_tasks
from seg3r.api.truth import read_truth, truth_masks, truth_surface

__all__ = [
    "METHODS", "SWITCHES", "ask", "evaluate_data", "evaluate_map", "evaluate_questions", "evaluate_rooms",
    "evaluate_tasks", "frames", "geometry_parts", "give_identity", "make_mapper", "map_recording", "masks_from",
    "mesh_of", "moonseg3r", "namer_for", "opentrack3d", "read_truth", "refuse_moonseg3rs", "switched_off",
    "truth_masks", "truth_surface", "weights_listed", "words_called", "write_json",
]
