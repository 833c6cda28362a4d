"""Ops that make tensors from nothing but numbers."""

from __future__ import annotations

import math

import numpy as np

from ..call import Call, Results, Rule
from ..problems import Unsupported

_LARGE = 1 << 16  # elements beyond which a filled tensor stays an `expand` in the graph


def _constant(call: Call) -> Results:
    """One of several attributes holds the value."""
    name = call.node.output[0]
    if call.has("value"):
        return call.constant(call.get_tensor("value"), name)
    if call.has("value_float"):
        return call.constant(np.array(call.get_float("value_float"), np.float32), name)
    if call.has("value_floats"):
        return call.constant(np.array(call.get_floats("value_floats"), np.float32), name)
    if call.has("value_int"):
        return call.constant(np.array(call.get_int("value_int"), np.int64), name)
    if call.has("value_ints"):
        return call.constant(np.array(call.get_ints("value_ints"), np.int64), name)
    kind = "a sparse tensor" if call.has("sparse_value") else "text"
    raise Unsupported(f"its value is {kind}", "Store the value as a dense tensor of numbers.")


def _constant_of_shape(call: Call) -> Results:
    shape = call.known_ints(0, "the shape")
    value = call.get_tensor("value").reshape(-1) if call.has("value") else np.zeros(1, np.float32)
    if math.prod(shape) > _LARGE:
        return call.op("expand", call.constant(value[:1].reshape(())), shape=shape)
    return call.constant(np.full(shape, value[0], value.dtype))


def _range(call: Call) -> Results:
    start, limit, delta = (
        call.known(i, what).reshape(-1)[0]
        for i, what in enumerate(("the start", "the limit", "the step"))
    )
    return call.constant(np.arange(start, limit, delta).astype(call[0].dtype.numpy))


def _eye_like(call: Call) -> Results:
    x = call[0]
    dtype = call.get_dtype("dtype") if call.has("dtype") else x.dtype
    if x.rank != 2:
        raise Unsupported(f"an operand of shape {list(x.shape)}; it must be a matrix")
    return call.constant(np.eye(x.shape[0], x.shape[1], call.get_int("k", 0), dtype.numpy))


def _window(values: object) -> Rule:
    def rule(call: Call) -> Results:
        (size,) = call.known_ints(0, "the size")
        periodic = call.get_bool("periodic", True)
        phase = 2 * np.pi * np.arange(size) / max(size if periodic else size - 1, 1)
        dtype = call.get_dtype("output_datatype", 1)
        result: np.ndarray = values(phase)  # type: ignore[operator]
        return call.constant(result.astype(dtype.numpy))

    return rule


def _loop(call: Call) -> Results:
    raise Unsupported(
        f"{call.op_type} repeats a subgraph at run time",
        "Export the model without the loop (trace it, or unroll it with onnxsim).",
    )


def _random(call: Call) -> Results:
    raise Unsupported("random numbers", "Make them outside and feed them as an input.")


def _data_sized(call: Call) -> Results:
    raise Unsupported(
        "the size of its result depends on the data",
        "Cut the model before it and do this step in your program.",
    )


def _non_zero(call: Call) -> Results:
    x = call.known_or_none(0)
    if x is None:
        return _data_sized(call)
    return call.constant(np.array(np.nonzero(np.atleast_1d(x)), np.int64))


def _unique(call: Call) -> Results:
    x = call.known_or_none(0)
    if x is None or any(call.wanted[1:]) or not call.get_bool("sorted", True):
        return _data_sized(call)
    axis = call.get_int("axis") if call.has("axis") else None
    return (call.constant(np.unique(x, axis=axis)),)


def _compress(call: Call) -> Results:
    condition = call.known_or_none(1)
    if condition is None:
        return _data_sized(call)
    x = call[0]
    flat = not call.has("axis")
    x = call.reshape(x, (x.type.size,)) if flat else x
    axis = 0 if flat else call.axis(call.get_int("axis"), x.rank)
    at = np.flatnonzero(condition[: x.shape[axis]])
    return call.op("gather", x, call.constant(at.astype(np.int64)), axis=axis)


RULES: dict[str, Rule] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "EyeLike": _eye_like,
    "HannWindow": _window(lambda p: 0.5 - 0.5 * np.cos(p)),
    "HammingWindow": _window(lambda p: 25 / 46 - 21 / 46 * np.cos(p)),
    "BlackmanWindow": _window(lambda p: 0.42 - 0.5 * np.cos(p) + 0.08 * np.cos(2 * p)),
    "Loop": _loop,
    "Scan": _loop,
    "SequenceMap": _loop,
    "RandomNormal": _random,
    "RandomNormalLike": _random,
    "RandomUniform": _random,
    "RandomUniformLike": _random,
    "Bernoulli": _random,
    "Multinomial": _random,
    "NonZero": _non_zero,
    "Unique": _unique,
    "Compress": _compress,
    "NonMaxSuppression": _data_sized,
}

# Rules that only say why not: their ops are not supported.
REFUSALS = (_loop, _random, _data_sized)
