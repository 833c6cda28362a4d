"""Einsum as transposes, reductions and matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...graph import Value
from ..call import Call, Results, Rule
from ..problems import Unsupported

Labels = tuple[str, ...]


def _einsum(call: Call) -> Results:
    """Operands are joined from left to right, each time by one matrix product."""
    values = [call[i] for i in range(len(call.inputs))]
    terms, output = _parse(call.get_str("equation"), [value.rank for value in values])
    parts = [_without_repeats(call, v, t) for v, t in zip(values, terms)]
    value, labels = parts[0]
    for index, (other, other_labels) in enumerate(parts[1:], start=1):
        later = {label for _, t in parts[index + 1 :] for label in t} | set(output)
        value, labels = _join(call, value, labels, other, other_labels, later)
    value, labels = _summed(call, value, labels, set(output))
    return call.transpose(value, [labels.index(label) for label in output])


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the output; "..." becomes labels "0", "1", ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise Unsupported(f"equation {equation!r} is not for {len(ranks)} operands")
    hidden = max(
        (rank - len(t.replace("...", "")) for t, rank in zip(texts, ranks) if "..." in t),
        default=0,
    )
    terms = []
    for text, rank in zip(texts, ranks):
        count = rank - len(text.replace("...", "")) if "..." in text else 0
        dots = [str(i) for i in range(hidden - count, hidden)]
        head, _, tail = text.partition("...")
        labels = (*head, *dots, *tail)
        if len(labels) != rank:
            raise Unsupported(f"equation {equation!r} does not fit an operand of rank {rank}")
        terms.append(labels)
    if arrow:
        head, found, tail = right.partition("...")
        dots = [str(i) for i in range(hidden)] if found else []
        return terms, (*head, *dots, *tail)
    every = [label for labels in terms for label in labels]
    once = sorted(label for label in set(every) if every.count(label) == 1 and label.isalpha())
    return terms, (*(str(i) for i in range(hidden)), *once)


def _without_repeats(call: Call, x: Value, labels: Labels) -> tuple[Value, Labels]:
    """Takes the diagonal of axes that share a label."""
    for label in dict.fromkeys(labels):
        axes = [i for i, other in enumerate(labels) if other == label]
        while len(axes) > 1:
            first, second = axes[0], axes[-1]
            size = x.shape[first]
            rest = [i for i in range(x.rank) if i not in (first, second)]
            moved = call.transpose(x, (first, second, *rest))
            index = np.stack([np.arange(size, dtype=np.int64)] * 2, axis=1)
            x = call.op("gather_nd", moved, call.constant(index))
            labels = (label, *(labels[i] for i in rest))
            axes = [i for i, other in enumerate(labels) if other == label]
    return x, labels


def _summed(call: Call, x: Value, labels: Labels, kept: set[str]) -> tuple[Value, Labels]:
    """Sums over the axes whose label nobody needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in kept)
    if not axes:
        return x, labels
    left = tuple(label for label in labels if label in kept)
    return call.op("reduce_sum", x, axes=axes, keepdims=False), left


def _join(
    call: Call, a: Value, la: Labels, b: Value, lb: Labels, needed: set[str]
) -> tuple[Value, Labels]:
    """[batch, rows, inner] times [batch, inner, columns]; what only one side has and nobody
    needs is summed first."""
    a, la = _summed(call, a, la, needed | set(lb))
    b, lb = _summed(call, b, lb, needed | set(la))
    sizes: dict[str, int] = {}
    for value, labels in ((a, la), (b, lb)):
        for label, size in zip(labels, value.shape):
            if sizes.get(label, 1) == 1:
                sizes[label] = size
    batch = [label for label in la if label in lb and label in needed]
    inner = [label for label in la if label in lb and label not in needed]
    rows = [label for label in la if label not in lb]
    columns = [label for label in lb if label not in la]
    if not inner:  # an outer product: broadcasting multiplication says it
        order = [*batch, *rows, *columns]
        left = call.reshape(
            call.transpose(a, [la.index(i) for i in (*batch, *rows)]),
            [*(a.shape[la.index(i)] for i in (*batch, *rows)), *(1 for _ in columns)],
        )
        right = call.transpose(b, [lb.index(i) for i in (*batch, *columns)])
        heads = [b.shape[lb.index(i)] for i in batch]
        right = call.reshape(
            right, [*heads, *(1 for _ in rows), *(b.shape[lb.index(i)] for i in columns)]
        )
        return call.op("mul", left, right), tuple(order)
    left = _matrix(call, a, la, batch, rows, inner, sizes)
    right = _matrix(call, b, lb, batch, inner, columns, sizes)
    y = call.op("matmul", left, right)
    shape = [sizes[i] for i in (*batch, *rows, *columns)]
    return call.reshape(y, shape), (*batch, *rows, *columns)


def _matrix(
    call: Call,
    x: Value,
    labels: Labels,
    batch: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    sizes: dict[str, int],
) -> Value:
    """`x` as [*batch, rows, columns]; sizes of 1 in the batch broadcast, others are brought up."""
    for label in (*rows, *columns):
        axis = labels.index(label)
        if x.shape[axis] != sizes[label]:
            wide = [sizes[label] if i == axis else -1 for i in range(x.rank)]
            x = call.op("expand", x, shape=tuple(wide))
    x = call.transpose(x, [labels.index(i) for i in (*batch, *rows, *columns)])
    head = x.shape[: len(batch)]
    return call.reshape(
        x,
        (*head, math.prod(sizes[i] for i in rows), math.prod(sizes[i] for i in columns)),
    )


RULES: dict[str, Rule] = {"Einsum": _einsum}
