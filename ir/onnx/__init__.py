"""Import of ONNX models. Nothing outside of this package needs `onnx`."""

from .call import Call, Results, Rule
from .importer import import_model
from .load import LoadedModel, find_model, load_model
from .problems import ImportProblems, Problem, Unsupported
from .rules import RULES, register_rule
from .shapes import parse_input_shapes

__all__ = [
    "RULES",
    "Call",
    "ImportProblems",
    "LoadedModel",
    "Problem",
    "Results",
    "Rule",
    "Unsupported",
    "find_model",
    "import_model",
    "load_model",
    "parse_input_shapes",
    "register_rule",
]
