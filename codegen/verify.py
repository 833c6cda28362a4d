"""Is the object right? Its results against the interpreter's, and which kernel is to blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import MismatchError, UsageError
from ..ir import levels
from ..ir.dtypes import DType
from ..ir.graph import Graph, Node, Value
from ..ir.interpreter import evaluate_node, run_region
from ..runtime import Engine, LreError, load
from .plan import Plan

__all__ = [
    "Difference",
    "VerifyReport",
    "allowed_error",
    "allowed_output_error",
    "largest_error",
    "tolerance_of",
    "verify_object",
]

SEED = 20240
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """How far a result is from the reference.

    Attributes:
        name: The output, or the kernel.
        error: Largest absolute difference; inf if one is NaN or infinite where the other is not.
        allowed: What was allowed.
        note: What else is wrong.
    """

    name: str
    error: float
    allowed: float
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.error <= self.allowed and not self.note


@dataclass(frozen=True)
class VerifyReport:
    """The outputs, and the first kernel that differs (if an output does)."""

    outputs: tuple[Difference, ...]
    kernel: Difference | None = None
    node: Node | None = None

    @property
    def ok(self) -> bool:
        return self.kernel is None and all(output.ok for output in self.outputs)

    @property
    def errors(self) -> dict[str, float]:
        return {output.name: output.error for output in self.outputs}

    def check(self) -> None:
        """Raises MismatchError that names outputs and kernel, unless all is well."""
        if self.ok:
            return
        lines = [
            f"output {one.name!r}: largest error {one.error:.3e}, allowed {one.allowed:.3e}"
            for one in self.outputs
            if not one.ok
        ]
        if self.kernel is not None:
            lines.append(
                f"the first kernel that differs is {self.kernel.name}: error "
                f"{self.kernel.error:.3e}, allowed {self.kernel.allowed:.3e}"
                + (f" ({self.kernel.note})" if self.kernel.note else "")
            )
        else:
            lines.append("every kernel by itself is within its tolerance: a pass may be wrong")
        raise MismatchError(
            "the compiled numbers differ from the reference\n" + "\n".join(lines),
            "--verify",
            "a lower level of --optimization may help; please report it",
        )


def tolerance_of(level: int) -> float:
    """Allowed error as a part of how far an output moves; level 4 may change algorithms."""
    return 5e-3 if level >= levels.ALGORITHMS else 5e-4


def allowed_error(reference: np.ndarray, level: int) -> float:
    """The largest error that a kernel's result may have, by itself."""
    return tolerance_of(level) * _scale(reference, 0.0)


def allowed_output_error(reference: np.ndarray, spread: float, level: int) -> float:
    """The largest error that an output of a whole model may have; 0 for integers.

    Args:
        reference: What it should be.
        spread: How far it moves: the largest difference from what other inputs give.
        level: Optimization level.
    """
    return tolerance_of(level) * _scale(reference, spread)


def verify_object(
    library: Path,
    graph: Graph,
    plan: Plan,
    *,
    level: int,
    feeds: Mapping[str, np.ndarray] | None = None,
    threads: int | None = None,
    every_kernel: bool = False,
    model: Graph | None = None,
) -> VerifyReport:
    """Compare an object with the interpreter.

    Args:
        library: The object.
        graph: What it was built from.
        plan: Its plan: which step is which kernel.
        level: Optimization level; decides the tolerance.
        feeds: Inputs as the object takes them; None draws seeded ones.
        threads: Of the engine.
        every_kernel: Compare every kernel even if all outputs are right.
        model: The graph as imported, which the outputs are compared with, so that a wrong pass is
            found too; None compares with `graph`.

    Raises:
        UsageError: If an input does not fit.
        LreError: If the object cannot be loaded.
    """
    with load(str(library), threads=threads) as engine:
        given = {**engine.random_inputs(SEED), **(dict(feeds) if feeds else {})}
        try:
            got = engine.infer(given)
            other = engine.infer(engine.random_inputs(SEED + 1))
        except LreError as error:
            raise UsageError(str(error), "--verify") from error
        logical = _logical_inputs(graph, given)
        oracle = model if model is not None else graph
        wanted = run_region(oracle, [logical[name] for name in oracle.input_names])
        outputs = []
        for name, value, reference in zip(graph.output_names, graph.outputs, wanted):
            actual = to_logical(value, got[name])
            spread = largest_error(actual, to_logical(value, other[name]))
            allowed = allowed_output_error(reference, spread, level)
            outputs.append(Difference(name, largest_error(actual, reference), allowed))
        if all(output.ok for output in outputs) and not every_kernel:
            return VerifyReport(tuple(outputs))
        kernel = _first_difference(engine, graph, plan, given, logical, level)
    if kernel is None:
        return VerifyReport(tuple(outputs))
    return VerifyReport(tuple(outputs), *kernel)


