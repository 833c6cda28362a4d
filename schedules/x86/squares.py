"""What templates that move elements by squares of vectors in registers have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...ir import levels
from ...ir.dtypes import DType
from ...ir.graph import Value
from .. import common
from ..task import Task
from ..template import Knobs, Template, knob, require
from .pointwise import GRAIN_US

__all__ = ["Config", "Squares", "moved"]


@dataclass(frozen=True)
class Config(Knobs):
    threads: bool = knob(True, choices=(False, True), help="spread over threads")


class Squares(Template):
    """A template whose one choice is whether threads share the squares."""

    Config = Config

    def default(self, task: Task) -> Knobs:
        return Config(task.threads > 1 and common.serial_work(task) >= GRAIN_US)

    def space(self, task: Task) -> Iterable[Knobs]:
        default = self.default(task)
        assert isinstance(default, Config)
        yield default
        if task.threads > 1:
            yield Config(not default.threads)


def moved(task: Task, op: str) -> tuple[Value, Value]:
    """Operand and result of a body that is this op alone, on float32. Raises NotApplicable."""
    require(task.target.arch == "x86" and task.target.vector_bits >= 128, "no x86 vectors")
    require(task.level >= levels.FUSED, "level 1 has plain loops only")
    require([node.op for node in task.nodes] == [op], f"not one {op}")
    x, y = task.body.inputs[0], task.body.outputs[0]
    require(x.dtype is DType.F32, f"operand is {x.dtype.short}")
    return x, y
