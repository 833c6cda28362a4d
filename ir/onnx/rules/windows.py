"""The sliding windows of ONNX's convolutions and pools: strides, dilations and automatic pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...graph import Value
from ..call import Call
from ..problems import Unsupported


class Window(NamedTuple):
    strides: tuple[int, ...]
    pads: tuple[int, ...]  # begins, then ends
    dilations: tuple[int, ...]


def check_spatial(x: Value) -> None:
    """Raise Unsupported unless `x` is [N, C, *spatial] with 1 to 3 spatial dimensions."""
    n = x.rank - 2
    if n < 1:
        raise Unsupported(f"{x.type} has no spatial dimensions", "The model is not valid ONNX.")
    if n > 3:
        raise Unsupported(
            f"{x.type} has {n} spatial dimensions; only 1-d, 2-d and 3-d convolutions and pools are"
            " supported"
        )


def window_of(call: Call, size: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a conv or pool over spatial `size`, `auto_pad` resolved."""
    n = len(size)
    strides = call.get_ints("strides", (1,) * n)
    dilations = call.get_ints("dilations", (1,) * n)
    auto = call.get_str("auto_pad", "NOTSET")
    if auto == "NOTSET":
        pads = call.get_ints("pads", (0,) * (2 * n))
    elif auto == "VALID":
        pads = (0,) * (2 * n)
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        totals = [
            max(0, (-(-s // stride) - 1) * stride + (k - 1) * d + 1 - s)
            for s, k, stride, d in zip(size, kernel, strides, dilations)
        ]
        pads = halves(totals, auto == "SAME_UPPER")
    else:
        raise Unsupported(f"auto_pad {auto!r}")
    if len(strides) != n or len(dilations) != n or len(pads) != 2 * n:
        raise Unsupported(
            f"strides, dilations or pads do not fit {n} spatial dimensions",
            "The model is not valid ONNX.",
        )
    return Window(strides, pads, dilations)


def halves(totals: Sequence[int], upper: bool) -> tuple[int, ...]:
    """Pads of each axis as begins then ends; the odd one goes to the end if `upper`."""
    begins = [total // 2 if upper else total - total // 2 for total in totals]
    return (*begins, *(total - begin for total, begin in zip(totals, begins)))
