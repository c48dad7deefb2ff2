"""Answers on the page: what was asked, what was said, and where in the map it lies."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from seg3r.describe.answers import answer_mask, answer_record
from seg3r.report.images import jpeg_url
from seg3r.report.render import RoomFrame, rasterise, viewpoints
from seg3r.scene import SceneMap
from seg3r.types import Answer

PICTURE = (434, 651)
PICTURE_QUALITY = 80
MARKED = (255, 140, 26)
MARK, DIM = 0.8, 0.45
"""Share of the mark's colour in what is meant, and brightness left to the rest."""


def answers_section(scene: SceneMap, room: RoomFrame, answers: Sequence[Answer]) -> str:
    """Nothing where nothing was asked."""
    if not answers:
        return ""
    points = scene.points.numpy()
    sides = viewpoints(points, room, PICTURE)[:2] if len(points) else []
    rasters = [(side, rasterise(points[side.keep], side.camera, 0.9 * scene.voxel_m)) for side in sides]
    parts = []
    for answer in answers:
        record, mask = answer_record(scene, answer), answer_mask(scene, answer).numpy()
        colors = marked(scene.colors.numpy(), mask)
        figures = "".join(
            f'<figure><img alt="What is meant, {html.escape(viewpoint.name.lower())}" loading="lazy" '
            f'src="{jpeg_url(raster.picture(colors[viewpoint.keep]), PICTURE_QUALITY)}">'
            f"<figcaption>{html.escape(viewpoint.name)}</figcaption></figure>"
            for viewpoint, raster in rasters if mask.any()
        )
        named = "".join(
            f'<li><a href="#instance-{int(each["id"])}"><bdi>{html.escape(each["name"] or "unnamed")}</bdi> '
            f'#{int(each["id"])}</a> <span class="soft">score {each["score"]:.2f}</span></li>'
            for each in record["answers"]
        )
        parts.append(
            f'<section class="answer"><h3><bdi>{html.escape(answer.question)}</bdi></h3>'
            f'<p><bdi>{html.escape(record["text"])}</bdi> <span class="soft">{record["points"]} points</span></p>'
            + (f"<ul>{named}</ul>" if named else "") + f'<div class="sides">{figures}</div></section>'
        )
    return f"<h2>Answers</h2>{''.join(parts)}"


def marked(colors: UInt8[np.ndarray, "n 3"], mask: Bool[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 3"]:
    """What is meant in one colour, the rest dimmed."""
    mixed = DIM * colors.astype(np.float32)
    mixed[mask] = MARK * np.array(MARKED, np.float32) + (1 - MARK) * colors[mask]
    rounded: UInt8[np.ndarray, "n 3"] = np.rint(mixed).astype(np.uint8)
    return rounded
