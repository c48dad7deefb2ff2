"""Rooms, walks or videos -> weights. Apart from the rest of the api: nobody else needs what this imports."""

from __future__ import annotations

from seg3r.train.recipes import ClipRecipe, Cut3rRecipe, MllmRecipe, QueryRefinerRecipe
from seg3r.train.trainers import clip_from_rooms, cut3r_from_walks, mllm_from_rooms, query_refiner_from_clips

__all__ = [
    "ClipRecipe", "Cut3rRecipe", "MllmRecipe", "QueryRefinerRecipe", "clip_from_rooms", "cut3r_from_walks",
    "mllm_from_rooms", "query_refiner_from_clips",
]
