"""The tuning log: a file of JSON Lines that is only ever appended to, one record a line.

Every record is written with one call when it is known, so a process that is killed loses at most
the measurement under way. A line that cannot be read is skipped and reported by its number; what
stands behind it is read. One process writes at a time.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ..errors import OutputError, UsageError
from ..ir.whole_file import write_whole
from .encoding import FORMAT, decode, decode_header, encode, encode_header
from .record import Header, MachineFacts, Measurement, Record

__all__ = [
    "FOLDER",
    "NAME",
    "LogContent",
    "TuningLog",
    "find_log",
    "is_begun",
    "read_log",
    "write_log",
]

FOLDER = "optimization_artifacts"  # in a compile's output folder
NAME = "tuning.json"


@dataclass(frozen=True)
class LogContent:
    """What stands in a log.

    Attributes:
        path: The file.
        header: Its first line.
        records: The rest, in order, without what cannot be read.
        damaged: Number and fault of every line that cannot be read, the first line being 1.
    """

    path: Path
    header: Header
    records: tuple[Record, ...]
    damaged: tuple[tuple[int, str], ...] = ()

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(record for record in self.records if isinstance(record, Measurement))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should be told of the file itself."""
        if not self.damaged:
            return ()
        shown = "; ".join(f"line {number}: {fault}" for number, fault in self.damaged[:3])
        more = f"; and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
        count = f"{len(self.damaged)} lines" if len(self.damaged) > 1 else "1 line"
        return (f"{self.path}: {count} cannot be read and stay unused: {shown}{more}",)


def find_log(output: Path) -> Path | None:
    """The log of an output folder, whatever its name; None if there is none yet.

    Raises:
        UsageError: There are several `.json` files, and only one can be meant; or the folder cannot
            be looked into.
    """
    folder = output / FOLDER
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(
            f"the folder of the tuning log cannot be read: {error.strerror}",
            str(folder),
            "choose another --output_path",
        ) from None
    found = sorted(folder / n for n in names if n.endswith(".json") and not n.startswith("."))
    if len(found) > 1:
        raise UsageError(
            f"there are {len(found)} logs: {', '.join(path.name for path in found)}",
            str(folder),
            "leave one; join two with: leip tune-log merge A.json B.json --output BOTH.json",
        )
    return found[0] if found else None


def is_begun(path: Path) -> bool:
    """Whether anything stands in a log: not if its maker was killed in the first line.

    Also true if it cannot be read: `read_log` says why.
    """
    try:
        return not _is_torn(_read(path))
    except UsageError:
        return True


def read_log(path: Path, otherwise: str = "give a log that a search has written") -> LogContent:
    """Read a log; nobody is kept from writing to it meanwhile.

    Args:
        path: The file.
        otherwise: What a user should do if it is none.

    Raises:
        UsageError: The file cannot be read, or its first line is no header of this format.
    """
    try:
        return _content(path, _read(path))
    except UsageError as error:
        raise UsageError(error.message, error.where, error.hint or otherwise) from None


def write_log(path: Path, header: Header, records: Sequence[Record]) -> None:
    """Write a log whole, in place of what was there. Raises OutputError."""
    text = encode_header(header) + "".join(map(encode, records))
    write_whole(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))


def _read(path: Path) -> bytes:
    try:
        if not path.is_file() and path.exists():  # a pipe without a writer would hold us up
            reason = "it is a folder" if path.is_dir() else "it is no file, but a pipe or a device"
        else:
            return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
    raise UsageError(f"the tuning log cannot be read: {reason}", str(path))


def _content(path: Path, data: bytes) -> LogContent:
    if _is_torn(data):
        raise UsageError(
            "nothing stands in this tuning log, not even a whole first line",
            str(path),
            "delete it; a search begins the log of its --output_path anew",
        )
    # an editor may have put a mark in front
    lines = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").split("\n")
    unfinished = bool(lines[-1])  # a whole file ends with a newline
    if not unfinished:
        lines.pop()
    try:
        header = decode_header(lines[0])
    except ValueError as error:
        raise UsageError(
            f"this is no tuning log that can be used: line 1: {error}", str(path)
        ) from None
    records: list[Record] = []
    damaged = []
    for number, line in enumerate(lines[1:], 2):
        try:
            records.append(_record(line))
        except ValueError as error:
            cut = unfinished and number == len(lines)
            damaged.append((number, "it is not finished" if cut else str(error)))
    return LogContent(path, header, tuple(records), tuple(damaged))


def _record(line: str) -> Record:
    """The record of a line. The first line of another log, joined by hand, says who measured."""
    try:
        return decode(line)
    except ValueError:
        with contextlib.suppress(ValueError):
            return MachineFacts(decode_header(line).machine)
        raise


class TuningLog:
    """A log that is open for writing; nobody else can open it so meanwhile.

        with TuningLog(path, make_header) as log:
            log.append(record)

    The file is begun with what `make_header` gives if nothing stands in it. The lock goes with the
    process: it is not handed on to those that it starts.

    Attributes:
        path: The file.
        content: What stood in it when it was opened.

    Raises:
        OutputError: It cannot be written, or another process writes it.
        UsageError: It is no log of this format.
    """

    def __init__(self, path: Path, make_header: Callable[[], Header]) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _locked(path)
        except OSError as error:
            raise self._explain(error) from None
        try:
            self.content = self._begin(make_header)
        except BaseException:
            self.close()
            raise

    def append(self, record: Record) -> None:
        """Add a record; it stands in the file when this returns. Raises OutputError."""
        self._write(encode(record))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> TuningLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, make_header: Callable[[], Header]) -> LogContent:
        data = self.path.read_bytes()
        if _is_torn(data):  # new, or its maker was killed in the first line: nothing is lost
            header = make_header()
            os.ftruncate(self._file, 0)
            self._write(encode_header(header))
            return LogContent(self.path, header, ())
        content = _content(self.path, data)
        if not data.endswith(b"\n"):
            self._write("\n")
        return content

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        before = os.fstat(self._file)
        if not self._is_in_place(before):
            raise OutputError(
                "somebody has removed this tuning log while it was written",
                str(self.path),
                "search again; a log must stay where it is meanwhile",
            )
        try:
            written = os.write(self._file, data)
            while written < len(data):  # a disk that is nearly full takes a part
                written += os.write(self._file, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, before.st_size)
            raise self._explain(error) from None

    def _is_in_place(self, status: os.stat_result) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.stat(self.path), status)
        return False

    def _explain(self, error: OSError) -> OutputError:
        if isinstance(error, BlockingIOError):
            return OutputError(
                "another process writes this tuning log",
                str(self.path),
                "wait for it to end, or choose another --output_path",
            )
        reason = error.strerror or str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return OutputError(
            f"the tuning log cannot be written: {reason}",
            str(self.path),
            "free some space" if full else "make it writable, or copy it to another place",
        )


def _is_torn(data: bytes) -> bool:
    """Whether this is the beginning of a log's first line, and no more than that."""
    begin = f'{{"format": "{FORMAT}"'.encode()
    if b"\n" in data or not (begin.startswith(data) or data.startswith(begin)):
        return False
    try:
        json.JSONDecoder().raw_decode(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return True
    return False  # a whole object: all of the line, or lines whose ends were lost


def _locked(path: Path) -> int:
    """The file open for appending, locked. Raises BlockingIOError if somebody else has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # who had it before us may have put another file in its place
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(file).st_ino:
                    return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
