"""LSTM, GRU and RNN, unrolled: sequences have a fixed length.

What the input adds to the gates is one matrix product over all steps; each step then multiplies
the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...graph import Value
from ...ops import END
from ..call import Call, Results, Rule
from ..problems import Unsupported

MAX_STEPS = 512

_ACTIVATIONS = {
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softsign": "softsign",
    "softplus": "softplus",
}


@dataclass(frozen=True)
class _Direction:
    """What one direction of a recurrent op needs.

    Attributes:
        call: The node.
        hidden: H, the size of the state.
        recurrence: R, [gates * H, H].
        biases: Bias of the recurrence, [gates * H]; None if there is none.
        peepholes: [3 * H] or None (LSTM).
        activations: Functions f, g, h.
    """

    call: Call
    hidden: int
    recurrence: Value
    biases: Value | None
    peepholes: Value | None
    activations: Sequence[Callable[[Value], Value]]

    def part(self, x: Value, index: int, count: int = 1) -> Value:
        """Gates `index` to `index + count` along the last axis."""
        h = self.hidden
        return _slice(self.call, x, x.rank - 1, index * h, (index + count) * h)

    def product(self, state: Value, weights: Value) -> Value:
        return self.call.op("matmul", state, weights, transpose_b=True)

    def plus(self, a: Value, b: Value | None) -> Value:
        return a if b is None else self.call.op("add", a, b)

    def rows(self, index: int, count: int = 1) -> Value:
        """Rows of the recurrence that belong to gates `index` to `index + count`."""
        h = self.hidden
        return _slice(self.call, self.recurrence, 0, index * h, (index + count) * h)


Step = Callable[[_Direction, Value, tuple[Value, ...]], tuple[Value, ...]]


def _slice(call: Call, x: Value, axis: int, start: int, end: int) -> Value:
    if start == 0 and end >= x.shape[axis]:
        return x
    return call.op("slice", x, axes=(axis,), starts=(start,), ends=(min(end, END),), steps=(1,))


def _lstm_step(d: _Direction, x: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    """Gates i, o, f, c."""
    call, (f, g, h), (hidden, cell) = d.call, d.activations, state
    gates = d.plus(call.op("add", x, d.product(hidden, d.recurrence)), d.biases)
    i, o, forget, c = (d.part(gates, k) for k in range(4))
    if d.peepholes is not None:
        i = call.op("add", i, call.op("mul", d.part(d.peepholes, 0), cell))
        forget = call.op("add", forget, call.op("mul", d.part(d.peepholes, 2), cell))
    i = f(i)
    if call.get_bool("input_forget"):
        forget = call.op("sub", call.scalar(1, i), i)
    else:
        forget = f(forget)
    new_cell = call.op("add", call.op("mul", forget, cell), call.op("mul", i, g(c)))
    if d.peepholes is not None:
        o = call.op("add", o, call.op("mul", d.part(d.peepholes, 1), new_cell))
    return call.op("mul", f(o), h(new_cell)), new_cell


def _gru_step(d: _Direction, x: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    """Gates z, r, h."""
    call, (f, g), (hidden,) = d.call, d.activations, state
    recurrent = d.product(hidden, d.rows(0, 2))
    bias = None if d.biases is None else d.part(d.biases, 0, 2)
    both = f(d.plus(call.op("add", d.part(x, 0, 2), recurrent), bias))
    z, r = d.part(both, 0), d.part(both, 1)
    bias = None if d.biases is None else d.part(d.biases, 2)
    if call.get_bool("linear_before_reset"):
        inner = call.op("mul", r, d.plus(d.product(hidden, d.rows(2)), bias))
    else:
        inner = d.plus(d.product(call.op("mul", r, hidden), d.rows(2)), bias)
    candidate = g(call.op("add", d.part(x, 2), inner))
    # z mixes the old state into the new one
    kept = call.op("mul", z, call.op("sub", hidden, candidate))
    return (call.op("add", candidate, kept),)


def _rnn_step(d: _Direction, x: Value, state: tuple[Value, ...]) -> tuple[Value, ...]:
    (f,), (hidden,) = d.activations, state
    added = d.call.op("add", x, d.product(hidden, d.recurrence))
    return (f(d.plus(added, d.biases)),)


def _activation(call: Call, name: str) -> Callable[[Value], Value]:
    op = _ACTIVATIONS.get(name.lower())
    if op is None:
        raise Unsupported(f"activation {name!r}")
    limit = call.get_float("clip", 0.0)

    def apply(x: Value) -> Value:
        return call.op(op, call.op("clip", x, min=-limit, max=limit) if limit else x)

    return apply


def _recurrent(gates: int, states: int, defaults: Sequence[str], step: Step) -> Rule:
    """A rule for an op with so many gates and states (h; h and c)."""

    def rule(call: Call) -> Results:
        batch_first = call.get_bool("layout")
        x = call.transpose(call[0], (1, 0, 2)) if batch_first else call[0]
        length, batch = x.shape[:2]
        direction = call.get_str("direction", "forward")
        names = call.get_strings("activations", ())
        count = 2 if direction == "bidirectional" else 1
        names = names or tuple(defaults) * count
        if length > MAX_STEPS:
            raise Unsupported(f"a sequence of {length} steps; at most {MAX_STEPS} are unrolled")
        if len(names) != len(defaults) * count:
            raise Unsupported(f"{len(names)} activations", "The model is not valid ONNX.")
        inside = _inside(call, length, batch)
        outputs, finals = [], []
        for index in range(count):
            own = names[index * len(defaults) : (index + 1) * len(defaults)]
            parts = _direction(call, index, gates, own)
            start = tuple(_initial(call, 5 + s, index, parts, batch, batch_first)
                          for s in range(states))  # fmt: skip
            seen = _seen(call, x, index, gates, parts.hidden)
            backwards = direction == "reverse" or index == 1
            ys, final = _unroll(parts, step, seen, start, inside, backwards)
            outputs.append(ys)
            finals.append(final)
        return _results(call, outputs, finals, batch_first)

    return rule


def _one(call: Call, value: Value, index: int) -> Value:
    """Entry `index` of the first axis, which goes."""
    return call.reshape(_slice(call, value, 0, index, index + 1), value.shape[1:])


def _direction(call: Call, index: int, gates: int, names: Sequence[str]) -> _Direction:
    recurrence = _one(call, call[2], index)
    hidden = recurrence.shape[1]
    biases, peepholes = call.optional(3), call.optional(7)
    if biases is not None:
        biases = _slice(call, _one(call, biases, index), 0, gates * hidden, 2 * gates * hidden)
    if peepholes is not None:
        peepholes = _one(call, peepholes, index)
    functions = [_activation(call, name) for name in names]
    return _Direction(call, hidden, recurrence, biases, peepholes, functions)


def _seen(call: Call, x: Value, index: int, gates: int, hidden: int) -> list[Value]:
    """What the input adds to the gates: [B, gates * H] for every step."""
    y = call.op("matmul", x, _one(call, call[1], index), transpose_b=True)
    bias = call.optional(3)
    if bias is not None:
        y = call.op("add", y, _slice(call, _one(call, bias, index), 0, 0, gates * hidden))
    steps = call.add("split", y, axis=0, sizes=(1,) * y.shape[0])
    return [call.reshape(step, step.shape[1:]) for step in steps]


def _initial(
    call: Call, operand: int, index: int, parts: _Direction, batch: int, batch_first: bool
) -> Value:
    given = call.optional(operand)
    if given is None:
        return call.constant(np.zeros((batch, parts.hidden), call[0].dtype.numpy))
    return _one(call, call.transpose(given, (1, 0, 2)) if batch_first else given, index)


def _inside(call: Call, length: int, batch: int) -> list[Value | None]:
    """For every step [B, 1] bool: which sequences still run. None: all of them."""
    lengths = call.optional(4)
    if lengths is None:
        return [None] * length
    known = call.known_or_none(4)
    if known is not None and np.all(known == length):
        return [None] * length
    column = call.reshape(lengths, (batch, 1))
    return [call.op("less", call.scalar(t, column), column) for t in range(length)]


def _unroll(
    parts: _Direction,
    step: Step,
    seen: list[Value],
    state: tuple[Value, ...],
    inside: list[Value | None],
    backwards: bool,
) -> tuple[list[Value], tuple[Value, ...]]:
    """The output of every step, in the order of time, and the last states.

    A sequence that is over keeps its state and gives zeros; backwards, it has not begun yet.
    """
    call, ys = parts.call, {}
    times = range(len(seen))
    for t in reversed(times) if backwards else times:
        new = step(parts, seen[t], state)
        running = inside[t]
        if running is None:
            state, ys[t] = new, new[0]
        else:
            ys[t] = call.op("where", running, new[0], call.scalar(0, new[0]))
            state = tuple(call.op("where", running, n, s) for n, s in zip(new, state))
    return [ys[t] for t in times], state


def _results(
    call: Call,
    outputs: list[list[Value]],
    finals: list[tuple[Value, ...]],
    batch_first: bool,
) -> list[Value | None]:
    """Y [T, D, B, H] and the last states [D, B, H]; with the batch first if asked for."""
    directions = [_stack(call, [_stack(call, [y]) for y in ys]) for ys in outputs]  # [T, 1, B, H]
    y = directions[0] if len(directions) == 1 else call.op("concat", *directions, axis=1)
    results = [call.transpose(y, (2, 0, 1, 3)) if batch_first else y]
    for states in zip(*finals):
        state = _stack(call, list(states))
        results.append(call.transpose(state, (1, 0, 2)) if batch_first else state)
    return list(results)


def _stack(call: Call, values: list[Value]) -> Value:
    rows = [call.reshape(value, (1, *value.shape)) for value in values]
    return rows[0] if len(rows) == 1 else call.op("concat", *rows, axis=0)


RULES: dict[str, Rule] = {
    "LSTM": _recurrent(4, 2, ("Sigmoid", "Tanh", "Tanh"), _lstm_step),
    "GRU": _recurrent(3, 1, ("Sigmoid", "Tanh"), _gru_step),
    "RNN": _recurrent(1, 1, ("Tanh",), _rnn_step),
}
