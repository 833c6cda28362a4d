"""The tuning logs of a compile, found and checked before anything else is done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..codegen.resolver import runs_here
from ..errors import TargetError, UsageError
from ..ir.target import Target
from ..search.log import FOLDER, LogContent, find_log, is_begun, read_log
from ..search.registry import parts
from .options import CompileOptions

__all__ = ["GivenLogs", "check_target", "given_logs", "unused_notes"]


@dataclass(frozen=True)
class GivenLogs:
    """Where earlier results are.

    Attributes:
        own: The log in the output folder; None if there is none yet.
        others: Those that were given to learn from.
    """

    own: Path | None = None
    others: tuple[LogContent, ...] = ()


def given_logs(options: CompileOptions, target: Target) -> GivenLogs:
    """The logs of a compile; none if it wants no search.

    Raises:
        UsageError: A log cannot be used, or there is none to build from.
        TargetError: The target cannot run here, so that nothing can be measured.
    """
    if options.iterations is None:
        return GivenLogs()
    elsewhere = parts().measurer is not None  # a plugin's, which may have a board
    if options.iterations and not elsewhere and (reason := runs_here(target)):
        raise TargetError(
            f"nothing can be measured for this target here: {reason}",
            "--optimization category:graph",
            "search on the device, copy its log here, and build with iterations:0",
        )
    own = find_log(options.output_path)
    if options.iterations == 0 and own is None and not options.tuning_logs:
        raise UsageError(
            "iterations:0 builds from the log of an earlier search, and there is none",
            str(options.output_path / FOLDER),
            "search first, for example with iterations:300, or give a log with --tuning_log",
        )
    # by what they are: one that is given twice counts once
    paths = {os.path.realpath(path): path for path in reversed(options.tuning_logs)}
    if own is not None:
        paths.pop(os.path.realpath(own), None)
    others = tuple(
        read_log(path, "leave out this --tuning_log") for path in reversed(paths.values())
    )
    for content in others:
        check_target(content, target)
    # a search begins one anew in which nothing stands
    if own is not None and (options.iterations == 0 or is_begun(own)):
        check_target(read_log(own, "move it away, or choose another --output_path"), target)
    return GivenLogs(own, others)


def unused_notes(options: CompileOptions) -> tuple[str, ...]:
    """That a log stands beside the object, and a compile without a search does not go by it."""
    folder = options.output_path / FOLDER
    if options.iterations is not None or not any(folder.glob("*.json")):
        return ()
    return (
        f"the tuning log in {folder} is not used: "
        "add --optimization category:graph,iterations:0 to build what it holds",
    )


def check_target(content: LogContent, target: Target) -> None:
    """Raises UsageError if a log was measured for another target."""
    if content.header.target != str(target):
        raise UsageError(
            "this tuning log was measured for another target, so its times say nothing here\n"
            f"  the log's: {content.header.target}\n  this one:  {target}",
            str(content.path),
            "give the --target that it was made for, or leave this log out",
        )
