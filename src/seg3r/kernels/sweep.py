"""Plane sweep stereo: what a pixel costs on each plane, what its neighbours say to that, which answer to believe."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

U8 = npt.NDArray[np.uint8]
I16 = npt.NDArray[np.int16]
U16 = npt.NDArray[np.uint16]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

DEAR = 120
"""Cost of a window that does not correlate at all; a perfect one costs 0."""
FLAT = 3.0
"""Grey levels squared, added to the variance of a window: noise does not count as texture."""
OUTSIDE = np.float32(2)
FAR_OFF = np.int16(8000)


@njit(cache=True, nogil=True)
def _warp(source: F32, H: F32, rows: int, columns: int, warped: F32, inside: U8) -> None:
    """Bilinear samples of `source` where the homography sends each pixel; 0 where that is outside."""
    h, w = source.shape
    one = np.float32(1)
    for r in range(rows):
        x0, y0, z0 = H[0, 1] * r + H[0, 2], H[1, 1] * r + H[1, 2], H[2, 1] * r + H[2, 2]
        for c in range(columns):
            z = H[2, 0] * c + z0
            warped[r, c] = 0
            inside[r, c] = 0
            if z <= np.float32(1e-6):
                continue
            over = one / z
            x, y = (H[0, 0] * c + x0) * over, (H[1, 0] * c + y0) * over
            if not (x >= 0 and y >= 0 and x < w - 1 and y < h - 1):
                continue
            i, j = int(y), int(x)
            fy, fx = y - np.float32(i), x - np.float32(j)
            top = source[i, j] + fx * (source[i, j + 1] - source[i, j])
            low = source[i + 1, j] + fx * (source[i + 1, j + 1] - source[i + 1, j])
            warped[r, c] = top + fy * (low - top)
            inside[r, c] = 1


@njit(cache=True, nogil=True)
def window_moments(gray: F32, radius: int, mean: F32, spread: F32) -> None:
    """Mean and 1 / standard deviation of the window around each pixel; the rim has none (0)."""
    h, w = gray.shape
    n = np.float32((2 * radius + 1) ** 2)
    for r in range(h):
        for c in range(w):
            mean[r, c] = 0
            spread[r, c] = 0
            if r < radius or c < radius or r >= h - radius or c >= w - radius:
                continue
            s, q = np.float32(0), np.float32(0)
            for i in range(r - radius, r + radius + 1):
                for j in range(c - radius, c + radius + 1):
                    s += gray[i, j]
                    q += gray[i, j] * gray[i, j]
            m = s / n
            mean[r, c] = m
            spread[r, c] = np.float32(1) / np.sqrt(max(q / n - m * m, np.float32(0)) + np.float32(FLAT))


@njit(cache=True, nogil=True)
def matching_cost(
    reference: F32, mean: F32, spread: F32, sources: F32, homographies: F32, radius: int, cost: U8
) -> None:
    """1 - correlation of windows (zero-mean, normalised), the mean of the two best sources, 0..DEAR.

    Args:
        reference: [h w], grey about 0; mean, spread: its `window_moments`.
        sources: [n h w], likewise.
        homographies: [n d 3 3], pixels of the reference to pixels of the source by way of plane d.
        cost: [h w d], filled.
    """
    h, w = reference.shape
    n, planes = homographies.shape[:2]
    warped, inside = np.empty((h, w), np.float32), np.empty((h, w), np.uint8)
    best, next_best = np.empty((h, w), np.float32), np.empty((h, w), np.float32)
    for d in range(planes):
        best[:] = OUTSIDE
        next_best[:] = OUTSIDE
        for k in range(n):
            _warp(sources[k], homographies[k, d], h, w, warped, inside)
            _compare(reference, mean, spread, warped, inside, radius, best, next_best)
        for r in range(h):
            for c in range(w):
                one, two = best[r, c], next_best[r, c]
                if two == OUTSIDE:
                    two = one
                cost[r, c, d] = np.uint8(min((one + two) * np.float32(0.5), np.float32(1)) * np.float32(DEAR))


@njit(cache=True, nogil=True)
def _compare(
    reference: F32, mean: F32, spread: F32, warped: F32, inside: U8, radius: int, best: F32, next_best: F32
) -> None:
    """One source's 1 - correlation into the two best so far. Slices, not offsets, so that loops become vectors."""
    h, w = reference.shape
    side = 2 * radius + 1
    share = np.float32(1) / np.float32(side * side)
    m = w - side + 1  # the rim has no whole window
    s, ss, sr = np.empty(w, np.float32), np.empty(w, np.float32), np.empty(w, np.float32)
    t, tt, tr = np.empty(m, np.float32), np.empty(m, np.float32), np.empty(m, np.float32)
    for r in range(radius, h - radius):
        s[:] = 0
        ss[:] = 0
        sr[:] = 0
        for i in range(side):
            theirs, ours = warped[r - radius + i], reference[r - radius + i]
            for c in range(w):
                v = theirs[c]
                s[c] += v
                ss[c] += v * v
                sr[c] += v * ours[c]
        t[:] = 0
        tt[:] = 0
        tr[:] = 0
        for j in range(side):
            sj, ssj, srj = s[j : j + m], ss[j : j + m], sr[j : j + m]
            for c in range(m):
                t[c] += sj[c]
                tt[c] += ssj[c]
                tr[c] += srj[c]
        a, b = radius, radius + m
        mean_r, spread_r, here = mean[r, a:b], spread[r, a:b], inside[r, a:b]
        first, second = best[r, a:b], next_best[r, a:b]
        for c in range(m):
            average = t[c] * share
            variance = max(tt[c] * share - average * average, np.float32(0)) + np.float32(FLAT)
            off = np.float32(1) - (tr[c] * share - average * mean_r[c]) * spread_r[c] / np.sqrt(variance)
            off = min(max(off, np.float32(0)), np.float32(1))
            off = off if here[c] else np.float32(OUTSIDE)
            second[c] = min(max(off, first[c]), second[c])
            first[c] = min(off, first[c])


