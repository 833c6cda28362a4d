"""Operation counts that several ops share."""

from __future__ import annotations

from collections.abc import Sequence

from ..op import Attrs
from ..types import TensorType


def per_output(attrs: Attrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    """One operation an output element."""
    return sum(output.size for output in outputs)


def per_input(attrs: Attrs, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> int:
    """One operation an element of the first input."""
    return inputs[0].size
