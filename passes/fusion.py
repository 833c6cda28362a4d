"""Growing groups of nodes and turning them into kernels: what the fuse passes share.

All growth keeps a group *single-exit*: every value made inside is read inside only, but for the
kernel's outputs. A path from the group back into it would have to start at an output and end at an
operand of the node that makes it, which the graph being acyclic forbids; so a fused graph has no
cycles. Groups with a second output check that themselves (`reaches`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field

from ..ir.graph import Graph, Node, Value
from ..ir.op import Pattern
from ..ir.structure import KernelAttrs
from ..ir.terms import MOST_TERMS, terms
from .rebuild import add_copy
from .rules_arithmetic import COMMUTATIVE

EPILOGUE_LIMIT = 32  # nodes; beyond that a kernel's text and compile time explode

# What costs next to nothing to compute again for every element that reads it.
CHEAP = (
    "add",
    "sub",
    "mul",
    "neg",
    "abs",
    "relu",
    "clip",
    "cast",
    "maximum",
    "minimum",
    "where",
    "equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "and",
    "or",
    "xor",
    "not",
)


@dataclass
class Plan:
    """The groups that a fuse pass has found.

    Attributes:
        graph: The graph they are of; it is changed by `commit` only.
        rank: Position of every node in topological order.
    """

    graph: Graph
    rank: dict[Node, int] = field(init=False)
    groups: list[tuple[list[Node], list[Value]]] = field(default_factory=list)
    _claimed: dict[Node, int] = field(default_factory=dict)  # to the group's number
    _copied: set[Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rank = {node: index for index, node in enumerate(self.graph.nodes())}

    def free(self, node: Node) -> bool:
        """Whether a node computes something and is in no group yet."""
        taken = node in self._claimed or node in self._copied
        return not taken and node.op not in ("input", "constant", "kernel")

    def may_copy(self, node: Node) -> bool:
        """Whether a kernel may compute a node for itself: nobody's output or inside is it yet."""
        return node in self._copied or self.free(node)

    def nodes(self, *patterns: Pattern, ops: Sequence[str] = ()) -> list[Node]:
        """Free nodes of these patterns or ops in topological order."""
        return [
            node
            for node in self.rank
            if (node.op in ops or node.pattern in patterns) and self.free(node)
        ]

    def claim(
        self, group: Iterable[Node], outputs: Sequence[Value], copied: Iterable[Node] = ()
    ) -> None:
        """Make a group a kernel-to-be.

        Args:
            group: Its nodes; no other group may have them.
            outputs: What the kernel gives.
            copied: Further nodes that the kernel computes for itself and that others may too.
        """
        nodes, copied = list(group), list(copied)
        self._claimed.update(dict.fromkeys(nodes, len(self.groups)))
        self._copied.update(copied)
        results = sorted(outputs, key=lambda v: (self.rank[v.node], v.index))
        self.groups.append((_ordered({*nodes, *copied}, results), results))

    def companions(self, node: Node) -> list[Node]:
        """The nodes of a node's group if that has several outputs."""
        index = self._claimed.get(node)
        if index is None or len(self.groups[index][1]) == 1:
            return []
        return self.groups[index][0]

    def commit(self) -> bool:
        """Replace every group by a kernel, in topological order. Gives whether there was any."""
        self.groups.sort(key=lambda group: self.rank[group[1][-1].node])
        # A later group's operands may be made by an earlier one's kernel, so all are read anew.
        for nodes, outputs in self.groups:
            make_kernel(self.graph, nodes, outputs)
        return bool(self.groups)


def _ordered(nodes: set[Node], outputs: Sequence[Value]) -> list[Node]:
    """The nodes of a group depth first from its outputs.

    That order depends on the group alone, not on how the graph around it came about, so equal
    kernels get equal text.
    """
    return [item for item in _depth_first(nodes, outputs) if isinstance(item, Node)]


def _depth_first(nodes: Container[Node], outputs: Sequence[Value]) -> list[Node | Value]:
    """The nodes of a group after their operands, and what it captures where it is first read."""
    order: dict[Node | Value, None] = {}
    stack = [(value, False) for value in reversed(outputs)]
    while stack:
        value, done = stack.pop()
        if value.node not in nodes:
            order[value] = None
        elif done:
            order[value.node] = None
        elif value.node not in order:
            stack.append((value, True))
            stack += [(v, False) for v in reversed(_operands(value.node, nodes))]
    return list(order)


def _operands(node: Node, inside: Container[Node]) -> tuple[Value, ...]:
    """A node's operands; those of commutative ops made inside first, captured second."""
    if node.op in COMMUTATIVE:
        a, b = node.inputs
        if a.node not in inside and b.node in inside:
            return b, a
    return node.inputs


def make_kernel(graph: Graph, nodes: Sequence[Node], outputs: Sequence[Value]) -> Node:
    """Move nodes into the body of a new kernel node.

    Constants of one element go into the body; everything else that comes from outside is captured
    in the order in which a depth-first walk from the outputs reads it.

    Args:
        graph: The graph that holds the nodes.
        nodes: In topological order. Those that still have readers afterwards stay as well.
        outputs: Values of the nodes that the kernel gives.
    """
    body, captures = _body(nodes, outputs)
    origin = next((n.origin for n in nodes if n.pattern is Pattern.ANCHOR), nodes[-1].origin)
    kernel = graph.add("kernel", *captures, attrs=KernelAttrs(body), origin=origin)
    names = [value.name for value in outputs]
    for old, new in zip(outputs, kernel.outputs):
        graph.replace_uses(old, new)
    for node in reversed(nodes):
        if all(not graph.n_uses(value) for value in node.outputs):
            operands = list(node.inputs)
            graph.remove(node)
            _sweep_constants(graph, operands)
    for new, name in zip(kernel.outputs, names):
        graph.rename(new, name)
    return kernel


