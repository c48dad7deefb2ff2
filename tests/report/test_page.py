"""The page: whole, self-contained, and deaf to what names say."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seg3r.report import cloud, page, write_report
from seg3r.report.chart import line_chart
from seg3r.report.images import outlined
from seg3r.report.render import read_room
from seg3r.scene import SceneMap
from seg3r.types import Camera, Sighting
from tests.maps import HOSTILE, SECONDS, table_map

CURVE = [{"frame": 10 * i, "AP": 0.1 * i, "AP50": 0.12 * i, "instances": i} for i in range(1, 5)]


class Outline(HTMLParser):
    """Tags, their attributes, and the text between them."""

    VOID = ("meta", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID and not tag.startswith(("line", "circle")):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def count(self, tag: str) -> int:
        return sum(t == tag for t, _ in self.tags)


def report(scene: SceneMap, path: Path, **figures: object) -> str:
    settings = {"method": "opentrack3d", "without": ["look"]}
    write_report(path, scene, title="A <table>", figures=figures, seconds=SECONDS, settings=settings)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    return report(table_map(), path, AP=0.456, skipped={"pose is not <finite>": 2}, online=CURVE)


def test_the_page_is_well_formed_and_says_it_all(text: str) -> None:
    outline = Outline(text)
    assert outline.open == []
    said = " ".join(outline.text)
    for words in (
        "A <table>", "thing 3", "From above", "Opposite corner", "45.6", "pose is not <finite> (2)", "associate",
        "median ms", "opentrack3d", '["look"]', "voxel_m", "AP50 48",
    ):
        assert words in said
    assert outline.count("article") == 4
    assert outline.count("svg") == 2
    assert len(text) < 6e6


def test_the_page_loads_nothing(text: str) -> None:
    for tag, attributes in Outline(text).tags:
        for name in ("src", "href", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/jpeg;base64,", "#")), (tag, name)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    assert "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_pictures_decode_and_crops_bear_the_outline(text: str) -> None:
    sources = [a["src"] for t, a in Outline(text).tags if t == "img"]
    sizes = []
    for source in sources:
        assert source is not None
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1], validate=True))) as image:
            image.load()
            sizes.append(image.size)
    assert sizes.count((930, 620)) == 8
    assert len(sizes) == 8 + sum(min(len(s), page.MOST_VIEWS) for s in table_map().sightings.values())


def test_a_hostile_name_stays_text(tmp_path: Path) -> None:
    scene = table_map(name=HOSTILE)
    settings = {HOSTILE: HOSTILE}
    write_report(
        tmp_path / "r.html", scene, title=HOSTILE, figures={HOSTILE: HOSTILE, "skipped": {HOSTILE: 1}},
        seconds={HOSTILE: [0.1]}, settings=settings,
    )
    outline = Outline((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert outline.open == []
    assert not any("onerror" in attributes for _, attributes in outline.tags)
    assert outline.count("script") == 2
    assert sum("onerror=alert(1)" in t for t in outline.text) >= 9


def test_an_empty_map_has_a_page(tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", SceneMap(), title="", figures={}, seconds={}, settings={})
    outline = Outline((tmp_path / "r.html").read_text())
    assert outline.open == [] and outline.count("img") == 0 and outline.count("script") == 0


def test_many_instances_are_cut_and_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_CARDS", 3)
    cut = report(table_map(), tmp_path / "r.html")
    assert "the first 3 of 4" in cut and cut.count("<article") == 3


def test_the_same_map_gives_the_same_page(tmp_path: Path, text: str) -> None:
    again = report(table_map(), tmp_path / "r.html", AP=0.456, skipped={"pose is not <finite>": 2}, online=CURVE)
    assert again == text


def test_frames_per_second_counts_what_every_frame_passes() -> None:
    assert page.frames_per_second({"a": [0.1, 0.1], "b": [0.1, 0.1], "refine": [9.0]}) == pytest.approx(5)
    assert page.frames_per_second({"a": []}) is None


def test_the_viewers_cloud_unpacks_to_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = table_map()
    room = read_room(scene)
    packed = cloud.pack_cloud(scene, room, ["x"] * len(scene))
    assert packed["count"] == scene.point_count
    raw = np.frombuffer(base64.b64decode(packed["positions"]), "<i2").reshape(-1, 3) * packed["scale"]
    standing = scene.points.numpy() @ room.axes.T
    shift = standing - raw
    assert np.abs(shift - shift.mean(0)).max() < 2 * packed["scale"]
    owners = np.frombuffer(base64.b64decode(packed["instances"]), "<u2").astype(int) - 1
    np.testing.assert_array_equal(owners, scene.best_owners.numpy())
    assert json.dumps(packed)

    monkeypatch.setattr(cloud, "MOST_POINTS", 500)
    few = cloud.pack_cloud(scene, room, ["x"] * len(scene))
    assert 200 < few["count"] <= 500 and few["spacing"] > scene.voxel_m
    assert len(base64.b64decode(few["colors"])) == 3 * few["count"]


def test_an_outline_leaves_the_thing_as_it_was_seen() -> None:
    crop = torch.full((40, 60, 3), 100, dtype=torch.uint8)
    mask = torch.zeros((40, 60), dtype=torch.bool)
    mask[10:30, 15:45] = True
    camera = Camera(torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64), (40, 60))
    look = Sighting(0, (0, 0, 40, 60), 1.0, 600, crop, mask, torch.tensor([0.0, 0.0, 1.0]), camera)
    image = outlined(look, np.array([255, 0, 0], np.uint8))
    h, w = image.shape[:2]
    assert (w, h) == (176, 117)
    assert (image[h // 2, w // 2] == 100).all() and (image[2, 2] == 100).all()
    drawn = (image == (255, 0, 0)).all(-1)
    rows, columns = drawn.nonzero()
    np.testing.assert_allclose([rows.min(), rows.max(), columns.min(), columns.max()], [28, 88, 42, 133], atol=3)


def test_a_chart_has_gaps_where_values_are_missing() -> None:
    chart = line_chart([1.0, 2.0, 3.0, 4.0], {"AP": [10.0, float("nan"), 30.0, 40.0]}, "frames")
    (path,) = re.findall(r' d="([^"]*)"', chart)
    assert path.count("M") == 2 and path.count("L") == 1
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    assert heights == sorted(heights, reverse=True)
    labels = line_chart([1.0, 2.0], {"AP": [10.0, 40.0], "AP50": [9.0, 40.1]}, "frames")
    places = [float(y) for y in re.findall(r'class="value[^>]*y="([\d.]+)"', labels)]
    assert abs(places[0] - places[1]) >= 14  # and no label hides another
    assert line_chart([], {"AP": []}, "frames").endswith("</svg>")
    assert "nan" not in line_chart([5.0], {"a<b": [float("nan")]}, "x<y")
