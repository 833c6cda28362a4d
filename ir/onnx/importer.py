"""ONNX model → graph IR.

Nodes that no output needs are left out. Each other one is translated by the rule of its op type;
an op without a rule whose meaning ONNX states as a function of other ops, and a call of one of the
model's own functions, is replaced by that function's nodes. Problems do not stop the walk: what
depends on a failed node is skipped, and all of them are reported together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from ...errors import ConstraintError, ModelError
from ..graph import Graph, Value
from ..types import TensorType
from .call import Call, Results
from .fold import Builder
from .functions import bind_attributes, called_key, model_functions, schema_function
from .load import LoadedModel, load_model
from .problems import Problem, Problems, Unsupported
from .rules import RULES, Rule
from .shapes import declared_dims, resolve_shapes
from .sorting import live_nodes
from .tensors import DTYPES, TensorReader, dtype_name

OLDEST_OPSET = 7
MAX_DEPTH = 32

Opsets = Mapping[str, int]

# What a rule runs into when a node has attributes or operands that its op does not allow.
INVALID = (ValueError, IndexError, KeyError, TypeError, ArithmeticError, MemoryError)
INVALID_HINT = (
    "The model may not be valid ONNX (onnx.checker.check_model says more); if it is, this is a"
    " bug in leip."
)


class Unknown:
    """Stands for a value that a failed node would have made."""


UNKNOWN = Unknown()
# a Value, UNKNOWN, or the TensorProto of a weight that nobody has read yet
Entry = Any


class Scope:
    """Names of values: of a graph, a branch of an `If` (which sees the outer ones), a function."""

    def __init__(self, outer: Scope | None, reader: TensorReader, builder: Builder) -> None:
        self._outer = outer
        self._entries: dict[str, Entry] = {}
        self._reader = reader
        self._builder = builder

    def define(self, name: str, entry: Entry) -> None:
        self._entries[name] = entry

    def find(self, name: str) -> Value | Unknown | None:
        """The value of a name, None if there is none. A weight becomes a constant on first use.

        Raises:
            ModelError, Unsupported: If a weight cannot be read.
        """
        entry = self._entries.get(name)
        if isinstance(entry, onnx.TensorProto):
            self._entries[name] = UNKNOWN  # so that a bad weight is reported once
            entry = self._builder.constant(self._reader.array(entry), name)
            self._entries[name] = entry
        if entry is None and self._outer is not None:
            return self._outer.find(name)
        return entry


class Importer:
    """Translates one model.

    Args:
        model: The model as loaded.
        shapes: Static shape of every input.
        overridden: Whether the user has given shapes.
    """

    def __init__(
        self, model: LoadedModel, shapes: Mapping[str, tuple[int, ...]], overridden: bool
    ) -> None:
        self._proto = model.proto
        self._reader = model.reader
        self._where = str(model.path) if model.path else "model"
        self._shapes = shapes
        self._overridden = overridden
        self._opsets = opsets_of(model.proto.opset_import)
        self._functions = model_functions(model.proto)
        self.problems = Problems()
        self.graph = Graph(model.proto.graph.name or "main")
        self._builder = Builder(self.graph)

    def run(self) -> Graph:
        """The graph. Raises ModelError with all problems."""
        proto = self._proto.graph
        self._check_opsets()
        scope = Scope(None, self._reader, self._builder)
        weights = self._define_weights(proto, scope)
        for info in proto.input:
            if info.name not in weights:
                dtype = DTYPES[info.type.tensor_type.elem_type]
                type = TensorType(dtype, self._shapes[info.name])
                scope.define(info.name, self.graph.add_input(info.name, type))
        names = list(dict.fromkeys(output.name for output in proto.output))
        self._nodes(proto.node, names, scope, self._opsets, "", 0)
        outputs = [self._find(scope, name, "the model's output", "") for name in names]
        self.problems.raise_if_any(self._where)
        self.graph.set_outputs([v for v in outputs if isinstance(v, Value)], names)
        self.graph.prune()
        return self.graph

    def _check_opsets(self) -> None:
        opset, newest = self._opsets.get("", 0), onnx.defs.onnx_opset_version()
        if self._proto.graph.node and not self._opsets:
            raise ModelError("the model does not say its opset", self._where)
        if 0 < opset < OLDEST_OPSET:
            raise ModelError(
                f"the model has opset {opset}; leip reads {OLDEST_OPSET} to {newest}",
                self._where,
                "Convert it with onnx.version_converter.convert_version(model, 17).",
            )
        if opset > newest:
            raise ModelError(
                f"the model has opset {opset}; the installed onnx {onnx.__version__} knows"
                f" {OLDEST_OPSET} to {newest}",
                self._where,
                "Install a newer onnx, or export the model with an older opset.",
            )

    def _define_weights(self, proto: onnx.GraphProto, scope: Scope) -> set[str]:
        for tensor in proto.initializer:
            scope.define(tensor.name, tensor)
        for sparse in proto.sparse_initializer:
            scope.define(sparse.values.name, UNKNOWN)
            self.problems.add(
                Problem(
                    "sparse initializer",
                    sparse.values.name,
                    self._opsets.get("", 0),
                    "sparse weights are not supported",
                    "Store the weights densely.",
                )
            )
        return {tensor.name for tensor in proto.initializer}

    # -- walking -------------------------------------------------------------------------------

    def _nodes(
        self,
        nodes: Sequence[onnx.NodeProto],
        outputs: Sequence[str],
        scope: Scope,
        opsets: Opsets,
        prefix: str,
        depth: int,
        attributes: Mapping[str, onnx.AttributeProto] | None = None,
    ) -> None:
        """Import what `outputs` need of a graph's or function's nodes into `scope`.

        Args:
            nodes: The nodes, in any order.
            outputs: Names that are needed.
            scope: Where names are found and defined.
            opsets: Domain -> version.
            prefix: What the names of nodes begin with.
            depth: How many functions and branches we are in.
            attributes: The caller's attributes, within a function.
        """
        try:
            order, needed = live_nodes(nodes, outputs)
        except ValueError as error:
            raise ModelError(str(error), self._where) from None
        for index, node in order:
            name = prefix + (node.name or f"{node.op_type}#{index}")
            results = self._node(node, name, needed, scope, opsets, depth, attributes)
            for position, output in enumerate(node.output):
                if output:
                    value = results[position] if position < len(results) else None
                    scope.define(output, UNKNOWN if value is None else value)

    def _node(
        self,
        node: onnx.NodeProto,
        name: str,
        needed: set[str],
        scope: Scope,
        opsets: Opsets,
        depth: int,
        attributes: Mapping[str, onnx.AttributeProto] | None,
    ) -> Sequence[Value | None]:
        """The values of a node's outputs; nothing if it has a problem, which is noted."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        opset = opsets.get(domain, 0 if domain else self._opsets.get("", 0))
        kind = f"{domain}.{node.op_type}" if domain else node.op_type
        inputs = [self._find(scope, i, kind, name) if i else None for i in node.input]
        known = [None if isinstance(value, Unknown) else value for value in inputs]
        wanted = [bool(output) and output in needed for output in node.output]
        bound = bind_attributes(node, attributes)
        call = Call(
            node, name, opset, known, wanted, bound, self._builder, self._reader, attributes
        )
        blocked = any(isinstance(value, Unknown) for value in inputs)
        try:
            if depth > MAX_DEPTH:
                raise Unsupported("functions are nested too deeply")
            if node.op_type == "If" and not domain:
                return [] if blocked else self._branch(call, scope, opsets, depth)
            function = self._functions.get(called_key(node))
            rule = None if function is not None else RULES.get((domain, node.op_type))
            if blocked:
                self._check_op(rule, call, function)
                return []
            if rule is not None:
                return _all_wanted(rule(call), call)
            function = function or schema_function(call)
            if function is None:
                raise Unsupported("this op is not supported", _advice(domain, node.op_type))
            return self._function(function, call, depth)
        except Unsupported as error:
            self.problems.add(Problem(kind, name, opset, error.what, error.hint))
        except ConstraintError as error:
            self.problems.add(Problem(kind, name, opset, error.message, self._shape_hint()))
        except ModelError as error:
            self.problems.add(Problem(kind, name, opset, error.message, error.hint))
        except INVALID as error:
            text = f"not understood ({type(error).__name__}: {error})"
            self.problems.add(Problem(kind, name, opset, text, INVALID_HINT))
        return []

    def _check_op(self, rule: Rule | None, call: Call, function: object) -> None:
        """Raise Unsupported if an op, whose operands are unknown, certainly is."""
        if rule is None and function is None and not schema_function(call, probe=True):
            advice = _advice(call.domain, call.op_type)
            raise Unsupported("this op is not supported", advice)

    def _shape_hint(self) -> str:
        if self._overridden:
            return "The given --input_shapes may contradict the model."
        return "The model contradicts itself; onnx.checker may say more."

    def _find(self, scope: Scope, name: str, kind: str, node: str) -> Value | Unknown:
        opset = self._opsets.get("", 0)
        try:
            value = scope.find(name)
        except Unsupported as error:
            self.problems.add(Problem(kind, node or name, opset, error.what, error.hint))
            return UNKNOWN
        except ModelError as error:
            raise ModelError(error.message, self._where, error.hint) from None
        if value is None:
            text = f"{node!r} ({kind}) reads" if node else f"{kind} is"
            raise ModelError(f"{text} {name!r}, which nothing makes", self._where)
        return value

    # -- functions and branches ----------------------------------------------------------------

    def _function(self, function: onnx.FunctionProto, call: Call, depth: int) -> list[Value | None]:
        scope = Scope(None, self._reader, self._builder)
        nodes = list(function.node)
        omitted = set()
        for index, name in enumerate(function.input):
            value = call.optional(index)
            if value is None:
                omitted.add(name)
            else:
                scope.define(name, value)
        if omitted:
            nodes = [_without(node, omitted) for node in nodes]
        defaults = {a.name: a for a in function.attribute_proto}
        attributes = {**defaults, **call.attributes}
        wanted = [n for n, want in zip(function.output, call.wanted) if want]
        opsets = {**self._opsets, **opsets_of(function.opset_import)}
        before = len(self.problems)
        self._nodes(nodes, wanted, scope, opsets, f"{call.name}/", depth + 1, attributes)
        if len(self.problems) > before:
            return []
        return self._wanted(function.output, wanted, scope, call)

    def _branch(self, call: Call, scope: Scope, opsets: Opsets, depth: int) -> list[Value | None]:
        """The branch of an `If` that a constant condition takes, in place of the node."""
        condition = call.known_or_none(0)
        if condition is None:
            raise Unsupported(
                "its condition depends on the model's data",
                "Export the model so that it takes one branch (trace it instead of scripting it).",
            )
        body = call.get_graph("then_branch" if condition.reshape(-1)[0] else "else_branch")
        inner = Scope(scope, self._reader, self._builder)
        self._define_weights(body, inner)
        names = [output.name for output in body.output]
        wanted = [name for name, want in zip(names, call.wanted) if want]
        self._nodes(body.node, wanted, inner, opsets, f"{call.name}/", depth + 1, call.outer)
        return self._wanted(names, wanted, inner, call)

    def _wanted(
        self, names: Sequence[str], wanted: Sequence[str], scope: Scope, call: Call
    ) -> list[Value | None]:
        """The values of a body's outputs, None for those that nobody reads."""
        found = [self._find(scope, n, call.op_type, call.name) if n in wanted else None
                 for n in names]  # fmt: skip
        return [value if isinstance(value, Value) else None for value in found]


