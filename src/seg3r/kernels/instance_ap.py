"""Greedy matching and the precision-recall integral of the ScanNet benchmark, and reading of its text files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def match_scene(
    shared: Ints, gt_classes: Ints, gt_sizes: Ints, classes: Ints, sizes: Ints, void: Ints, scores: Floats,
    thresholds: Floats, class_count: int, min_region: int,
) -> tuple[Ints, Floats, Bools, Ints]:
    """Match the predictions [p] of one scene to its ground truth [g] at every threshold.

    Returns records (slot = threshold * class_count + class, score, whether it is a true positive) and the number of
    missed ground-truth instances per slot.
    """
    predictions, instances = shared.shape
    iou = np.zeros((predictions, instances))
    best = np.zeros(predictions)
    ignored = void.copy()
    pairs = 0
    lowest = thresholds.min()
    for p in range(predictions):
        for g in range(instances):
            if classes[p] != gt_classes[g]:
                continue
            if gt_sizes[g] < min_region:
                ignored[p] += shared[p, g]
            iou[p, g] = shared[p, g] / (sizes[p] + gt_sizes[g] - shared[p, g])
            best[p] = max(best[p], iou[p, g])
            pairs += iou[p, g] > lowest

    capacity = len(thresholds) * (predictions + pairs)
    slots = np.empty(capacity, np.int64)
    values = np.empty(capacity)
    hits = np.empty(capacity, np.bool_)
    misses = np.zeros(len(thresholds) * class_count, np.int64)
    taken = np.empty(predictions, np.bool_)
    n = 0
    for t in range(len(thresholds)):
        threshold = thresholds[t]
        taken[:] = False
        for g in range(instances):
            if gt_sizes[g] < min_region:
                continue
            slot = t * class_count + gt_classes[g]
            found = False
            score = 0.0
            for p in range(predictions):
                if taken[p] or sizes[p] < min_region or not iou[p, g] > threshold:
                    continue
                if not found:
                    found = True
                    score = scores[p]
                    taken[p] = True
                    continue
                # A further prediction is one false positive at the lower score; it stays free for a later instance.
                slots[n], values[n], hits[n] = slot, min(score, scores[p]), False
                n += 1
                score = max(score, scores[p])
            if found:
                slots[n], values[n], hits[n] = slot, score, True
                n += 1
            else:
                misses[slot] += 1
        for p in range(predictions):
            if sizes[p] >= min_region and not best[p] > threshold and ignored[p] / sizes[p] <= threshold:
                slots[n], values[n], hits[n] = t * class_count + classes[p], scores[p], False
                n += 1
    return slots[:n], values[:n], hits[:n], misses


@njit(cache=True, nogil=True)
def integrate(slots: Ints, scores: Floats, hits: Bools, misses: Ints) -> tuple[Floats, Floats, Floats]:
    """Average precision of every slot [s], and its precision and recall with all predictions kept.

    Records are sorted by slot, then by score. NaN where a slot has no target; 0 where it has targets and no record.
    """
    ap = np.full(len(misses), np.nan)
    precision = np.full(len(misses), np.nan)
    recall = np.full(len(misses), np.nan)
    start = 0
    for slot in range(len(misses)):
        end = start
        true = 0
        while end < len(slots) and slots[end] == slot:
            true += hits[end]
            end += 1
        targets = true + misses[slot]
        if targets > 0:
            ap[slot] = 0.0
            precision[slot] = 0.0
            recall[slot] = true / targets
            below = 0
            before = recall[slot]
            i = start
            while i < end:
                here_p, here_r = (true - below) / (end - i), (true - below) / targets
                if i == start:
                    precision[slot] = here_p
                below += hits[i]
                i += 1
                while i < end and scores[i] == scores[i - 1]:
                    below += hits[i]
                    i += 1
                # Past the highest score stands the point (precision 1, recall 0), and another recall of 0.
                after = (true - below) / targets
                ap[slot] += here_p * 0.5 * (before - after)
                before = here_r
            ap[slot] += 0.5 * before
        start = end
    return ap, precision, recall


@njit(cache=True, nogil=True)
def parse_integers(text: npt.NDArray[np.uint8]) -> tuple[Ints, int]:
    """One integer per line; spaces around it, CR LF and blank lines at the end are fine.

    Returns the numbers and the first malformed line counted from 1, or 0.
    """
    values = np.empty(len(text) // 2 + 1, np.int64)
    n = 0
    line = 1
    blank = 0
    i = 0
    while i < len(text):
        sign = 1
        value = 0
        digits = 0
        # before the number 0, after its sign 1, in it 2, after it 3
        state = 0
        while i < len(text) and text[i] != 10:
            c = text[i]
            i += 1
            if c in (32, 9, 13):
                if state == 1:
                    return values[:n], line
                state = 3 if state >= 2 else 0
            elif c in (43, 45) and state == 0:
                sign = -1 if c == 45 else 1
                state = 1
            elif 48 <= c <= 57 and state <= 2 and digits < 18:
                value = value * 10 + (c - 48)
                digits += 1
                state = 2
            else:
                return values[:n], line
        i += 1
        if state == 0:
            if not blank:
                blank = line
        elif state == 1 or blank:
            return values[:n], (blank if blank else line)
        else:
            values[n] = sign * value
            n += 1
        line += 1
    return values[:n], 0