@njit(cache=True, nogil=True)
def _step(cost: U8, before: I16, lowest: int, small: int, large: int, after: I16, total: I16) -> np.int16:
    """One pixel of a path: `before` and `after` are [d + 2], padded with FAR_OFF. Returns the lowest of `after`."""
    planes = cost.shape[0]
    p1, jump, base = np.int16(small), np.int16(lowest + large), np.int16(lowest)
    least = FAR_OFF
    for d in range(planes):
        stay = min(before[d + 1], jump)
        turn = np.int16(min(before[d], before[d + 2]) + p1)
        value = np.int16(np.int16(cost[d]) + min(stay, turn) - base)
        after[d + 1] = value
        total[d] += value
        least = min(least, value)
    return least


@njit(cache=True, nogil=True)
def aggregate(cost: U8, gray: F32, small: int, large: int, edge: float, total: I16) -> None:
    """Semi-global matching (Hirschmueller, PAMI 2008) along eight directions.

    Args:
        small: penalty of one plane's change between neighbours; large: of any other, less where grey changes:
            large / (1 + |difference| / edge), never below 2 * small.
        total: [h w d], filled with the sum of the eight paths.
    """
    h, w, planes = cost.shape
    total[:] = 0
    # Four directions by rows downwards, then their opposites upwards: (rows back, columns back).
    paths = np.full((4, 2, w, planes + 2), FAR_OFF, np.int16)
    lowest = np.zeros((4, 2, w), np.int16)
    for way in (1, -1):
        for step in range(h):
            r = step if way == 1 else h - 1 - step
            now, then = step % 2, 1 - step % 2
            for place in range(w):
                c = place if way == 1 else w - 1 - place
                for k in range(4):
                    pr = r if k == 0 else r - way
                    pc = c - way if k == 0 else c + (k - 2)
                    after = paths[k, now, c]
                    if pr < 0 or pr >= h or pc < 0 or pc >= w:
                        low = FAR_OFF
                        for d in range(planes):
                            after[d + 1] = cost[r, c, d]
                            total[r, c, d] += cost[r, c, d]
                            low = min(low, after[d + 1])
                        lowest[k, now, c] = low
                        continue
                    line = now if k == 0 else then
                    p2 = max(2 * small, int(large / (1 + abs(gray[r, c] - gray[pr, pc]) / edge)))
                    lowest[k, now, c] = _step(
                        cost[r, c], paths[k, line, pc], lowest[k, line, pc], small, p2, after, total[r, c]
                    )


