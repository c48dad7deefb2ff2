"""Features: detected, followed, matched."""

import cv2
import numpy as np

from seg3r.reconstruct.features import FeatureDetector, Features, followed, mutual_matches


def picture(shift: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> np.ndarray:
    """Smooth random blobs [120 160] of enough contrast, moved by (columns, rows)."""
    rng = np.random.default_rng(seed)
    big = cv2.GaussianBlur(rng.normal(size=(200, 240)), (0, 0), 3.0)
    big = (big - big.min()) / np.ptp(big) * 255
    moved = cv2.warpAffine(big, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (240, 200))
    return moved[40:160, 40:200].astype(np.uint8)


def test_followed_where_the_image_went() -> None:
    pixels = np.random.default_rng(1).uniform((20, 20), (140, 100), (60, 2))
    there, kept = followed(picture(), picture((4.3, -2.6)), pixels)
    assert kept.mean() > 0.9
    assert np.abs(there[kept] - pixels[kept] - (4.3, -2.6)).max() < 0.15


def test_not_believed_on_another_image_or_outside() -> None:
    pixels = np.random.default_rng(1).uniform((20, 20), (140, 100), (60, 2))
    _, kept = followed(picture(), picture(seed=5), pixels)
    assert kept.mean() < 0.3
    _, kept = followed(picture(), picture((30.0, 0.0)), np.array([[150.0, 60.0]]))
    assert not kept.any()


def test_none_followed_from_none() -> None:
    there, kept = followed(picture(), picture(), np.zeros((0, 2)))
    assert there.shape == (0, 2) and kept.shape == (0,)


def test_joined_brings_back_what_the_detector_missed() -> None:
    before, after = picture(), picture((2.0, 1.0))
    detector = FeatureDetector((79.5, 59.5))
    earlier, seen = detector(before), detector(after)
    left = np.flatnonzero(seen.pixels[:, 0] < 0)
    few = Features(seen.pixels[left], seen.descriptors[left])
    joined = detector.joined(few, earlier, before=before, gray=after)
    np.testing.assert_array_equal(joined.pixels[: len(left)], few.pixels)
    inside = (earlier.pixels > (2.0, -50.0)).all(1) & (earlier.pixels < (70.0, 50.0)).all(1)
    assert len(joined.pixels) - len(left) > 0.8 * inside.sum()
    added = Features(joined.pixels[len(left) :], joined.descriptors[len(left) :])
    kept = [np.flatnonzero((earlier.descriptors == d).all(1))[0] for d in added.descriptors]
    assert np.abs(added.pixels - earlier.pixels[kept] - (2.0, 1.0)).max() < 0.5


def test_joined_adds_nothing_that_was_detected_again() -> None:
    image = picture()
    detector = FeatureDetector((79.5, 59.5))
    seen = detector(image)
    assert len(detector.joined(seen, seen, before=image, gray=image).pixels) == len(seen.pixels)


def test_blank_images_have_no_features() -> None:
    blank = np.zeros((40, 60), np.uint8)
    detector = FeatureDetector((29.5, 19.5))
    seen = detector(blank)
    assert seen.pixels.shape == (0, 2) and seen.descriptors.shape == (0, 128)
    assert len(detector.joined(seen, seen, before=blank, gray=blank).pixels) == 0


def test_matches_are_mutual_and_clear() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(20, 128)).astype(np.float32)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    order = rng.permutation(20)
    np.testing.assert_array_equal(mutual_matches(a, a[order]), np.stack((np.arange(20), np.argsort(order)), 1))
    twice = np.concatenate((a, a))
    assert len(mutual_matches(a, twice)) == 0
    assert len(mutual_matches(a[:1], a)) == 0


def test_descriptors_equal_but_for_rounding_are_a_tie() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(20, 128)).astype(np.float32)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    for seed in range(8):  # whatever the order of additions makes of it
        rounding = np.random.default_rng(seed).uniform(-1e-6, 1e-6, a.shape).astype(np.float32)
        assert len(mutual_matches(a, np.concatenate((a, a + rounding)))) == 0
