"""Answers on the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seg3r.report import write_report
from seg3r.report.answers import DIM, MARK, MARKED, marked
from seg3r.types import Answer
from tests.maps import HOSTILE, table_map

from .test_page import Outline


def page_with(path: Path, *answers: Answer) -> str:
    scene = table_map(name=HOSTILE + "{}")
    write_report(path, scene, title="t", figures={}, seconds={}, settings={}, answers=answers)
    return path.read_text(encoding="utf-8")


def test_an_answer_is_shown_in_the_map(tmp_path: Path) -> None:
    scene = table_map()
    first, second = scene.ids.tolist()[:2]
    without, text = page_with(tmp_path / "a"), page_with(
        tmp_path / "b", Answer("the box?", (second, first), (0.9, 0.25), "It is here.", scene.mask_of([first, second])),
        Answer("a unicorn", (), ()),
    )
    outline = Outline(text)
    assert not outline.open
    said = "".join(outline.text)
    assert "the box?" in said and "It is here." in said and "Nothing fits." in said and "score 0.25" in said
    assert f"{int(scene.mask_of([first, second]).sum())} points" in said
    links = [attrs["href"] for tag, attrs in outline.tags if tag == "a" and "href" in attrs]
    assert links == [f"#instance-{second}", f"#instance-{first}"]
    assert {f"instance-{second}", f"instance-{first}"} <= {attrs.get("id") for _, attrs in outline.tags}
    assert outline.count("img") == Outline(without).count("img") + 2, "pictures of what is there, none of what is not"
    assert "Answers" not in "".join(Outline(without).text)


def test_what_was_asked_and_said_cannot_break_the_page(tmp_path: Path) -> None:
    scene = table_map()
    mask = torch.zeros(scene.point_count, dtype=torch.bool)
    mask[:40] = True
    text = page_with(
        tmp_path / "a", Answer(HOSTILE, tuple(scene.ids.tolist()), (0.5,) * 4, HOSTILE), Answer("m", (), (), None, mask)
    )
    outline = Outline(text)
    assert not outline.open and "onerror" not in {name for _, attrs in outline.tags for name in attrs}
    assert "40 points." in "".join(outline.text)


def test_what_is_meant_stands_out() -> None:
    colors = np.full((3, 3), 100, np.uint8)
    out = marked(colors, np.array([True, False, True]))
    assert out[1].tolist() == [round(DIM * 100)] * 3
    paint = np.rint(MARK * np.array(MARKED) + (1 - MARK) * 100).astype(int).tolist()
    assert out[0].tolist() == out[2].tolist() == paint
