"""What a tuning log holds: one record a line.

Only measurements have the key `config`. Every record says what it is by `kind`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Challenge",
    "Config",
    "Header",
    "LayoutChoice",
    "MachineFacts",
    "Measurement",
    "Record",
    "Status",
    "TaskText",
    "TransformTime",
    "Verdict",
    "now",
]

Config = Mapping[str, int | bool | str]


def now() -> str:
    """The stamp of a record that is made now: UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class Status(StrEnum):
    """How the measurement of a config ended."""

    OK = "ok"
    INVALID = "invalid"
    BUILD_ERROR = "build error"
    TIMEOUT = "timeout"
    CRASH = "crash"
    WRONG_RESULT = "wrong result"


@dataclass(frozen=True)
class Header:
    """The first line: what the log belongs to.

    Attributes:
        model: Name of the model.
        model_hash: sha256 of its imported graph, in hex.
        target: Text of the target: its records are good for nothing else.
        threads: Threads that the kernels were measured with.
        level: Optimization level of the tasks.
        machine: Facts of the machine that began it (CPU, caches, kernel) and measured what follows,
            until a record names another one (`search/machine.py` says which of them count); its
            `gflops` and `gigabytes` are what the order of a search goes by.
        leip: Version of leip.
        tvm: Version of TVM.
        stamp: When the log was begun, UTC, ISO 8601.
    """

    model: str
    model_hash: str
    target: str
    threads: int
    level: int
    machine: Mapping[str, str]
    leip: str
    tvm: str
    stamp: str

    def facts(self, machines: Sequence[Mapping[str, str]]) -> dict[str, str]:
        """All but the model, for people, with the machines that measured."""
        texts = [", ".join(f"{name} {value}" for name, value in each.items()) for each in machines]
        return {
            "target": self.target,
            "threads, level": f"{self.threads}, {self.level}",
            "machine": "; ".join(texts),
            "leip, TVM": f"{self.leip}, {self.tvm}",
            "begun": self.stamp,
        }


@dataclass(frozen=True)
class Measurement:
    """One config of one task, measured (or found to be no legal one).

    Attributes:
        task: Key of the task.
        template: Name of the template.
        source: Hash of the sources that the template's kernels depend on.
        config: Knobs by name.
        status: How it ended.
        times: Seconds of a run, the median of each round of runs; empty unless `status` is OK.
        message: What went wrong.
        stamp: When, UTC, ISO 8601.
    """

    task: str
    template: str
    source: str
    config: Config
    status: Status
    times: tuple[float, ...] = ()
    message: str = ""
    stamp: str = ""

    @property
    def seconds(self) -> float:
        """The time that counts, that of the best round; infinite unless `status` is OK."""
        return min(self.times, default=float("inf"))


@dataclass(frozen=True)
class Challenge:
    """A config ran in turns with the one that was best so far.

    What a task is built with is the challenger that won by most (`search/standing.py`), in one log
    the last one; the template's default if there is none.

    Attributes:
        task: Key of the task.
        template: Name of the template of both.
        source: Hash of the sources that the template's kernels depend on.
        incumbent, challenger: Knobs by name.
        ratio: Median of the turns' ratios, challenger's time over incumbent's; 0 if the one that
            lost did not run.
        noise: How far from 1 that must be to count.
        won: Whether the challenger is the best from now on.
        stamp: When, UTC, ISO 8601.
    """

    task: str
    template: str
    source: str
    incumbent: Config
    challenger: Config
    ratio: float
    noise: float
    won: bool
    stamp: str = ""


@dataclass(frozen=True)
class TaskText:
    """The readable text of a task, once per log and before the first record that names it."""

    task: str
    text: str


@dataclass(frozen=True)
class MachineFacts:
    """The machine that measured the records that follow, if another one measured those before.

    Attributes:
        machine: Its facts, as in `Header`.
    """

    machine: Mapping[str, str]


@dataclass(frozen=True)
class TransformTime:
    """What it takes to convert a value from one layout into another.

    Attributes:
        task: Key of the transform's task.
        source, target: Texts of both types.
        seconds: The least time of a run.
        code: Hash of the sources that the transform's kernel depends on; "" if it is not known.
    """

    task: str
    source: str
    target: str
    seconds: float
    code: str = ""


@dataclass(frozen=True)
class LayoutChoice:
    """Which block of channels the graph was given, and what each of the candidates would take.

    Attributes:
        graph: Hash of the graph that it was made for, in its default layouts.
        block: The chosen one; 1 is plain.
        blocked: Names of the kernels' first results that work on blocked images.
        seconds: Time of the whole graph by block, measured where it was, else modelled.
        default: Whether this is what the graph gets without a search.
        sources: By task, the hash of the sources that its kernel depends on: of all that stand in
            some of the layouts that were compared, and not in all.
    """

    graph: str
    block: int
    blocked: tuple[str, ...]
    seconds: Mapping[str, float]
    default: bool
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What comparing the tuned object with what the graph would be built with otherwise said.

    The other one has the defaults, or what an earlier search has proven.

    Attributes:
        graph: Hash of the graph that was compared, in its default layouts.
        tuned: Whether the tuned one replaces it.
        iterations: Measurements in the log when it was given.
        configs: By task, the config that differs from the default, as `template{config}`; empty
            where `tuned` is False.
        sources: By task, the hash of the sources that the config was measured with.
        layouts: Hash of the graph in the layouts that the configs are for: those that the log
            chose, or the default ones, if it had not yet; "" where `tuned` is False.
        before, after: Seconds of an inference, of the other one and the tuned one: the least of all
            turns; 0 where there was nothing to compare.
        ratio: Median of the ratios after / before, one for each time that both were loaded.
        message: Why the other one stays.
        stamp: When, UTC, ISO 8601.
    """

    graph: str
    tuned: bool
    iterations: int
    configs: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    layouts: str = ""
    before: float = 0.0
    after: float = 0.0
    ratio: float = 1.0
    message: str = ""
    stamp: str = ""


Record = Measurement | Challenge | TaskText | MachineFacts | TransformTime | LayoutChoice | Verdict
