"""Which machine measured what: times hold on that machine alone.

The first line of a log names the machine that began it, a record of kind `machine` the one that
measured what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .log import LogContent
from .record import MachineFacts, Record, TaskText

__all__ = [
    "BEARING",
    "Facts",
    "Machines",
    "by_machine",
    "last_machine",
    "same_machine",
    "with_machines",
]

Facts = Mapping[str, str]

# What bears on times: the CPU and how many there are, its family and model (hypervisors give many
# CPUs one name), vector instructions, caches, and a plugin's measurer. All else is for people.
BEARING = ("cpu", "model", "vectors", "l1", "l2", "l3", "measurer")


def same_machine(one: Facts, other: Facts) -> bool:
    """Whether what was measured on one machine holds on the other.

    All facts that bear on times and that both tell are equal; an older log tells fewer of them.
    """
    if one.get("measurer") != other.get("measurer"):
        return False
    shared = [name for name in BEARING if name in one and name in other]
    return all(one[name] == other[name] for name in shared) if shared else one == other


class Machines:
    """Numbers for machines, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.facts: list[Facts] = []

    def number(self, facts: Facts) -> int:
        """The number of a machine; those that are the same have the same one."""
        for number, known in enumerate(self.facts):
            if known is facts or same_machine(known, facts):
                return number
        self.facts.append(facts)
        return len(self.facts) - 1


def by_machine(content: LogContent) -> Iterator[tuple[Facts, Record]]:
    """The records of a log in order, each with the machine that measured it."""
    facts = content.header.machine
    for record in content.records:
        if isinstance(record, MachineFacts):
            facts = record.machine
        else:
            yield facts, record


def last_machine(content: LogContent) -> Facts:
    """The machine that measured last."""
    found = [r.machine for r in content.records if isinstance(r, MachineFacts)]
    return found[-1] if found else content.header.machine


def with_machines(first: Facts, pairs: Iterable[tuple[Facts, Record]]) -> list[Record]:
    """The records of a log that `first` begins; where another one measured, it is named before.

    The opposite of `by_machine`.
    """
    records: list[Record] = []
    for facts, record in pairs:
        if not isinstance(record, TaskText) and not same_machine(first, facts):
            records.append(MachineFacts(facts))
            first = facts
        records.append(record)
    return records
