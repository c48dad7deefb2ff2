"""One-call forms for persons: recordings in, maps, answers and measures out. Every command of the command line is one
function here."""

from seg3r.api.files import write_json
from seg3r.api.mapping import METHODS, frames, make_mapper, map_recording, masks_from, opentrack3d
from seg3r.api.measuring import SWITCHES, evaluate_map, evaluate_rooms, give_identity, switched_off
from seg3r.api.truth import read_truth, truth_masks, truth_surface

__all__ = [
    "METHODS", "SWITCHES", "evaluate_map", "evaluate_rooms", "frames", "give_identity", "make_mapper",
    "map_recording", "masks_from", "opentrack3d", "read_truth", "switched_off", "truth_masks", "truth_surface",
    "write_json",
]
