"""CUT3R: one frame in, points and pose out, a state carried along."""

from seg3r.models.cut3r.heads import Pose
from seg3r.models.cut3r.model import Carried, Cut3r, Cut3rConfig, Prediction
from seg3r.models.cut3r.names import from_released, load_weights

__all__ = ["Carried", "Cut3r", "Cut3rConfig", "Pose", "Prediction", "from_released", "load_weights"]
