"""The graph IR: types, graphs, text form, verifier, interpreter, ops, targets.

Nothing here knows of TVM.
"""

from .constant import Constant
from .dtypes import DType
from .graph import Graph, Node, Use, Value
from .layout import Layout
from .op import Attrs, ConstraintError, NoAttrs, OpDef, Pattern, register
from .parse import parse_graph, parse_type
from .rewriter import Refusal, Rewrite, Rewriter, apply_rewrites
from .text import print_graph, structurally_equal
from .types import TensorType
from .verifier import verify

__all__ = [
    "Attrs",
    "Constant",
    "ConstraintError",
    "DType",
    "Graph",
    "Layout",
    "NoAttrs",
    "Node",
    "OpDef",
    "Pattern",
    "Refusal",
    "Rewrite",
    "Rewriter",
    "TensorType",
    "Use",
    "Value",
    "apply_rewrites",
    "parse_graph",
    "parse_type",
    "print_graph",
    "register",
    "structurally_equal",
    "verify",
]
