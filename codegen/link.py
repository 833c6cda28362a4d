"""Engine + plan + kernels → one shared object, fenced."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import BuildError
from ..runtime import sources
from .cache import KernelCache
from .elf import ElfFacts, read_elf
from .toolchain import Toolchain, run_compiler

__all__ = ["compile_engine", "compile_flags", "engine_digest", "link_flags", "link_object"]

# Libraries that every Linux has; anything else would have to be copied along.
LIBRARIES = ("libc.", "libm.", "libpthread.", "ld-linux")
OBJECT_FLAGS = ("-ffunction-sections", "-fdata-sections", "-g0")


def engine_digest() -> str:
    """Hash of the engine's sources and flags."""
    digest = hashlib.sha256()
    for path in (*sources.ENGINE, *sources.headers(), sources.VERSION_SCRIPT):
        digest.update(path.name.encode() + b"\0")
        digest.update(path.read_bytes())
    for flags in (sources.COMPILE_FLAGS, sources.ARM_FLAGS, OBJECT_FLAGS):
        digest.update("\0".join(flags).encode())
    return digest.hexdigest()


def compile_engine(toolchain: Toolchain, folder: Path, cache: KernelCache | None) -> list[Path]:
    """The engine's objects for a target, compiled on first use.

    Args:
        toolchain: Compiler and target.
        folder: Where the object files are put, and the sources and headers with them.
        cache: Where they are kept from one compile to the next.

    Raises:
        BuildError: If the compiler refuses.
    """
    text = json.dumps([engine_digest(), toolchain.command, toolchain.version, toolchain.triple])
    key = hashlib.sha256(f"engine\n{text}".encode()).hexdigest()
    for file in (*sources.ENGINE, *sources.headers(), sources.VERSION_SCRIPT):
        # compiled here by plain names: no compiler takes every path that leip may be installed in
        shutil.copyfile(file, folder / file.name)
    paths = [folder / f"{source.stem}.o" for source in sources.ENGINE]
    entry = cache.get(key) if cache is not None else None
    if entry is not None:
        at = 0
        for path, size in zip(paths, entry.facts["sizes"], strict=True):
            path.write_bytes(entry.data[at : at + size])
            at += size
        return paths
    command = [*toolchain.command, *compile_flags(toolchain), "-c"]

    def compile_one(source: Path, output: Path) -> None:
        run_compiler([*command, source.name, "-o", output.name], folder)

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(compile_one, sources.ENGINE, paths))
    if cache is not None:
        parts = [path.read_bytes() for path in paths]
        cache.put(key, b"".join(parts), {"sizes": [len(part) for part in parts]})
    return paths


def link_object(
    toolchain: Toolchain,
    plan_source: str,
    kernels: Mapping[str, bytes],
    engine: Sequence[Path],
    output: Path,
    folder: Path,
) -> ElfFacts:
    """Compile the plan and link everything.

    Args:
        toolchain: Compiler and target.
        plan_source: Text of plan.c.
        kernels: Object files by symbol.
        engine: The engine's objects, in `folder`.
        output: The shared object to write (without weights).
        folder: Where `compile_engine` worked; for files on the way.

    Returns:
        Facts of the object, its fence checked.

    Raises:
        BuildError: The compiler or linker refuses, or the object needs or shows more than it may.
    """
    (folder / "plan.c").write_text(plan_source, encoding="ascii")
    run_compiler([*toolchain.command, *compile_flags(toolchain), "-c", "plan.c"], folder)
    objects = ["plan.o", *(path.name for path in engine)]
    for symbol, data in kernels.items():
        name = f"{symbol[-200:]}.o"  # the linker's messages show it
        (folder / name).write_bytes(data)
        objects.append(name)
    # in a file: hundreds of kernels are more than some systems take on a command line
    (folder / "objects.txt").write_text("\n".join(objects) + "\n", encoding="ascii")
    command = [
        *toolchain.command,
        *link_flags(toolchain),
        "@objects.txt",
        "-o",
        os.path.relpath(output, folder),
    ]
    run_compiler([*command, *sources.LINK_LIBRARIES], folder)
    try:
        facts = read_elf(output)
    except (FileNotFoundError, ValueError) as error:
        raise BuildError(f"the linker wrote no shared object: {error}", str(toolchain)) from error
    _check_fence(facts)
    return facts


def link_flags(toolchain: Toolchain) -> list[str]:
    """Flags that an object is linked with; the version script is expected where the linker runs."""
    own = [] if toolchain.is_zig else ["-static-libgcc"]
    return [*sources.LINK_FLAGS, "-Wl,-z,defs", "-Wl,-S", "-Wl,--build-id=none", *own]


def compile_flags(toolchain: Toolchain) -> list[str]:
    """Flags that the engine and what is linked with it are compiled with."""
    arm = sources.ARM_FLAGS if toolchain.triple.startswith("aarch64") else ()
    return [*sources.COMPILE_FLAGS, *OBJECT_FLAGS, *arm, "-I."]


def _check_fence(facts: ElfFacts) -> None:
    foreign = [name for name in facts.exports if not name.startswith("lre_")]
    if foreign:
        raise BuildError(f"the object shows symbols of its own: {', '.join(foreign[:6])}", "link")
    other = [name for name in facts.needed if not name.startswith(LIBRARIES)]
    if other:
        raise BuildError(f"the object needs {', '.join(other)}", "link")
