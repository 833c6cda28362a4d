"""How good the search is: leip's own against random search and simulated annealing, on tables.

    python bench/search.py [--seeds 20] [--document docs/tuning.md]

Replays searches offline on the tables of bench/search_tables.py, through the loop that measures
live, from the template's default and from a random point. Regret is how much slower the best found
is than the best of the space. What stands between the marks in the document is replaced; the plot
is written beside it. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import document
import numpy as np
from search_tables import Table, kernels

from leip.search.gain_scheduler import GainScheduler
from leip.search.local_search import LocalSearch
from leip.search.measurer import Outcome, Trial
from leip.search.proposer import ProposerFactory
from leip.search.random_search import RandomSearch
from leip.search.record import Challenge, Measurement, Status
from leip.search.tuner import Tuner, TuneTask

ANNEALING = Path(__file__).parent.parent / "examples" / "plugins" / "my_search.py"
PERCENTS = range(1, 21)  # of the space, at which regret is noted
JUDGED = 12
MEDIAN_BAR, WORST_BAR = 0.03, 0.08
COMPARED = (5, 10, 20)
LEAST_POINTS, LEAST_MEDIAN, MOST_NEAR = 200, 1.5, 0.05  # of spaces that are hard enough
NEAR = 1.03
BATCH = 4
STARTS = ("default", "random")
BEGIN = "<!-- search: written by bench/search.py -->"
END = "<!-- end of search -->"
PLOT = "search.svg"


class TableMeasurer:
    """A `search.measurer.Measurer` that looks up what was measured before."""

    def __init__(self, table: Table) -> None:
        self._times = {
            tuple(table.points[point]): seconds for point, seconds in enumerate(table.seconds)
        }

    def measure(self, trials: Sequence[Trial]) -> Iterator[Outcome]:
        for trial in trials:
            seconds = self._times[tuple(trial.config.values())]
            good = math.isfinite(seconds)
            yield Outcome(Status.OK, (seconds,)) if good else Outcome(Status.INVALID)

    def compare(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        return list(self.measure(trials))

    def close(self) -> None: ...


class Watch:
    """Notes the best time after every measurement."""

    def __init__(self) -> None:
        self.best: list[float] = []

    def measured(self, task: int, record: Measurement) -> None:
        self.best.append(min([record.seconds, *self.best[-1:]]))

    def challenged(self, task: int, record: Challenge) -> None: ...


def annealing() -> ProposerFactory:
    """The example of docs/tuning.md."""
    spec = importlib.util.spec_from_file_location("annealing", ANNEALING)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # registers it too, which a bench does not ask for
    return module.Annealing  # type: ignore[no-any-return]


def searches() -> dict[str, ProposerFactory]:
    return {"leip": LocalSearch, "random": RandomSearch, "annealing": annealing()}


def replay(name: str, table: Table, search: str, start: str, seed: int) -> list[float]:
    """Best time after each measurement, until a fifth of the space is measured."""
    default = None
    if start == "random":
        legal = [point for point, each in enumerate(table.seconds) if math.isfinite(each)]
        default = legal[int(np.random.default_rng(1000 + seed).integers(len(legal)))]
    task = TuneTask(table.space(name, default), table.task)
    watch = Watch()
    tuner = Tuner(
        [task],
        TableMeasurer(table),
        GainScheduler(),
        searches()[search],
        observer=watch,
        seed=seed,
        batch=BATCH,
        clock=lambda: "",
    )
    tuner.run(budget(table, max(PERCENTS)))
    return watch.best


def budget(table: Table, percent: int) -> int:
    """Measurements that are at most a share of a space; one batch at least."""
    return min(max(percent * len(table.points) // 100, BATCH), len(table.points))


@dataclass(frozen=True)
class Row:
    """Regrets of a search on a kernel, by percent of the space measured, seed by seed."""

    kernel: str
    search: str
    start: str
    regrets: dict[int, list[float]]


def one(job: tuple[str, str, str, int]) -> Row:
    """All seeds of a search on a kernel."""
    name, search, start, seeds = job
    table = Table.load(name)
    optimum = min(table.seconds)
    curves = [replay(name, table, search, start, seed) for seed in range(seeds)]
    return Row(
        name,
        search,
        start,
        {
            percent: [curve[budget(table, percent) - 1] / optimum - 1 for curve in curves]
            for percent in PERCENTS
        },
    )


def run(names: Sequence[str], seeds: int) -> list[Row]:
    """All searches on all kernels from both starts."""
    jobs = [(n, search, start, seeds) for n in names for search in searches() for start in STARTS]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(one, jobs))


def facts(table: Table) -> tuple[int, float, float]:
    """(legal points, median over optimum, share of points within 3 % of the optimum)."""
    times = [seconds for seconds in table.seconds if math.isfinite(seconds)]
    best = min(times)
    near = sum(seconds <= best * NEAR for seconds in times) / len(times)
    return len(times), statistics.median(times) / best, near


def pooled(rows: Sequence[Row], search: str, start: str, percent: int) -> list[float]:
    """The regrets of all kernels and seeds."""
    mine = [row for row in rows if (row.search, row.start) == (search, start)]
    return [regret for row in mine for regret in row.regrets[percent]]


def hard_enough(names: Sequence[str]) -> dict[str, bool]:
    """Bars for the spaces of convolutions and products -> met."""
    bars = {}
    for name in names:
        if name.removeprefix("avx2_").startswith(("conv", "matmul")):
            points, middle, near = facts(Table.load(name))
            hard = points >= LEAST_POINTS and middle >= LEAST_MEDIAN and near <= MOST_NEAR
            text = f"{points} points, median {middle:.2f} of the best, {near:.1%} within 3 %"
            bars[f"{name}: {text}"] = hard
    return bars


def verdicts(rows: Sequence[Row]) -> dict[str, bool]:
    """Bar -> met."""
    bars: dict[str, bool] = {}
    for start in STARTS:
        mine = [row for row in rows if (row.search, row.start) == ("leip", start)]
        medians = {row.kernel: statistics.median(row.regrets[JUDGED]) for row in mine}
        worst = {row.kernel: max(row.regrets[JUDGED]) for row in mine}
        for what, found, bar in (("median", medians, MEDIAN_BAR), ("worst", worst, WORST_BAR)):
            text = f"from the {start}: {what} {_highest(found, bar)} <= {bar:.0%}"
            bars[f"{text} after {JUDGED} % of the space"] = max(found.values()) <= bar
        for percent in COMPARED:
            own = statistics.median(pooled(rows, "leip", start, percent))
            for other in ("random", "annealing"):
                theirs = statistics.median(pooled(rows, other, start, percent))
                bar = f"from the {start}, {percent} % measured: {own:.2%} < {other}'s {theirs:.2%}"
                # nothing is below the best of the space
                bars[f"{bar}, or 0"] = own < theirs or own == 0
    return bars


def _highest(found: dict[str, float], bar: float) -> str:
    """The highest figure with its kernel, and the other ones above the bar."""
    order = sorted(found, key=lambda name: -found[name])
    shown = [name for at, name in enumerate(order) if at == 0 or found[name] > bar]
    return ", ".join(f"{found[name]:.1%} ({name})" for name in shown)


def table_text(rows: Sequence[Row]) -> str:
    """The table of docs/tuning.md."""
    lines = [
        "| kernel | points | median / best | within 3 % | leip | annealing | random "
        "| leip, worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row.kernel for row in rows):
        points, middle, near = facts(Table.load(name))
        cells = []
        for search in ("leip", "annealing", "random"):
            found = {
                row.start: row.regrets[JUDGED]
                for row in rows
                if (row.kernel, row.search) == (name, search)
            }
            cells.append(" / ".join(f"{statistics.median(found[s]):.1%}" for s in STARTS))
            if search == "leip":
                worst = " / ".join(f"{max(found[s]):.1%}" for s in STARTS)
        lines.append(
            f"| {name} | {points} | {middle:.2f} | {near:.1%} | {' | '.join(cells)} | {worst} |"
        )
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Median and 90th percentile of the regret, all kernels together."""
    figure, axes = document.pyplot().subplots(
        1, 2, figsize=(9, 3.6), sharey=True, layout="constrained"
    )
    for axis, start in zip(axes, STARTS, strict=True):
        for search, color in (("leip", "C0"), ("annealing", "C1"), ("random", "C7")):
            regrets = [np.array(pooled(rows, search, start, n)) * 100 for n in PERCENTS]
            middle = [float(np.median(each)) for each in regrets]
            high = [float(np.percentile(each, 90)) for each in regrets]
            axis.plot(PERCENTS, middle, color=color, label=search)
            axis.fill_between(PERCENTS, middle, high, color=color, alpha=0.15)
        axis.set_title("from the default" if start == "default" else "from a random point")
        axis.set_xlabel("measured, % of the space")
        axis.set_ylim(0, 40)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("slower than the best, %")
    axes[0].legend()
    document.save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--document", type=Path)
    args = parser.parse_args()
    names = [kernel.name for kernel in kernels()]
    rows = run(names, args.seeds)
    text = table_text(rows)
    print(text)
    bars = {**hard_enough(names), **verdicts(rows)}
    for bar, met in bars.items():
        print("met   " if met else "MISSED", bar)
    if args.document:
        plot(rows, args.document.parent / PLOT)
        lines = [f"- {bar}{'' if met else ' (missed)'}" for bar, met in verdicts(rows).items()]
        figures = f"{text}\n\n" + "\n".join(lines)
        old = args.document.read_text(encoding="utf-8")
        new = document.between(BEGIN, END, old, figures)
        args.document.write_text(new, encoding="utf-8")
    sys.exit(0 if all(bars.values()) else 1)


if __name__ == "__main__":
    main()
