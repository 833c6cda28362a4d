"""Figures as JSON, with the facts of the machine they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import machine
from verdicts import Verdict

RESULTS = Path(__file__).resolve().parent / "results"


def write(
    path: Path, threads: int, figures: Mapping[str, Any], found: Sequence[Verdict] = ()
) -> None:
    """Write figures and verdicts with the machine's facts; the folder is made if it is missing."""
    record = {
        **machine.facts(threads),
        **figures,
        "verdicts": [verdict.record() for verdict in found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Figures as they were written."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record
