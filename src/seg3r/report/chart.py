"""Line charts as inline SVG: colours come from the page's style sheet, so that they follow its theme."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 460, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 84, 12, 30
LINE_HEIGHT = 14
COLOURS = 6


def line_chart(x: Sequence[float], series: Mapping[str, Sequence[float]], label: str, unit: str = "") -> str:
    """Lines over a common x axis that start at y = 0. Values that are not finite leave a gap.

    Args:
        series: name -> one value per x.
        label: of the x axis.
        unit: put behind the values.
    """
    known = [v for values in series.values() for v in values if math.isfinite(v)]
    top = _round_up(max(known, default=1.0))
    x_low, x_high = min(x, default=0.0), max(x, default=1.0)
    x_span = (x_high - x_low) or 1.0

    def at(px: float, py: float) -> tuple[float, float]:
        return (
            LEFT + (px - x_low) / x_span * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - py / top * (HEIGHT - TOP - BOTTOM),
        )

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(", ".join(series))}">']
    for step in range(5):
        value = top * step / 4
        _, y = at(x_low, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{value:g}</text>')
    for value, anchor in ((x_low, "start"), (x_high, "end")):
        parts.append(f'<text class="{anchor}" x="{at(value, 0.0)[0]:.1f}" y="{HEIGHT - 10}">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="middle" x="{middle:.1f}" y="{HEIGHT - 10}">{html.escape(label)}</text>')
    ends = []
    for n, (name, values) in enumerate(series.items()):
        finite = [(px, py) for px, py in zip(x, values, strict=True) if math.isfinite(py)]
        if not finite:
            continue
        end_x, end_y = at(*finite[-1])
        path = _path([at(px, py) for px, py in zip(x, values, strict=True)])
        parts.append(f'<path class="line s{n % COLOURS}" d="{path}"/>')
        parts.append(f'<circle class="dot s{n % COLOURS}" cx="{end_x:.1f}" cy="{end_y:.1f}" r="3"/>')
        ends.append((end_y, end_x, n, f"{name} {finite[-1][1]:.3g}{unit}".strip()))
    below = -math.inf
    for end_y, end_x, n, text in sorted(ends):
        below = max(end_y, below + LINE_HEIGHT)  # labels of lines that end together go below one another
        at_label = f'x="{end_x + 7:.1f}" y="{below + 4:.1f}"'
        parts.append(f'<text class="value s{n % COLOURS}" {at_label}>{html.escape(text)}</text>')
    return "".join((*parts, "</svg>"))


def _path(places: Sequence[tuple[float, float]]) -> str:
    """Straight lines, with a gap at places that are not finite."""
    drawn, pen = [], "M"
    for px, py in places:
        if math.isfinite(py):
            drawn.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L" if math.isfinite(py) else "M"
    return "".join(drawn)


def _round_up(value: float) -> float:
    """The next number that four grid lines divide well."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 2, 4, 6, 8, 10) if value <= step * size * (1 + 1e-9))
