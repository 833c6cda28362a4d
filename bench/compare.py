"""Times of leip and its peers on the same ONNX files, with the same threads.

    python bench/compare.py --point 1…6
    python bench/compare.py [--models resnet50 path/to/model.onnx …] [--all] [--levels 3 4]
                            [--threads 2] [--batch 8] [--target "llvm -mcpu=haswell"]

The runners take turns within one run (`turns.py`). One of them is a second engine on another's
object (A/A): what it differs by is noise. The machine's peak and memory bandwidth are sampled
between the rounds, and the largest sample of the run counts. Ratios are to the best peer of the
same run; `floor.py` says what a model takes at least, `verdicts.py` what is aimed at.

With `--target "llvm -mcpu=haswell"` OpenVINO is limited to AVX2 and the peak is that of 256-bit
vectors. `--point` makes the runs that a point of the aims needs and tells which bars are met; the
exit code is 1 if one is missed. Figures go to `bench/results/`, as a table to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import machine
import record
import verdicts
from code_hash import code_hash
from floor import Work, floor_seconds, work_of
from runners import Leip, OnnxRuntime, OpenVino, Runner
from turns import NOISE, Blocks, fastest, measure, median_ratio, ratio
from verdicts import Verdict
from zoo_models import ZOO, MissingModel, random_feeds, zoo_model

ONEDNN_LIMIT = "ONEDNN_MAX_CPU_ISA"  # OpenVINO's variable
AVX2 = "llvm -mcpu=haswell"
BATCHED = ("resnet50", "mobilenet_v2", "bert_base_128")


@dataclass(frozen=True)
class Scenario:
    """What one run compares."""

    models: tuple[str, ...] = ZOO
    levels: tuple[int, ...] = (3,)
    threads: int = 2
    batch: int = 1
    target: str = ""
    rounds: int = 8

    @property
    def avx2(self) -> bool:
        return "haswell" in self.target

    @property
    def file_stem(self) -> str:
        """What tells this run's file from those of others."""
        parts = [f"t{self.threads}"]
        parts += [f"b{self.batch}"] if self.batch > 1 else []
        parts += ["avx2"] if self.avx2 else []
        return ".".join(parts)


POINTS = {
    1: (Scenario(),),
    2: (Scenario(levels=(3, 4)),),
    3: (Scenario(threads=1), Scenario(BATCHED, batch=8)),
    4: (Scenario(levels=(3, 4), target=AVX2),),
    5: (Scenario(levels=(1, 2, 3, 4)),),
    6: (Scenario(("resnet50",)),),
}


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

    def __init__(self, scenario: Scenario, meter: Any, folder: Path) -> None:
        self.scenario, self.meter, self.folder = scenario, meter, folder
        self.gflops = self.gigabytes = 0.0
        self.models: dict[str, dict[str, Any]] = {}

    def sample(self) -> None:
        """Note what the machine can do now, if that is more than was seen so far."""
        peak = self.meter.sample()
        self.gflops = max(self.gflops, peak.gflops)
        self.gigabytes = max(self.gigabytes, peak.gigabytes)

    def add(self, path: Path) -> None:
        """Measure one model."""
        scenario, feeds = self.scenario, random_feeds(path)
        target = {"target": scenario.target} if scenario.target else {}
        mine = [
            Leip(path, feeds, scenario.threads, level, self.folder, **target)
            for level in scenario.levels
        ]
        twin = mine[-1].again()
        others = peers(path, feeds, scenario.threads, scenario.avx2)
        self.sample()
        blocks = measure([*mine, twin, *others], scenario.rounds, self.sample)
        self.models[path.stem] = {
            "flops": mine[0].report.flops,
            "work": [[one.flops, one.weight_bytes] for one in work_of(path)],
            "control": ratio(blocks[twin.name], blocks[mine[-1].name]),
            "steps": _steps(mine, blocks),
            "runners": _figures(blocks, [runner.name for runner in others]),
        }

    def result(self) -> dict[str, Any]:
        """Everything so far, judged by the largest peak so far."""
        run: dict[str, Any] = {
            "threads": self.scenario.threads,
            "batch": self.scenario.batch,
            "target": self.scenario.target or "llvm",
            "peak_gflops": self.gflops,
            "bandwidth_gbs": self.gigabytes,
            "last_level_cache": machine.last_level_cache(),
            "models": json.loads(json.dumps(self.models)),
        }
        for model in run["models"].values():
            hold_against_target(model, run)
        return run


def _steps(mine: Sequence[Leip], blocks: dict[str, Blocks]) -> list[dict[str, Any]]:
    """Each level against the one below."""
    return [
        {
            "low": low.level,
            "high": high.level,
            "ratio": ratio(blocks[high.name], blocks[low.name]),
            "same_code": code_hash(low.report.library) == code_hash(high.report.library),
        }
        for low, high in pairwise(mine)
    ]


