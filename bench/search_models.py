"""Whole models through the search: never slower than untuned, and back from bad defaults.

    python bench/search_models.py [--models resnet50 path/to/model.onnx …] [--iterations 1000]
                                  [--slow]

Each model is compiled without a search and with one, and both objects run in turns. With `--slow`
the search begins from defaults of the slowest quarter (`slow_defaults.py`), and is still compared
with the shipped ones. The exit code is 1 if a searched object is slower by more than is allowed:
3 %, or 4 % where it came from bad defaults. Where the defaults stay, both objects are the same byte
by byte, and what their times differ by is noise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from zoo_models import ZOO, zoo_model

import leip
from leip.codegen.contest import contest

SLOW = Path(__file__).parent / "slow_defaults.py"
MODELS = ("resnet50", "mobilenet_v3_large", "bert_base_128")
THREADS, LEVEL = 2, 3
NEVER_SLOWER, BACK = 1.03, 1.04


def main(argv: Sequence[str] | None = None) -> int:
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n    ")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--slow", action="store_true", help="begin from bad defaults")
    options = parser.parse_args(argv)
    bar = BACK if options.slow else NEVER_SLOWER
    missed = False
    for name in options.models:
        model = zoo_model(name) if name in ZOO else Path(name)
        with tempfile.TemporaryDirectory(prefix="leip-search-") as folder:
            plain, searched = Path(folder) / "plain", Path(folder) / "searched"
            leip.compile(model, plain, threads=THREADS)
            start = time.monotonic()
            report = leip.compile(
                model,
                searched,
                threads=THREADS,
                optimization={"kernel": LEVEL, "graph": options.iterations},
                plugins=[SLOW] if options.slow else [],
            )
            seconds = time.monotonic() - start
            objects = [path / "modelLibrary.so" for path in (plain, searched)]
            result = contest(objects[0], objects[1], THREADS, LEVEL)
            same = objects[0].read_bytes() == objects[1].read_bytes()
        met = same or result.ratio <= bar
        missed |= not met
        print(
            f"{'met   ' if met else 'MISSED'}  {Path(name).stem}: {result.before * 1e3:.2f} -> "
            f"{result.after * 1e3:.2f} ms, {result.ratio:.3f} of the shipped defaults' time "
            f"(noise {result.noise:.1%}, bar {bar}), {options.iterations} iterations in "
            f"{seconds:.0f} s; {'the same object; ' * same}{'; '.join(report.notes)}",
            flush=True,
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
