"""The map: points, instances, and how often each instance was seen to own each point.

It stores and answers. It does not match, refine, label, draw or decide: those are stages. It lives on the host: hash
tables and linked lists are pointer chasing, which a GPU does not speed up; what reaches it per frame is small.
"""

from seg3r.scene.map import SceneMap
from seg3r.scene.visible import Visible

__all__ = ["SceneMap", "Visible"]
