"""The tuning log as a file: what is written is read again, whatever happened to it between."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from leip.errors import OutputError, UsageError
from leip.search.encoding import decode, decode_header, encode
from leip.search.log import TuningLog, find_log, read_log
from leip.search.record import (
    Challenge,
    Header,
    LayoutChoice,
    MachineFacts,
    Measurement,
    Record,
    Status,
    TaskText,
    TransformTime,
    Verdict,
)

HEADER = Header("m", "ab" * 32, "llvm …", 2, 3, {"cpu": "some"}, "0.1", "0.27", "2026-01-01")
OK = Measurement("k", "conv", "s", {"a": 1, "b": True, "c": "x"}, Status.OK, (1e-3, 2e-3), "", "t")
BAD = Measurement("k", "conv", "s", {"a": 2}, Status.WRONG_RESULT, (), "off by 1 at [0]\n\0 ü", "t")
RECORDS: list[Record] = [
    TaskText("k", "leip.task/1\n…"),
    OK,
    BAD,
    MachineFacts({"cpu": "another"}),
    Challenge("k", "conv", "s", {"a": 1, "c": "x"}, {"a": 2, "c": "y"}, 0.9, 0.01, True, "t"),
    TransformTime("t", "f32[1,8,4,4]", "f32[1,8,4,4]@NCHW8c", 1.5e-6, "s"),
    LayoutChoice("g", 16, ("a", "b"), {"1": 2.0, "16": 1.0}, True, {"k": "s"}),
    Verdict("g", True, 2, {"k": "conv{a=1}"}, {"k": "s"}, "g", 1.0, 0.9, 0.9, "", "t"),
]


def test_there_is_a_record_of_every_kind_to_try() -> None:
    assert {type(record) for record in RECORDS} == set(get_args(Record))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.json"


def write(path: Path, records: list[Record]) -> None:
    with TuningLog(path, lambda: HEADER) as log:
        for record in records:
            log.append(record)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_survives_its_line(record: Record) -> None:
    line = encode(record)
    assert line.endswith("\n") and line.count("\n") == 1
    assert decode(line) == record
    assert ("config" in json.loads(line)) == isinstance(record, Measurement)


def test_a_log_is_read_as_it_was_written(path: Path) -> None:
    write(path, RECORDS[:2])
    write(path, RECORDS[2:])
    content = read_log(path)
    assert content.header == HEADER
    assert list(content.records) == RECORDS and not content.damaged
    assert json.loads(path.read_text().splitlines()[0])["format"] == "leip.tuning/1"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"kind": "guess"}', "no record of a known kind"),
        ('{"kind": ["task"]}', "no record of a known kind"),
        ('{"kind": "task", "task": "k"}', "'text' is missing"),
        ('{"kind": "task", "task": "k", "text": 3}', "text cannot be 3"),
        ('{"kind": "task", "task": "k", "text": "", "more": 1}', "unknown field 'more'"),
        (encode(OK).replace("0.001", "NaN"), "NaN is no number"),
        (encode(OK).replace("0.001", "-0.001"), "times cannot be"),
        (encode(OK).replace("0.001", "0.0"), "times cannot be"),
        (encode(OK).replace("0.001", "5e-324"), "times cannot be"),
        (encode(OK).replace("0.001", "1" + "0" * 400), "times cannot be"),
        (encode(OK).replace('"ok"', '"great"'), "status cannot be 'great'"),
        (encode(OK).replace('"ok"', '"crash"'), "status 'crash' with 2 times"),
        (encode(OK).replace("true", "null"), "config cannot be"),
        (encode(BAD).replace("off", "\\ud800"), "message cannot be"),
        (encode(OK).replace('"x"', '"\\udfff"'), "config cannot be"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_damaged_line_is_reported_and_skipped(path: Path, line: str, fault: str) -> None:
    write(path, [OK])
    with open(path, "a") as file:
        file.write(line.rstrip("\n") + "\n" + encode(BAD))
    content = read_log(path)
    assert list(content.records) == [OK, BAD]
    ((number, told),) = content.damaged
    assert number == 3 and fault in told
    assert "line 3" in content.notes[0]


@pytest.mark.parametrize("cut", [1, 30])
def test_a_log_that_was_cut_anywhere_goes_on(path: Path, cut: int) -> None:
    """The newline alone is lost: the record counts. More is lost: the line stays and is told."""
    write(path, [OK, BAD])
    os.truncate(path, path.stat().st_size - cut)
    write(path, [OK])
    content = read_log(path)
    kept = [BAD] if cut == 1 else []
    assert list(content.records) == [OK, *kept, OK]
    assert [number for number, _ in content.damaged] == ([] if cut == 1 else [3])


def test_half_a_character_in_a_message_is_replaced(path: Path) -> None:
    write(path, [dataclasses.replace(BAD, message="half \ud800 of one, and bytes \udcff")])
    assert read_log(path).records[0].message == "half \ufffd of one, and bytes \udcff"  # type: ignore[union-attr]


def test_bytes_that_are_no_text(path: Path) -> None:
    write(path, [OK])
    with open(path, "ab") as file:
        file.write(b"\xff\xfe\0\n" + encode(BAD).encode())
    content = read_log(path)
    assert list(content.records) == [OK, BAD] and content.damaged[0][0] == 3


@pytest.mark.parametrize("size", [0, 5, 40])
def test_a_log_whose_first_line_was_cut_begins_anew(path: Path, size: int) -> None:
    write(path, [])
    os.truncate(path, size)
    write(path, [OK])
    assert list(read_log(path).records) == [OK]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "leip.tuning/2"}\n', "leip.tuning/2"),
        ('{"model": "m"}\n', "no format"),
        ("[]\n", "no JSON object"),
        ("notes of mine", "line 1"),
    ],
)
def test_another_file_is_refused_and_left_alone(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    for use in (read_log, lambda path: write(path, [OK])):
        with pytest.raises(UsageError, match=message):
            use(path)
    assert path.read_text() == text


def test_one_writer_at_a_time(path: Path) -> None:
    code = f"""
