"""Graph passes, their manager, and the pipelines.

A pass is a frozen dataclass (`base.py`), one a file; `registry.py` lists them, `pipeline.py` orders
them, `manager.py` runs and checks them. Nothing here knows of TVM.
"""

from .base import Pass, PassResult, RewritePass
from .manager import PassManager, PassRecord
from .pipeline import pipeline
from .registry import passes, register_pass, unregister_pass
from .spec import format_pipeline, parse_pipeline

__all__ = [
    "Pass",
    "PassManager",
    "PassRecord",
    "PassResult",
    "RewritePass",
    "format_pipeline",
    "parse_pipeline",
    "passes",
    "pipeline",
    "register_pass",
    "unregister_pass",
]
