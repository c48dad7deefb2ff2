"""ScanNet++ (Yeshwanth et al., ICCV 2023): the two lists of its benchmark, `top100.txt` and `top100_instance.txt`."""

from __future__ import annotations

from seg3r.evaluate.benchmarks.protocol import EXCLUDED_ID, Protocol

SCANNETPP_SEMANTIC = (
    "wall", "ceiling", "floor", "table", "door", "ceiling lamp", "cabinet", "blinds", "curtain", "chair",
    "storage cabinet", "office chair", "bookshelf", "whiteboard", "window", "box", "window frame", "monitor",
    "shelf", "doorframe", "pipe", "heater", "kitchen cabinet", "sofa", "windowsill", "bed", "shower wall",
    "trash can", "book", "plant", "blanket", "tv", "computer tower", "kitchen counter", "refrigerator", "jacket",
    "electrical duct", "sink", "bag", "picture", "pillow", "towel", "suitcase", "backpack", "crate", "keyboard",
    "rack", "toilet", "paper", "printer", "poster", "painting", "microwave", "board", "shoes", "socket", "bottle",
    "bucket", "cushion", "basket", "shoe rack", "telephone", "file folder", "cloth", "blind rail", "laptop",
    "plant pot", "exhaust fan", "cup", "coat hanger", "light switch", "speaker", "table lamp", "air vent",
    "clothes hanger", "kettle", "smoke detector", "container", "power strip", "slippers", "paper bag", "mouse",
    "cutting board", "toilet paper", "paper towel", "pot", "clock", "pan", "tap", "jar", "soap dispenser", "binder",
    "bowl", "tissue box", "whiteboard eraser", "toilet brush", "spray bottle", "headphones", "stapler", "marker",
)
"""100 classes; the id of a class is its place, counted from 0."""

_NO_INSTANCES = (
    "wall", "ceiling", "floor", "window frame", "doorframe", "pipe", "windowsill", "shower wall", "kitchen counter",
    "electrical duct", "paper", "board", "cloth", "blind rail", "air vent", "clothes hanger",
)

SCANNETPP = Protocol(
    "scannetpp",
    tuple(i for i, name in enumerate(SCANNETPP_SEMANTIC) if name not in _NO_INSTANCES),
    tuple(name for name in SCANNETPP_SEMANTIC if name not in _NO_INSTANCES),
    excluded_id=EXCLUDED_ID,
)
"""84 instance classes under their semantic ids. Vertices of the mesh's mask file (anonymised people) are cut."""
