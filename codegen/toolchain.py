"""Finding a C compiler that makes objects for a target."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BuildError

__all__ = ["Toolchain", "find_toolchain", "run_compiler"]

# zig brings glibc stubs of every version; this one is in every distribution still maintained
ZIG_GLIBC = "2.28"

PROBE = """
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#if !defined(__{machine}__) || !defined(__linux__)
#error "another target"
#endif
double probe(double x) {{ return sin(x) + (double)(uintptr_t)pthread_self(); }}
"""


@dataclass(frozen=True)
class Toolchain:
    """A compiler that has been tried.

    Attributes:
        command: How it is called, the target's flags included.
        triple: What it makes objects for.
        version: First line of `--version`.
        source: How it was found ("--cc", "$CC", "PATH", …).
    """

    command: tuple[str, ...]
    triple: str
    version: str
    source: str

    def __str__(self) -> str:
        name = " ".join(self.command)
        return name.replace(sys.executable, "python") + f" ({self.version})"

    @property
    def is_zig(self) -> bool:
        return "ziglang" in self.command or Path(self.command[0]).name == "zig"


def find_toolchain(triple: str, cc: str = "") -> Toolchain:
    """The first compiler that works: `cc`, `$CC`, the triple's gcc, gcc, clang, zig.

    Args:
        triple: Such as `aarch64-linux-gnu`.
        cc: What the user gave with `--cc`; if it does not work there is no other.

    Raises:
        BuildError: There is none, or the one that was asked for does not work for the target.
    """
    return _find(triple, cc, os.environ.get("CC", ""), os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=32)
def _find(triple: str, cc: str, env_cc: str, path: str) -> Toolchain:
    if cc:
        command = (*shlex.split(cc), *_target_flags(cc, triple))
        reason = _why_not(command, triple)
        if reason:
            raise BuildError(f"{cc!r} makes no objects for {triple}: {reason}", "--cc")
        return Toolchain(command, triple, _version(command), "--cc")
    for command, source in _candidates(triple, env_cc):
        if not _why_not(command, triple):
            return Toolchain(command, triple, _version(command), source)
    package = {"aarch64": "gcc-aarch64-linux-gnu", "x86_64": "gcc"}[triple.split("-", 1)[0]]
    raise BuildError(
        f"no C compiler for {triple} was found; one is needed to link the object",
        "--cc",
        f"install one (Debian, Ubuntu: apt install {package}; anywhere: pip install ziglang) "
        "or name it with --cc",
    )


def _candidates(triple: str, env_cc: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if env_cc:
        yield (*shlex.split(env_cc), *_target_flags(env_cc, triple)), "$CC"
    for name in (f"{triple}-gcc", "gcc", "cc"):
        if found := shutil.which(name):
            yield (found,), "PATH"
    if found := shutil.which("clang"):
        yield (found, f"--target={triple}"), "PATH"
    if importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "cc")
        yield (*command, *_target_flags("ziglang", triple)), "ziglang"


def _target_flags(command: str, triple: str) -> tuple[str, ...]:
    words = shlex.split(command)
    if "-target" in words or any(word.startswith("--target=") for word in words):
        return ()
    if "ziglang" in words or Path(words[0]).name == "zig":
        target = f"{triple}.{ZIG_GLIBC}" if triple.endswith("gnu") else triple
        return ("-target", target, "-fno-sanitize=undefined")
    if Path(words[0]).name.startswith("clang"):
        return (f"--target={triple}",)
    return ()


def _why_not(command: Sequence[str], triple: str) -> str:
    """Why a compiler cannot be used, found out by letting it link a few lines; empty if it can."""
    with tempfile.TemporaryDirectory(prefix="leip-cc-") as folder:
        source = Path(folder) / "probe.c"
        source.write_text(PROBE.format(machine=triple.split("-", 1)[0]), encoding="ascii")
        flags = ("-shared", "-fPIC", "probe.c", "-o", "probe.so", "-lm", "-lpthread")
        try:
            run_compiler([*command, *flags], Path(folder))
        except BuildError as error:
            return error.message
        if not (Path(folder) / "probe.so").is_file():
            return "it reports success but writes nothing"
    return ""


def _version(command: Sequence[str]) -> str:
    try:
        result = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return "?"
    return (result.stdout.splitlines() or ["?"])[0].strip()


def run_compiler(command: Sequence[str], folder: Path) -> None:
    """Run a compiler in a folder. Raises BuildError with the first lines of what it said."""
    try:
        result = subprocess.run(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise BuildError(f"cannot run it: {error.strerror}", command[0]) from None
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        text = "\n".join(said[:12]) or f"exit code {result.returncode}"
        raise BuildError(text, f"{' '.join(command[:4])} …")
