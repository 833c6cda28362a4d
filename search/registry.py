"""Parts of the search from outside the tree: the last one that was registered is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measurer import Measurer
from .proposer import ProposerFactory
from .scheduler import Scheduler
from .space import SpaceFactory

__all__ = ["Parts", "parts", "register"]

MeasurerFactory = Callable[[], Measurer]
SchedulerFactory = Callable[[], Scheduler]
# (object before, tuned object, threads, level) -> a `leip.codegen.contest.Contest`
Judge = Callable[[Path, Path, int, int], Any]


@dataclass
class Parts:
    """What takes the place of leip's own; None: nothing does."""

    space: SpaceFactory | None = None
    proposer: ProposerFactory | None = None
    scheduler: SchedulerFactory | None = None
    measurer: MeasurerFactory | None = None
    judge: Judge | None = None


_parts = Parts()


def parts() -> Parts:
    """What was registered."""
    return _parts


def register(
    *,
    space: SpaceFactory | None = None,
    proposer: ProposerFactory | None = None,
    scheduler: SchedulerFactory | None = None,
    measurer: MeasurerFactory | None = None,
    judge: Judge | None = None,
) -> None:
    """Use these from now on; None leaves what there is."""
    _parts.space = space or _parts.space
    _parts.proposer = proposer or _parts.proposer
    _parts.scheduler = scheduler or _parts.scheduler
    _parts.measurer = measurer or _parts.measurer
    _parts.judge = judge or _parts.judge
