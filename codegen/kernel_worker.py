"""The process that builds kernels: reads jobs from stdin, writes results to stdout.

It ends when stdin does, and when its parent is gone.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .worker_process import answers_to, limit_addresses, send, serve

if TYPE_CHECKING:
    from ..schedules.task import Task
    from ..schedules.template import Knobs, Template

__all__ = ["DIED", "Built", "Errand", "Failed", "Job", "answer", "build_job", "main", "parsed"]


@dataclass(frozen=True)
class Job:
    """A kernel to build: the task's text, the chosen template and config, the symbol."""

    text: str
    template: str
    config: str
    symbol: str


@dataclass(frozen=True)
class Built:
    """An object file.

    Attributes:
        data: Its bytes.
        workspace: Upper bound of temporary bytes per thread.
        seconds: What it took.
        in_place: Positions of operands whose memory its result may take.
    """

    data: bytes
    workspace: int
    seconds: float = 0.0
    in_place: tuple[int, ...] = ()


ADDRESSES = 4 << 30  # bytes that libraries reserve, most of them never used

DIED = "Died"  # the kind of a failure: somebody or something killed the worker


@dataclass(frozen=True)
class Failed:
    """Why there is none. `expected` tells a template's refusal from a bug."""

    kind: str
    message: str
    trace: str
    expected: bool = False


class Errand(Protocol):
    """Something else that needs the templates: what `run` gives goes to the parent."""

    def run(self) -> Any: ...


def build_job(job: Job) -> Built | Failed:
    """Build one kernel in this process."""
    built: Built | Failed = _guarded(lambda: _build(job))
    return built


def answer(job: Job | Errand) -> Any:
    """What a job or an errand comes to; `Failed` for whatever it raises."""
    return build_job(job) if isinstance(job, Job) else _guarded(job.run)


def _guarded(work: Callable[[], Any]) -> Any:
    from ..schedules.template import InvalidConfig, NotApplicable

    try:
        return work()
    except (InvalidConfig, NotApplicable) as error:
        return Failed(type(error).__name__, str(error), traceback.format_exc(), expected=True)
    except Exception as error:  # noqa: BLE001 - whatever a template or TVM raises goes to the parent
        return Failed(type(error).__name__, str(error), traceback.format_exc())


def parsed(job: Job) -> tuple[Task, Template, Knobs]:
    """What a job names: its task, template and config. Raises InvalidConfig, NotApplicable."""
    from ..schedules import select
    from ..schedules.task import Task

    task = Task.parse(job.text)
    template = select.template(job.template)
    return task, template, template.Config.from_text(job.config, template.default(task))


def _build(job: Job) -> Built:
    from ..schedules.in_place import prepare
    from .kernel_object import compile_lowered
    from .resolver import tvm_target

    start = time.perf_counter()
    task, template, config = parsed(job)
    with tvm_target(task.target):
        lowered = template.build(task, config)
        lowered, in_place = prepare(lowered, template.in_place(task, config))
    data = compile_lowered(lowered, job.symbol, task.target, task.level)
    return Built(data, lowered.workspace, time.perf_counter() - start, in_place)


def _limit_memory() -> None:
    """A template that allocates without end fails before the machine does."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit_addresses(ADDRESSES + memory // 4)  # there are several workers


def main(parent: int, plugins: tuple[str, ...]) -> None:
    """Serve jobs until stdin ends. The first message out is None, or why setting up failed."""
    results = answers_to(parent, lambda: os._exit(1))
    _limit_memory()
    try:
        import tvm  # noqa: F401 - the slow import, before the first job

        from ..plugin import load

        load(plugins)
    except Exception as error:  # noqa: BLE001
        send(results, Failed(type(error).__name__, str(error), traceback.format_exc()))
        return
    send(results, None)
    serve(results, answer)
