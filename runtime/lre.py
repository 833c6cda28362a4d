"""Run an LRE object (modelLibrary.so) with ctypes and numpy alone.

This one file is all that a device needs beside the compiled folder::

    import lre
    engine = lre.load("OUT", threads=2)
    result = engine.infer({"input": x})          # {"output": array}

or, as a program with random inputs, ``python lre.py OUT``.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from _thread import allocate_lock, get_ident
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

__all__ = ["Engine", "KernelTime", "LreError", "LreFault", "Tail", "load", "read_tail"]

LIBRARY = "modelLibrary.so"
SCHEMA = "model_schema.json"

# The numbers of lre.h.
_ABI_VERSION = 1
_RANK = 8
_CHECK_CRC, _FLUSH_DENORMALS, _MAP_WEIGHTS = 1, 2, 4
_STATUS_FAULT = 6
_MOST_THREADS = 256  # LRE_MAX_THREADS; more are refused before they are narrowed to a C integer
_SMALL = 16 << 10  # bytes below which aligning costs more than it gains
_BIG = 32 << 20  # bytes from which malloc asks the system each time, and every page faults again
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6

_TAIL = struct.Struct("<8sIIQQQQII8x64s")
_TAIL_MAGIC = b"LRETAIL\1"
_MACHINES = {62: "x86_64", 183: "aarch64", 3: "i386", 40: "arm", 243: "riscv"}

Array = Any  # np.ndarray of any dtype and shape

if TYPE_CHECKING:  # kept away from old Pythons on devices, which could not evaluate it
    from collections.abc import Callable

    Feeds = Mapping[str, Array] | Array
    Observer = Callable[[int, str, list[Array]], None]


class LreError(ValueError):
    """The object cannot be loaded, or an argument does not fit; the text says what to do."""


class LreFault(LreError):
    """The data of an inference was illegal (an index out of range); the engine stays usable."""


class KernelTime(NamedTuple):
    """One step of the plan and its time, in the order of execution."""

    name: str
    template: str
    origin: str
    flops: int
    bytes: int
    ns: int  # best of the runs


class Tail(NamedTuple):
    """The last 128 bytes of an object's file (see weights.c)."""

    file_bytes: int
    elf_bytes: int
    weights_offset: int
    weights_bytes: int
    crc: int | None
    build_id: str


# --- the file, before it is loaded --------------------------------------------------------------


def read_tail(fd: int, name: str) -> Tail:
    """Checks that the file open at `fd` is a whole object for this machine, and reads its tail.

    Raises:
        LreError: it is something else, for another machine, truncated, stripped or damaged.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise LreError(f"{name}: this is no regular file, but {_kind_of(status.st_mode)}")
    size = status.st_size
    head = os.pread(fd, 64, 0)
    if len(head) < 64 or head[:4] != b"\x7fELF":
        raise LreError(f"{name}: this is not a shared object (no ELF header)")
    if head[4] != 2 or head[5] != 1:
        raise LreError(f"{name}: not a 64-bit little-endian object, so not an LRE object")
    kind, machine = struct.unpack_from("<HH", head, 16)
    here = os.uname().machine
    arch = _MACHINES.get(machine, f"machine {machine}")
    if arch != here:
        raise LreError(f"{name}: compiled for {arch}, but this machine is {here}")
    if kind != 3:
        raise LreError(f"{name}: an ELF file, but not a shared object")
    sections, entry_bytes, entries = struct.unpack_from("<Q", head, 40) + struct.unpack_from(
        "<HH", head, 58
    )
    if size < sections + entry_bytes * entries:
        raise LreError(f"{name}: truncated ({size:,} bytes are there); copy the file again")
    raw = os.pread(fd, _TAIL.size, max(0, size - _TAIL.size))
    if len(raw) != _TAIL.size or raw[:8] != _TAIL_MAGIC:
        with open(fd, "rb", closefd=False) as file:
            file.seek(0)
            ours = b"\0lre_abi_version\0" in file.read()
        if ours:
            raise LreError(
                f"{name}: the weights at the end of the file are missing: it was stripped or "
                "truncated; copy it again, and do not run strip on it"
            )
        raise LreError(f"{name}: a shared object, but not one that leip wrote")
    _, version, has_crc, file_bytes, elf, offset, weights, crc, code_crc, build_id = _TAIL.unpack(
        raw
    )
    if version != 1:
        raise LreError(f"{name}: written by a newer leip (tail version {version}); update lre.py")
    if file_bytes != size:
        raise LreError(f"{name}: damaged: {size:,} bytes are there and should be {file_bytes:,}")
    import zlib  # not needed to import this file

    # a checksum of 0: written without one
    if elf > size or (code_crc and zlib.crc32(os.pread(fd, elf, 0)) != code_crc):
        raise LreError(f"{name}: damaged: its code is not what was written; copy the file again")
    text = build_id.rstrip(b"\0").decode("ascii", "replace")
    return Tail(file_bytes, elf, offset, weights, crc if has_crc else None, text)


def _kind_of(mode: int) -> str:
    """What stands where an object's file should be."""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device or a socket")