def _all_wanted(results: Results, call: Call) -> Sequence[Value | None]:
    """A rule's results. Raises Unsupported if one that is read is missing."""
    values = (results,) if isinstance(results, Value) else tuple(results)
    for index, want in enumerate(call.wanted):
        if want and (index >= len(values) or values[index] is None):
            raise Unsupported(f"its output {index} is used")
    return values


def opsets_of(imports: Sequence[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Domain -> version; "ai.onnx" is ""."""
    return {("" if o.domain == "ai.onnx" else o.domain): o.version for o in imports}


def _without(node: onnx.NodeProto, omitted: set[str]) -> onnx.NodeProto:
    """A function's node that does not read the parameters which the caller leaves out."""
    if not any(name in omitted for name in node.input):
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    names = ["" if name in omitted else name for name in node.input]
    del copy.input[:]
    copy.input.extend(names)
    return copy


def _advice(domain: str, op_type: str) -> str:
    if domain:
        return (
            f"It is not an op of ONNX (domain {domain!r}); export the model without it, "
            "or bring it with --plugin."
        )
    if not onnx.defs.has(op_type):
        return "ONNX has no such op; is the name right?"
    return ""


def input_types(proto: onnx.ModelProto, where: str) -> list[onnx.ValueInfoProto]:
    """The model's inputs that are not weights; all are tensors of an element type that leip has.

    Raises:
        ModelError: Listing those that are not.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [info for info in proto.graph.input if info.name not in weights]
    if len({info.name for info in inputs}) != len(inputs):
        raise ModelError("two inputs of the model have the same name", where)
    lines = []
    for info in inputs:
        kind = info.type.WhichOneof("value")
        code = info.type.tensor_type.elem_type
        if kind != "tensor_type":
            lines.append(f"  {info.name}: {(kind or 'no type').replace('_type', '')}")
        elif code not in DTYPES:
            lines.append(f"  {info.name}: tensor of {dtype_name(code)}")
    if lines:
        text = "inputs of these types are not supported\n" + "\n".join(lines)
        raise ModelError(text, where)
    return inputs


def import_model(
    model: str | os.PathLike[str] | onnx.ModelProto | LoadedModel,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Graph:
    """Translate an ONNX model into the graph IR.

    Args:
        model: An .onnx file, a folder with one, or a model in memory.
        input_shapes: Shapes of inputs, for dynamic dimensions or to override static ones.
        folder: Where the external data of a model in memory lies.

    Returns:
        A verified-by-construction graph; inputs and outputs have the model's names.

    Raises:
        ModelError: If the file is no good or the model cannot be expressed; all problems at once.
        UsageError: If `input_shapes` are missing or wrong.
    """
    if isinstance(model, LoadedModel):
        loaded = model
    elif isinstance(model, onnx.ModelProto):
        loaded = LoadedModel(model, None, TensorReader(Path(folder) if folder else None))
    else:
        loaded = load_model(model)
    inputs = input_types(loaded.proto, str(loaded.path or "model"))
    shapes = resolve_shapes({info.name: declared_dims(info) for info in inputs}, input_shapes)
    return Importer(loaded, shapes, bool(input_shapes)).run()
