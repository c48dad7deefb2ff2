"""Put questions to a map that was made before (01).

    python examples/02_ask.py out/office "something to sit on" "the red box"

The same question of the same map is answered once and kept.
"""

import sys

import seg3r


def main(folder: str = "out/example", *questions: str) -> None:
    scene = seg3r.open_map(folder)
    for question in questions or ("something to sit on", "a lamp"):
        answer = scene.ask(question)
        print(question)
        for thing, score in zip(scene.instances(answer), answer.scores, strict=True):
            print(f"  {score:.2f}  {thing}")
        if not answer.instance_ids:
            print("  nothing fits")


if __name__ == "__main__":
    main(*sys.argv[1:])
