"""What kernels cost by the models of the templates that will make them."""

from __future__ import annotations

from numbers import Real

from .. import plugin
from ..errors import PassError
from ..ir.graph import Node
from ..ir.layout import Layout
from ..ir.target import Target
from ..ir.types import TensorType
from ..passes.layout_roles import roles
from ..passes.modelled_cost import ModelledCost
from ..passes.relayout import in_layout
from ..schedules.select import select
from ..schedules.task import Task

__all__ = ["TemplateCost"]

CYCLES_PER_NS = 4.0  # of a core; it only weighs kernels with a model against the others
# What models of plain convolutions leave out, against those of blocked ones. Measured over the
# model, Zen 5, whole networks in one layout: plain 0.98 to 1.05, blocked 0.86 to 0.98.
PLAIN = 1.06
WAIT = 500  # ns at the end of a kernel; measured 200 to 600 for two threads
# Bytes of a result per ns: what is not hidden of its way to the cores that read it. Measured, quiet
# Zen 5: 0.5 to 2 us for 0.15 to 1.6 MB; on a busy host ten times as long.
PASSED = 800.0
MOST_CYCLES = 1e18  # years: sums of them are whole numbers that a cut can compare
LONGEST = 60  # characters of a wrong value that are shown


class TemplateCost:
    """A `CostModel` and `KernelCost` that asks the template of a kernel, as `select` chooses it.

    Kernels whose template has no model (movement, elementwise, what only the generic template
    takes) and transforms cost what `ModelledCost` says.

    Args:
        block: Channels per block.
        target: What the kernels run on.
        threads: Threads that share them.
        level: Optimization level 1-4.
    """

    def __init__(self, block: int, target: Target, threads: int, level: int) -> None:
        self._rates = ModelledCost.of_threads(block, threads)
        self._block = block
        self._target = target
        self._threads = threads
        self._level = level
        self._known: dict[str, float | None] = {}

    def of_block(self, block: int) -> TemplateCost:
        """The same for other blocks; what a task costs is known to both."""
        other = TemplateCost(block, self._target, self._threads, self._level)
        other._known = self._known
        return other

    def transform(self, type: TensorType, layout: Layout | None) -> int:
        return self._rates.transform(type, layout)

    def kernel(self, kernel: Node, layout: Layout | None) -> int:
        rough = self._rates.kernel(kernel, layout)
        if rough == 0:  # a view
            return 0
        # one task a layout: values that any layout does for come in the kernel's own
        node = in_layout(kernel, roles(kernel, self._block), layout, layout)
        task = Task.of_kernel(node, self._target, self._threads, self._level)
        time = self._time(task)
        if time is None:
            return rough
        is_conv = any(node.op == "conv" for node in task.nodes)
        return int(time * PLAIN) if layout is None and is_conv else int(time)

    def as_it_is(self, kernel: Node) -> int | None:
        """Nanoseconds of a kernel in the layouts it has; None if its template has no model.

        Where several kernels are compared with one that does the work of all. That one saves a
        wait of all threads, and images that go from core to core. A single thread saves neither:
        measured, one kernel takes 0.98 to 1.04 of the time of two then, which is less than what
        models are wrong by, so there is no answer.
        """
        if self._threads == 1:
            return None
        task = Task.of_kernel(kernel, self._target, self._threads, self._level)
        time = self._time(task)
        if time is None:
            return None
        return int(time + WAIT + sum(value.type.nbytes for value in kernel.outputs) / PASSED)

    def _time(self, task: Task) -> float | None:
        if task.key not in self._known:
            self._known[task.key] = _cycles(task)
        cycles = self._known[task.key]
        return None if cycles is None else cycles / self._threads / CYCLES_PER_NS


def _cycles(task: Task) -> float | None:
    """Cycles of all threads by the model of the template and config that the task gets.

    Raises:
        PassError: A template of a plugin raises something, or says what is no number of cycles.
    """
    is_pair = sum(node.op == "conv" for node in task.nodes) > 1
    try:
        choice = select(task)
        if is_pair and not choice.template.takes_pairs:
            return None
        cycles = choice.template.cycles(task, choice.config)
    except Exception as error:
        fault = plugin.fault(error)
        if fault is None:
            raise
        raise PassError(fault.message, fault.where, fault.hint) from error
    if cycles is None:
        return None
    if not isinstance(cycles, Real) or not 0 <= cycles <= MOST_CYCLES:
        raise PassError(
            f"`cycles` of template {choice.template.name} gives {_shown(cycles)}",
            "the cost of a kernel",
            "it gives a finite number, 0 at least, or None if there is no model",
        )
    return float(cycles)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
