"""Ops that move data or look at shapes: shapes are static, so the latter give constants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...graph import Value
from ...ops import BEGIN, END
from ..call import Call, Results, Rule
from ..problems import Unsupported

_FAR = 1 << 31  # exporters write "to the end" as some number of at least this size


def _shape(call: Call) -> Results:
    dims = call[0].shape
    start = call.get_int("start", 0)
    end = call.get_int("end", len(dims))
    return call.constant(np.array(dims[slice(start, end)], np.int64))


def _size(call: Call) -> Results:
    return call.constant(np.array(call[0].type.size, np.int64))


def _reshape(call: Call) -> Results:
    """0 and -1 stay as the model has them."""
    x = call[0]
    shape = call.known_ints(1, "the target shape")
    if call.get_bool("allowzero") and 0 in shape:
        # here a 0 is a size; the IR's 0 copies, which is the same where x has a 0 too
        fits = all(s != 0 or (i < x.rank and x.shape[i] == 0) for i, s in enumerate(shape))
        if not fits:
            empty = np.zeros(shape, x.dtype.numpy) if -1 not in shape else None
            if empty is None or x.type.size:
                raise Unsupported(f"allowzero with shape {list(shape)} for {x.type}")
            return call.constant(empty)
    return call.op("reshape", x, shape=shape)


def _flatten(call: Call) -> Results:
    x, axis = call[0], call.get_int("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    rows = math.prod(x.shape[:axis])
    return call.reshape(x, (rows, math.prod(x.shape[axis:])))


def _squeeze(call: Call) -> Results:
    """Axes are an attribute until opset 12; without them all sizes of 1 go."""
    x = call[0]
    if call.opset < 13:
        axes = call.get_ints("axes") if call.has("axes") else None
    else:
        axes = call.optional_ints(1, "axes")
    if axes is None:
        axes = tuple(i for i, size in enumerate(x.shape) if size == 1)
    gone = call.axes(axes, x.rank)
    if any(x.shape[axis] != 1 for axis in gone):
        raise Unsupported(f"axes {list(gone)} of shape {list(x.shape)} are not all 1")
    return call.reshape(x, tuple(s for i, s in enumerate(x.shape) if i not in gone))


def _unsqueeze(call: Call) -> Results:
    x = call[0]
    axes = call.get_ints("axes") if call.opset < 13 else call.known_ints(1, "axes")
    rank = x.rank + len(axes)
    new = call.axes(axes, rank)
    sizes = iter(x.shape)
    return call.reshape(x, tuple(1 if i in new else next(sizes) for i in range(rank)))


def _transpose(call: Call) -> Results:
    rank = call[0].rank
    return call.transpose(call[0], call.get_ints("perm", tuple(reversed(range(rank)))))


def _concat(call: Call) -> Results:
    values = [call[i] for i in range(len(call.inputs))]
    # exporters join with empty tensors; a rank-1 empty one may go with any rank
    kept = [v for v in values if v.type.size or v.rank != 1] or values[:1]
    axis = call.axis(call.get_int("axis", 1), kept[0].rank)
    return kept[0] if len(kept) == 1 else call.op("concat", *kept, axis=axis)


def _split(call: Call) -> Results:
    """Sizes are an attribute until opset 12; from 18 on `num_outputs` may say how many."""
    x = call[0]
    axis = call.axis(call.get_int("axis", 0), x.rank)
    count, size = len(call.wanted), x.shape[axis]
    if call.opset < 13:
        sizes = call.get_ints("split") if call.has("split") else None
    else:
        sizes = call.optional_ints(1, "the split")
    if sizes is None:
        count = call.get_int("num_outputs", count) if call.opset >= 18 else count
        if call.opset < 18 and size % count:
            raise Unsupported(f"axis {axis} of size {size} does not split into {count} equal parts")
        step = -(-size // count)
        sizes = tuple(min(step, max(0, size - i * step)) for i in range(count))
    if len(sizes) == 1:
        return x
    return call.add("split", x, axis=axis, sizes=sizes)


def _slice(call: Call) -> Results:
    """Starts and ends are attributes until opset 9."""
    x = call[0]
    if call.opset < 10:
        starts, ends = call.get_ints("starts"), call.get_ints("ends")
        axes = call.get_ints("axes") if call.has("axes") else None
        steps = None
    else:
        starts, ends = call.known_ints(1, "starts"), call.known_ints(2, "ends")
        axes, steps = call.optional_ints(3, "axes"), call.optional_ints(4, "steps")
    axes = tuple(range(len(starts))) if axes is None else axes
    axes = tuple(call.axis(axis, x.rank) for axis in axes)
    steps = (1,) * len(starts) if steps is None else steps
    return sliced(call, x, axes, starts, ends, steps)


def sliced(
    call: Call,
    x: Value,
    axes: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    steps: Sequence[int],
) -> Value:
    """A slice with Python's meaning, whole axes left out; `x` itself if that is all of it."""
    rows = []
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step == 0:
            raise Unsupported("a step is 0", "The model is not valid ONNX.")
        size = x.shape[axis]
        if step > 0 and (end >= _FAR - 1 or end >= size):
            end = END
        elif step < 0 and end < -size:
            end = BEGIN
        if step < 0:
            start = min(start, size - 1)  # Python and ONNX both clamp there
        taken = range(*slice(start, end, step).indices(size))
        if taken != range(size):
            rows.append((axis, start, end, step))
    if not rows:
        return x
    columns = [tuple(column) for column in zip(*sorted(rows))]
    return call.op(
        "slice", x, axes=columns[0], starts=columns[1], ends=columns[2], steps=columns[3]
    )


