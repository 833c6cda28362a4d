"""The `leip` command: puts the commands together and turns every failure into one clear screen."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import LeipError
from . import (
    benchmark,
    cache,
    compile,
    demo,
    inspect,
    interrupts,
    kernel,
    opt,
    run,
    streams,
    tune_log,
)
from .console import error_screen

app = typer.Typer(
    name="leip",
    help="Compile neural networks ahead of time: ONNX in, one self-contained shared object out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile.command)
app.command("run")(run.command)
app.command("benchmark")(benchmark.command)
app.command("inspect")(inspect.command)
app.command("opt")(opt.command)
app.add_typer(kernel.app, name="kernel")
app.add_typer(tune_log.app, name="tune-log")
app.add_typer(cache.app, name="cache")
app.command("demo")(demo.command)

_TARGET_FLAG = re.compile(r"-[A-Za-z][A-Za-z]\S*")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"leip {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Compile neural networks ahead of time."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 ok, 1 cannot be compiled or run, 2 wrong usage."""
    words = join_target(list(sys.argv[1:] if argv is None else argv))
    streams.prepare()
    debug = "--debug" in words
    try:
        with interrupts.noted():
            code = app(args=words, standalone_mode=False)
        sys.stdout.flush()
        if code == interrupts.CTRL_C:  # some versions of typer turn Ctrl-C into this
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except LeipError as error:
        if debug:
            raise
        error_screen(error)
        return error.exit_code
    except BrokenPipeError:
        # Nobody reads our output any more (`leip inspect … | head`): say nothing.
        streams.discard_output()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return interrupts.told()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer makes this of that
            streams.discard_output()
            return 0
        if debug or _fault(error) is None:
            raise
        return _failed(error, words)
    except Exception as error:  # the last net: no traceback reaches a user unasked
        if hasattr(error, "format_message"):
            return _usage(error)
        if debug:
            raise
        return _failed(error, words)


def join_target(argv: list[str]) -> list[str]:
    """Join the flags after `--target llvm` to it, as the shell would have had they been quoted.

    `--target llvm -mcpu=skylake` → `--target "llvm -mcpu=skylake"`.
    """
    result: list[str] = []
    at = 0
    while at < len(argv):
        word = argv[at]
        at += 1
        result.append(word)
        if word == "--target" and at < len(argv):
            result.append(argv[at])
            at += 1
        elif not word.startswith("--target="):
            continue
        while at < len(argv) and _TARGET_FLAG.fullmatch(argv[at]):
            result[-1] += f" {argv[at]}"
            at += 1
    return result


def _usage(error: Any) -> int:
    """The screen of an error that typer found in the arguments."""
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "leip")
    if not error.format_message():
        return int(error.exit_code)  # help was shown because no command was given
    error_screen(LeipError(error.format_message(), path, f"see {path} --help"))
    return int(error.exit_code)


def _failed(error: BaseException, words: Sequence[str]) -> int:
    """The screen of an error that nobody has foreseen."""
    fault = _fault(error)
    if fault is None and isinstance(error, OSError):
        fault = streams.write_error(error)
    error_screen(fault or _bug(error, words))
    return 1


def _fault(error: BaseException) -> LeipError | None:
    """What to say of an error that comes from a plugin."""
    from ..driver import plugin_fault

    return plugin_fault(error)


def _bug(error: BaseException, words: Sequence[str]) -> LeipError:
    return LeipError(
        f"internal error: {type(error).__name__}: {_first_lines(error)}",
        f"leip {' '.join(words[:1])}",
        "this is a bug of leip; run again with --debug for the details to report",
    )


def _first_lines(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return "\n  ".join(line[:200] for line in lines[:4]) or "(no message)"


if __name__ == "__main__":
    sys.exit(main())
