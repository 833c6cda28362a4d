"""What objects cannot hold, refused before anything is built.

Kernels count elements in 32 bits: with more of them an index would wrap and the kernel would write
anywhere. The C interface describes inputs and outputs with a fixed number of dimensions.
"""

from __future__ import annotations

import math

from ..errors import ModelError
from ..ir.graph import Graph, Value

__all__ = ["MAX_ELEMENTS", "MAX_RANK", "check_limits"]

# The last tile of a loop may count beyond the end before it is cut off: 2**20 are left for that.
MAX_ELEMENTS = (1 << 31) - (1 << 20)
MAX_RANK = 8  # LRE_MAX_RANK in runtime/c/plan.h


def check_limits(graph: Graph) -> None:
    """Compare every value of a graph with what kernels and the C interface can hold.

    Raises:
        ModelError: For the first value that is too large, naming its node; or for an input or
            output with too many dimensions.
    """
    for node in graph.nodes():
        for value in node.outputs:
            shape = value.type.physical_shape
            # dimensions of 0 count as 1: strides and loops of the others have to be counted too
            if (elements := math.prod(max(1, size) for size in shape)) > MAX_ELEMENTS:
                raise ModelError(
                    f"a tensor of shape {list(shape)} has {elements:,} elements; kernels address "
                    f"at most {MAX_ELEMENTS:,}",
                    _where(value),
                    "compile for a smaller batch or smaller inputs (--input_shapes)",
                )
    sides = (
        ("input", graph.input_names, graph.inputs),
        ("output", graph.output_names, graph.outputs),
    )
    for kind, names, values in sides:
        for name, value in zip(names, values):
            rank = len(value.type.physical_shape)
            if rank > MAX_RANK:
                raise ModelError(
                    f"it has {rank} dimensions; the object's interface describes up to {MAX_RANK}",
                    f"{kind} {name!r}",
                    "reshape it in the model: dimensions of 1, for example, can be left out",
                )


def _where(value: Value) -> str:
    node = value.node
    if node.op == "input":
        return f"input {value.name!r}"
    return f"node {node.origin!r} ({node.op})" if node.origin else f"{node.op} {value.name!r}"