def _expand(call: Call) -> Results:
    return expanded(call, call[0], call.known_ints(1, "the target shape"))


def expanded(call: Call, x: Value, shape: Sequence[int]) -> Value:
    """`x` broadcast with `shape`; `x` itself if that changes nothing."""
    tail = x.shape[x.rank - len(shape) :]
    if len(shape) <= x.rank and all(s in (1, -1, size) for s, size in zip(shape, tail)):
        return x
    return call.op("expand", x, shape=tuple(shape))


def _tile(call: Call) -> Results:
    repeats = call.known_ints(1, "repeats")
    return call[0] if set(repeats) <= {1} else call.op("tile", call[0], repeats=repeats)


def _pad(call: Call) -> Results:
    """Pads are an attribute until opset 10; from 18 on they may be for some axes only."""
    x, mode = call[0], call.get_str("mode", "constant")
    value = 0.0
    if call.opset < 11:
        pads, value = call.get_ints("pads"), call.get_float("value", 0.0)
    else:
        pads = call.known_ints(1, "pads")
        if call.optional(2) is not None and mode == "constant":
            fill = call.known(2, "the pad value").reshape(-1)
            value = float(fill[0]) if fill.size else 0.0
    axes = call.optional_ints(3, "axes") if call.opset >= 18 else None
    if axes is not None:
        pads = _for_all_axes(pads, tuple(call.axis(axis, x.rank) for axis in axes), x.rank)
    return x if not any(pads) else call.op("pad", x, pads=pads, mode=mode, value=value)


def _for_all_axes(pads: Sequence[int], axes: Sequence[int], rank: int) -> tuple[int, ...]:
    if len(pads) != 2 * len(axes):
        raise Unsupported(f"{len(pads)} pads for {len(axes)} axes", "The model is not valid ONNX.")
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = pads[i], pads[len(axes) + i]
    return tuple(full)


def _depth_to_space(call: Call) -> Results:
    x, block = call[0], call.get_int("blocksize")
    n, c, h, w = _image(x)
    rest = c // (block * block)
    if call.get_str("mode", "DCR") == "DCR":
        shape, perm = (n, block, block, rest, h, w), (0, 3, 4, 1, 5, 2)
    else:
        shape, perm = (n, rest, block, block, h, w), (0, 1, 4, 2, 5, 3)
    blocks = call.transpose(call.reshape(x, shape), perm)
    return call.reshape(blocks, (n, rest, h * block, w * block))


def _space_to_depth(call: Call) -> Results:
    x, block = call[0], call.get_int("blocksize")
    n, c, h, w = _image(x)
    blocks = call.reshape(x, (n, c, h // block, block, w // block, block))
    if call.get_str("mode", "DCR") == "DCR":
        perm = (0, 3, 5, 1, 2, 4)
    else:
        perm = (0, 1, 3, 5, 2, 4)
    return call.reshape(
        call.transpose(blocks, perm), (n, c * block * block, h // block, w // block)
    )


def _image(x: Value) -> tuple[int, int, int, int]:
    if x.rank != 4:
        raise Unsupported(f"an operand of shape {list(x.shape)}; it must be an image")
    n, c, h, w = x.shape
    return n, c, h, w


def _trilu(call: Call) -> Results:
    """The triangle above (or below) the k-th diagonal, 0 elsewhere."""
    x = call[0]
    offset = call.optional_ints(1, "the diagonal")
    k = offset[0] if offset else 0
    shape = x.shape[-2:]
    ones = np.ones(shape, bool)
    mask = np.triu(ones, k) if call.get_bool("upper", True) else np.tril(ones, k)
    return call.op("where", call.constant(mask), x, call.scalar(0, x))


RULES: dict[str, Rule] = {
    "Shape": _shape,
    "Size": _size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Trilu": _trilu,
}
