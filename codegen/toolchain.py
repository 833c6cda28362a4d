"""Finding a C compiler that makes objects for a target."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BuildError, UsageError

__all__ = ["Toolchain", "find_toolchain", "run_compiler"]

# zig brings glibc stubs of every version; this one is in every distribution still maintained
ZIG_GLIBC = "2.28"

ET_DYN = b"\3\0"  # the kind of ELF file that a shared object is

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
        UsageError: What was given is no command.
        BuildError: There is none, or the one that was asked for does not work for the target.
    """
    env_cc = _words(os.environ.get("CC", ""), "$CC")
    return _find(triple, _words(cc, "--cc"), env_cc, os.environ.get("PATH", ""))


def _words(text: str, source: str) -> tuple[str, ...]:
    """The words of a command; a program given by a relative path is that of this folder."""
    if not text:
        return ()
    try:
        program, *rest = shlex.split(text)
        if not program:
            raise ValueError
    except ValueError:  # none, or a quotation that does not end
        hint = "give a program and its flags, as --cc 'gcc -m64'"
        raise UsageError(f"{text!r} is no command", source, hint) from None
    return (os.path.abspath(program) if "/" in program else program, *rest)


@functools.lru_cache(maxsize=32)
def _find(triple: str, cc: tuple[str, ...], env_cc: tuple[str, ...], path: str) -> Toolchain:
    if cc:
        command = (*cc, *_target_flags(cc, triple))
        reason = _why_not(command, triple)
        if reason:
            named = shlex.join(cc)
            raise BuildError(
                f"{named!r} makes no objects for {triple}: {reason}",
                "--cc",
                "name a C compiler for the target that runs, or leave --cc out to have one found",
            )
        return Toolchain(command, triple, _version(command), "--cc")
    refused = ""
    for command, source in _candidates(triple, env_cc):
        reason = _why_not(command, triple)
        if not reason:
            return Toolchain(command, triple, _version(command), source)
        if source == "$CC":
            refused = f" ($CC, {shlex.join(env_cc)!r}, makes none: {reason})"
    package = {"aarch64": "gcc-aarch64-linux-gnu", "x86_64": "gcc"}[triple.split("-", 1)[0]]
    raise BuildError(
        f"no C compiler for {triple} was found; one is needed to link the object{refused}",
        "--cc",
        f"install one (Debian, Ubuntu: apt install {package}; anywhere: pip install ziglang) "
        "or name it with --cc",
    )


def _candidates(triple: str, env_cc: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if env_cc:
        yield (*env_cc, *_target_flags(env_cc, triple)), "$CC"
    for name in (f"{triple}-gcc", "gcc", "cc"):
        if found := shutil.which(name):
            yield (found,), "PATH"
    if found := shutil.which("clang"):
        yield (found, f"--target={triple}"), "PATH"
    if importlib.util.find_spec("ziglang") is not None:
        command = (sys.executable, "-m", "ziglang", "cc")
        yield (*command, *_target_flags(command, triple)), "ziglang"


def _target_flags(words: Sequence[str], triple: str) -> tuple[str, ...]:
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
        written = Path(folder) / "probe.so"
        if not written.is_file():
            return "it reports success but writes nothing"
        with written.open("rb") as file:
            head = file.read(18)
        if head[:4] != b"\x7fELF" or head[16:] != ET_DYN:
            return "what it writes is no shared object"
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
        raise BuildError(*_why_not_run(command[0], error)) from None
    if result.returncode < 0:
        number = -result.returncode
        name = signal.strsignal(number) or "unknown"
        hint = "is it whole, and is there enough memory? or name another one with --cc"
        raise BuildError(f"the compiler was ended by signal {number} ({name})", command[0], hint)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        text = "\n".join(said[:12]) or f"exit code {result.returncode}"
        raise BuildError(text, f"{' '.join(command[:4])} …")


def _why_not_run(program: str, error: OSError) -> tuple[str, str, str]:
    """What to say of a compiler that does not start: what is wrong, where, and what to do."""
    path = Path(program)
    other = "or name another one with --cc"
    if path.is_dir():
        return "the compiler is a folder", program, f"name the program in it, {other}"
    if path.is_file() and not os.access(path, os.X_OK):
        return (
            "the compiler may not be executed",
            program,
            f"chmod +x {shlex.quote(program)}, {other}",
        )
    return f"the compiler cannot be run: {error.strerror}", program, f"install it, {other}"