@njit(cache=True, nogil=True)
def winners(total: I16, near: float, far: float, depth: F32, margin: F32) -> None:
    """The cheapest plane of each pixel.

    Args:
        depth: filled, between planes where a parabola says so; 0 at both ends of the sweep.
        margin: with how much dearer the best plane other than the winner's neighbours is, as a share.
    """
    h, w, planes = total.shape
    first, step = 1.0 / far, (1.0 / near - 1.0 / far) / (planes - 1)
    for r in range(h):
        for c in range(w):
            t = total[r, c]
            k = 0
            for d in range(1, planes):
                if t[d] < t[k]:
                    k = d
            depth[r, c] = 0
            margin[r, c] = 0
            if k == 0 or k == planes - 1:
                continue
            other = np.int16(32767)
            for d in range(planes):
                if abs(d - k) > 2:
                    other = min(other, t[d])
            bend = float(t[k - 1]) - 2.0 * t[k] + t[k + 1]
            shift = 0.5 * (float(t[k - 1]) - t[k + 1]) / bend if bend > 0 else 0.0
            depth[r, c] = 1.0 / (first + (k + min(max(shift, -0.5), 0.5)) * step)
            margin[r, c] = (float(other) - t[k]) / max(float(other), 1.0)


@njit(cache=True, nogil=True)
def objections(total: I16, depth: F32, near: float, far: float, out: F32) -> None:
    """With how much dearer the plane next to a given depth is than the winner, as a share: what the images have against
    it. 1 outside the sweep, and where there is no depth."""
    h, w, planes = total.shape
    first, step = 1.0 / far, (1.0 / near - 1.0 / far) / (planes - 1)
    for r in range(h):
        for c in range(w):
            out[r, c] = 1
            if depth[r, c] <= 0:
                continue
            k = int(np.floor((1.0 / depth[r, c] - first) / step + 0.5))
            if k < 0 or k >= planes:
                continue
            t = total[r, c]
            least = t[0]
            for d in range(1, planes):
                least = min(least, t[d])
            out[r, c] = (float(t[k]) - least) / max(float(t[k]), 1.0)


@njit(cache=True, nogil=True)
def agreement(depth: F32, K: F64, T: F64, other: F32, sure: F32, K_other: F64, tolerance: float, votes: I16) -> None:
    """Add to `votes` +1 where another view's depth confirms a pixel, -1 where it looked through the pixel.

    Args:
        T: this camera's points in the other's frame.
        other: depth of the other view [h w], `sure` its confidence.
    """
    h, w = depth.shape
    for r in range(h):
        for c in range(w):
            d = depth[r, c]
            if d <= 0:
                continue
            x, y = (c - K[0, 2]) / K[0, 0] * d, (r - K[1, 2]) / K[1, 1] * d
            u = T[0, 0] * x + T[0, 1] * y + T[0, 2] * d + T[0, 3]
            v = T[1, 0] * x + T[1, 1] * y + T[1, 2] * d + T[1, 3]
            z = T[2, 0] * x + T[2, 1] * y + T[2, 2] * d + T[2, 3]
            if z <= 1e-6:
                continue
            j = int(np.floor(u / z * K_other[0, 0] + K_other[0, 2] + 0.5))
            i = int(np.floor(v / z * K_other[1, 1] + K_other[1, 2] + 0.5))
            if i < 0 or j < 0 or i >= other.shape[0] or j >= other.shape[1] or sure[i, j] <= 0:
                continue
            if abs(other[i, j] - z) <= tolerance * z:
                votes[r, c] += 1
            elif other[i, j] > z * (1 + 2 * tolerance):
                votes[r, c] -= 1


@njit(cache=True, nogil=True)
def carried(
    depth: F32, sure: F32, gray: F32, K: F64, T: F64, now: F32, K_now: F64, alike: float, out: F32, confidence: F32
) -> None:
    """An earlier view's depth as the present camera sees it: the nearest wins, and looks as it did.

    Args:
        T: the earlier camera's points in the present one's frame.
        now: the present grey image; alike: grey levels by which it may differ.
        out, confidence: [h w], filled; 0 where nothing came.
    """
    out[:] = 0
    confidence[:] = 0
    h, w = now.shape
    for r in range(depth.shape[0]):
        for c in range(depth.shape[1]):
            if sure[r, c] <= 0:
                continue
            d = depth[r, c]
            x, y = (c - K[0, 2]) / K[0, 0] * d, (r - K[1, 2]) / K[1, 1] * d
            u = T[0, 0] * x + T[0, 1] * y + T[0, 2] * d + T[0, 3]
            v = T[1, 0] * x + T[1, 1] * y + T[1, 2] * d + T[1, 3]
            z = T[2, 0] * x + T[2, 1] * y + T[2, 2] * d + T[2, 3]
            if z <= 1e-6:
                continue
            j = int(np.floor(u / z * K_now[0, 0] + K_now[0, 2] + 0.5))
            i = int(np.floor(v / z * K_now[1, 1] + K_now[1, 2] + 0.5))
            if i < 0 or j < 0 or i >= h or j >= w or (out[i, j] > 0 and out[i, j] <= z):
                continue
            if abs(now[i, j] - gray[r, c]) <= alike:
                out[i, j] = z
                confidence[i, j] = sure[r, c]


