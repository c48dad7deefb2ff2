"""The page: sections of text around pictures. Every word from outside goes through `html.escape`."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from seg3r.describe.colors import instance_colors, painted
from seg3r.describe.records import instance_records
from seg3r.files import write_text
from seg3r.report.answers import answers_section
from seg3r.report.chart import line_chart
from seg3r.report.cloud import pack_cloud
from seg3r.report.images import jpeg_url, outlined
from seg3r.report.render import RoomFrame, rasterise, read_room, viewpoints
from seg3r.scene import SceneMap
from seg3r.types import Answer, Sighting

MOST_CARDS = 60
MOST_VIEWS = 3
PICTURE = (620, 930)
PICTURE_QUALITY, CROP_QUALITY = 80, 80
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Whatever a name may smuggle in, the page loads nothing and sends nothing."""


def write_report(
    path: Path,
    scene: SceneMap,
    *,
    title: str,
    figures: Mapping[str, Any],
    seconds: Mapping[str, Sequence[float]],
    settings: Mapping[str, object],
    answers: Sequence[Answer] = (),
) -> None:
    """Write the page about one map: at most some 6 MB, whatever the map. Atomic.

    Args:
        figures: what was measured, shown in the headline: numbers and words by name. AP, AP50 and AP25 are in 0..1;
            `skipped` is {reason: frames}; `online` is the map on the way, [{"frame", "AP", ..., "instances"}].
        seconds: per stage, how long each call took.
        settings: of the run.
        answers: to questions about this map, shown first.

    Raises:
        InputError: an answer to another map.
    """
    write_text(path, page(scene, title, figures, seconds, settings, answers))


def page(
    scene: SceneMap,
    title: str,
    figures: Mapping[str, Any],
    seconds: Mapping[str, Sequence[float]],
    settings: Mapping[str, object],
    answers: Sequence[Answer] = (),
) -> str:
    """The whole page as text; arguments as of `write_report`."""
    room = read_room(scene)
    records = instance_records(scene)
    sections = [
        f"<h1><bdi>{html.escape(title)}</bdi></h1>",
        _facts(scene, figures, seconds),
        answers_section(scene, room, answers),
        _map(scene, room, records),
        _cards(scene, room, records),
        _online(figures.get("online") or []),
        _timings(seconds),
        _settings({**settings, "voxel_m": scene.voxel_m, "visible_m": scene.visible_m, **_far(scene)}),
    ]
    style = files("seg3r.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n"
        + "\n".join(s for s in sections if s)
        + "\n</main></body></html>\n"
    )


# ---- headline --------------------------------------------------------------------------------------------------------


def _facts(scene: SceneMap, figures: Mapping[str, Any], seconds: Mapping[str, Sequence[float]]) -> str:
    rate = frames_per_second(seconds)
    facts: dict[str, Any] = {"instances": len(scene), "frames": scene.frames, "points": scene.point_count}
    if rate is not None:
        facts["frames per second"] = rate
    facts.update({name.replace("_", " "): v for name, v in figures.items() if isinstance(v, (int, float, str))})
    if not facts.get("resumed at"):
        facts.pop("resumed at", None)
    tiles = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(_figure(name, value))}</dd></div>"
        for name, value in facts.items()
    )
    skipped = figures.get("skipped") or {}
    reasons = ", ".join(f"{html.escape(str(reason))} ({int(count)})" for reason, count in skipped.items())
    left_out = f'<p class="soft">Frames left out: {reasons}.</p>' if reasons else ""
    return f'<dl class="facts">{tiles}</dl>{left_out}'


def frames_per_second(seconds: Mapping[str, Sequence[float]]) -> float | None:
    """Of all stages that each frame passes; what is called less often (the refinement of a result) is left out."""
    calls = max((len(s) for s in seconds.values()), default=0)
    total = sum(sum(s) for s in seconds.values() if len(s) == calls)
    return calls / total if total > 0 else None


def _figure(name: str, value: object) -> str:
    if name in ("AP", "AP50", "AP25") and isinstance(value, float):
        return f"{100 * value:.1f}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


# ---- map -------------------------------------------------------------------------------------------------------------


def _map(scene: SceneMap, room: RoomFrame, records: Sequence[Mapping[str, Any]]) -> str:
    points = scene.points.numpy()
    if not len(points):
        return "<h2>Map</h2><p>The map is empty: no frame gave a point.</p>"
    figures = []
    paints = {"paint": painted(scene).numpy(), "photo": scene.colors.numpy()}
    for viewpoint in viewpoints(points, room, PICTURE):
        raster = rasterise(points[viewpoint.keep], viewpoint.camera, 0.9 * scene.voxel_m)
        images = "".join(
            f'<img class="{kind}" alt="The map, {html.escape(viewpoint.name.lower())}" loading="lazy" '
            f'src="{jpeg_url(raster.picture(colors[viewpoint.keep]), PICTURE_QUALITY)}">'
            for kind, colors in paints.items()
        )
        figures.append(f"<figure>{images}<figcaption>{html.escape(viewpoint.name)}</figcaption></figure>")
    cloud = pack_cloud(scene, room, [_name(r) for r in records])
    # "<" is the one character that could end the script element.
    payload = json.dumps(cloud, separators=(",", ":")).replace("<", "\\u003c")
    script = files("seg3r.report").joinpath("viewer.js").read_text(encoding="utf-8")
    return f"""<h2>Map</h2>
<input class="mode" type="radio" name="mode" id="paint" checked><label class="tab first" for="paint">Instances</label
><input class="mode" type="radio" name="mode" id="photo"><label class="tab last" for="photo">Colours</label>
<div class="viewer" hidden><canvas tabindex="0" aria-label="The map, to be turned by hand"></canvas>
<div class="told" aria-live="polite"></div><span class="hint">drag, scroll, click; double click: home</span>
<label>cut <input type="range" aria-label="Height above which nothing is drawn"></label></div>
<div class="sides">{"".join(figures)}</div>
<script type="application/json" id="cloud">{payload}</script>
<script>window.addEventListener("DOMContentLoaded", () => {{
{script}}});</script>"""


