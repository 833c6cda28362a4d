"""Times of leip, ONNX Runtime and OpenVINO on the same ONNX files, with the same threads.

    python bench/compare.py [--models resnet50 mobilenet_v2 …] [--levels 3 4] [--threads 2]

The runners take turns within one run, in an order that rotates, with a pause before each turn:
ONNX Runtime's workers go on spinning for about 30 ms and would tax whoever comes next. Ratios are
to the best peer of the same run; the machine's peak is measured in the same run. Figures go to
`bench/results/compare.json` and, as a table, to standard output.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runners import Leip, OnnxRuntime, OpenVino, Runner
from zoo_models import ZOO, MissingModel, random_feeds, zoo_model

RESULTS = Path(__file__).resolve().parent / "results"
PAUSE = 0.06  # seconds before each turn
TURN = 0.1  # seconds of a turn, at least
MIN_RUNS = 3  # of a turn


def turn(runner: Runner, samples: list[float]) -> None:
    """One turn: a pause, one run that is not counted, then timed ones."""
    time.sleep(PAUSE)
    runner.run()
    end = time.perf_counter() + TURN
    done = 0
    while done < MIN_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        runner.run()
        samples.append(time.perf_counter() - started)
        done += 1


def measure(runners: Sequence[Runner], rounds: int) -> dict[str, list[float]]:
    """Times of each runner in seconds; the order rotates from round to round."""
    samples: dict[str, list[float]] = {runner.name: [] for runner in runners}
    for number in range(rounds):
        shift = number % len(runners)
        for runner in [*runners[shift:], *runners[:shift]]:
            turn(runner, samples[runner.name])
    return samples


def peers(model: Path, feeds: Any, threads: int) -> list[Runner]:
    """The other runtimes that are installed."""
    found: list[Runner] = []
    makers: tuple[Callable[..., Runner], ...] = (OnnxRuntime, OpenVino)
    for make in makers:
        try:
            found.append(make(model, feeds, threads))
        except ImportError as error:
            print(f"skipped: {error}", file=sys.stderr)
    return found


def compare(name: str, levels: Sequence[int], threads: int, rounds: int, folder: Path) -> Any:
    """The figures of one model: per runner min and median in ms, and its ratio to the best peer."""
    model = zoo_model(name)
    feeds = random_feeds(model)
    mine = [Leip(model, feeds, threads, level, folder) for level in levels]
    others = peers(model, feeds, threads)
    samples = measure([*mine, *others], rounds)
    figures: dict[str, Any] = {
        runner: {
            "min_ms": min(times) * 1e3,
            "median_ms": statistics.median(times) * 1e3,
            "runs": len(times),
        }
        for runner, times in samples.items()
    }
    if others:
        for key in ("min_ms", "median_ms"):
            best = min(figures[runner.name][key] for runner in others)
            for runner in figures.values():
                runner[f"{key[:-3]}_ratio"] = runner[key] / best
    return {"flops": mine[0].report.flops, "runners": figures}


def table(result: Any) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"Machine: {result['machine']}; {result['threads']} threads; peak "
        f"{result['peak_gflops']:.0f} Gflop/s, measured in the same run.",
        "",
        "| model | runner | min ms | median ms | ratio of min | ratio of median | of peak |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, model in result["models"].items():
        for runner, f in model["runners"].items():
            speed = model["flops"] / f["min_ms"] / 1e6
            share = speed / result["peak_gflops"] if result["peak_gflops"] else 0.0
            ratios = [f"{f[key]:.2f}" if key in f else "" for key in ("min_ratio", "median_ratio")]
            times = f"{f['min_ms']:.2f} | {f['median_ms']:.2f}"
            lines.append(f"| {name} | {runner} | {times} | {' | '.join(ratios)} | {share:.0%} |")
    return "\n".join(lines)


def machine() -> str:
    """The CPU's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0]}, {len(names)} CPUs" if names else platform.machine()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", nargs="+", default=["resnet50", "mobilenet_v2", "bert_base_128"]
    )
    parser.add_argument("--all", action="store_true", help="every model of the zoo")
    parser.add_argument("--levels", nargs="+", type=int, default=[3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=RESULTS / "compare.json")
    options = parser.parse_args(argv)
    from leip.codegen.measure import measure_peak

    peak = measure_peak(options.threads).gflops
    models: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="leip-bench-") as folder:
        for name in ZOO if options.all else options.models:
            try:
                models[name] = compare(
                    name, options.levels, options.threads, options.rounds, Path(folder)
                )
            except MissingModel as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
            print(name, json.dumps(models[name]["runners"]), file=sys.stderr)
    result = {
        "machine": machine(),
        "threads": options.threads,
        "date": time.strftime("%Y-%m-%d"),
        "peak_gflops": max(peak, measure_peak(options.threads).gflops),
        "models": models,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