def _body(nodes: Sequence[Node], outputs: Sequence[Value]) -> tuple[Graph, list[Value]]:
    """A graph of copies of the nodes, and the values that it captures."""
    body = Graph()
    image: dict[Value, Value] = {}
    read = [item for item in _depth_first(nodes, outputs) if isinstance(item, Value)]
    inlined = [value for value in read if value.is_constant and value.type.size == 1]
    captures = [value for value in read if value not in inlined]
    for value in captures:
        image[value] = body.add_input(value.name, value.type)
    for value in inlined:
        image[value] = body.add_constant(value.constant, value.name)
    for node in nodes:
        add_copy(body, node, image, _operands(node, nodes))
    body.set_outputs([image[value] for value in outputs], [value.name for value in outputs])
    return body, captures


def _sweep_constants(graph: Graph, values: Sequence[Value]) -> None:
    for value in values:
        if value.is_constant and value.node in graph and not graph.n_uses(value):
            graph.remove(value.node)


# -- growing -----------------------------------------------------------------------------------

Accept = Callable[[Node], bool]


def grow_epilogue(plan: Plan, group: dict[Node, None], exit: Value, accept: Accept) -> Value:
    """Take in what elementwise work follows `exit`, and give the new exit.

    Args:
        plan: The plan.
        group: The group so far (an ordered set), enlarged in place.
        exit: Its only output.
        accept: Whether a node may be taken in (that it is free is checked here).

    It ends before an expression of more than `MOST_TERMS`: templates write all of an epilogue into
    one.
    """
    length: dict[Value, int] = {}
    while len(group) < EPILOGUE_LIMIT:
        step = _next_step(plan, group, exit, accept)
        if step is None:
            return exit
        added, end = step
        for node in added:
            length[node.output] = terms(node, [length.get(value, 1) for value in node.inputs])
        if length[end] > MOST_TERMS:
            return exit
        exit = end
        group.update(dict.fromkeys(added))
    return exit


def elementwise_like(exit: Value) -> Accept:
    """Elementwise nodes whose result has the shape of `exit` (whose other operands broadcast)."""

    def accept(node: Node) -> bool:
        return node.pattern is Pattern.ELEMENTWISE and node.output.shape == exit.shape

    return accept


def _next_step(
    plan: Plan, group: dict[Node, None], exit: Value, accept: Accept
) -> tuple[list[Node], Value] | None:
    """The fewest nodes behind `exit` after which there is a single exit again."""
    graph = plan.graph
    if graph.is_output(exit):
        return None
    added: dict[Node, None] = {}
    open_values = [exit]
    while len(added) <= EPILOGUE_LIMIT:
        first = min(open_values, key=lambda value: plan.rank[value.node])
        users = [use.node for use in graph.users(first)]
        if graph.is_output(first) or not users:
            return None
        for node in users:
            if node in added or node in group:
                continue
            if not plan.free(node) or len(node.outputs) != 1 or not accept(node):
                return None
            added[node] = None
        inside = {**group, **added}
        open_values = [node.output for node in added if _read_outside(graph, node.output, inside)]
        if len(open_values) == 1:
            ordered = sorted(added, key=plan.rank.__getitem__)
            return ordered, open_values[0]
        if not open_values:
            return None
    return None


def _read_outside(graph: Graph, value: Value, inside: dict[Node, None]) -> bool:
    return graph.is_output(value) or any(use.node not in inside for use in graph.users(value))


def grow_prologue(
    plan: Plan, group: dict[Node, None], accept: Callable[[Node, Node], bool]
) -> None:
    """Take in producers that only the group reads.

    Args:
        plan: The plan.
        group: The group so far (an ordered set), enlarged in place.
        accept: `accept(producer, reader)`: whether the producer may be computed inside.
    """
    waiting = list(group)
    while waiting and len(group) < EPILOGUE_LIMIT:
        reader = waiting.pop(0)
        for value in reader.inputs:
            node = value.node
            if node in group or not plan.free(node) or len(node.outputs) != 1:
                continue
            if _read_outside(plan.graph, value, group) or not accept(node, reader):
                continue
            group[node] = None
            waiting.append(node)


def longest_terms(nodes: Iterable[Node]) -> int:
    """Terms of the longest expression that elementwise nodes give, written into each other."""
    group = set(nodes)
    length: dict[Value, int] = {}

    def measure(node: Node) -> int:
        operands = []
        for value in node.inputs:
            if value.node in group and value not in length:
                length[value] = measure(value.node)
            operands.append(length.get(value, 1))
        return terms(node, operands)

    return max((measure(node) for node in group), default=0)


def reaches(plan: Plan, starts: Iterable[Value], targets: set[Node]) -> bool:
    """Whether a path leads from the readers of some values to one of the target nodes.

    Groups with several outputs count as one node, which they will be.
    """
    graph = plan.graph
    stack = [use.node for value in starts for use in graph.users(value)]
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in targets:
            return True
        if node in seen:
            continue
        seen.add(node)
        stack.extend(plan.companions(node))
        stack.extend(use.node for value in node.outputs for use in graph.users(value))
    return False
