"""Times of leip and its peers on the same ONNX files, with the same threads.

    python bench/compare.py [--models resnet50 path/to/model.onnx …] [--all] [--levels 3 4]
                            [--threads 2] [--batch 8] [--target "llvm -mcpu=haswell"]

The runners take turns within one run, in an order that rotates, with a pause before each turn:
ONNX Runtime's workers go on spinning for about 30 ms and would tax whoever comes next. One of the
runners is a second engine on the first one's object (A/A): what it differs by is noise. The
machine's peak and memory bandwidth are sampled between the rounds, and the largest sample counts.
Ratios are to the best peer of the same run; `goals.py` says what the target is.

With `--target "llvm -mcpu=haswell"` OpenVINO is limited to AVX2 and the peak is that of 256-bit
vectors. Figures go to `bench/results/`, and as a table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import goals
import machine
from runners import Leip, OnnxRuntime, OpenVino, Runner
from zoo_models import ZOO, MissingModel, random_feeds, zoo_model

RESULTS = Path(__file__).resolve().parent / "results"
PAUSE = 0.06  # seconds before each turn
TURN = 0.1  # seconds of a turn, at least
MIN_RUNS = 3  # of a turn
ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"  # OpenVINO's variable

Blocks = list[list[float]]  # times in seconds, turn by turn


def turn(runner: Runner) -> list[float]:
    """One turn: a pause, one run that is not counted, then timed ones."""
    time.sleep(PAUSE)
    runner.run()
    samples: list[float] = []
    end = time.perf_counter() + TURN
    while len(samples) < MIN_RUNS or time.perf_counter() < end:
        started = time.perf_counter()
        runner.run()
        samples.append(time.perf_counter() - started)
    return samples


def measure(
    runners: Sequence[Runner], rounds: int, between: Callable[[], None] = lambda: None
) -> dict[str, Blocks]:
    """Times of each runner; the order rotates from round to round."""
    blocks: dict[str, Blocks] = {runner.name: [] for runner in runners}
    for number in range(rounds):
        shift = number % len(runners)
        for runner in [*runners[shift:], *runners[:shift]]:
            blocks[runner.name].append(turn(runner))
        between()
    return blocks


def peers(model: Path, feeds: Any, threads: int, avx2: bool) -> list[Runner]:
    """The other runtimes that are installed; with AVX2 those that can be limited to it."""
    found: list[Runner] = []
    makers: tuple[Callable[..., Runner], ...] = (OpenVino,) if avx2 else (OnnxRuntime, OpenVino)
    for make in makers:
        try:
            found.append(make(model, feeds, threads))
        except ImportError as error:
            print(f"skipped: {error}", file=sys.stderr)
    return found


class Comparison:
    """One run over several models."""

    def __init__(self, options: argparse.Namespace, meter: Any, folder: Path) -> None:
        self.options, self.meter, self.folder = options, meter, folder
        self.gflops = self.gigabytes = 0.0

    def sample(self) -> None:
        """Note what the machine can do now, if that is more than was seen so far."""
        peak = self.meter.sample()
        self.gflops = max(self.gflops, peak.gflops)
        self.gigabytes = max(self.gigabytes, peak.gigabytes)

    def model(self, path: Path) -> dict[str, Any]:
        """The figures of one model: per runner min and median in ms, and ratios."""
        options, feeds = self.options, random_feeds(path)
        target = {"target": options.target} if options.target else {}
        mine = [
            Leip(path, feeds, options.threads, level, self.folder, **target)
            for level in options.levels
        ]
        others = peers(path, feeds, options.threads, "haswell" in options.target)
        self.sample()
        blocks = measure([*mine, mine[0].again(), *others], options.rounds, self.sample)
        figures: dict[str, Any] = {
            name: {
                "min_ms": min(map(min, turns)) * 1e3,
                "median_ms": statistics.median(t for turn in turns for t in turn) * 1e3,
                "runs": sum(map(len, turns)),
            }
            for name, turns in blocks.items()
        }
        if others:
            best = min((runner.name for runner in others), key=lambda n: figures[n]["min_ms"])
            for name, figure in figures.items():
                figure["ratio"] = goals.verdict(blocks[name], blocks[best])
                figure["median_ratio"] = goals.median_ratio(blocks[name], blocks[best])
        kernels = {runner.name: runner.kernels for runner in mine}
        heavy = goals.work_of(path)
        return {
            "flops": mine[0].report.flops,
            "work": [[one.flops, one.weight_bytes] for one in heavy],
            "kernels": kernels,
            "runners": figures,
        }


def judge(result: dict[str, Any]) -> None:
    """Add floors, targets and ratios to them, once the peak of the whole run is known."""
    ratios: dict[str, list[float]] = {}
    for model in result["models"].values():
        runners = model["runners"]
        rivals = [f["min_ms"] for name, f in runners.items() if not name.startswith("leip")]
        work = [goals.Work(*one) for one in model.pop("work")]
        least = goals.floor(
            work, result["peak_gflops"], result["bandwidth_gbs"], result["last_level_cache"]
        )
        model["floor_ms"] = least * 1e3
        if not rivals:
            continue
        model["target_ms"] = goals.target(min(rivals), least * 1e3)
        for name, figure in runners.items():
            figure["of_target"] = figure["min_ms"] / model["target_ms"]
            ratios.setdefault(name, []).append(figure["of_target"])
    result["geometric_mean_of_target"] = {
        name: goals.geometric_mean(values) for name, values in ratios.items()
    }


def table(result: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"Machine: {result['machine']}; {result['threads']} threads; peak "
        f"{result['peak_gflops']:.0f} Gflop/s and {result['bandwidth_gbs']:.0f} GB/s, measured in "
        f"the same run; {result['date']}.",
        "",
        "| model | runner | min ms | median ms | to best peer | of peak | to target |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, model in result["models"].items():
        for runner, f in model["runners"].items():
            share = model["flops"] / f["min_ms"] / 1e6 / result["peak_gflops"]
            cells = [f"{f[key]:.2f}" if key in f else "" for key in ("ratio", "of_target")]
            lines.append(
                f"| {name} | {runner} | {f['min_ms']:.2f} | {f['median_ms']:.2f} | {cells[0]} | "
                f"{share:.0%} | {cells[1]} |"
            )
    means = result["geometric_mean_of_target"]
    if means:
        text = ", ".join(f"{runner} {mean:.3f}" for runner, mean in means.items())
        lines += ["", f"Geometric mean of time / target: {text}."]
    return "\n".join([*lines, *level_notes(result)])


def level_notes(result: dict[str, Any]) -> list[str]:
    """Models where a higher level is slower than a lower one beyond the noise."""
    notes = []
    for name, model in result["models"].items():
        times = {
            int(match[1]): (figure["min_ms"], model["kernels"][runner])
            for runner, figure in model["runners"].items()
            if (match := re.fullmatch(r"leip level (\d)", runner))
        }
        for low, high in zip(sorted(times), sorted(times)[1:]):
            (before, old), (after, new) = times[low], times[high]
            if after > before * (1 + goals.NOISE) and old != new:
                notes.append(
                    f"{name}: level {high} is slower than level {low}: {after / before:.2f}"
                )
    return ["", *notes] if notes else []


def model_path(name: str, batch: int) -> Path:
    """A model of the zoo by name, or any file. Raises MissingModel."""
    return Path(name) if name.endswith(".onnx") else zoo_model(name, batch)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", nargs="+", default=["resnet50", "mobilenet_v2", "bert_base_128"]
    )
    parser.add_argument("--all", action="store_true", help="every model of the zoo")
    parser.add_argument("--levels", nargs="+", type=int, default=[3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="of the zoo's models")
    parser.add_argument("--target", default="", help="what leip compiles for")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args(argv)
    avx2 = "haswell" in options.target
    if avx2 and os.environ.get(ONEDNN_LIMIT) != "AVX2":  # read when OpenVINO is loaded: start again
        command = [sys.executable, __file__, *(argv or sys.argv[1:])]
        os.execve(sys.executable, command, {**os.environ, ONEDNN_LIMIT: "AVX2"})
    from leip.codegen.measure import PeakMeter

    models: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory(prefix="leip-bench-") as folder,
        PeakMeter(options.threads, cpu="haswell" if avx2 else "native") as meter,
    ):
        comparison = Comparison(options, meter, Path(folder))
        for name in ZOO if options.all else options.models:
            try:
                path = model_path(name, options.batch)
            except MissingModel as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
            models[path.stem] = comparison.model(path)
            print(path.stem, json.dumps(models[path.stem]["runners"]), file=sys.stderr)
    result = {
        **machine.facts(options.threads),
        "batch": options.batch,
        "target": options.target or "llvm",
        "peak_gflops": comparison.gflops,
        "bandwidth_gbs": comparison.gigabytes,
        "last_level_cache": machine.last_level_cache(),
        "models": models,
    }
    judge(result)
    output = options.output or RESULTS / f"compare{file_suffix(options)}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return 0


def file_suffix(options: argparse.Namespace) -> str:
    """What tells this run's file from those of other options."""
    parts = [f".t{options.threads}"]
    parts += [f".b{options.batch}"] if options.batch > 1 else []
    parts += [".avx2"] if "haswell" in options.target else []
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(main())
