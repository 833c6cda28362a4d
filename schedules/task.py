"""A task: one kernel to be made, with everything that decides its code.

Two kernels with equal task text are the same kernel: they are built once and tuned once.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import cast

from ..errors import ParseError
from ..ir import levels
from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from ..ir.parse import parse_graph
from ..ir.structure import KernelAttrs
from ..ir.target import Target
from ..ir.text import print_graph

__all__ = ["VERSION", "Task"]

VERSION = "leip.task/1"

# Every parameter of a kernel; in the text because the code depends on it.
BUFFERS = "contiguous, align 64"


@dataclass(frozen=True, eq=False)
class Task:
    """A kernel body and the facts its code depends on.

    Attributes:
        body: The graph to compute. Its inputs and outputs carry the layouts in which they stand
            in memory; what lies between has none of importance.
        target: What the code runs on.
        threads: How many threads the schedule is chosen for.
        level: Optimization level 1-4.
        constants: Positions of the body inputs that are compile-time constants (and so may be
            packed at compile time).
    """

    body: Graph
    target: Target
    threads: int = 1
    level: int = levels.DEFAULT
    constants: tuple[int, ...] = ()

    @classmethod
    def of_kernel(cls, node: Node, target: Target, threads: int, level: int) -> Task:
        """The task of a `kernel` node."""
        constants = tuple(i for i, value in enumerate(node.inputs) if value.is_constant)
        return cls(cast(KernelAttrs, node.attrs).body, target, threads, level, constants)

    @functools.cached_property
    def text(self) -> str:
        """Canonical text: values renamed in order, no origins; `parse` is the inverse."""
        head = [
            VERSION,
            f"target: {self.target}",
            f"threads: {self.threads}",
            f"level: {self.level}",
            f"constants: {' '.join(map(str, self.constants))}".rstrip(),
            f"buffers: {BUFFERS}",
        ]
        body = print_graph(canonical(self.body), origins=False)
        return "\n".join([*head, body]).rstrip() + "\n"

    @functools.cached_property
    def key(self) -> str:
        """sha256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def parse(cls, text: str) -> Task:
        """The task that `text` describes. Raises ParseError."""
        lines = text.splitlines()
        if not lines or lines[0].strip() != VERSION:
            raise ParseError(f"not a task: the first line must be {VERSION}")
        head: dict[str, str] = {}
        for number, line in enumerate(lines[1:6], 2):
            name, colon, value = line.partition(":")
            if not colon:
                raise ParseError(f"line {number} of a task must be 'name: value', not {line!r}")
            head[name] = value.strip()
        missing = {"target", "threads", "level", "constants", "buffers"} - head.keys()
        if missing:
            raise ParseError(f"the task lacks {', '.join(sorted(missing))}")
        if head["buffers"] != BUFFERS:
            raise ParseError(f"buffers must be '{BUFFERS}'")
        return cls(
            parse_graph("\n".join(lines[6:]) + "\n"),
            Target.parse(head["target"]),
            int(head["threads"]),
            int(head["level"]),
            tuple(int(word) for word in head["constants"].split()),
        )

    @functools.cached_property
    def nodes(self) -> tuple[Node, ...]:
        """What the body computes, in order: all its nodes but inputs and constants."""
        return tuple(n for n in self.body.nodes() if n.op not in ("input", "constant"))

    @functools.cached_property
    def anchor(self) -> Node | None:
        """What the schedule is built around: a conv or matmul, else a reduction, else None."""
        for pattern in (Pattern.ANCHOR, Pattern.REDUCTION):
            for node in self.nodes:
                if node.definition.pattern is pattern:
                    return node
        return None

    @functools.cached_property
    def flops(self) -> int:
        """Floating-point operations of the body."""
        return sum(node.flops for node in self.nodes)

    @functools.cached_property
    def bytes(self) -> int:
        """Bytes that go in and out, each operand once, padding included."""
        return sum(value.type.nbytes for value in (*self.body.inputs, *self.body.outputs))

    def __repr__(self) -> str:
        return f"<task {self.key[:12]} {'+'.join(n.op for n in self.nodes)}>"


def canonical(body: Graph) -> Graph:
    """A copy of a body whose names say nothing: inputs x0…, values v0…, outputs y0…."""
    result = Graph("task")
    image: dict[Value, Value] = {}
    for index, value in enumerate(body.inputs):
        image[value] = result.add_input(f"x{index}", value.type)
    count = 0
    for node in body.nodes():
        if node.op == "input":
            continue
        if node.op == "constant":
            image[node.output] = result.add_constant(node.output.constant, name=f"v{count}")
        else:
            copy = result.add(
                node.op,
                *(image[value] for value in node.inputs),
                attrs=node.attrs,
                name=f"v{count}",
                layouts=tuple(value.layout for value in node.outputs),
            )
            image.update(zip(node.outputs, copy.outputs, strict=True))
        count += 1
    names = [f"y{index}" for index in range(len(body.outputs))]
    result.set_outputs([image[value] for value in body.outputs], names)
    return result
