"""Views: read access to a value by logical index, whatever its layout.

An op's compute is written once, on logical indices (an image is N, C, H, W). A `View` maps them to
the stored tensor, or to an expression over other views; nothing is materialised. `Stage`s are the
places where something is: `materialise` makes a `te.compute` over the *stored* shape of a type.

Pad lanes. A blocked layout stores lanes that belong to no element (24 channels in NCHW16c: 32
lanes), and they must be zero at every kernel boundary. A view knows how far beyond its logical
shape it may be read without harm (`reach`) and what is found there (`pad`), so that a guard is
paid for only where it is needed: `relu(x + bias)` of a padded `x` keeps zero without one.

Sharing. Expressions are trees for TVM: a value that is used twice would be computed twice, and a
chain of ten such values a thousand times. `bind` and `shared` make TIR `Let`s; `scope` says where
they stand (inside the branch of a guard, inside a reduction).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tvm_ffi
from tvm import ir as tvm_ir
from tvm import sym, te, tirx
from tvm.ir.expr import TensorLoad

from ..ir.layout import Layout
from ..ir.types import TensorType
from .half import bits_of

__all__ = [
    "Expr",
    "View",
    "bind",
    "bounded",
    "const",
    "dtype_of",
    "guarded",
    "is_small",
    "materialise",
    "opaque",
    "physical_indices",
    "reduce_stage",
    "scope",
    "shared",
    "simplify",
]

Expr = Any  # a tirx expression, or a Python number where an index is meant
Read = Callable[..., Expr]


# --- expressions ------------------------------------------------------------------------------


def const(value: Any, dtype: str) -> Expr:
    """A constant of exactly this dtype."""
    if dtype == "bool":
        return tirx.const(bool(value), "bool")
    if dtype.startswith(("int", "uint")):
        return tirx.const(int(value), dtype)
    return tirx.const(float(value), dtype)


def dtype_of(expr: Expr) -> str:
    """The TVM dtype string of an expression."""
    return str(expr.ty.dtype)


_bounds: contextvars.ContextVar[Any] = contextvars.ContextVar("leip_bounds", default=None)


def simplify(expr: Expr) -> Expr:
    """Simplify an index with what is known about the loop variables of the current stage."""
    if isinstance(expr, int | np.integer):
        return int(expr)
    analyzer = _bounds.get()
    result = (analyzer if analyzer is not None else sym.Analyzer()).simplify(expr)
    return int(result.value) if isinstance(result, tirx.IntImm) else result


@contextlib.contextmanager
def bounded(pairs: Sequence[tuple[Any, int]]) -> Iterator[None]:
    """Let `simplify` know that each variable is in 0 .. extent - 1."""
    outer = _bounds.get()
    analyzer = sym.Analyzer() if outer is None else outer
    for variable, extent in pairs:
        analyzer.bind(variable, tvm_ir.Range(0, extent))
    token = _bounds.set(analyzer)
    try:
        yield
    finally:
        _bounds.reset(token)


# --- sharing ----------------------------------------------------------------------------------


class _Scope:
    """The Lets that stand at one place of an expression, in order, and what is known there."""

    def __init__(self) -> None:
        self.lets: list[tuple[Any, Expr]] = []
        self.known: dict[tuple[int, int], list[tuple[tuple[Expr, ...], Expr]]] = {}


_scopes: contextvars.ContextVar[tuple[_Scope, ...]] = contextvars.ContextVar(
    "leip_scopes", default=()
)


def scope(make: Callable[[], Expr]) -> Expr:
    """Evaluate `make()`; what is shared within becomes `Let`s around its result.

    Needed wherever an expression is evaluated under a condition or over a reduction's variables:
    a Let outside would read where nothing may be read.
    """
    inner = _Scope()
    token = _scopes.set((*_scopes.get(), inner))
    try:
        result = make()
    finally:
        _scopes.reset(token)
    for variable, value in reversed(inner.lets):
        result = tirx.Let(variable, value, result)
    return result


def is_small(expr: Expr) -> bool:
    """Whether an expression costs nothing to repeat: a variable, a constant or one load."""
    if isinstance(expr, _ATOMS):
        return True
    operation = getattr(expr, "op", None)
    return operation is not None and getattr(operation, "name", "") == "te.tensor_load"


_ATOMS = (tirx.Var, tirx.IntImm, tirx.FloatImm, te.tensor.TensorSlice, TensorLoad, int, float)


def bind(value: Expr, body: Callable[[Expr], Expr], name: str = "t") -> Expr:
    """`let t = value in body(t)`: the value is computed once however often the body uses it."""
    if isinstance(value, tirx.Var | tirx.IntImm | tirx.FloatImm) or (
        # TVM's bounds of an integer Let differ by what encloses it, which it takes for an error.
        is_small(value) and not dtype_of(value).startswith(("float", "bfloat"))
    ):
        return body(value)
    value, restored = _bindable(value)
    variable = tirx.Var(name, dtype_of(value))
    stack = _scopes.get()
    if not stack:
        return tirx.Let(variable, opaque(value), body(restored(variable)))
    stack[-1].lets.append((variable, opaque(value)))
    return body(restored(variable))


def _bindable(value: Expr) -> tuple[Expr, Callable[[Expr], Expr]]:
    """What a Let may hold, and what makes the value of it again.

    TVM's vectorizer asks for the bounds of every Let of integers, and fails on a vector of
    comparisons (or a cast of one): a truth value is held as 1.0 or 0.0.
    """
    if dtype_of(value) != "bool":
        return value, lambda variable: variable
    one, zero = tirx.const(1.0, "float32"), tirx.const(0.0, "float32")
    return tirx.Select(value, one, zero), lambda variable: tirx.NE(variable, zero)


# TVM's simplifier replaces a Let's variable by its value, wherever it stands, if it sees the value
# to be pure; a chain of Lets would cost it exponential time (40 s for a softplus). So values stand
# behind `fma(v, 1, -0.0)`, which TVM is told to depend on state and LLVM takes away again. What is
# left of the trouble, in TVM's code generator, is why `lower_body` bounds the `weight` of views.
_READ_STATE = 2
tvm_ir.register_op_attr("tirx.fma", "TCallEffectKind", _READ_STATE, 11)
# LLVM rounds whole vectors; TVM is not told so, and would take them apart lane by lane.
tvm_ir.register_op_attr("tirx.nearbyint", "TVectorizable", True, 11)


def opaque(value: Expr) -> Expr:
    """The value of a float, which TVM then neither repeats where it is read nor moves."""
    dtype = dtype_of(value)
    if dtype not in ("float32", "float64"):
        return value
    return tirx.call_intrin(
        dtype, "tirx.fma", value, tirx.const(1.0, dtype), tirx.const(-0.0, dtype)
    )


def shared(identity: int, indices: tuple[Expr, ...], make: Callable[[], Expr]) -> Expr:
    """The value of `make()`, computed once per scope for equal (identity, indices)."""
    stack = _scopes.get()
    if not stack:
        return make()
    digest = functools.reduce(lambda a, b: hash((a, b)), map(_index_hash, indices), identity)
    key = (identity, digest)
    for level in stack:
        for other, known in level.known.get(key, ()):
            if len(other) == len(indices) and all(map(_same_index, other, indices)):
                return known
    value = make()
    if not is_small(value):
        held, restored = _bindable(value)
        variable = tirx.Var("v", dtype_of(held))
        stack[-1].lets.append((variable, opaque(held)))
        value = restored(variable)
    stack[-1].known.setdefault(key, []).append((indices, value))
    return value


def _index_hash(index: Expr) -> int:
    if isinstance(index, int):
        return index
    return hash(index) if isinstance(index, tirx.Var) else int(tvm_ffi.structural_hash(index))


def _same_index(a: Expr, b: Expr) -> bool:
    if isinstance(a, int) or isinstance(b, int):
        return isinstance(a, int) and isinstance(b, int) and a == b
    return bool(tvm_ffi.structural_equal(a, b))


def guarded(condition: Expr, then: Callable[[], Expr], otherwise: Expr) -> Expr:
    """`condition ? then() : otherwise` where `then()` is evaluated only if the condition holds."""
    if isinstance(condition, bool):
        return scope(then) if condition else otherwise
    condition = _bounds.get().simplify(condition) if _bounds.get() is not None else condition
    if isinstance(condition, tirx.IntImm):
        return scope(then) if condition.value else otherwise
    return tirx.if_then_else(condition, scope(then), otherwise)


# --- views ------------------------------------------------------------------------------------


class View:
    """Read access to a value by logical index.

    Attributes:
        shape: Logical shape.
        dtype: TVM dtype string.
        reach: How far each axis may be read; at least `shape`.
        pad: What is read beyond `shape` but within `reach`, a numpy scalar, or None if not known.
        tensor: The tensor this view reads directly, if it does.
        type: The type in which `tensor` stands in memory, if there is one.
        cheap: Whether reading costs no more than a load or two (and so may be repeated).
        scalar: The numpy scalar that every element is known to be, or None.
        weight: Terms of an element's expression with everything shared written out, roughly.
        wide: Of a bfloat16 view that shares its elements: the view of them as float32.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: str,
        read: Read,
        *,
        reach: Sequence[int] | None = None,
        pad: Any = None,
        tensor: Any = None,
        type: TensorType | None = None,
        cheap: bool = False,
        scalar: Any = None,
    ) -> None:
        self.shape = tuple(int(size) for size in shape)
        self.dtype = str(dtype)  # of a tensor it is an object of TVM's
        self.reach = tuple(reach) if reach is not None else self.shape
        self.pad = pad
        self.tensor = tensor
        self.type = type
        self.cheap = cheap or tensor is not None
        self.scalar = scalar
        self.weight = 1
        self.wide: View | None = None
        self._read = read

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __call__(self, *indices: Expr) -> Expr:
        """The element at these logical indices (expressions or ints), of dtype `self.dtype`."""
        if len(indices) != len(self.shape):
            raise TypeError(f"{len(indices)} indices for a view of shape {self.shape}")
        return self._read(*indices)

    @classmethod
    def of_tensor(cls, tensor: Any, type: TensorType, *, zero_pads: bool = True) -> View:
        """The view of a tensor that stands in memory as `type` says.

        `zero_pads`: whether its pad lanes are known to be zero (true of every kernel operand).
        """
        layout = type.layout
        reach = tuple(
            -(-size // layout.block(axis)) * layout.block(axis) if layout else size
            for axis, size in enumerate(type.shape)
        )
        pad = np.zeros((), type.dtype.numpy) if zero_pads else None

        def read(*indices: Expr) -> Expr:
            return tensor(*physical_indices(layout, indices))

        return cls(type.shape, type.dtype.tvm, read, reach=reach, pad=pad, tensor=tensor, type=type)

    @classmethod
    def of_scalar(cls, value: Any, dtype: str, shape: Sequence[int] = ()) -> View:
        """An immediate: the same constant everywhere."""
        array = np.asarray(value)
        element = array.reshape(-1)[0]
        number = const(element.item() if array.dtype != object else element, dtype)
        return cls(
            shape,
            dtype,
            lambda *_: number,
            reach=tuple(1 << 60 for _ in shape),
            pad=element,
            cheap=True,
            scalar=element,
        )

    def memoised(self) -> View:
        """The same view, whose elements are computed once per scope and index."""
        if self.cheap:
            return self
        identity = id(self)

        def read(*indices: Expr) -> Expr:
            plain = tuple(int(i) if isinstance(i, np.integer) else i for i in indices)
            return shared(identity, plain, lambda: self._read(*plain))

        result = View(self.shape, self.dtype, read, reach=self.reach, pad=self.pad)
        result._keep = self  # type: ignore[attr-defined]  # the identity must stay taken
        result.weight = self.weight
        return result

    def __repr__(self) -> str:
        return f"<view {self.dtype}{list(self.shape)}>"


def physical_indices(layout: Layout | None, logical: Sequence[Expr]) -> list[Expr]:
    """Where a logical index stands in memory, as indices into the stored shape."""
    if layout is None:
        return list(logical)
    rest = list(logical)
    inner: list[Expr] = [0] * len(layout.tiles)
    for place in range(len(layout.tiles) - 1, -1, -1):
        axis, size = layout.tiles[place]
        index = rest[axis]
        inner[place] = simplify(index % size)
        rest[axis] = simplify(index // size)
    return [rest[axis] for axis in layout.order] + inner


def logical_indices(layout: Layout | None, stored: Sequence[Expr]) -> list[Expr]:
    """The inverse of `physical_indices`."""
    if layout is None:
        return list(stored)
    result: list[Expr] = [None] * layout.rank
    for place, axis in enumerate(layout.order):
        result[axis] = stored[place]
    for place, (axis, size) in enumerate(layout.tiles):
        result[axis] = result[axis] * size + stored[layout.rank + place]
    return result


# --- stages -----------------------------------------------------------------------------------


def _pad_condition(type: TensorType, logical: Sequence[Expr]) -> list[Expr]:
    layout = type.layout
    if layout is None:
        return []
    return [
        logical[axis] < type.shape[axis]
        for axis in sorted({axis for axis, _ in layout.tiles})
        if type.shape[axis] % layout.block(axis)
    ]


def _within_reach(view: View, type: TensorType) -> bool:
    layout = type.layout
    return layout is None or all(
        view.reach[axis] >= -(-size // layout.block(axis)) * layout.block(axis)
        for axis, size in enumerate(type.shape)
    )


def materialise(view: View, type: TensorType, name: str, *, zero_pads: bool = True) -> Any:
    """A tensor (te.compute) that holds a view's elements as `type` says.

    Args:
        view: Of the type's logical shape and dtype.
        type: How the tensor stands in memory.
        name: Name of the block.
        zero_pads: Write zero in pad lanes (needed at kernel boundaries only).

    Returns:
        A te.Tensor of `type.physical_shape`.
    """
    zero = const(0, view.dtype)
    if 0 in type.physical_shape:
        return te.compute(type.physical_shape, lambda *_: zero, name=name)

    def element(*stored: Expr) -> Expr:
        value = read(*stored)
        if view.dtype != "bfloat16":
            return value
        return tirx.reinterpret("bfloat16", bits_of(value))

    def read(*stored: Expr) -> Expr:
        variables = [(v, size) for v, size in zip(stored, type.physical_shape, strict=True)]
        with bounded(variables):
            logical = [simplify(i) for i in logical_indices(type.layout, stored)]
            inside = _pad_condition(type, logical)
            if not inside:
                return scope(lambda: view(*logical))
            if not _within_reach(view, type):
                return guarded(tirx.all(*inside), lambda: view(*logical), zero)
            value = scope(lambda: view(*logical))
            if not zero_pads or (view.pad is not None and view.pad == 0):
                return value
            return tirx.Select(tirx.all(*inside), value, zero)

    return te.compute(type.physical_shape, element, name=name)


def reduce_stage(
    type: TensorType,
    extents: Sequence[int],
    combine: str,
    source: Callable[[Sequence[Expr], Sequence[Expr]], Expr],
    name: str,
    *,
    reach: Sequence[int] | None = None,
    pad: Any = None,
) -> View:
    """A reduction stage over the stored shape of `type`; gives the view of its result.

    Args:
        type: Type of the result (its layout says how the stage's loops run).
        extents: Extents of the reduction axes, outermost first.
        combine: `sum`, `max`, `min` or `prod`.
        source: `source(logical indices of the result, reduction variables)`; what is combined.
        name: Name of the block.
        reach: How far the source may be evaluated along each logical axis (default: the shape).
        pad: What the result is beyond the logical shape, if known.
    """
    shape = type.physical_shape
    axes = [te.reduce_axis((0, int(n)), name=f"r{i}") for i, n in enumerate(extents)]
    reducer = _REDUCERS[combine]
    dtype = type.dtype.tvm
    extent = View(type.shape, dtype, lambda *_: None, reach=reach)
    unguarded = _within_reach(extent, type)

    def element(*stored: Expr) -> Expr:
        pairs = list(zip(stored, shape, strict=True))
        pairs += [(axis.var, int(n)) for axis, n in zip(axes, extents, strict=True)]
        with bounded(pairs):
            logical = [simplify(i) for i in logical_indices(type.layout, stored)]
            inside = _pad_condition(type, logical)
            variables = [axis.var for axis in axes]
            if not inside or unguarded:
                value = scope(lambda: source(logical, variables))
            else:
                value = guarded(
                    tirx.all(*inside),
                    lambda: source(logical, variables),
                    identity_of(combine, dtype),
                )
        return reducer(value, axis=axes)

    if not axes:
        return View(type.shape, dtype, lambda *i: source(i, ()), reach=reach, pad=pad)
    tensor = te.compute(shape, element, name=name)
    result = View.of_tensor(tensor, type, zero_pads=False)
    result.pad = pad if unguarded or pad is None else None
    return result


def identity_of(combine: str, dtype: str) -> Expr:
    """The neutral element of a reduction."""
    if combine in ("max", "min"):
        if dtype.startswith(("float", "bfloat")):
            return const(-math.inf if combine == "max" else math.inf, dtype)
        return tirx.min_value(dtype) if combine == "max" else tirx.max_value(dtype)
    return const(1 if combine == "prod" else 0, dtype)


def _reducer(combine: str, fold: Callable[[Expr, Expr], Expr]) -> Any:
    return te.comm_reducer(fold, lambda t: identity_of(combine, str(t)), name=combine)


# TVM's own max and min start from the largest finite number; these start from infinity.
_REDUCERS = {
    "sum": _reducer("sum", lambda a, b: a + b),
    "prod": _reducer("prod", lambda a, b: a * b),
    "max": _reducer("max", lambda a, b: tirx.max(a, b)),
    "min": _reducer("min", lambda a, b: tirx.min(a, b)),
}
