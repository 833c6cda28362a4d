"""Every model at every level against ONNX Runtime; writes the table in docs/models.md.

    python bench/all_models.py [--only resnet50 …] [--levels 1 2 3 4] [--threads 2] [--no-write]

Zoo and light graphs have random weights, so the error is measured against how far the outputs move
between two seeded inputs: max|Δ| ≤ 5e-4 · max|y(x₁) − y(x₂)| at levels 1-3 and 5e-3 at level 4.
The trained models from wheels must be within 1e-4 · max|y| on both inputs, rapidocr on what it is
made for: rows of handwritten digits (in noise it detects nothing, its largest output is 6e-5).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from outside_models import digits_page, light_model, light_names, wheel_models
from runners import Leip, OnnxRuntime
from zoo_models import ROOT, ZOO, MissingModel, random_feeds, zoo_model

DOCUMENT = ROOT / "docs" / "models.md"
SPREAD_TOLERANCE = {1: 5e-4, 2: 5e-4, 3: 5e-4, 4: 5e-3}
TRAINED_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Case:
    """A model to try."""

    name: str
    path: Path
    trained: bool = False
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of it at one level: error over tolerance base, or why it failed."""

    level: int
    error: float = float("nan")
    tolerance: float = 0.0
    seconds: float = 0.0
    failure: str = ""

    @property
    def good(self) -> bool:
        return not self.failure and self.error <= self.tolerance

    def __str__(self) -> str:
        if self.failure:
            return "failed"
        return f"{self.error:.1e}" + ("" if self.good else " **beyond**")


def cases(only: Sequence[str], folder: Path) -> Iterator[Case]:
    """The models, made or fetched one after the other."""
    for name in ZOO:
        if not only or name in only:
            yield Case(name, zoo_model(name))
    for name in light_names():
        if not only or name in only:
            yield Case(name, light_model(name, folder))
    if not only or any(name.startswith(("rapidocr", "magika")) for name in only):
        for name, path, shapes in wheel_models(folder):
            if not only or name in only or name.partition(" ")[0] in only:
                yield Case(name, path, trained=True, shapes=shapes)


def attempt(case: Case, level: int, threads: int, folder: Path) -> Outcome:
    """Compile and compare at one level."""
    feeds = [_feeds(case, seed) for seed in (1, 2)]
    reference = OnnxRuntime(case.path, feeds[0], threads)
    first = reference.run()
    reference.feeds = feeds[1]
    second = reference.run()
    started = time.perf_counter()
    try:
        runner = Leip(case.path, feeds[0], threads, level, folder, input_shapes=case.shapes or None)
        seconds = time.perf_counter() - started
        results = [runner.run()]
        if case.trained:
            runner.feeds = feeds[1]
            results.append(runner.run())
    except Exception as error:  # noqa: BLE001  # a failure of any kind is a row of the table
        return Outcome(level, failure=f"{type(error).__name__}: {str(error)[:300]}")
    worst = 0.0
    for result, expected in zip(results, (first, second)):
        for name, wanted in expected.items():
            if not np.isfinite(result[name]).all():
                return Outcome(level, failure=f"{name} is not finite")
            base = wanted if case.trained else wanted - second[name]
            scale = float(np.abs(base.astype(np.float64)).max()) or 1.0
            delta = np.abs(result[name].astype(np.float64) - wanted.astype(np.float64))
            worst = max(worst, float(delta.max(initial=0.0)) / scale)
    limit = TRAINED_TOLERANCE if case.trained else SPREAD_TOLERANCE[level]
    return Outcome(level, worst, limit, seconds)


def _feeds(case: Case, seed: int) -> dict[str, np.ndarray]:
    feeds = random_feeds(case.path, seed, case.shapes)
    if case.name == "magika":  # bytes of a file, 256 is padding
        rng = np.random.default_rng(seed)
        return {name: rng.integers(0, 257, x.shape).astype(x.dtype) for name, x in feeds.items()}
    if case.name.startswith("rapidocr"):
        return {name: digits_page(x.shape, seed) for name, x in feeds.items()}
    return feeds


def document(rows: Sequence[tuple[Case, list[Outcome]]], levels: Sequence[int]) -> str:
    """docs/models.md."""
    head = " | ".join(f"level {level}" for level in levels)
    lines = [
        "# Models that are tried",
        "",
        "Written by `make models`. The largest difference to ONNX Runtime: of models with random",
        "weights (the zoo and the `light_*` graphs of the onnx wheel) as a share of how far their",
        "outputs move between two inputs, at most 5e-4 at levels 1-3 and 5e-3 at level 4; of the",
        "trained models in the `rapidocr-onnxruntime` and `magika` wheels as a share of the",
        "largest output of two inputs, at most 1e-4. rapidocr is given rows of handwritten digits,",
        "which it finds (its largest outputs are nearly 1), magika random bytes.",
        "",
        f"| model | {head} |",
        f"|---|{'---:|' * len(levels)}",
    ]
    for case, outcomes in rows:
        lines.append(f"| {case.name} | {' | '.join(map(str, outcomes))} |")
    failures = [
        f"- {case.name}, level {outcome.level}: {outcome.failure or outcome}"
        for case, outcomes in rows
        for outcome in outcomes
        if not outcome.good
    ]
    if failures:
        lines += ["", "What does not work:", "", *failures]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--levels", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args(argv)
    rows: list[tuple[Case, list[Outcome]]] = []
    with tempfile.TemporaryDirectory(prefix="leip-models-") as name:
        folder = Path(name)
        try:
            for case in cases(options.only, folder):
                outcomes = []
                for level in options.levels:
                    outcomes.append(attempt(case, level, options.threads, folder))
                    last = outcomes[-1]
                    print(case.name, level, last, last.failure, f"{last.seconds:.0f} s", flush=True)
                rows.append((case, outcomes))
        except MissingModel as error:
            print(f"the table is incomplete: {error}", file=sys.stderr)
            return 1
    if not options.no_write and not options.only:
        DOCUMENT.write_text(document(rows, options.levels), encoding="utf-8")
    return 0 if all(outcome.good for _, outcomes in rows for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