def _figures(blocks: dict[str, Blocks], others: Sequence[str]) -> dict[str, Any]:
    """Per runner min and median in ms, and the ratio to the best of the others."""
    best = min(others, key=lambda name: fastest(blocks[name]), default=None)
    figures: dict[str, Any] = {}
    for name, turns in blocks.items():
        figures[name] = {
            "min_ms": fastest(turns) * 1e3,
            "median_ms": statistics.median(time for turn in turns for time in turn) * 1e3,
            "runs": sum(map(len, turns)),
        }
        if best is not None:
            figures[name]["ratio"] = ratio(turns, blocks[best])
            figures[name]["median_ratio"] = median_ratio(turns, blocks[best])
    return figures


def hold_against_target(model: dict[str, Any], run: dict[str, Any]) -> None:
    """Add floor, target and shares to a model's figures, from the limits of the whole run."""
    work = [Work(*one) for one in model.pop("work")]
    limits = (run["peak_gflops"], run["bandwidth_gbs"], run["last_level_cache"])
    model["floor_ms"] = floor_seconds(work, *limits) * 1e3
    runners = model["runners"]
    rivals = verdicts.of_peers(runners, "min_ms")
    if rivals:
        model["target_ms"] = verdicts.target(min(rivals), model["floor_ms"])
    for figure in runners.values():
        figure["of_peak"] = model["flops"] / figure["min_ms"] / 1e6 / run["peak_gflops"]
        if rivals:
            figure["of_target"] = figure["min_ms"] / model["target_ms"]


def table(run: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"{run['threads']} threads, batch {run['batch']}, {run['target']}; peak "
        f"{run['peak_gflops']:.0f} Gflop/s and {run['bandwidth_gbs']:.0f} GB/s, measured in the "
        f"same run; A/A differs by {verdicts.noise_of(run):.1%} at most.",
        "",
        "| model | runner | min ms | median ms | to best peer | of peak | to target |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, model in run["models"].items():
        for runner, f in model["runners"].items():
            cells = [f"{f[key]:.2f}" if key in f else "" for key in ("ratio", "of_target")]
            lines.append(
                f"| {name} | {runner} | {f['min_ms']:.2f} | {f['median_ms']:.2f} | {cells[0]} | "
                f"{f['of_peak']:.0%} | {cells[1]} |"
            )
    return "\n".join(lines)


def carry_out(scenario: Scenario, output: Path, point: int) -> list[Verdict]:
    """Make one run; figures are stored after every model. Raises MissingModel."""
    from leip.codegen.measure import PeakMeter

    found: list[Verdict] = []
    with (
        tempfile.TemporaryDirectory(prefix="leip-bench-") as folder,
        PeakMeter(scenario.threads, cpu="haswell" if scenario.avx2 else "native") as meter,
    ):
        comparison = Comparison(scenario, meter, Path(folder))
        for name in scenario.models:
            path = Path(name) if name.endswith(".onnx") else zoo_model(name, scenario.batch)
            comparison.add(path)
            run = comparison.result()
            found = verdicts.verdicts_of(point, run) if point else []
            record.write(output, scenario.threads, run, found)
            print(path.stem, json.dumps(run["models"][path.stem]["runners"]), file=sys.stderr)
    print(table(run), "", *found, "", sep="\n")
    if (noise := verdicts.noise_of(run)) > NOISE:
        print(f"unsure: the same object differs from itself by {noise:.1%}\n")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--point", type=int, choices=sorted(POINTS), default=0)
    parser.add_argument(
        "--models", nargs="+", default=["resnet50", "mobilenet_v2", "bert_base_128"]
    )
    parser.add_argument("--all", action="store_true", help="every model of the zoo")
    parser.add_argument("--levels", nargs="+", type=int, default=[3])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1, help="of the zoo's models")
    parser.add_argument("--target", default="", help="what leip compiles for")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each runner, 5 or more")
    parser.add_argument("--output", type=Path, default=None, help="of a run without --point")
    options = parser.parse_args(argv)
    if options.rounds < 5:
        parser.error("--rounds: fewer than 5 blocks decide nothing")
    if options.point:
        scenarios = [replace(one, rounds=options.rounds) for one in POINTS[options.point]]
    else:
        scenarios = [
            Scenario(
                ZOO if options.all else tuple(options.models),
                tuple(sorted(options.levels)),
                options.threads,
                options.batch,
                options.target,
                options.rounds,
            )
        ]
    limit = any(scenario.avx2 for scenario in scenarios)
    if limit and os.environ.get(ONEDNN_LIMIT) != "AVX2":  # read when OpenVINO is loaded
        command = [sys.executable, __file__, *(sys.argv[1:] if argv is None else argv)]
        os.execve(sys.executable, command, {**os.environ, ONEDNN_LIMIT: "AVX2"})
    found: list[Verdict] = []
    for scenario in scenarios:
        stem = f"point{options.point}" if options.point else "compare"
        output = record.RESULTS / f"{stem}.{scenario.file_stem}.json"
        if options.output is not None and not options.point:
            output = options.output
        try:
            found += carry_out(scenario, output, options.point)
        except MissingModel as error:
            print(error, file=sys.stderr)
            return 1
    return 0 if verdicts.all_met(found) else 1


if __name__ == "__main__":
    sys.exit(main())