import pathlib, sys, time
from leip.search.log import TuningLog
from leip.search.record import Header
header = Header("m", "h", "t", 1, 1, {{}}, "", "", "")
with TuningLog(pathlib.Path({str(path)!r}), lambda: header):
    print("open", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with pytest.raises(OutputError, match="another process writes"):
            write(path, [OK])
        assert read_log(path).records == ()  # reading is free
        other.send_signal(signal.SIGKILL)
    write(path, [OK])  # the lock went with its holder
    assert list(read_log(path).records) == [OK]


def test_processes_that_are_started_do_not_hold_the_lock(path: Path) -> None:
    with TuningLog(path, lambda: HEADER):
        child = subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
        assert child.stdout is not None and child.stdout.readline() == b"\n"  # it runs
    try:
        write(path, [OK])
    finally:
        child.communicate(b"\n")


def test_a_full_disk_leaves_no_half_of_a_line(path: Path) -> None:
    """The limit on a file's size stands for the disk's."""
    write(path, [OK])
    size = path.stat().st_size
    code = f"""
import pathlib, resource, signal
from leip.errors import OutputError
from leip.search.log import TuningLog, read_log
from leip.search.encoding import decode
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 10}, {size + 10}))
path = pathlib.Path({str(path)!r})
try:
    with TuningLog(path, None) as log:
        log.append(log.content.records[0])
except OutputError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot be written" in done.stdout, done.stderr
    assert path.stat().st_size == size


def test_find_log(tmp_path: Path) -> None:
    folder = tmp_path / "optimization_artifacts"
    assert find_log(tmp_path) is None
    folder.mkdir()
    (folder / "report.html").touch()
    assert find_log(tmp_path) is None
    (folder / "mine.json").touch()
    assert find_log(tmp_path) == folder / "mine.json"
    (folder / "other.json").touch()
    with pytest.raises(UsageError, match=r"2 logs: mine.json, other.json"):
        find_log(tmp_path)


def test_the_page_shows_a_record_of_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    head, *lines = page.partition("```json\n")[2].partition("```")[0].splitlines()
    assert decode_header(head).model == "resnet50"
    kinds = {type(decode(line)) for line in lines}
    assert kinds == set(get_args(Record)) and len(lines) == len(kinds)
