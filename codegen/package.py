"""The output folder: locked, written beside, renamed, the object last."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import BuildError, OutputError
from ..runtime.sources import PYTHON_ENGINE
from .schema import to_json

__all__ = ["ENGINE", "LIBRARY", "SCHEMA", "OutputFolder"]

LIBRARY = "modelLibrary.so"
SCHEMA = "model_schema.json"
ENGINE = "lre.py"
LOCK = ".leip.lock"
_STAGING = ".leip-"

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be too large for the file system",
    errno.EACCES: "it cannot be written (permission denied)",
    errno.EPERM: "it cannot be written (not permitted)",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "it is a file, not a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk reports an error",
}


class OutputFolder:
    """Where a compile writes. Nothing stands under its final name before `commit`.

        with OutputFolder("OUT") as folder:
            result = build_object(graph, options, folder.staging, …)
            folder.commit(result.library, result.schema)

    Only our own files are replaced; others in the folder are not touched. If the block fails, all
    that was made is removed again, the folder too if it was made here.

    Attributes:
        path: The folder.
        staging: A folder beside the final files, on the same file system, for work.

    Raises:
        OutputError: The folder cannot be written, the disk is full (also inside the block), or
            another process compiles into it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.staging = Path()
        self._made: list[Path] = []
        self._lock = -1
        self._done = False

    def __enter__(self) -> OutputFolder:
        try:
            self._make_folders()
            self._take_lock()
            self._sweep()
            self.staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.path))
        except OSError as error:
            self._clean()
            raise self._explain(error) from error
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean()
        if isinstance(error, OSError) and error.errno in _REASONS:
            raise self._explain(error) from error
        if isinstance(error, BuildError) and "No space left on device" in error.message:
            raise self._explain(OSError(errno.ENOSPC, "No space left on device")) from error

    def commit(self, library: Path, schema: Mapping[str, Any]) -> dict[str, Path]:
        """Put the files under their final names, the object last. Gives them by name.

        Args:
            library: The object, in `staging`.
            schema: What goes beside it; the date is added here.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        (self.staging / SCHEMA).write_text(to_json({**schema, "date": now}), encoding="utf-8")
        shutil.copyfile(PYTHON_ENGINE, self.staging / ENGINE)
        if library != self.staging / LIBRARY:
            shutil.move(library, self.staging / LIBRARY)
        files = {name: self.path / name for name in (ENGINE, SCHEMA, LIBRARY)}
        for name, final in files.items():
            if final.is_dir():
                raise OutputError(f"{name} in it is a folder", str(self.path), "move it away")
        for name, final in files.items():
            os.replace(self.staging / name, final)
        self._done = True
        return files

    def _make_folders(self) -> None:
        missing = []
        folder = self.path
        while not folder.exists() and folder != folder.parent:
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                self._made.append(folder)
        if not self.path.is_dir():
            raise NotADirectoryError(errno.EEXIST, "not a folder", str(self.path))

    def _take_lock(self) -> None:
        path = self.path / LOCK
        while True:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
                os.close(self._lock)
                self._lock = -1
                raise OutputError(
                    f"process {holder or '?'} is compiling into it",
                    str(self.path),
                    "wait for it to end, or choose another --output_path",
                ) from None
            # the holder before us may have removed the file after we opened it
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(self._lock).st_ino:
                    break
            os.close(self._lock)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _sweep(self) -> None:
        # what a compile left that was killed; we hold the lock, so nobody uses it
        for path in self.path.glob(f"{_STAGING}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    def _clean(self) -> None:
        if self.staging != Path():
            shutil.rmtree(self.staging, ignore_errors=True)
        if self._lock >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self.path / LOCK)
            os.close(self._lock)
            self._lock = -1
        if not self._done:
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _explain(self, error: OSError) -> OutputError:
        number = error.errno or 0
        reason = _REASONS.get(number, error.strerror or str(error))
        if number in (errno.ENOSPC, errno.EDQUOT):  # of a copy, `filename` is what is read
            hint = "free some space, or choose another --output_path"
            return OutputError(reason, str(self.path), hint)
        where = str(error.filename or self.path)
        return OutputError(reason, where, "choose another --output_path")
