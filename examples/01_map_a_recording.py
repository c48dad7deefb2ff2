"""Map a recording into a folder, and read how it went.

    python examples/01_map_a_recording.py recordings/office out/office

Without arguments a procedural room is mapped. The method follows from what the recording holds: depth and poses, or
colour alone. Open report.html in the folder.
"""

import sys

import seg3r


def main(source: str = "rooms:2000001:noisy", out: str = "out/example") -> None:
    scene, figures = seg3r.run(source, out, vocabulary="rooms")
    print(f"{len(scene)} instances of {figures['frames']} frames, {figures['frames_per_second']} frames a second")
    for name in scene.names:
        print(f"  {len(scene[name])} x {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
