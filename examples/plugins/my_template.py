"""A template of your own: one row times a constant matrix, packed in panels of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te

from leip.ir import DType, Node, Pattern, TensorType
from leip.plugin import register_template
from leip.schedules import common
from leip.schedules.context import Context
from leip.schedules.lower import lower_body
from leip.schedules.task import Task
from leip.schedules.template import InvalidConfig, Knobs, Lowered, Pack, Template, knob, require
from leip.schedules.view import View


@dataclass(frozen=True)
class Config(Knobs):
    vectors: int = knob(2, choices=(1, 2, 4), help="vector registers that sum up columns")


class OneRow(Template):
    """y[0, n] = sum over k of x[0, k] * w[k, n], and what elementwise work follows

    for panel: for column: for k  →  parallel panel: for k: unrolled vector: vectorized lane

    Limit: the memory that w streams from; every element of it is used once.
    """

    name = "matmul_f32_onerow__any"
    Config = Config

    def check(self, task: Task) -> None:
        require(bool(task.nodes), "nothing is computed")
        first, *rest = task.nodes
        require(first.op == "matmul", f"{first.op} comes before a matmul")
        x, w = first.inputs
        require(x.dtype is DType.F32 and x.rank == w.rank == 2, f"operands are {x.type}, {w.type}")
        require(x.shape[0] == 1 and not first.attrs.transpose_a, f"{x.type} is not a row")
        constant = w in [task.body.inputs[i] for i in task.constants]
        require(constant and task.body.n_uses(w) == 1, "the matrix is no constant of its own")
        require(columns(task) % lanes(task) == 0, f"{columns(task)} columns do not fill vectors")
        elementwise = all(node.definition.pattern is Pattern.ELEMENTWISE for node in rest)
        shapes = [value.shape for value in task.body.outputs]
        require(elementwise and shapes == [first.output.shape], "what follows is not elementwise")

    def default(self, task: Task) -> Config:
        return next(self.space(task))

    def space(self, task: Task) -> Iterator[Config]:
        for vectors in (2, 1, 4):
            if columns(task) % (vectors * lanes(task)) == 0:
                yield Config(vectors)

    def packs(self, task: Task, config: Config) -> dict[int, Pack]:
        matmul, width = task.nodes[0], config.vectors * lanes(task)
        transposed = matmul.attrs.transpose_b
        panels, depth = columns(task) // width, matmul.inputs[0].shape[1]

        def apply(w: np.ndarray) -> np.ndarray:
            w = w.T if transposed else w
            return np.ascontiguousarray(w.reshape(depth, panels, width).transpose(1, 0, 2))

        packed = TensorType(DType.F32, (panels, depth, width))
        position = task.body.inputs.index(matmul.inputs[1])
        return {position: Pack(packed, apply, f"panels{width}{transposed}")}

    def build(self, task: Task, config: Config) -> Lowered:
        require(config in list(self.space(task)), f"{config} does not fit", InvalidConfig)
        packs = self.packs(task, config)
        body = lower_body(task, packs=packs, intercept=product)
        sch = body.schedule()
        sums, out = sch.get_sblock("sums"), sch.get_sblock("out0")
        panel, column, k = sch.get_loops(sums)
        vector, lane = sch.split(column, [None, lanes(task)])
        sch.reorder(panel, k, vector, lane)
        sch.unroll(vector)
        sch.vectorize(lane)
        if task.threads > 1:
            sch.parallel(panel)
        sch.reverse_compute_at(out, panel)  # what follows is done while the sums are in registers
        vector, lane = sch.split(sch.get_loops(out)[-1], [None, lanes(task)])
        sch.unroll(vector)
        sch.vectorize(lane)
        sch.decompose_reduction(sums, k)
        return common.finish(sch, task)


def product(node: Node, operands: Sequence[View], context: Context) -> View | None:
    """The template's own compute of the matmul, as a stage `sums`; None for all other nodes."""
    if node.op != "matmul":
        return None
    x, w = operands[0], operands[1].tensor  # w as it is packed: [panel, k, column]
    panels, depth, width = (int(size) for size in w.shape)
    k = te.reduce_axis((0, depth), "k")
    sums = te.compute(
        (panels, width), lambda p, j: te.sum(x(0, k) * w[p, k, j], axis=k), name="sums"
    )
    context.record("sums", sums)
    return View(node.output.shape, "float32", lambda _, n: sums(n // width, n % width), cheap=True)


def columns(task: Task) -> int:
    return task.nodes[0].output.shape[1]


def lanes(task: Task) -> int:
    return task.target.lanes(DType.F32)


register_template(OneRow())
