"""What is known to be true of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64


@dataclass(frozen=True, eq=False)
class Truth:
    """The labelled surface of a scene, as far as the recording shows it."""

    vertices: Float[np.ndarray, "v 3"]
    """In world, metres; in double precision where that lies far from its origin."""
    ids: Int64[np.ndarray, "v"]
    """label * 1000 + instance, 0 = unannotated."""

    def unlabelled(self) -> Truth:
        """Every instance of one class."""
        instance = self.ids % 1000
        return Truth(self.vertices, np.where(instance > 0, 1000 + instance, 0))
