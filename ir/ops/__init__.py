"""What each op is: attributes, shape rule, numpy meaning. One file per family of ops.

``OPS`` is the list of all built-in ops (the structural ones are in ``ir/structure.py``).
"""

from __future__ import annotations

from ..op import NoAttrs, OpDef
from . import (
    binary,
    concat,
    conv,
    cumsum,
    expand,
    gather,
    lrn,
    matmul,
    norm,
    pad,
    pool,
    range,
    reduce,
    requantize,
    reshape,
    resize,
    scatter,
    slice,
    softmax,
    split,
    tile,
    topk,
    transpose,
    unary,
)
from .binary import ModAttrs
from .concat import ConcatAttrs
from .conv import ConvAttrs, ConvTransposeAttrs
from .cumsum import CumsumAttrs
from .expand import ExpandAttrs
from .faults import DataFault
from .gather import GatherAttrs, GatherElementsAttrs, GatherNdAttrs
from .lrn import LrnAttrs
from .matmul import MatmulAttrs
from .norm import BatchNormAttrs, GroupNormAttrs, InstanceNormAttrs, LayerNormAttrs, RmsNormAttrs
from .pad import PadAttrs
from .pool import PoolAttrs
from .range import RangeAttrs
from .reduce import ArgAttrs, ReduceAttrs
from .requantize import RequantizeAttrs
from .reshape import ReshapeAttrs
from .resize import ResizeAttrs
from .scatter import ScatterElementsAttrs, ScatterNdAttrs
from .slice import BEGIN, END, SliceAttrs
from .softmax import SoftmaxAttrs
from .split import SplitAttrs
from .tile import TileAttrs
from .topk import TopkAttrs
from .transpose import TransposeAttrs
from .unary import (
    CastAttrs,
    CeluAttrs,
    ClipAttrs,
    EluAttrs,
    GeluAttrs,
    HardSigmoidAttrs,
    LeakyReluAttrs,
    SeluAttrs,
    ThresholdedReluAttrs,
)

FAMILIES = (
    unary,
    binary,
    reduce,
    conv,
    matmul,
    requantize,
    pool,
    lrn,
    norm,
    softmax,
    concat,
    split,
    slice,
    pad,
    transpose,
    reshape,
    expand,
    tile,
    gather,
    scatter,
    resize,
    cumsum,
    topk,
    range,
)

OPS: list[OpDef] = [definition for family in FAMILIES for definition in family.OPS]

__all__ = [
    "BEGIN",
    "END",
    "FAMILIES",
    "OPS",
    "ArgAttrs",
    "BatchNormAttrs",
    "CastAttrs",
    "CeluAttrs",
    "ClipAttrs",
    "ConcatAttrs",
    "ConvAttrs",
    "ConvTransposeAttrs",
    "CumsumAttrs",
    "DataFault",
    "EluAttrs",
    "ExpandAttrs",
    "GatherAttrs",
    "GatherElementsAttrs",
    "GatherNdAttrs",
    "GeluAttrs",
    "GroupNormAttrs",
    "HardSigmoidAttrs",
    "InstanceNormAttrs",
    "LayerNormAttrs",
    "LeakyReluAttrs",
    "LrnAttrs",
    "MatmulAttrs",
    "ModAttrs",
    "NoAttrs",
    "PadAttrs",
    "PoolAttrs",
    "RangeAttrs",
    "ReduceAttrs",
    "RequantizeAttrs",
    "ReshapeAttrs",
    "ResizeAttrs",
    "RmsNormAttrs",
    "ScatterElementsAttrs",
    "ScatterNdAttrs",
    "SeluAttrs",
    "SliceAttrs",
    "SoftmaxAttrs",
    "SplitAttrs",
    "ThresholdedReluAttrs",
    "TileAttrs",
    "TopkAttrs",
    "TransposeAttrs",
]
