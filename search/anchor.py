"""Tasks of the same anchor: what was good for one is worth trying for the others."""

from __future__ import annotations

import hashlib

from ..schedules.task import Task

__all__ = ["anchor_key"]


def anchor_key(task: Task) -> str:
    """Equal for tasks that differ only in what is computed before and after their anchor.

    In hex. A task without an anchor is alone.
    """
    anchor = task.anchor
    if anchor is None:
        return task.key
    outside = [value in task.body.inputs for value in anchor.inputs]
    parts = (
        anchor.op,
        anchor.attrs,
        [str(value.type) for value in anchor.inputs],
        [str(value.type) for value in anchor.outputs],
        outside,
        str(task.target),
        task.threads,
        task.level,
    )
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
