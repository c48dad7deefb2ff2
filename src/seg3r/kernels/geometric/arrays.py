"""What the kernels of the geometric segmenter take and give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Pinhole = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels of the reduced image."""
