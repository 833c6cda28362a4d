"""The default pipelines."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..ir import levels
from ..ir.cost import CostModel, KernelCost
from ..ir.dtypes import DType
from ..ir.layout import Layout
from ..ir.target import Target
from .assign_layouts import AssignLayouts
from .base import Pass
from .canonicalize import Canonicalize
from .cse import Cse
from .dead_code import DeadCode
from .expand_conv_transpose import ExpandConvTranspose
from .flatten_depth import FlattenDepth
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fold_empty import FoldEmpty
from .fold_scales import FoldScales
from .fold_transposes import FoldTransposes
from .fuse_attention import FuseAttention
from .fuse_conv import FuseConv
from .fuse_elementwise import FuseElementwise
from .fuse_matmul import FuseMatmul
from .fuse_reductions import FuseReductions
from .fuse_separable import FuseSeparable
from .halve_blocks import HalveBlocks
from .io_layout import IoLayout
from .order_nodes import OrderNodes
from .recognize_activations import RecognizeActivations
from .recognize_norms import RecognizeNorms
from .registry import with_plugins
from .wrap_kernels import WrapKernels


def pipeline(
    level: int,
    target: Target,
    io_layout: Layout | None = None,
    layout_cost: CostModel | None = None,
    kernel_cost: KernelCost | None = None,
) -> list[Pass]:
    """The passes of an optimization level, plugins in their places.

    Args:
        level: 1 plain kernels, one per op (the oracle); 2 fusion; 3 and 4 attention as one kernel
            and layouts over the whole graph (what 4 adds is the templates' business).
        target: Its float32 lanes are the block of blocked layouts.
        io_layout: How images stand in memory at the model's border; None: as the model says.
        layout_cost: What kernels cost in blocks of the target's lanes; None: `ModelledCost`.
        kernel_cost: What kernels cost as they stand; None: no kernels are joined by it.

    Raises:
        UsageError: There is no such level, or an I/O layout is asked for below level 3.
    """
    if level not in levels.LEVELS:
        raise UsageError(f"there is no level {level}", "--optimization", "levels are 1 to 4")
    if io_layout is not None and not io_layout.is_plain and level < levels.LAYOUTS:
        raise UsageError(
            f"images can be converted to {io_layout} at level 3 and above only",
            "--layout",
            "leave --layout out, or use --optimization category:kernel,level:3",
        )
    layout = str(io_layout) if io_layout is not None and not io_layout.is_plain else ""
    if level == levels.ORACLE:
        return with_plugins(_plain())
    return with_plugins(
        [
            *_fused(layout, _attention(target) if level >= levels.LAYOUTS else ()),
            *(_laid_out(target, layout_cost, kernel_cost) if level >= levels.LAYOUTS else ()),
            OrderNodes(),
        ]
    )


def _plain() -> list[Pass]:
    return [
        # Canonical form, nothing that rounds otherwise
        FoldEmpty(),
        Canonicalize(exact=True),
        FoldConstants(),
        Canonicalize(exact=True),
        DeadCode(),
        # Every op a kernel
        WrapKernels(),
        OrderNodes(),
    ]


def _fused(io_layout: str, attention: Sequence[Pass]) -> list[Pass]:
    return [
        # Phase 1: canonical form
        FoldEmpty(),
        Canonicalize(),
        FoldConstants(),
        Canonicalize(),
        Cse(),
        # Phase 2: composite patterns
        RecognizeNorms(),
        RecognizeActivations(),
        # Phase 3: arithmetic into weights
        FoldScales(),
        FoldTransposes(),
        FoldBatchNorm(),
        ExpandConvTranspose(),
        FlattenDepth(),
        Canonicalize(),
        FoldConstants(),
        Cse(),
        DeadCode(),
        # Phase 4: the border
        IoLayout(io_layout),
        # Phase 5: kernels
        FuseConv(),
        *attention,
        FuseMatmul(),
        FuseReductions(),
        FuseElementwise(),
        WrapKernels(),
    ]


def _attention(target: Target) -> list[Pass]:
    # Only x86 has a template for it; a kernel of two products that nothing is made for is slow.
    return [FuseAttention()] if target.arch == "x86" and target.vector_bits >= 128 else []


def _laid_out(target: Target, cost: CostModel | None, kernel_cost: KernelCost | None) -> list[Pass]:
    lanes = target.lanes(DType.F32)
    return [
        # Phase 6: layouts
        AssignLayouts(block=lanes, cost=cost),
        *after_layouts(lanes, target, kernel_cost),
    ]


def after_layouts(block: int, target: Target, kernel_cost: KernelCost | None) -> list[Pass]:
    """What follows the assignment of layouts in such blocks: passes for kernels as they stand.

    Args:
        block: Channels per block.
        target: What the kernels run on.
        kernel_cost: What kernels cost as they stand; None: no kernels are joined by it.
    """
    halved = target.splits_vectors and block == target.lanes(DType.F32)
    return [
        *([HalveBlocks(block=block)] if halved else []),
        *([FuseSeparable(kernel_cost)] if kernel_cost is not None else []),
    ]
