"""Pooling over windows and over whole images."""

from __future__ import annotations

import math

import numpy as np

from ...dtypes import DType
from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported
from .conv import without_negative_pads
from .windows import check_spatial, window_of


def _max_pool(call: Call) -> Results:
    if len(call.wanted) > 1 and call.wanted[1]:
        raise Unsupported(
            "its output Indices is used", "Models with MaxUnpool need another way to upsample."
        )
    return _windowed(call, "max_pool", call[0])


def _average_pool(call: Call) -> Results:
    return _windowed(
        call, "avg_pool", call[0], count_include_pad=call.get_bool("count_include_pad")
    )


def _windowed(call: Call, op: str, x: Value, **fields: bool) -> Value:
    check_spatial(x)
    kernel = call.get_ints("kernel_shape")
    strides, pads, dilations = window_of(call, x.shape[2:], kernel)
    x, pads = without_negative_pads(call, x, pads)
    n = len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    if any(pad >= reach[i % n] for i, pad in enumerate(pads)):
        if op == "avg_pool" and not fields.get("count_include_pad"):
            raise Unsupported(f"pads {list(pads)} leave windows that see only padding")
        value = 0.0 if op == "avg_pool" else _lowest(x.dtype)
        around = (0, 0, *pads[:n], 0, 0, *pads[n:])
        x, pads = call.op("pad", x, pads=around, value=value), (0,) * (2 * n)
    return call.op(
        op, x, kernel=kernel, strides=strides, pads=pads, dilations=dilations,
        ceil_mode=call.get_bool("ceil_mode"), **fields,
    )  # fmt: skip


def _lowest(dtype: DType) -> float:
    return -math.inf if dtype.is_float else float(np.iinfo(dtype.numpy).min)


def _lp_pool(call: Call) -> Results:
    """(sum of |x|^p over the window)^(1/p): an average times the window's size."""
    x, p = call[0], call.get_int("p", 2)
    powers = call.op("pow", call.op("abs", x), call.scalar(p, x))
    mean = _windowed(call, "avg_pool", powers, count_include_pad=True)
    if call.get_bool("ceil_mode"):
        raise Unsupported("ceil_mode of an Lp pool")
    count = math.prod(call.get_ints("kernel_shape"))
    total = call.op("mul", mean, call.scalar(count, x))
    return call.op("pow", total, call.scalar(1 / p, x))


def _global(op: str) -> Rule:
    def rule(call: Call) -> Results:
        return call.op(op, call[0], axes=tuple(range(2, call[0].rank)), keepdims=True)

    return rule


def _global_lp_pool(call: Call) -> Results:
    x, p = call[0], call.get_int("p", 2)
    powers = call.op("pow", call.op("abs", x), call.scalar(p, x))
    total = call.op("reduce_sum", powers, axes=tuple(range(2, x.rank)), keepdims=True)
    return call.op("pow", total, call.scalar(1 / p, x))


RULES: dict[str, Rule] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": _global("reduce_mean"),
    "GlobalMaxPool": _global("reduce_max"),
    "GlobalLpPool": _global_lp_pool,
}
