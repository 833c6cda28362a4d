"""What a killed process leaves behind is told from what somebody still works on by a lock.

The system holds a lock on a file or folder while the process that took it lives, on whatever host
that is, and lets it go with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["hold", "remove_if_abandoned"]


def hold(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False if somebody else has it locked.

    On a file system without locks it counts as held: nobody takes it for abandoned there either.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def remove_if_abandoned(
    path: Path,
    flags: int,
    is_kind: Callable[[int], bool],
    remove: Callable[[Path], object],
) -> None:
    """Remove what this user's processes have made and none has locked; errors are passed over.

    Args:
        path: A file or folder.
        flags: With which it is opened, for `os.open`.
        is_kind: Of its mode: whether it is what it should be.
        remove: Removes it.
    """
    with contextlib.suppress(OSError):  # it is locked, or another user's, or gone
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            if is_kind(facts.st_mode) and facts.st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
        finally:
            os.close(descriptor)
