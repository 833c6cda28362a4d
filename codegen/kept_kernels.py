"""The object code of the kernels that were used last, as much as may be kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from .trial_errands import TrialKernel

__all__ = ["KeptKernels"]


class KeptKernels:
    """Kernels by key; those not used for longest go when there are too many bytes of code.

    A search builds thousands of candidates, and runs few of them again.

    Args:
        most: Bytes of object code.

    Attributes:
        bytes: Of the object code that is there.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kernels: OrderedDict[Hashable, TrialKernel] = OrderedDict()
        self.bytes = 0

    def get(self, key: Hashable) -> TrialKernel | None:
        """A kernel, which counts as used now; None if it is not there any more."""
        kernel = self._kernels.get(key)
        if kernel is not None:
            self._kernels.move_to_end(key)
        return kernel

    def put(self, key: Hashable, kernel: TrialKernel) -> None:
        """Keep a kernel in place of others."""
        old = self._kernels.pop(key, None)
        self.bytes += len(kernel.data) - (len(old.data) if old is not None else 0)
        self._kernels[key] = kernel
        while self.bytes > self._most:
            _, gone = self._kernels.popitem(last=False)
            self.bytes -= len(gone.data)
