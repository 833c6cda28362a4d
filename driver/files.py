"""Reading and writing the files of the commands, with a plain word for what goes wrong."""

from __future__ import annotations

import functools
import re
import sys
import types
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import UsageError
from ..ir.whole_file import write_whole

if TYPE_CHECKING:
    import numpy as np

    from ..ir.graph import Graph

PathLike = str | Path
TEXT_SUFFIXES = (".txt", ".ir")
MAX_STEM = 200  # of the 255 bytes that file systems allow, with room for numbers and suffixes


def read_graph(path: PathLike, input_shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """The graph of an ONNX model (file or folder), or of IR text (`.txt`, `.ir`, or `-`, stdin).

    Large constants of IR text are taken from the `.npz` of the same name, if there is one.

    Raises:
        ModelError, UsageError: If it cannot be read.
    """
    path = Path(path)
    if str(path) == "-" or path.suffix in TEXT_SUFFIXES:
        from ..ir.constant import Constant
        from ..ir.parse import parse_graph

        if str(path) == "-":
            return parse_graph(sys.stdin.read())
        pool = read_pool(path.with_suffix(".npz"))
        return parse_graph(read_text(path), {name: Constant(a) for name, a in pool.items()})
    from ..ir.onnx import import_model

    return import_model(path, input_shapes)


def read_text(path: PathLike) -> str:
    """The text in a file. Raises UsageError."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", str(path)) from None
    except UnicodeDecodeError:
        raise UsageError("cannot be read: it is not a text file", str(path)) from None


def load_array(path: PathLike) -> np.ndarray:
    """The array in a .npy file. Raises UsageError."""
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is not a .npy file of numbers"
        raise UsageError(f"cannot read the array: {reason}", str(path)) from None
    if not isinstance(array, np.ndarray):
        raise UsageError("cannot read the array: it is an .npz archive", str(path), "give a .npy")
    return array


def write_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Path]:
    """Write arrays as .npy files named safely and differently. Raises OutputError."""
    files = {name: folder / f"{stem}.npy" for name, stem in safe_stems(arrays).items()}
    for name, path in files.items():
        write_whole(path, functools.partial(_save, arrays[name]))
    return files


def _save(array: np.ndarray, file: BinaryIO) -> None:
    import numpy as np

    # behind an object of its own, because for real files numpy does not say why a write failed
    np.save(types.SimpleNamespace(write=file.write), array)  # type: ignore[arg-type]


def safe_stems(names: Iterable[str]) -> dict[str, str]:
    """Names of values -> different stems of files' names: plain characters, not too many."""
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-")[:MAX_STEM] or "output"
        numbered, number = stem, 1
        while numbered in taken:
            number += 1
            numbered = f"{stem}_{number}"
        taken.add(numbered)
        stems[name] = numbered
    return stems


def write_pool(path: PathLike, pool: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name into an .npz. Raises OutputError."""
    import numpy as np

    write_whole(path, lambda file: np.savez(file, **pool))  # type: ignore[arg-type]


def read_pool(path: PathLike) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name; none if there is no such file. Raises UsageError."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as pool:
            return dict(pool)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read the constants: {error}", str(path)) from None
