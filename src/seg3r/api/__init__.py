"""One-call forms for persons: recordings in, maps, answers and measures out. Every command of the command line is one
function here."""

from __future__ import annotations

from seg3r.api.ask import ask, open_map
from seg3r.api.evaluate import evaluate_data, evaluate_map, evaluate_questions, evaluate_rooms, evaluate_tasks
from seg3r.api.name import name
from seg3r.api.run import frames, method_for, run

__all__ = [
    "ask", "evaluate_data", "evaluate_map", "evaluate_questions", "evaluate_rooms", "evaluate_tasks", "frames",
    "method_for", "name", "open_map", "run",
]
