"""Reading IR text back; the grammar is that of `text.py`.

Besides literal values and hashes, a constant in hand-written text may be `random(SEED)` (standard
normal for floats, small integers otherwise) or `fill(NUMBER)`.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelError, ParseError
from . import op as ops
from .constant import Constant
from .dtypes import DType
from .graph import Graph, Value
from .layout import Layout
from .op import Attrs
from .structure import KernelAttrs
from .types import TensorType

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<value>%[A-Za-z0-9_.]+)
      | (?P<hash>\#[0-9a-f]+)
      | (?P<number>-?(?:inf|nan)\b|-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<mark>[][(){}=:,@])""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Word(str):
    """A bare identifier among attribute values."""


class _Call(NamedTuple):
    name: str
    argument: float


def parse_graph(text: str, pool: Mapping[str, Constant] | None = None) -> Graph:
    """The graph that `text` prints.

    Args:
        text: IR text.
        pool: Constants by hash, for those that print as `#hash`.

    Raises:
        ParseError: With the line number and what was expected.
    """
    parser = _Parser(text, pool or {})
    graph = parser.graph()
    parser.expect("end")
    return graph


def parse_type(text: str) -> TensorType:
    """`f32[1,3]@NCHW16c` as a type. Raises ParseError."""
    parser = _Parser(text, {})
    result = parser.type()
    parser.expect("end")
    return result


def parse_attrs(op: str, text: str) -> Attrs:
    """`{a=1}` as the attributes of an op. Raises ParseError."""
    parser = _Parser(text, {})
    items = parser.attrs() if text.strip() else {}
    parser.expect("end")
    return _build_attrs(ops.get(op).attrs, items, op)


class _Parser:
    def __init__(self, text: str, pool: Mapping[str, Constant]) -> None:
        self.pool = pool
        self.tokens = list(_tokens(text))
        self.at = 0

    # -- tokens --------------------------------------------------------------------------------

    def peek(self) -> _Token:
        return self.tokens[self.at]

    def take(self, text: str) -> bool:
        token = self.peek()
        if token.text == text and token.kind in ("mark", "name"):
            self.at += 1
            return True
        return False

    def next(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, kind: str, text: str = "") -> str:
        token = self.next()
        if token.kind != kind or (text and token.text != text):
            wanted = repr(text) if text else f"a {kind}"
            raise ParseError(
                f"expected {wanted}, found {token.text or 'the end'!r}",
                f"IR text line {token.line}",
            )
        return token.text

    def fail(self, message: str) -> ParseError:
        return ParseError(message, f"IR text line {self.tokens[max(self.at - 1, 0)].line}")

    # -- grammar -------------------------------------------------------------------------------

    def graph(self) -> Graph:
        self.expect("name", "graph")
        graph = Graph(self.string() if self.peek().kind == "string" else "main")
        self.region(graph)
        return graph

    def region(self, graph: Graph) -> None:
        """`(%a: type, …) { nodes return … }` into an empty graph."""
        values: dict[str, Value] = {}
        self.expect("mark", "(")
        while not self.take(")"):
            name = self.expect("value")[1:]
            exact = self.string() if self.peek().kind == "string" else name
            self.expect("mark", ":")
            value = graph.add_input(exact, self.type())
            if value.name != name:
                graph.rename(value, name)
            values[name] = value
            if not self.take(","):
                self.expect("mark", ")")
                break
        self.expect("mark", "{")
        while not self.take("return"):
            self.node(graph, values)
        outputs, names = [], []
        while not self.take("}"):
            name = self.expect("value")[1:]
            outputs.append(self.lookup(values, name))
            names.append(self.string() if self.peek().kind == "string" else name)
            self.take(",")
        graph.set_outputs(outputs, names)

    def node(self, graph: Graph, values: dict[str, Value]) -> None:
        line = self.peek().line
        names = [self.expect("value")[1:]]
        while self.take(","):
            names.append(self.expect("value")[1:])
        self.expect("mark", "=")
        op = self.expect("name")
        operands = []
        if self.take("("):
            while not self.take(")"):
                operands.append(self.lookup(values, self.expect("value")[1:]))
                self.take(",")
        items = self.attrs() if self.peek().text == "{" else {}
        while self.peek().kind == "name" and self.tokens[self.at + 1].text == "(":
            field = self.next().text
            items[field] = Graph()
            self.region(items[field])
        types = []
        if self.take(":"):
            types.append(self.type())
            while self.take(","):
                types.append(self.type())
        origin = self.string() if self.take("from") else ""
        try:
            results = self.make(graph, op, operands, items, types, origin, len(names))
        except ModelError as error:  # of the op: it does not know where it stands in a text
            error.where = error.where or f"IR text line {line}"
            raise
        for name, value in zip(names, results):
            if value.name != name:
                graph.rename(value, name)
            values[name] = value

    def make(
        self,
        graph: Graph,
        op: str,
        operands: list[Value],
        items: dict[str, Any],
        types: list[TensorType],
        origin: str,
        n_results: int,
    ) -> tuple[Value, ...]:
        if op == "constant":
            if len(types) != 1 or "value" not in items:
                raise self.fail("a constant needs {value=…} and a type")
            return (graph.add_constant(self.constant(items["value"], types[0])),)
        if not ops.exists(op):
            raise self.fail(f"unknown op {op!r}")
        attrs = _build_attrs(ops.get(op).attrs, items, op)
        layouts = [t.layout for t in types] if types else None
        node = graph.add(op, *operands, attrs=attrs, origin=origin, layouts=layouts)
        inferred = [value.type for value in node.outputs]
        if types and inferred != types:
            raise self.fail(
                f"{op} gives {', '.join(map(str, inferred))}, not {', '.join(map(str, types))}"
            )
        if len(node.outputs) != n_results:
            raise self.fail(f"{op} gives {len(node.outputs)} results, not {n_results}")
        return node.outputs

    def attrs(self) -> dict[str, Any]:
        items: dict[str, Any] = {}
        self.expect("mark", "{")
        while not self.take("}"):
            key = self.expect("name")
            self.expect("mark", "=")
            items[key] = self.item()
            self.take(",")
        return items

    def item(self) -> Any:
        token = self.next()
        if token.kind == "number":
            is_float = any(mark in token.text for mark in ".eEn")
            return float(token.text) if is_float else int(token.text)
        if token.kind == "string":
            return _unquote(token.text)
        if token.kind == "hash":
            return token.text
        if token.text == "[":
            items = []
            while not self.take("]"):
                items.append(self.item())
                self.take(",")
            return tuple(items)
        if token.kind == "name":
            word = {"true": True, "false": False, "none": None}.get(token.text, _Word(token.text))
            if isinstance(word, _Word) and self.take("("):
                argument = float(self.expect("number"))
                self.expect("mark", ")")
                return _Call(word, argument)
            return word
        raise self.fail(f"expected a value, found {token.text or 'the end'!r}")

    def type(self) -> TensorType:
        name = self.expect("name")
        try:
            dtype = DType.parse(name)
        except ValueError as error:
            raise self.fail(str(error)) from None
        self.expect("mark", "[")
        shape = []
        while not self.take("]"):
            shape.append(int(self.expect("number")))
            self.take(",")
        layout = None
        if self.take("@"):
            layout = self.layout(self.expect("name"))
        try:
            return TensorType(dtype, tuple(shape), layout)
        except ValueError as error:
            raise self.fail(str(error)) from None

    def layout(self, text: str) -> Layout:
        try:
            return Layout.parse(text)
        except ValueError as error:
            raise self.fail(str(error)) from None

    def string(self) -> str:
        return _unquote(self.expect("string"))

    def lookup(self, values: dict[str, Value], name: str) -> Value:
        if name not in values:
            raise self.fail(f"%{name} is used before it is defined")
        return values[name]

    def constant(self, item: Any, type: TensorType) -> Constant:
        numpy = type.dtype.numpy
        if isinstance(item, str) and item.startswith("#"):
            if item[1:] not in self.pool:
                raise self.fail(f"the constant {item} is not in the pool")
            return self.pool[item[1:]]
        if isinstance(item, _Call):
            return Constant(_generated(item, type))
        try:
            return Constant(np.array(item, dtype=numpy).reshape(type.shape))
        except (ValueError, TypeError, OverflowError):
            raise self.fail(f"{item!r} is no value of {type}") from None


def _generated(call: _Call, type: TensorType) -> np.ndarray:
    if call.name == "fill":
        return np.full(type.shape, call.argument, type.dtype.numpy)
    if call.name != "random":
        raise ParseError(f"unknown constant generator {call.name!r}", hint="random(SEED), fill(X)")
    rng = np.random.default_rng(int(call.argument))
    if type.dtype.is_float:
        return rng.standard_normal(type.shape).astype(type.dtype.numpy)
    low = -4 if type.dtype.is_signed else 0
    return rng.integers(low, 2 if type.dtype.is_bool else 5, type.shape).astype(type.dtype.numpy)


def _build_attrs(attrs: type[Attrs], items: dict[str, Any], op: str) -> Attrs:
    hints = _hints(attrs)
    for key in items:
        if key not in hints:
            raise ParseError(f"{op} has no attribute {key!r}", hint=f"it has {', '.join(hints)}")
    try:
        return attrs(**{key: _coerce(item, hints[key]) for key, item in items.items()})
    except (TypeError, ValueError) as error:
        raise ParseError(f"attributes of {op}: {error}") from None


def _hints(attrs: type[Attrs]) -> dict[str, Any]:
    if issubclass(attrs, KernelAttrs):
        return {"body": Graph, "template": str, "config": str, "why": str}
    return typing.get_type_hints(attrs)


def _coerce(item: Any, hint: Any) -> Any:
    """A parsed literal as the type that the attribute's annotation asks for."""
    choices = set(typing.get_args(hint)) | {hint}
    if isinstance(item, _Word):
        if DType in choices:
            return DType.parse(item)
        if Layout in choices:
            return Layout.parse(item)
        raise ValueError(f"unexpected word {item!r} (strings are quoted)")
    if isinstance(item, tuple):
        inner = [choice for choice in choices if typing.get_origin(choice) is tuple]
        element = typing.get_args(inner[0])[0] if inner else Any
        return tuple(_coerce(part, element) for part in item)
    if isinstance(item, int) and not isinstance(item, bool) and float in choices:
        return item if int in choices else float(item)
    return item


def _tokens(text: str) -> typing.Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ParseError(f"unexpected character {text[at]!r}", f"IR text line {line}")
        kind = str(match.lastgroup)
        if kind != "space":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
        at = match.end()
    yield _Token("end", "", line)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text[1:-1])
