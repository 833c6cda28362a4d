"""Functions: those that a model defines, and those by which ONNX itself defines ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx

from ..dtypes import DType
from .tensors import DTYPES

if TYPE_CHECKING:
    from .call import Call

_CODES: dict[DType, int] = {dtype: code for code, dtype in DTYPES.items()}


FunctionKey = tuple[str, str, str]


def function_key(function: onnx.FunctionProto) -> FunctionKey:
    """Domain, name and overload of a function."""
    return _key(function, function.name)


def called_key(node: onnx.NodeProto) -> FunctionKey:
    """The key of the function that a node would call."""
    return _key(node, node.op_type)


def _key(proto: onnx.FunctionProto | onnx.NodeProto, name: str) -> FunctionKey:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    return domain, name, getattr(proto, "overload", "")  # onnx 1.16 brought overloads


def model_functions(model: onnx.ModelProto) -> dict[FunctionKey, onnx.FunctionProto]:
    """The functions that a model defines."""
    return {function_key(function): function for function in model.functions}


def bind_attributes(
    node: onnx.NodeProto, caller: Mapping[str, onnx.AttributeProto] | None
) -> dict[str, onnx.AttributeProto]:
    """A node's attributes by name; references to the caller's attributes are followed.

    One that refers to an attribute which the caller does not have is left out.
    """
    bound = {}
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            bound[attribute.name] = attribute
        elif caller is not None and attribute.ref_attr_name in caller:
            copy = onnx.AttributeProto()
            copy.CopyFrom(caller[attribute.ref_attr_name])
            copy.name = attribute.name
            bound[attribute.name] = copy
    return bound


def schema_function(call: Call, probe: bool = False) -> onnx.FunctionProto | None:
    """The function by which ONNX defines an op, None if it does not.

    Args:
        call: The node; its operands have types.
        probe: Only whether there is one; the result is then not to be used.
    """
    try:
        schema = onnx.defs.get_schema(call.op_type, call.opset, call.domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_context_dependent_function:
        if probe:
            return onnx.FunctionProto()
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= call.opset]
        types = [b"" if value is None else _type(value.dtype, value.shape)
                 for value in call.inputs]  # fmt: skip
        node = onnx.NodeProto()
        node.CopyFrom(call.node)
        del node.attribute[:]
        node.attribute.extend(call.attributes.values())
        if versions:
            text = schema.get_context_dependent_function_with_opset_version(
                max(versions), node.SerializeToString(), types
            )
        else:
            text = schema.get_context_dependent_function(node.SerializeToString(), types)
    elif schema.has_function:
        if probe:
            return onnx.FunctionProto()
        versions = [v for v in schema.function_opset_versions if v <= call.opset]
        if not versions:
            return None
        text = schema.get_function_with_opset_version(max(versions))
    else:
        return None
    function = onnx.FunctionProto()
    function.ParseFromString(text)
    known = {a.name for a in function.attribute_proto}
    for name, attribute in schema.attributes.items():
        default = attribute.default_value
        if default.name and name not in known:
            function.attribute_proto.append(default)
    return function


def _type(dtype: DType, shape: tuple[int, ...]) -> bytes:
    proto = onnx.helper.make_tensor_type_proto(_CODES[dtype], shape)
    return bytes(proto.SerializeToString())