def _find(path: str | os.PathLike[str] | None) -> str:
    if path is None:
        path = os.path.dirname(os.path.abspath(__file__))
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise LreError(f"path must be a str, bytes or a path, not {path!r}") from None
    if os.path.isdir(text):
        inside = os.path.join(text, LIBRARY)
        if not os.path.exists(inside):
            raise LreError(f"{text}: there is no {LIBRARY} in this folder")
        return inside
    if not os.path.exists(text):
        raise LreError(f"{text}: no such file or folder")
    return text


# --- lre.h --------------------------------------------------------------------------------------


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("reserved", ctypes.c_uint16),
        ("rank", ctypes.c_int32),
        ("alignment", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("shape", ctypes.c_int64 * _RANK),
    ]


_OBSERVER = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(_Tensor), ctypes.c_uint32
)


class _Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("plan", ctypes.c_uint32),
        ("fd", ctypes.c_int32),
        ("reserved", ctypes.c_uint32),
        ("path", ctypes.c_char_p),
        ("weights", ctypes.c_void_p),
        ("weights_bytes", ctypes.c_uint64),
        ("parallel", ctypes.c_void_p),
        ("parallel_context", ctypes.c_void_p),
    ]


class _EngineInfo(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint32) for n in ("struct_size", "threads", "n_inputs")] + [
        ("n_outputs", ctypes.c_uint32),
        ("n_steps", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("arena_bytes", ctypes.c_uint64),
        ("workspace_bytes", ctypes.c_uint64),
        ("weights_bytes", ctypes.c_uint64),
    ]


class _StepInfo(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("kind", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("n_outputs", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("origin", ctypes.c_char_p),
        ("template_name", ctypes.c_char_p),
        ("flops", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
    ]


def _declare(library: ctypes.CDLL) -> None:
    for name in ("lre_build_id", "lre_model_id", "lre_schema"):
        getattr(library, name).restype = ctypes.c_char_p
    library.lre_error.restype = ctypes.c_char_p
    library.lre_destroy.restype = None
    pointer, uint = ctypes.c_void_p, ctypes.c_uint32
    library.lre_error.argtypes = library.lre_destroy.argtypes = [pointer]
    library.lre_infer.argtypes = [pointer, pointer, uint, pointer, uint]
    library.lre_profile.argtypes = [pointer, pointer, uint, pointer, uint, pointer, uint]
    library.lre_input.argtypes = library.lre_output.argtypes = [pointer, uint, pointer]
    library.lre_step.argtypes = [pointer, uint, pointer]
    library.lre_info.argtypes = [pointer, pointer]
    library.lre_observe.argtypes = [pointer, pointer, pointer]
    library.lre_create.argtypes = [pointer, pointer]


def _open_library(fd: int, path: str, build_id: str) -> ctypes.CDLL:
    """Loads the file behind `fd`, also when another file was loaded from the same path before.

    The dynamic linker knows objects by name: a path that it has seen gives the old mapping, even
    when the file was replaced. A descriptor's name in /proc leads to the file itself; and should
    that name have served an object that is still loaded, the ids differ and another number
    is tried.
    """
    import _ctypes

    spare: list[int] = []
    try:
        for _ in range(16):
            number = spare[-1] if spare else fd
            name = f"/proc/self/fd/{number}"
            try:
                library = ctypes.CDLL(name if os.path.exists(name) else os.path.abspath(path))
            except OSError as error:
                raise LreError(f"{path}: cannot be loaded: {error}") from None
            try:
                _declare(library)
                version = library.lre_abi_version()
                loaded = library.lre_build_id().decode()
            except AttributeError as error:
                raise LreError(f"{path}: not an LRE object: {error}") from None
            if loaded == build_id:
                if version != _ABI_VERSION:
                    raise LreError(
                        f"{path}: its interface has version {version}, this lre.py knows "
                        f"{_ABI_VERSION}; use the lre.py that was written beside it"
                    )
                return library
            _ctypes.dlclose(library._handle)
            spare.append(os.dup(fd))
    finally:
        for number in spare:
            os.close(number)
    raise LreError(f"{path}: the dynamic linker gives another build ({loaded}) than {build_id}")


# --- tensors ------------------------------------------------------------------------------------


class _Slot(NamedTuple):
    """An input or output as the engine wants it."""

    name: str
    dtype: Any  # np.dtype; bfloat16 is ml_dtypes' where that can be imported, else uint16
    accepted: tuple[Any, ...]
    shape: tuple[int, ...]
    nbytes: int
    shelf: list[Array]  # memory for its next result, if it is very big and was given back


def _dtype(code: int, bits: int) -> tuple[Any, tuple[Any, ...]]:
    if code == _BFLOAT:
        try:
            from ml_dtypes import bfloat16
        except ImportError:
            return np.dtype("uint16"), (np.dtype("uint16"),)
        return np.dtype(bfloat16), (np.dtype(bfloat16), np.dtype("uint16"))
    kind = {_INT: "int", _UINT: "uint", _FLOAT: "float", _BOOL: "bool"}[code]
    dtype = np.dtype(kind if code == _BOOL else f"{kind}{bits}")
    return dtype, (dtype,)


def _slot(tensor: _Tensor) -> _Slot:
    dtype, accepted = _dtype(tensor.code, tensor.bits)
    shape = tuple(tensor.shape[: tensor.rank])
    return _Slot(tensor.name.decode(), dtype, accepted, shape, tensor.bytes, [])


_char_at = ctypes.c_char.from_buffer


def _address(array: Array) -> int:
    """Where the bytes of a contiguous array begin."""
    try:  # a fourth of the time of the other way, which an inference takes several times
        return ctypes.addressof(_char_at(array))
    except (TypeError, ValueError, BufferError):  # read-only, empty, or a dtype like bfloat16
        return int(array.__array_interface__["data"][0])


def _empty(slot: _Slot) -> Array:
    """A new array; a big one on a 64-byte boundary, so that no vector store crosses a line."""
    if slot.nbytes < _SMALL:
        return np.empty(slot.shape, slot.dtype)
    if slot.nbytes >= _BIG:
        try:
            memory = slot.shelf.pop()
        except IndexError:
            memory = np.empty(slot.nbytes + 64, dtype=np.uint8)
        lease = _Lease(memory, slot.nbytes, slot.shelf)
        return np.asarray(lease).view(slot.dtype).reshape(slot.shape)
    raw = np.empty(slot.nbytes + 64, dtype=np.uint8)
    start = -_address(raw) % 64
    return np.ndarray(slot.shape, slot.dtype, raw, start)


class _Lease:
    """Memory of a very big result: back on its slot's shelf when the last array over it is gone."""

    def __init__(self, memory: Array, nbytes: int, shelf: list[Array]) -> None:
        self._memory, self._shelf = memory, shelf
        address = _address(memory)
        self.__array_interface__ = {
            "data": (address + -address % 64, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        if not self._shelf:  # one is enough
            self._shelf.append(self._memory)


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, 1, 0.4)
    return f"; did you mean '{close[0]}'?" if close else ""


def _check_names(kind: str, given: Mapping[str, Array], slots: list[_Slot]) -> None:
    names = [slot.name for slot in slots]
    for name in given:
        if name not in names:
            raise LreError(
                f"there is no {kind} '{name}'; the {kind}s are {names}" + _nearest(str(name), names)
            )


def _as_input(slot: _Slot, value: Any) -> Array:
    """`value` as a contiguous array in this machine's byte order; a copy only where it must be."""
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype not in slot.accepted:
        native = array.dtype.newbyteorder("=") if array.dtype.kind in "iufb" else array.dtype
        if native not in slot.accepted:
            raise LreError(
                f"input '{slot.name}': {array.dtype} given, {slot.dtype} expected; convert it with "
                f"np.asarray(x).astype('{slot.dtype}') if that is what you mean"
            )
        array = array.astype(native)
    if array.shape != slot.shape:
        raise LreError(
            f"input '{slot.name}': shape {list(array.shape)} given, {list(slot.shape)} expected"
        )
    return array if array.flags.c_contiguous else array.copy(order="C")


def _check_output(slot: _Slot, array: Any) -> Array:
    if not isinstance(array, np.ndarray):
        raise LreError(f"out '{slot.name}': a numpy array is needed, not {type(array).__name__}")
    if array.dtype not in slot.accepted or array.shape != slot.shape:
        raise LreError(
            f"out '{slot.name}': {array.dtype}{list(array.shape)} given, "
            f"{slot.dtype}{list(slot.shape)} expected"
        )
    if not array.flags.c_contiguous or not array.flags.writeable:
        raise LreError(f"out '{slot.name}': the array must be contiguous (C order) and writeable")
    return array


# --- the engine ---------------------------------------------------------------------------------


class Engine:
    """A loaded model; made by `load`. One inference at a time: further threads wait their turn.

    Attributes:
        path: The object's file.
        model_id, build_id: As in the schema.
        threads: Threads of an inference, with the calling one.
        input_names, output_names: In the model's order.
        input_shapes, output_shapes: name -> tuple of int.
        input_dtypes, output_dtypes: name -> np.dtype.
    """

    def __init__(self, path: str, threads: int, flags: int) -> None:
        self._handle = ctypes.c_void_p()
        self._library: Any = None
        self._fd = -1
        self._lock = allocate_lock()
        self._running_in = 0  # the thread that infers, to notice calls from its observer
        self._pid = os.getpid()
        self._observer: Any = None
        self._observer_error: BaseException | None = None
        self._outputs: list[_Slot] = []
        self.path = path
        try:
            # a pipe without a writer would hold up an open that waits
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LreError(f"{path}: cannot be opened: {reason}") from None
        try:
            self._create(threads, flags)
        except BaseException:
            self.close()
            raise

    def _create(self, threads: int, flags: int) -> None:
        tail = read_tail(self._fd, self.path)
        library = self._library = _open_library(self._fd, self.path, tail.build_id)
        options = _Options(ctypes.sizeof(_Options), flags, threads, 0, self._fd)
        options.path = os.fsencode(self.path)
        if library.lre_create(ctypes.byref(options), ctypes.byref(self._handle)) != 0:
            raise LreError(f"{self.path}: {library.lre_error(None).decode(errors='replace')}")
        info = _EngineInfo(ctypes.sizeof(_EngineInfo))
        library.lre_info(self._handle, ctypes.byref(info))
        self._info = info
        self._c_inputs = (_Tensor * info.n_inputs)()
        self._c_outputs = (_Tensor * info.n_outputs)()
        for i in range(info.n_inputs):
            library.lre_input(self._handle, i, ctypes.byref(self._c_inputs[i]))
        for i in range(info.n_outputs):
            library.lre_output(self._handle, i, ctypes.byref(self._c_outputs[i]))
        self._inputs = [_slot(tensor) for tensor in self._c_inputs]
        self._outputs += [_slot(tensor) for tensor in self._c_outputs]
        # What an inference needs at hand; ctypes makes new objects at every look into an array.
        self._tensors = (list(self._c_inputs), list(self._c_outputs))
        self._arguments = (
            self._handle.value,
            ctypes.addressof(self._c_inputs),
            info.n_inputs,
            ctypes.addressof(self._c_outputs),
            info.n_outputs,
        )
        self.model_id: str = library.lre_model_id().decode()
        self.build_id: str = tail.build_id
        self._steps: list[_StepInfo] | None = None
        self._check_schema_beside()

    def _check_schema_beside(self) -> None:
        try:
            with open(os.path.join(os.path.dirname(self.path), SCHEMA), "rb") as file:
                same = self.build_id.encode() in file.read()
        except OSError:
            return
        if not same:
            import warnings

            warnings.warn(
                f"{SCHEMA} beside {self.path} belongs to another build; the object's own is used",
                stacklevel=4,
            )

    # What it is.

    threads = property(lambda self: int(self._info.threads))
    input_names = property(lambda self: [s.name for s in self._inputs])
    output_names = property(lambda self: [s.name for s in self._outputs])
    input_shapes = property(lambda self: {s.name: s.shape for s in self._inputs})
    output_shapes = property(lambda self: {s.name: s.shape for s in self._outputs})
    input_dtypes = property(lambda self: {s.name: s.dtype for s in self._inputs})
    output_dtypes = property(lambda self: {s.name: s.dtype for s in self._outputs})
    memory = property(
        lambda self: {
            "arena": int(self._info.arena_bytes),
            "workspace": int(self._info.workspace_bytes),
            "weights": int(self._info.weights_bytes),
        },
        doc="Bytes: the arena, the workspaces of all threads, the weights.",
    )

    def get_metadata(self) -> dict[str, Any]:
        """The object's schema (see docs/runtime.md)."""
        import json

        self._check_open()
        schema = json.loads(self._library.lre_schema())
        assert isinstance(schema, dict)
        return schema

    @property
    def model_precision(self) -> str:
        """The data type that the model was compiled for, such as "float32"."""
        return str(self.get_metadata().get("data_type", ""))

    # Inference.

    def infer(self, feeds: Feeds, out: Feeds | None = None) -> dict[str, Array]:
        """Runs the model once.

        Args:
            feeds: Input name -> array with exactly the model's dtype and shape; or the array itself
                where there is one input. Never changed.
            out: Output name -> array to write into, for some outputs or all; or the array itself.
                Must be contiguous and must not overlap inputs.

        Returns:
            Output name -> array: new ones that belong to the caller, or those of `out`.

        Raises:
            LreFault: the data was illegal (an index out of range). The engine stays usable.
            LreError: an argument does not fit.
        """
        inputs, outputs = self._bind(feeds, out)
        self._run(inputs, outputs, None)
        return {slot.name: array for slot, array in zip(self._outputs, outputs)}

    def warm_up(self, n: int = 1) -> None:
        """Runs n times on random inputs, so that the next `infer` finds everything in memory."""
        feeds = self.random_inputs()
        for _ in range(n):
            self.infer(feeds)

    def profile(self, feeds: Feeds | None = None, runs: int = 10) -> list[KernelTime]:
        """Times every step of the plan: the best of `runs` runs, after one that is not counted."""
        inputs, outputs = self._bind(self.random_inputs() if feeds is None else feeds, None)
        steps = self._step_infos()
        best = [2**63] * len(steps)
        times = (ctypes.c_uint64 * len(steps))()
        self._run(inputs, outputs, times)
        for _ in range(max(1, runs)):
            self._run(inputs, outputs, times)
            best = [min(a, b) for a, b in zip(best, times)]
        return [
            KernelTime(
                step.name.decode(),
                step.template_name.decode(),
                step.origin.decode(),
                step.flops,
                step.bytes,
                ns,
            )
            for step, ns in zip(steps, best)
        ]

    def observe(self, callback: Observer | None) -> None:
        """Calls `callback(step, kernel name, outputs)` after each step; None ends it.

        `outputs` are copies of what the step wrote, in its physical layout (bfloat16 as uint16).
        An exception in the callback ends the inference and is raised by `infer`.

        Raises:
            LreError: The callback is not callable.
        """
        self._check_not_inside()
        self._check_open()
        if callback is None:
            self._library.lre_observe(self._handle, None, None)
            self._observer = None
            return
        if not callable(callback):
            raise LreError(f"observe takes a function or None, not {type(callback).__name__}")
        names = [step.name.decode() for step in self._step_infos()]
        call: Observer = callback

        def trampoline(_: Any, step: int, tensors: Any, count: int) -> int:
            try:
                call(step, names[step], [_copy_of(tensors[i]) for i in range(count)])
            except BaseException as error:  # noqa: BLE001 - must not cross C; infer raises it
                self._observer_error = error
                return 1
            return 0

        observer = _OBSERVER(trampoline)
        self._library.lre_observe(self._handle, ctypes.cast(observer, ctypes.c_void_p), None)
        self._observer = observer  # keeps it alive

    def random_inputs(self, seed: int = 0) -> dict[str, Array]:
        """Legal inputs: normal floats, integers below the schema's `max_id` (else 0 and 1)."""
        rng = np.random.default_rng(seed)
        facts = {entry.get("name"): entry for entry in self.get_metadata().get("inputs", [])}
        feeds = {}
        for slot, tensor in zip(self._inputs, self._c_inputs):
            values: Array
            if tensor.code in (_FLOAT, _BFLOAT):
                values = rng.standard_normal(slot.shape, dtype=np.float32)
                if slot.dtype == np.uint16:  # bfloat16 without ml_dtypes: the upper half
                    feeds[slot.name] = (values.view(np.uint32) >> 16).astype(np.uint16)
                    continue
            else:
                limit = facts.get(slot.name, {}).get("max_id")
                top = 1 if limit is None or tensor.code == _BOOL else int(limit)
                values = rng.integers(0, top, slot.shape, endpoint=True)
            feeds[slot.name] = np.asarray(values).astype(slot.dtype)
        return feeds

    def _bind(self, feeds: Feeds, out: Feeds | None) -> tuple[list[Array], list[Array]]:
        self._check_open()
        given = self._by_name("input", feeds, self._inputs)
        if len(given) < len(self._inputs):
            missing = [slot.name for slot in self._inputs if slot.name not in given]
            raise LreError(f"inputs {missing} are missing; the inputs are {self.input_names}")
        inputs = [_as_input(slot, given[slot.name]) for slot in self._inputs]
        into = {} if out is None else self._by_name("output", out, self._outputs)
        outputs = [
            _check_output(slot, into[slot.name]) if slot.name in into else _empty(slot)
            for slot in self._outputs
        ]
        return inputs, outputs

    @staticmethod
    def _by_name(kind: str, given: Feeds, slots: list[_Slot]) -> Mapping[str, Array]:
        if not isinstance(given, (dict, Mapping)):  # dict: to know a Mapping takes longer
            if len(slots) != 1:
                names = [slot.name for slot in slots]
                raise LreError(f"the model has {len(slots)} {kind}s: give a dict of {names}")
            return {slots[0].name: given}
        _check_names(kind, given, slots)
        return given

    def _run(self, inputs: list[Array], outputs: list[Array], times: Any) -> None:
        if self._pid != os.getpid():  # after fork: another thread may have held the lock
            self._lock = allocate_lock()
            self._running_in = 0
            self._pid = os.getpid()
        self._check_not_inside()
        with self._lock:
            self._check_open()
            self._running_in = get_ident()
            try:
                self._run_locked(inputs, outputs, times)
            finally:
                self._running_in = 0

    def _run_locked(self, inputs: list[Array], outputs: list[Array], times: Any) -> None:
        for tensor, array in zip(self._tensors[0], inputs):
            tensor.data = _address(array)
        for tensor, array in zip(self._tensors[1], outputs):
            tensor.data = _address(array)
        if times is None:
            status = self._library.lre_infer(*self._arguments)
        else:
            status = self._library.lre_profile(*self._arguments, times, len(times))
        if self._observer_error is not None:
            error, self._observer_error = self._observer_error, None
            raise error
        if status == 0:
            return
        text = self._library.lre_error(self._handle).decode(errors="replace")
        raise (LreFault if status == _STATUS_FAULT else LreError)(text)

    def _check_not_inside(self) -> None:
        if self._running_in == get_ident():
            raise LreError(
                "this engine is in the middle of an inference: its observer cannot use it"
            )

    def _step_infos(self) -> list[_StepInfo]:
        self._check_open()
        if self._steps is None:
            self._steps = []
            for i in range(self._info.n_steps):
                step = _StepInfo(ctypes.sizeof(_StepInfo))
                self._library.lre_step(self._handle, i, ctypes.byref(step))
                self._steps.append(step)
        return self._steps

    # Its end.

    def _check_open(self) -> None:
        if not self._handle:
            raise LreError("this engine is closed")

    def close(self) -> None:
        """Frees the engine; the object is unloaded with its last one."""
        self._check_not_inside()
        with self._lock:
            for slot in self._outputs:
                slot.shelf.clear()
            if self._handle:
                self._library.lre_destroy(self._handle)
                self._handle = ctypes.c_void_p()
            if self._library is not None:
                import _ctypes

                _ctypes.dlclose(self._library._handle)
                self._library = None
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, _: object) -> Any:
        raise TypeError(
            "an lre.Engine cannot be copied or pickled: it owns a C engine; "
            "load(engine.path) makes another one"
        )

    def __del__(self) -> None:
        if not sys.is_finalizing() and getattr(self, "_lock", None) is not None:
            self.close()

    def __repr__(self) -> str:
        if not self._handle:
            return "<lre.Engine, closed>"
        return f"<lre.Engine {self.path}: {self.input_shapes} -> {self.output_shapes}>"


def _copy_of(tensor: _Tensor) -> Array:
    shape = tuple(tensor.shape[: tensor.rank])
    code = _UINT if tensor.code == _BFLOAT else tensor.code
    dtype = _dtype(code, tensor.bits)[0]
    data = ctypes.string_at(tensor.data, tensor.bytes) if tensor.bytes else b""
    return np.frombuffer(data, dtype=dtype).reshape(shape).copy()


def _whole(name: str, value: Any, most: int) -> int:
    """`value` as an int from 1 to `most`; numpy's integers count, bools do not."""
    whole = hasattr(value, "__index__") and not isinstance(value, (bool, np.bool_))
    if not whole or not 1 <= value <= most:
        raise LreError(f"{name} must be a whole number from 1 to {most}, not {value!r}")
    return int(value)


def load(
    path: str | os.PathLike[str] | None = None,
    inference_context: str = "cpu",
    threads: int | None = None,
    *,
    crc_check: bool = False,
    flush_denormals: bool = False,
    map_weights: bool = False,
) -> Engine:
    """Loads a compiled model.

    Args:
        path: The folder that `leip compile` wrote, or the .so; None: the folder of this file.
        inference_context: Only "cpu" in this version.
        threads: Of an inference; None: what it was compiled for, at most the CPUs of this process.
        crc_check: Compare the weights' checksum (needs an object compiled with --crc_check).
        flush_denormals: Treat denormal floats as zero.
        map_weights: Leave the weights mapped from the file, so that processes share them, where a
            thread would move them to huge pages (1-3 % faster, with big weights).

    Raises:
        LreError: with the reason.
    """
    if not isinstance(inference_context, str) or inference_context != "cpu":
        raise LreError(f"this object was compiled for cpu; there is no '{inference_context}' in it")
    if threads is not None:
        threads = _whole("threads", threads, _MOST_THREADS)
    flags = _CHECK_CRC * bool(crc_check) | _FLUSH_DENORMALS * bool(flush_denormals)
    flags |= _MAP_WEIGHTS * bool(map_weights)
    return Engine(_find(path), threads or 0, flags)


def _main(arguments: list[str] | None = None) -> int:
    import argparse
    import time

    parser = argparse.ArgumentParser(prog="lre.py", description="Run a model on random inputs.")
    parser.add_argument("path", nargs="?", help="folder or .so; default: the folder of this file")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args(arguments)
    try:
        with load(options.path, threads=options.threads) as engine:
            feeds = engine.random_inputs()
            result = engine.infer(feeds)
            times = []
            for _ in range(max(1, options.runs)):
                start = time.perf_counter()
                engine.infer(feeds)
                times.append(time.perf_counter() - start)
            for name, array in feeds.items():
                print(f"input  {name}: {array.dtype}{list(array.shape)}")
            for name, array in result.items():
                first = " ".join(f"{value:.6g}" for value in array.reshape(-1)[:5])
                print(f"output {name}: {array.dtype}{list(array.shape)}  {first} ...")
            print(f"{min(times) * 1e3:.3f} ms (best of {len(times)}, {engine.threads} threads)")
    except LreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
