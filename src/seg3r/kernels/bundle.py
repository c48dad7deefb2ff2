"""The inner loops of bundle adjustment: points are eliminated from the normal equations, and put back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@njit(cache=True, nogil=True)
def eliminate(
    start: I64, J: F64, index: I64, J_point: F64, off: F64, weight: F64, damping: float, S: F64, g: F64, V_inv: F64,
    g_point: F64, W: F64,
) -> None:
    """Damped normal equations of the cameras after the points (Triggs et al., 2000, section 6.1).

    Args:
        start: [p + 1], first observation of each point; observations stand in the order of points.
        J: [o 2 d], by the unknowns of the cameras that `index` [o d] names, the same in all of a row but -1 for none.
        J_point: [o 2 3], by the point.
        off: [o 2], errors; weight: [o].
        S, g: [n n], [n], zeros on entry; V_inv, g_point, W: [p 3 3], [p 3], [o d 3], filled here, for `substitute`.
    """
    d = J.shape[2]
    diagonal = np.zeros(S.shape[0])
    V, WV = np.empty((3, 3)), np.empty((d, 3))
    for p in range(len(start) - 1):
        V[:] = 0.0
        for o in range(start[p], start[p + 1]):
            for i in range(3):
                g_point[p, i] += weight[o] * (J_point[o, 0, i] * off[o, 0] + J_point[o, 1, i] * off[o, 1])
                for j in range(3):
                    V[i, j] += weight[o] * (J_point[o, 0, i] * J_point[o, 0, j] + J_point[o, 1, i] * J_point[o, 1, j])
        for i in range(3):
            V[i, i] += damping * V[i, i] + 1e-9
        _inverse(V, V_inv[p])
        for o in range(start[p], start[p + 1]):
            for a in range(d):
                at = index[o, a]
                if at < 0:
                    continue
                u, v = weight[o] * J[o, 0, a], weight[o] * J[o, 1, a]
                g[at] += u * off[o, 0] + v * off[o, 1]
                diagonal[at] += u * J[o, 0, a] + v * J[o, 1, a]
                for i in range(3):
                    W[o, a, i] = u * J_point[o, 0, i] + v * J_point[o, 1, i]
                for b in range(d):
                    to = index[o, b]
                    if to >= 0:
                        S[at, to] += u * J[o, 0, b] + v * J[o, 1, b]
        for o in range(start[p], start[p + 1]):
            for a in range(d):
                for i in range(3):
                    WV[a, i] = (
                        W[o, a, 0] * V_inv[p, 0, i] + W[o, a, 1] * V_inv[p, 1, i] + W[o, a, 2] * V_inv[p, 2, i]
                    )
                if index[o, a] >= 0:
                    g[index[o, a]] -= (
                        WV[a, 0] * g_point[p, 0] + WV[a, 1] * g_point[p, 1] + WV[a, 2] * g_point[p, 2]
                    )
            for other in range(start[p], start[p + 1]):
                for a in range(d):
                    at = index[o, a]
                    if at < 0:
                        continue
                    for b in range(d):
                        to = index[other, b]
                        if to >= 0:
                            S[at, to] -= (
                                WV[a, 0] * W[other, b, 0] + WV[a, 1] * W[other, b, 1] + WV[a, 2] * W[other, b, 2]
                            )
    for i in range(S.shape[0]):
        S[i, i] += damping * diagonal[i] + 1e-9


@njit(cache=True, nogil=True)
def substitute(start: I64, index: I64, W: F64, V_inv: F64, g_point: F64, step: F64, move: F64) -> None:
    """The points' own steps [p 3], from those of the cameras."""
    left = np.empty(3)
    for p in range(len(start) - 1):
        left[:] = g_point[p]
        for o in range(start[p], start[p + 1]):
            for a in range(index.shape[1]):
                if index[o, a] >= 0:
                    for i in range(3):
                        left[i] += W[o, a, i] * step[index[o, a]]
        for i in range(3):
            move[p, i] = -(V_inv[p, i, 0] * left[0] + V_inv[p, i, 1] * left[1] + V_inv[p, i, 2] * left[2])


@njit(cache=True, nogil=True)
def _inverse(A: F64, out: F64) -> None:
    """Of a symmetric matrix of three rows, by cofactors."""
    a, b, c, d, e, f = A[0, 0], A[0, 1], A[0, 2], A[1, 1], A[1, 2], A[2, 2]
    determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
    out[0, 0], out[0, 1], out[0, 2] = d * f - e * e, c * e - b * f, b * e - c * d
    out[1, 1], out[1, 2], out[2, 2] = a * f - c * c, b * c - a * e, a * d - b * b
    out[1, 0], out[2, 0], out[2, 1] = out[0, 1], out[0, 2], out[1, 2]
    for i in range(3):
        for j in range(3):
            out[i, j] /= determinant