@njit(cache=True, nogil=True)
def support(depth: F32, evidence: F32, radius: int, link: float, out: F32) -> None:
    """Mean evidence over the window around each pixel; what lies further off than `link` (a share of the depth) has
    none to give."""
    h, w = depth.shape
    area = (2 * radius + 1) ** 2
    for r in range(h):
        for c in range(w):
            d = depth[r, c]
            out[r, c] = 0
            if d <= 0:
                continue
            near = np.float32(link) * d
            sum_ = np.float32(0)
            for i in range(max(r - radius, 0), min(r + radius + 1, h)):
                for j in range(max(c - radius, 0), min(c + radius + 1, w)):
                    if abs(depth[i, j] - d) <= near:
                        sum_ += evidence[i, j]
            out[r, c] = sum_ / area


@njit(cache=True, nogil=True)
def drop_specks(depth: F32, link: float, least: int, confidence: F32) -> None:
    """No confidence where fewer than `least` confident pixels hang together; neighbours do within the share `link`."""
    h, w = depth.shape
    done = np.zeros((h, w), np.uint8)
    stack = np.empty(h * w, np.int32)
    for start in range(h * w):
        r, c = start // w, start % w
        if done[r, c] or confidence[r, c] <= 0:
            continue
        stack[0] = start
        done[r, c] = 1
        read, end = 0, 1  # the stack is kept whole: it is the surface
        while read < end:
            r, c = stack[read] // w, stack[read] % w
            read += 1
            for k in range(4):
                i, j = r + (k == 0) - (k == 1), c + (k == 2) - (k == 3)
                if i < 0 or j < 0 or i >= h or j >= w or done[i, j] or confidence[i, j] <= 0:
                    continue
                if abs(depth[i, j] - depth[r, c]) <= link * min(depth[i, j], depth[r, c]):
                    done[i, j] = 1
                    stack[end] = i * w + j
                    end += 1
        if end < least:
            for k in range(end):
                confidence[stack[k] // w, stack[k] % w] = 0


@njit(cache=True, nogil=True)
def drop_rims(depth: F32, jump: float, confidence: F32) -> None:
    """No confidence next to a jump of depth, on either side, whether the other side is sure or not."""
    h, w = depth.shape
    for r in range(h):
        for c in range(w):
            d = depth[r, c]
            if confidence[r, c] <= 0:
                continue
            for i in range(max(r - 1, 0), min(r + 2, h)):
                for j in range(max(c - 1, 0), min(c + 2, w)):
                    e = depth[i, j]
                    if e > 0 and abs(e - d) > jump * min(d, e):
                        confidence[r, c] = 0


@njit(cache=True, nogil=True)
def enlarge(small: F32, sure: F32, jump: float, depth: F32, confidence: F32) -> None:
    """To the full size: between four sure pixels of one surface by their inverse depths, else the nearest alone."""
    h, w = small.shape
    H, W = depth.shape
    for r in range(H):
        y = min(max((r + 0.5) * h / H - 0.5, 0.0), h - 1.0)
        i = min(int(y), h - 2)
        fy = y - i
        for c in range(W):
            x = min(max((c + 0.5) * w / W - 0.5, 0.0), w - 1.0)
            j = min(int(x), w - 2)
            fx = x - j
            ni, nj = i + (1 if fy > 0.5 else 0), j + (1 if fx > 0.5 else 0)
            depth[r, c] = 0
            confidence[r, c] = 0
            if sure[ni, nj] <= 0:
                continue
            low = min(small[i, j], small[i, j + 1], small[i + 1, j], small[i + 1, j + 1])
            high = max(small[i, j], small[i, j + 1], small[i + 1, j], small[i + 1, j + 1])
            least = min(sure[i, j], sure[i, j + 1], sure[i + 1, j], sure[i + 1, j + 1])
            confidence[r, c] = sure[ni, nj]
            if least > 0 and high - low <= jump * low:
                top = (1 - fx) / small[i, j] + fx / small[i, j + 1]
                bottom = (1 - fx) / small[i + 1, j] + fx / small[i + 1, j + 1]
                depth[r, c] = 1.0 / ((1 - fy) * top + fy * bottom)
            else:
                depth[r, c] = small[ni, nj]
