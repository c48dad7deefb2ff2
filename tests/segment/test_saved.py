from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seg3r.errors import InputError
from seg3r.id_maps import IdMap, folder_reader
from seg3r.segment.saved import SavedMasks
from tests.conftest import recording_dir
from tests.segment.scenes import render

VIEW, _ = render([], (24, 32))


def save(folder: Path, ids: np.ndarray, notes: object = None, index: int = 0) -> None:
    Image.fromarray(ids.astype(np.uint16)).save(folder / f"{index:05d}.png")
    if notes is not None:
        (folder / f"{index:05d}.json").write_text(json.dumps(notes), encoding="utf-8")


def blocks(size: tuple[int, int] = (24, 32)) -> np.ndarray:
    ids = np.zeros(size, np.uint16)
    ids[: size[0] // 2, : size[1] // 4] = 7
    ids[size[0] // 2 :, size[1] // 2 :] = 3
    return ids


def test_one_mask_per_id_with_what_is_known_of_it(tmp_path: Path) -> None:
    save(tmp_path, blocks(), [{"id": 7, "label": "chair", "cls": 56, "score": 0.5}])
    masks = SavedMasks(folder_reader(tmp_path))(VIEW)
    assert masks.names == (None, "chair")
    assert masks.scores.tolist() == [1.0, 0.5]
    for mask, i in zip(masks.masks, (3, 7), strict=True):
        assert np.array_equal(mask.numpy(), blocks() == i)


def test_a_frame_without_a_map_has_no_masks_and_is_counted(tmp_path: Path) -> None:
    save(tmp_path, blocks(), index=5)
    saved = SavedMasks(folder_reader(tmp_path))
    assert saved(VIEW).masks.shape == (0, 24, 32)
    assert saved.frames_without_map == 1


@pytest.mark.parametrize("size", [(48, 64), (12, 16)])
def test_another_size_is_resampled(tmp_path: Path, size: tuple[int, int]) -> None:
    save(tmp_path, blocks(size))
    masks = SavedMasks(folder_reader(tmp_path))(VIEW).masks
    assert np.array_equal(masks[1].numpy(), blocks() == 7)


def test_another_shape_is_refused(tmp_path: Path) -> None:
    save(tmp_path, blocks((24, 24)))
    with pytest.raises(InputError, match=r"00000\.png: the id map is 24x24, the frame 32x24"):
        SavedMasks(folder_reader(tmp_path))(VIEW)


def test_a_depth_map_is_no_id_map() -> None:
    ids = torch.arange(24 * 32).reshape(24, 32)
    with pytest.raises(InputError, match="is this an id map"):
        SavedMasks(lambda index: IdMap(ids, f"frame {index}"), max_ids=500)(VIEW)
    with pytest.raises(InputError, match="negative"):
        SavedMasks(lambda index: IdMap(ids - 1, f"frame {index}"))(VIEW)


@pytest.mark.parametrize(
    "notes", [{"id": 1}, [{"label": "x"}], [3], [{"id": 1, "score": 7}], [{"id": 1, "score": "a"}]]
)
def test_other_json_is_refused(tmp_path: Path, notes: object) -> None:
    save(tmp_path, blocks(), notes)
    with pytest.raises(InputError, match=r"00000\.json"):
        SavedMasks(folder_reader(tmp_path))(VIEW)


def test_files_that_are_no_id_maps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        folder_reader(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no id maps here"):
        folder_reader(tmp_path)
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(tmp_path / "00000.png")
    with pytest.raises(InputError, match="one channel"):
        SavedMasks(folder_reader(tmp_path))(VIEW)
    (tmp_path / "00000.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="cannot be read"):
        SavedMasks(folder_reader(tmp_path))(VIEW)


def test_a_real_folder() -> None:
    folder = recording_dir("office") / "masks_objects"
    stems = sorted(path.stem for path in folder.glob("*.png"))[:5]
    view, _ = render([], (360, 540))
    read = folder_reader(folder, lambda index: stems[index])
    masks = SavedMasks(read)(view)
    id_map = read(0)
    assert id_map is not None
    assert len(masks) == len(torch.unique(id_map.ids)) - 1


def test_a_folder_of_depth_maps_is_recognised(tmp_path: Path) -> None:
    """Few numbers or many: what changes gently from pixel to pixel is depth."""
    y, x = np.mgrid[:24, :32]
    for depth in (800 + 3 * x + 5 * y, 1200 + x, 60000 - 7 * x * y):
        Image.fromarray(depth.astype(np.uint16)).save(tmp_path / "00000.png")
        with pytest.raises(InputError, match=r"00000\.png: looks like a depth map"):
            SavedMasks(folder_reader(tmp_path))(VIEW)
    many = (np.random.default_rng(0).permutation(192) + 1)[y // 2 * 16 + x // 2]  # of small masks
    Image.fromarray(many.astype(np.uint16)).save(tmp_path / "00000.png")
    assert len(SavedMasks(folder_reader(tmp_path))(VIEW)) > 150


def test_damaged_images_and_notes_are_one_line(tmp_path: Path) -> None:
    save(tmp_path, blocks())
    whole = (tmp_path / "00000.png").read_bytes()
    wide = whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:29] + b"\0" * 4 + whole[33:]
    for content in (wide, whole[:40], whole[:-20], b"P5 60000 60000 255\n"):
        (tmp_path / "00000.png").write_bytes(content)
        with pytest.raises(InputError, match=r"00000\.png: cannot be read as an id map") as caught:
            SavedMasks(folder_reader(tmp_path))(VIEW)
        assert str(caught.value).isprintable()
    (tmp_path / "00000.png").write_bytes(whole)
    for notes in ('[{"id": Infinity}]', '[{"id": 1e400}]', "[" * 200_000, '[{"id": ' + "9" * 4000 + "}]", "\xff"):
        (tmp_path / "00000.json").write_text(notes, encoding="latin1")
        with pytest.raises(InputError, match=r"00000\.json: cannot be read as notes on masks") as caught:
            SavedMasks(folder_reader(tmp_path))(VIEW)
        assert str(caught.value).isprintable()


def test_names_are_cleaned_where_they_enter(tmp_path: Path) -> None:
    notes = [{"id": 3, "label": "half \ud800 chair\n"}, {"id": 7, "label": " \x1b "}]
    save(tmp_path, blocks(), notes)
    assert SavedMasks(folder_reader(tmp_path))(VIEW).names == ("half \ufffd chair", None)