# ---- instances -------------------------------------------------------------------------------------------------------


def _cards(scene: SceneMap, room: RoomFrame, records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "<h2>Instances</h2><p>The map holds no instance.</p>"
    best = sorted(records, key=lambda r: (-r["score"], r["id"]))[:MOST_CARDS]
    cut = f": the first {len(best)} of {len(records)}" if len(best) < len(records) else ""
    standing = scene.points.numpy().astype(np.float64) @ room.axes.T
    colors = dict(zip(scene.ids.tolist(), instance_colors(scene.ids).numpy(), strict=True))
    cards = "".join(
        _card(r, standing[scene.points_of(r["id"])[0].numpy()], colors[r["id"]], scene.sightings.get(r["id"], ()))
        for r in best
    )
    return (
        f'<h2>Instances</h2><p class="soft">By score{cut}. Sizes are width, depth along the walls, and height; '
        f'crops are the best views.</p><div class="cards">{cards}</div>'
    )


def _card(
    record: Mapping[str, Any], points: Float64[np.ndarray, "p 3"], color: UInt8[np.ndarray, "3"],
    sightings: Sequence[Sighting],
) -> str:
    """`points`: the instance's points in the room's axes."""
    instance_id = int(record["id"])
    size = "no points left"
    if len(points):
        extents = points.max(0) - points.min(0)
        size = " \N{MULTIPLICATION SIGN} ".join(f"{100 * extent:.0f}" for extent in extents) + " cm"
    seen = "" if not record["observations"] else (  # an instance that was set from outside
        f' · seen {record["observations"]}\N{MULTIPLICATION SIGN}, frames {record["first_frame"]} to '
        f'{record["last_frame"]}'
    )
    crops = "".join(
        f'<figure><img alt="" loading="lazy" src="{jpeg_url(outlined(sighting, color), CROP_QUALITY)}">'
        f"<figcaption>frame {sighting.frame_index}</figcaption></figure>"
        for sighting in sightings[:MOST_VIEWS]
    )
    return (
        f'<article class="card" id="instance-{instance_id}">'
        f'<h3><span class="chip" style="background:rgb({color[0]},{color[1]},{color[2]})"></span>'
        f'<bdi>{html.escape(_name(record))}</bdi><span class="soft">#{instance_id}</span>'
        f'<button type="button" value="{instance_id}" hidden>show</button></h3>'
        f'<p class="soft">score {record["score"]:.2f} · {size} · {_figure("points", record["points"])} points'
        f'{seen}</p><div class="looks">{crops}</div></article>'
    )


def _name(record: Mapping[str, Any]) -> str:
    return "unnamed" if record["name"] is None else str(record["name"])


# ---- numbers ---------------------------------------------------------------------------------------------------------


def _online(curve: Sequence[Mapping[str, Any]]) -> str:
    if not curve:
        return ""
    frames = [float(row["frame"]) for row in curve]
    charts = []
    known = [name for name in ("AP", "AP50", "AP25") if any(name in row for row in curve)]
    aps = {name: [100 * _number(row.get(name)) for row in curve] for name in known}
    if aps:
        charts.append(("Average precision of the map so far, against all that the recording shows", aps))
    if any("instances" in row for row in curve):
        charts.append(("Instances in the map so far", {"": [_number(row.get("instances")) for row in curve]}))
    drawn = "".join(
        f"<figure>{line_chart(frames, series, 'frames')}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, series in charts
    )
    return f'<h2>Online</h2><div class="charts">{drawn}</div>' if drawn else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _timings(seconds: Mapping[str, Sequence[float]]) -> str:
    used = {name: np.asarray(s, np.float64) for name, s in seconds.items() if len(s)}
    total = sum(float(s.sum()) for s in used.values())
    if not total > 0:
        return ""
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="number">{len(s)}</td>'
        f'<td class="number">{1e3 * np.median(s):.2f}</td><td class="number">{1e3 * np.quantile(s, 0.95):.2f}</td>'
        f'<td class="number">{s.sum():.2f}</td><td class="number">{100 * s.sum() / total:.0f} %</td>'
        f'<td class="share"><span class="bar" style="width:{100 * s.sum() / total:.1f}%"></span></td></tr>'
        for name, s in used.items()
    )
    return (
        '<h2>Timings per stage</h2><div class="wide"><table><thead><tr><th>stage</th><th class="number">calls</th>'
        '<th class="number">median ms</th><th class="number">95 % ms</th><th class="number">total s</th>'
        f'<th class="number">share</th><th></th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _settings(settings: Mapping[str, object]) -> str:
    rows = "".join(
        f'<tr><th>{html.escape(name)}</th><td class="text"><bdi>{html.escape(_told(value))}</bdi></td></tr>'
        for name, value in settings.items()
    )
    return f'<h2>Settings</h2><div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _far(scene: SceneMap) -> dict[str, object]:
    """Where the world lies, if that is far from its origin."""
    return {"origin": scene.origin.tolist()} if bool(scene.origin.any()) else {}


def _told(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