def to_logical(value: Value, array: np.ndarray) -> np.ndarray:
    """An array as the engine has it → the logical array of a value."""
    if value.dtype is DType.BF16 and array.dtype == np.uint16:
        array = array.view(DType.BF16.numpy)
    array = array.reshape(value.type.physical_shape)
    return array if value.layout is None else value.layout.to_logical(array, value.shape)


def largest_error(actual: np.ndarray, wanted: np.ndarray) -> float:
    """Largest absolute difference; NaN equals NaN and inf inf, each differs from all others."""
    if actual.size == 0:
        return 0.0
    left, right = actual.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        difference = np.abs(left - right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    difference = np.where(same, 0.0, difference)
    return float(np.max(np.where(np.isnan(difference), np.inf, difference)))


def _scale(reference: np.ndarray, spread: float) -> float:
    """How far an output moves: between two inputs, but not more than its own range."""
    if not np.issubdtype(reference.dtype, np.inexact) and reference.dtype.kind in "biu":
        return 0.0
    finite = np.abs(reference.astype(np.float64))
    finite = finite[np.isfinite(finite)]
    largest = float(finite.max()) if finite.size else 0.0
    return min(spread, 2 * largest) if 0 < spread < np.inf else largest


def _logical_inputs(graph: Graph, given: Mapping[str, np.ndarray]) -> Arrays:
    return {
        name: to_logical(value, np.asarray(given[name]))
        for name, value in zip(graph.input_names, graph.inputs)
    }


def _first_difference(
    engine: Engine,
    graph: Graph,
    plan: Plan,
    given: Mapping[str, np.ndarray],
    logical: Arrays,
    level: int,
) -> tuple[Difference, Node] | None:
    """Each kernel by itself: its reference on what it was really given."""
    left: dict[int, list[np.ndarray]] = {}
    engine.observe(lambda step, name, outputs: left.update({step: outputs}))
    try:
        engine.infer(dict(given))
    finally:
        engine.observe(None)
    steps = {step.node: number for number, step in enumerate(plan.steps) if step.node is not None}
    known: dict[Value, np.ndarray] = {
        value: logical[name] for name, value in zip(graph.input_names, graph.inputs)
    }
    for node in graph.nodes():
        if node.op == "input":
            continue
        wanted = evaluate_node(node, tuple(known[value] for value in node.inputs))
        if node not in steps:  # a view, or a constant
            known.update(zip(node.outputs, wanted))
            continue
        number = steps[node]
        for value, stored, reference in zip(node.outputs, left.pop(number), wanted):
            actual = known[value] = to_logical(value, stored)
            # a kernel's own arithmetic is much closer than a whole network's
            allowed = allowed_error(reference, level)
            error = largest_error(actual, reference)
            note = "" if _pads_are_zero(value, stored, actual) else "pad lanes are not zero"
            difference = Difference(_describe(node, plan, number), error, allowed, note)
            if not difference.ok:
                return difference, node
    return None


def _pads_are_zero(value: Value, stored: np.ndarray, actual: np.ndarray) -> bool:
    if value.layout is None or not value.type.has_padding:
        return True
    again = value.layout.to_physical(actual)
    stored = stored.reshape(again.shape)
    return bool(np.all((stored == 0) | (again != 0) | np.isnan(again)))


def _describe(node: Node, plan: Plan, number: int) -> str:
    step = plan.steps[number]
    origin = f", from {step.origin}" if step.origin else ""
    return f"{step.name} (%{node.outputs[0].name}, template {step.template}{origin})"
