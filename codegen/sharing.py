"""Results that take the memory of an operand which nobody reads later.

A kernel may say that it can write its result where one of its operands stands
(`Template.in_place`). Where that operand dies with the kernel, the two are one buffer: a sum needs
no lines of the cache beside those of the residual that goes into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.graph import Node, Value
from .memory import Lifetime
from .views import Views

__all__ = ["find_shared"]


def find_shared(
    order: Sequence[Node],
    in_place: Mapping[Node, Sequence[int]],
    views: Views,
    lifetimes: Mapping[Value, Lifetime],
) -> dict[Value, Value]:
    """Results by kernel that stand in other values' memory, each with the first that stood there.

    Args:
        order: The kernels that run.
        in_place: For each the positions of operands whose memory its result may take.
        views: Which values live in others.
        lifetimes: Of the values that live in the arena, each by itself. What is in none of them
            (inputs, outputs and constants are the caller's) is not shared.
    """
    homes: dict[Value, Value] = {}
    for at, node in enumerate(order):
        result = node.outputs[0]
        if len(node.outputs) > 1 or result not in lifetimes or lifetimes[result].first != at:
            continue  # it has no memory of its own, or others write into it before
        roots = [views.root(value) for value in node.inputs]
        for position in in_place.get(node, ()):
            root = roots[position]
            dies = root in lifetimes and lifetimes[root].last == at
            whole = root.type.nbytes == node.inputs[position].type.nbytes == result.type.nbytes
            if dies and whole and roots.count(root) == 1:  # it may be the convolution's image too
                homes[result] = homes.get(root, root)
                break
    return homes
