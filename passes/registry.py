"""All passes by name, and those that plugins add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
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
from .split_separable import SplitSeparable
from .wrap_kernels import WrapKernels

# As `leip opt --list` shows them: by the phases of the pipeline, each named once.
PASSES: tuple[type[Pass], ...] = (
    FoldEmpty,
    Canonicalize,
    FoldConstants,
    Cse,
    DeadCode,
    RecognizeNorms,
    RecognizeActivations,
    FoldScales,
    FoldTransposes,
    FoldBatchNorm,
    ExpandConvTranspose,
    FlattenDepth,
    IoLayout,
    FuseConv,
    FuseAttention,
    FuseMatmul,
    FuseReductions,
    FuseElementwise,
    WrapKernels,
    SplitSeparable,  # the search's, before layouts are assigned anew
    AssignLayouts,
    HalveBlocks,
    FuseSeparable,
    OrderNodes,
)


@dataclass(frozen=True)
class Placement:
    """Where a plugin's pass stands: before the first run of a pass, or after its last one."""

    step: type[Pass]
    before: str = ""
    after: str = ""


_plugins: list[Placement] = []


def passes() -> dict[str, type[Pass]]:
    """Every known pass by name, the built-in ones first."""
    known = {step.name: step for step in PASSES}
    known.update((placement.step.name, placement.step) for placement in _plugins)
    return known


def register_pass(step: type[Pass], *, before: str = "", after: str = "") -> type[Pass]:
    """Add a pass from outside the tree and say where it runs.

    Args:
        step: A frozen dataclass derived from `Pass`, all of whose options have defaults.
        before: Name of the pass before whose first run in the pipeline it runs, or
        after: name of the pass after whose last run it runs. Where a level's pipeline lacks that
            pass, the plugin's pass is not run. With neither it is known to `leip opt -p` only.

    Returns:
        The class. Registering a class of the same module and name again replaces it (a plugin
        file that is loaded twice).

    Raises:
        UsageError: The name is taken, or there is no such place.
    """
    _check(step, before, after)
    mine = (step.__module__, step.__qualname__)
    for placement in list(_plugins):
        if placement.step.name == step.name:
            theirs = (placement.step.__module__, placement.step.__qualname__)
            if theirs != mine:
                raise UsageError(f"two plugins define a pass {step.name!r}")
            _plugins.remove(placement)
    _plugins.append(Placement(step, before, after))
    return step


def unregister_pass(name: str) -> None:
    """Forget a plugin's pass (for tests). Unknown names are ignored."""
    _plugins[:] = [placement for placement in _plugins if placement.step.name != name]


def with_plugins(steps: Sequence[Pass]) -> list[Pass]:
    """A pipeline with the plugins' passes in their places, in order of registration."""
    result = list(steps)
    for placement in _plugins:
        names = [step.name for step in result]
        if placement.before in names:
            result.insert(names.index(placement.before), placement.step())
        elif placement.after in names:
            last = len(names) - names[::-1].index(placement.after)
            result.insert(last, placement.step())
    return result


def _check(step: type[Pass], before: str, after: str) -> None:
    where = f"pass {getattr(step, 'name', step)!r}"
    if not (isinstance(step, type) and issubclass(step, Pass)):
        raise UsageError("a pass must be a class derived from leip.passes.Pass", where)
    parameters = vars(step).get("__dataclass_params__")  # its own, not those of a base
    if parameters is None or not parameters.frozen:
        raise UsageError("a pass must be a frozen dataclass", where, "@dataclass(frozen=True)")
    if step.name in {known.name for known in PASSES}:
        raise UsageError("the name belongs to a built-in pass", where)
    if before and after:
        raise UsageError("give before= or after=, not both", where)
    anchor = before or after
    if anchor and anchor not in passes():
        raise UsageError(f"there is no pass {anchor!r} to stand beside", where)
