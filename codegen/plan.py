"""From a graph of kernels to the plan: buffers, arguments and steps (see runtime/c/plan.h)."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..ir.dtypes import DType
from ..ir.graph import Graph, Node, Value
from ..ir.structure import KernelAttrs
from ..ir.types import TensorType
from ..schedules.template import Pack
from . import memory
from .constants import WeightStore, stored_type
from .memory import Lifetime
from .sharing import find_shared
from .views import Views, find_views

__all__ = ["Argument", "Buffer", "Io", "Kernel", "Place", "Plan", "Step", "is_serial", "make_plan"]

# A kernel below both limits is done before a second thread has heard of it: its parallel loop runs
# on one thread, and no worker is woken.
WAKE_FLOPS = 50_000
WAKE_BYTES = 32 << 10


class Place(enum.Enum):
    """LRE_BUFFER_* of plan.h."""

    ARENA = 0
    WEIGHTS = 1
    INPUT = 2
    OUTPUT = 3


@dataclass(frozen=True)
class Kernel:
    """What the plan needs to know of a built kernel.

    Attributes:
        node: Its node in the graph.
        entry: C symbol to call.
        stem: What it does, in a word.
        template: Name of the template that made it.
        config: Its knobs, as text.
        packs: Packings by operand.
        workspace: Temporary bytes per thread.
        flops: Operations of one call.
        in_place: Positions of operands whose memory its result may take.
    """

    node: Node
    entry: str
    stem: str
    template: str
    config: str
    packs: Mapping[int, Pack]
    workspace: int
    flops: int
    in_place: tuple[int, ...] = ()


@dataclass(frozen=True)
class Buffer:
    """Memory: a piece of the arena or the weights, or a graph input or output."""

    place: Place
    bytes: int
    offset: int = 0
    index: int = 0


@dataclass(frozen=True)
class Argument:
    """A view on a buffer, as a kernel sees it; `offset` in bytes."""

    buffer: int
    dtype: DType
    shape: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Step:
    """A call of a kernel, or a copy (`entry` is "").

    Attributes:
        serial: Whether it is too small for a second thread.
        node: The IR kernel whose results it leaves; None for a copy.
    """

    name: str
    entry: str
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    origin: str = ""
    template: str = ""
    config: str = ""
    flops: int = 0
    bytes: int = 0
    serial: bool = False
    node: Node | None = None


@dataclass(frozen=True)
class Io:
    """A graph input or output, in its physical shape."""

    name: str
    type: TensorType
    buffer: int


@dataclass(frozen=True)
class Plan:
    """One set of shapes, ready to be written as tables.

    Attributes:
        dense_bytes: Weights from the start that an inference reads whole; then come tables.
    """

    inputs: tuple[Io, ...]
    outputs: tuple[Io, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]
    arena_bytes: int
    workspace_bytes: int
    dense_bytes: int = 0

    @property
    def flops(self) -> int:
        return sum(step.flops for step in self.steps)


def make_plan(
    graph: Graph, kernels: Sequence[Kernel], weights: WeightStore, views: Views | None = None
) -> Plan:
    """Lay out memory and order the steps.

    Args:
        graph: Holds inputs, constants, kernels, and reshapes between plain layouts.
        kernels: One for every kernel node that must run.
        weights: Filled with the constants that kernels read.
        views: Which values live in others, and so which kernels need not run; None: found here.

    Raises:
        BuildError: If the graph holds anything else.
    """
    return _Planner(graph, kernels, weights, views or find_views(graph)).plan()


class _Planner:
    def __init__(
        self, graph: Graph, kernels: Sequence[Kernel], weights: WeightStore, views: Views
    ) -> None:
        self.graph = graph
        self.weights = weights
        self.kernels = {kernel.node: kernel for kernel in kernels}
        self.views = views
        self.order = [n for n in graph.nodes() if n.op == "kernel" and n not in views.free]
        self.buffers: list[Buffer] = []
        self.of_root: dict[Value, int] = {}
        self.of_weights: dict[tuple[int, int], int] = {}
        self.dense_bytes = 0

    def plan(self) -> Plan:
        graph = self.graph
        for index, value in enumerate(graph.inputs):
            self.of_root[value] = self._buffer(Place.INPUT, value.type.nbytes, index=index)
        copies: list[tuple[int, Value]] = []
        for index, value in enumerate(graph.outputs):
            root = self.views.root(value)
            buffer = self._buffer(Place.OUTPUT, value.type.nbytes, index=index)
            if root.node.op == "kernel" and root not in self.of_root:
                self.of_root[root] = buffer  # the kernel writes where the caller wants it
            else:
                copies.append((buffer, value))
        arena_bytes = self._place_arena(copies)
        self._place_weights(copies)
        steps = [self._call(node, number) for number, node in enumerate(self.order)]
        steps += [self._copy(value, buffer, n) for n, (buffer, value) in enumerate(copies)]
        first = len(graph.inputs)
        return Plan(
            tuple(
                Io(n, v.type, i) for i, (n, v) in enumerate(zip(graph.input_names, graph.inputs))
            ),
            tuple(
                Io(n, v.type, first + i)
                for i, (n, v) in enumerate(zip(graph.output_names, graph.outputs))
            ),
            tuple(self.buffers),
            tuple(steps),
            arena_bytes,
            max((self.kernels[node].workspace for node in self.order), default=0),
            self.dense_bytes,
        )

    def _buffer(self, place: Place, size: int, *, offset: int = 0, index: int = 0) -> int:
        self.buffers.append(Buffer(place, size, offset, index))
        return len(self.buffers) - 1

    def _place_arena(self, copies: Sequence[tuple[int, Value]]) -> int:
        lives, used = self._lifetimes(copies)
        operands = {node: kernel.in_place for node, kernel in self.kernels.items()}
        homes = find_shared(self.order, operands, self.views, lives)
        groups: dict[Value, list[Value]] = {}  # what stands in one place, one after the other
        for value in lives:
            groups.setdefault(homes.get(value, value), []).append(value)
        numbers = {value: n for n, group in enumerate(groups.values()) for value in group}
        lifetimes = [
            dataclasses.replace(lives[home], last=max(lives[value].last for value in group))
            for home, group in groups.items()
        ]
        mates: dict[int, list[int]] = {n: [] for n in range(len(groups))}
        for value in lives:  # readers of a value are mates of what they write
            for other in used[lives[value].first]:
                pair = numbers[value], numbers[other]
                for left, right in (pair, pair[::-1]):
                    if left != right and right not in mates[left]:
                        mates[left].append(right)
        placement = memory.place(lifetimes, mates)
        for group, offset in zip(groups.values(), placement.offsets):
            buffer = self._buffer(Place.ARENA, group[0].type.nbytes, offset=offset)
            self.of_root.update((value, buffer) for value in group)
        return placement.total

    def _lifetimes(
        self, copies: Sequence[tuple[int, Value]]
    ) -> tuple[dict[Value, Lifetime], list[list[Value]]]:
        """Of what lives in the arena, in the order of its writing; and what each step uses."""
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        used: list[list[Value]] = []
        for at, node in enumerate(self.order):
            made = [self.views.root(value) for value in node.outputs]
            first.update((v, at) for v in made if v not in self.of_root and v not in first)
            touched = [*(self.views.root(value) for value in node.inputs), *made]
            used.append([value for value in dict.fromkeys(touched) if value in first])
            last.update((value, at) for value in used[-1])
        for number, (_, value) in enumerate(copies):
            if self.views.root(value) in first:
                last[self.views.root(value)] = len(self.order) + number
        lives = {value: Lifetime(value.type.nbytes, at, last[value]) for value, at in first.items()}
        return lives, used

    def _place_weights(self, copies: Sequence[tuple[int, Value]]) -> None:
        """What every inference reads whole, then tables of which it picks rows (see plan.h)."""
        reads: dict[tuple[str, str], tuple[Value, Pack | None, bool]] = {}
        for node in self.order:
            packs = self.kernels[node].packs
            for index, value in enumerate(node.inputs):
                root, pack = self.views.root(value), packs.get(index)
                if root.is_constant:
                    key = (root.constant.hash, pack.key if pack is not None else "")
                    picked = _picks_rows(node, index) and (key not in reads or reads[key][2])
                    reads[key] = (root, pack, picked)
        for _, value in copies:
            root = self.views.root(value)
            if root.is_constant:
                reads[root.constant.hash, ""] = (root, None, False)
        for table in (False, True):
            for root, pack, picked in reads.values():
                if picked == table:
                    self.weights.add(root.constant, pack)
            if not table:
                self.dense_bytes = self.weights.bytes

    def _call(self, node: Node, number: int) -> Step:
        kernel = self.kernels[node]
        inputs = tuple(
            self._operand(value, kernel.packs.get(index)) for index, value in enumerate(node.inputs)
        )
        outputs = tuple(self._argument(value) for value in node.outputs)
        moved = sum(self._bytes(argument) for argument in (*inputs, *outputs))
        return Step(
            f"{kernel.stem}_{number}",
            kernel.entry,
            inputs,
            outputs,
            node.origin,
            kernel.template,
            kernel.config,
            kernel.flops,
            moved,
            is_serial(kernel.flops, moved),
            node,
        )

    def _copy(self, value: Value, buffer: int, number: int) -> Step:
        source = self._operand(value, None)
        target = Argument(buffer, source.dtype, source.shape)
        size = 2 * value.type.nbytes
        return Step(f"copy_{number}", "", (source,), (target,), bytes=size, serial=True)

    def _operand(self, value: Value, pack: Pack | None) -> Argument:
        root = self.views.root(value)
        if not root.is_constant:
            return self._argument(value)
        offset = self.weights.add(root.constant, pack)
        kind = stored_type(root.constant, pack)
        key = (offset, kind.nbytes)
        if key not in self.of_weights:
            self.of_weights[key] = self._buffer(Place.WEIGHTS, kind.nbytes, offset=offset)
        shape = kind.physical_shape if pack is not None else value.type.physical_shape
        return Argument(self.of_weights[key], kind.dtype, shape)

    def _argument(self, value: Value) -> Argument:
        root, offset = self.views.places[value]
        return Argument(self.of_root[root], value.dtype, value.type.physical_shape, offset)

    def _bytes(self, argument: Argument) -> int:
        return self.buffers[argument.buffer].bytes


def is_serial(flops: int, moved: int) -> bool:
    """Whether a kernel of so many operations and bytes is too small for a second thread."""
    return flops < WAKE_FLOPS and moved < WAKE_BYTES


def _picks_rows(node: Node, index: int) -> bool:
    """Whether a kernel takes single rows of its operand, and never the whole."""
    attrs = node.attrs
    assert isinstance(attrs, KernelAttrs)
    body = attrs.body
    users = body.users(body.inputs[index])
    return bool(users) and all(use.node.op == "gather" and use.index == 0 for use in users)
