"""How good is it? A method on procedural rooms, whole and with a part switched off.

    python examples/06_evaluate.py 8 60

Rooms and frames of each; the split `val` is for tuning, `test` for numbers that are told.
"""

import sys

import seg3r


def main(rooms: str = "2", frames: str = "30", width: str = "320") -> None:
    size = (int(width) * 3 // 4, int(width))
    for without in ((), ("merge",), ("consistency",)):
        result = seg3r.evaluate_rooms(rooms=int(rooms), frames=int(frames), size=size, without=without)
        values = "  ".join(f"{name} {result[name]:.3f}" for name in ("AP", "AP50", "AP25"))
        print(f"{'without ' + without[0] if without else 'whole':20} {values}")


if __name__ == "__main__":
    main(*sys.argv[1:])
