"""layout_transform: the identity on logical indices; where it stands is its output stage's type."""

from __future__ import annotations

from typing import Any

from ...ir.types import TensorType
from ..context import Context
from ..view import View
from . import Compute


def _layout_transform(
    attrs: Any, inputs: list[View], out_types: tuple[TensorType, ...], context: Context
) -> View:
    return inputs[0]


COMPUTE: dict[str, Compute] = {"layout_transform": _layout_transform}
