"""Damaged files by the thousand: does every reader end in a result or in one line?

    python benchmarks/fuzz.py --cases 2000 --seed 7 --json fuzz.json

The mutator and the readers are those of tests/fuzzing; tests/test_fuzz.py runs a few hundred cases of each. Prints how
many were tried, refused with a line, and faulted, per reader; ends with 1 if any faulted. A case that is named can be
written out with --reader NAME --case NUMBER --keep FOLDER.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    from tests.fuzzing.attack import LIMIT_S, attack, damaged_sample
    from tests.fuzzing.readers import READERS

    from seg3r.files import write_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", default="", help="only those whose name holds this")
    parser.add_argument("--json", type=Path, help="write the counts and the faults here")
    parser.add_argument("--case", type=int, help="with --keep: write out the files of this case, and read nothing")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    readers = [reader for reader in READERS if given.reader in reader.name]
    if given.keep is not None and given.case is not None:
        given.keep.mkdir(parents=True)
        damaged_sample(readers[0], given.seed, given.case, given.keep)
        return
    told, tried, faulted = {}, 0, 0
    for reader in readers:
        started = time.monotonic()
        faulthandler.dump_traceback_later(LIMIT_S * 30 + given.cases, exit=True)  # a compiled loop takes no signal
        with tempfile.TemporaryDirectory() as folder:
            tally = attack(reader, given.cases, given.seed, Path(folder))
        faulthandler.cancel_dump_traceback_later()
        tried, faulted = tried + tally.tried, faulted + len(tally.faults)
        took = time.monotonic() - started
        print(
            f"{reader.name:24} tried {tally.tried:6}  refused {tally.refused:6}  faulted {len(tally.faults):4}"
            f"  {1e3 * took / tally.tried:6.1f} ms a case",
            flush=True,
        )
        for fault in tally.faults[:20]:
            print(f"    case {fault.case}: {fault.why} {fault.where}")
        told[reader.name] = {
            "tried": tally.tried, "refused": tally.refused, "faulted": len(tally.faults),
            "faults": [{"case": f.case, "why": f.why, "where": f.where} for f in tally.faults],
        }
    print(f"{tried} tried, {faulted} faulted")
    if given.json is not None:
        write_json(given.json, json.loads(json.dumps({"seed": given.seed, "readers": told}, default=str)))
    sys.exit(1 if faulted else 0)


if __name__ == "__main__":
    main()
