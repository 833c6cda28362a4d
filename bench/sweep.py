"""Random convolutions and matrix products of a seed, leip at level 3 against ONNX Runtime.

    python bench/sweep.py [--seed 1] [--count 200] [--threads 2] [--only INDEX …] [--json FILE]

Each shape is an ONNX model of one node. All are compiled first, several at once; then they are
measured one by one, leip and ONNX Runtime in turns, and the least times count. Results are compared
too: an answer that is wrong is a failure however fast it is. The exit code is 1 if a bar is missed.
`--only` takes the indices that the table shows, for work on single shapes of the same seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import machine
import numpy as np
import onnx
import turns
from runners import Leip, OnnxRuntime
from sweep_shapes import Shape, shapes
from zoo_models import random_feeds

LEVEL = 3
WORKERS = 2  # that compile
ROUNDS = 5
TURN = 0.03  # seconds
PEAK_EVERY = 20  # shapes
TOLERANCE = 1e-4  # of the largest result
MEDIAN_BAR = 0.9
WORST_BAR = 2.0


@dataclass(frozen=True)
class Row:
    """One shape, measured; times in seconds. `failure` says why there are none."""

    index: int
    shape: str
    flops: int
    leip: float = 0.0
    peer: float = 0.0
    template: str = ""
    config: str = ""
    kernels: int = 0
    error: float = 0.0
    failure: str = ""

    @property
    def ratio(self) -> float:
        return self.leip / self.peer


@dataclass(frozen=True)
class Summary:
    """What the rows amount to, and whether that is good enough."""

    shapes: int
    failures: int
    median: float
    worst: float
    beyond: int

    @property
    def verdicts(self) -> dict[str, bool]:
        """Bar -> met; shapes that failed meet none."""
        whole = self.shapes > 0 and self.failures == 0
        return {
            f"all {self.shapes} shapes compile and are right": whole,
            f"median {self.median:.3f} <= {MEDIAN_BAR}": self.median <= MEDIAN_BAR,
            f"worst {self.worst:.3f} <= {WORST_BAR:g}": self.worst <= WORST_BAR and whole,
        }


def summary(rows: Sequence[Row]) -> Summary:
    """Median, worst and count of slow ones over the rows that were measured."""
    ratios = [row.ratio for row in rows if not row.failure]
    return Summary(
        len(rows),
        len(rows) - len(ratios),
        statistics.median(ratios) if ratios else float("nan"),
        max(ratios, default=float("nan")),
        sum(ratio >= WORST_BAR for ratio in ratios),
    )


def compile_shape(shape: Shape, index: int, threads: int, folder: Path) -> str:
    """Write the model `<index>.onnx` and its LRE folder; "" or why that failed."""
    import leip

    path = folder / f"{index}.onnx"
    onnx.save(shape.model(index), str(path))
    try:
        out = folder / f"{index}.out"
        leip.compile(path, out, optimization={"kernel": LEVEL}, threads=threads, jobs=1)
    except Exception as error:  # noqa: BLE001  # a failure of any kind is a row of the table
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def compile_all(chosen: dict[int, Shape], threads: int, folder: Path) -> dict[int, str]:
    """Compile all, several at once; index -> "" or why it failed."""
    failures: dict[int, str] = {}
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        jobs = {
            pool.submit(compile_shape, shape, index, threads, folder): index
            for index, shape in chosen.items()
        }
        for job in as_completed(jobs):
            failures[jobs[job]] = job.result()
            print(f"\rcompiled {len(failures)} of {len(jobs)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return failures


def measure(index: int, shape: Shape, threads: int, folder: Path) -> Row:
    """One compiled shape and ONNX Runtime in turns."""
    model = folder / f"{index}.onnx"
    feeds = random_feeds(model)
    mine = Leip.load(folder / f"{index}.out", feeds, threads)
    peer = OnnxRuntime(model, feeds, threads)
    expected, got = peer.run()["y"], mine.run()["y"]
    error = float(np.abs(got - expected).max() / (np.abs(expected).max() or 1.0))
    blocks = turns.measure([mine, peer], ROUNDS, seconds=TURN)
    kernels = mine.engine.get_metadata()["kernels"]
    heavy = max(kernels, key=lambda kernel: kernel["flops"])
    mine.engine.close()
    return Row(
        index,
        str(shape),
        shape.flops,
        turns.fastest(blocks[mine.name]),
        turns.fastest(blocks[peer.name]),
        heavy["template"],
        heavy.get("config", ""),
        len(kernels),
        error,
        "" if error <= TOLERANCE else f"wrong by {error:.1e} of the largest result",
    )


def line(row: Row, gflops: float) -> str:
    """A row of the table."""
    head = f"{row.index:4d}  {row.shape:44s}"
    if row.failure:
        return f"{head}  {row.failure}"
    share = row.flops / row.leip / 1e9 / gflops
    extra = f" (+{row.kernels - 1})" if row.kernels > 1 else ""
    return (
        f"{head} {row.leip * 1e6:9.1f} {row.peer * 1e6:9.1f} {row.ratio:6.2f} {share:5.0%}  "
        f"{row.template}{extra}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="+", metavar="INDEX", default=[])
    parser.add_argument("--json", type=Path, default=None, help="where figures go")
    options = parser.parse_args(argv)
    if bad := [index for index in options.only if not 0 <= index < options.count]:
        parser.error(f"--only: there is no shape {bad[0]} among {options.count}")
    chosen = {
        index: shape
        for index, shape in enumerate(shapes(options.seed, options.count))
        if not options.only or index in options.only
    }
    from leip.codegen.measure import PeakMeter

    rows: list[Row] = []
    gflops = 0.0
    with (
        tempfile.TemporaryDirectory(prefix="leip-sweep-") as name,
        PeakMeter(options.threads) as meter,
    ):
        folder = Path(name)
        failures = compile_all(chosen, options.threads, folder)
        print(f"{'':4s}  {'shape':44s} {'leip us':>9s} {'ORT us':>9s}  ratio  peak  template")
        for count, (index, shape) in enumerate(chosen.items()):
            if count % PEAK_EVERY == 0:
                gflops = max(gflops, meter.sample().gflops)
            if failures[index]:
                rows.append(Row(index, str(shape), shape.flops, failure=failures[index]))
            else:
                rows.append(measure(index, shape, options.threads, folder))
            print(line(rows[-1], gflops), flush=True)
    total = summary(rows)
    print(
        f"\nseed {options.seed}, {total.shapes} shapes, {options.threads} threads, peak "
        f"{gflops:.0f} Gflop/s: median {total.median:.3f}, worst {total.worst:.2f}, "
        f"{total.beyond} of 2x and more, {total.failures} failed"
    )
    for bar, met in total.verdicts.items():
        print(f"{'met   ' if met else 'MISSED'}  {bar}")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(_record(options, gflops, rows, total), indent=1) + "\n")
    return 0 if all(total.verdicts.values()) else 1


def _record(
    options: argparse.Namespace, gflops: float, rows: Sequence[Row], total: Summary
) -> dict[str, Any]:
    """All figures with the facts of the machine."""
    return {
        **machine.facts(options.threads),
        "seed": options.seed,
        "peak_gflops": gflops,
        **asdict(total),
        "verdicts": total.verdicts,
        "rows": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    sys.exit(main())
