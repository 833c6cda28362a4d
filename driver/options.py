"""What can be asked of a compile, checked: the one form that the command line and Python share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

from ..errors import UsageError
from ..ir import levels
from ..ir.target import TargetRequest

__all__ = [
    "CompileOptions",
    "Optimization",
    "PassOptions",
    "parse_assignment",
    "parse_input_shapes",
    "parse_optimization",
]

MAX_ID = 128
LAYOUTS = ("NCHW", "NHWC")
_OPTIMIZATION = "--optimization"
_FORM = "the forms are category:kernel,level:<1-4> and category:graph,iterations:<0-30000>"
MOST_ITERATIONS = 30000


@dataclass(frozen=True)
class Optimization:
    """What the values of `--optimization` come to.

    Attributes:
        level: Kernel optimization level 1-4.
        iterations: New measurements of the search; 0 replays its log; None: no search.
    """

    level: int = levels.DEFAULT
    iterations: int | None = None


@dataclass(frozen=True)
class CompileOptions:
    """Everything that `leip compile` takes.

    Attributes:
        input_path: An ONNX file, or a folder that holds one.
        output_path: Folder for the LRE object; it and its parents are created.
        input_shapes: Shapes by input name, for dynamic dimensions (or to override static ones).
        layout: How image inputs and outputs stand in memory, "NCHW" or "NHWC"; "" as in the file.
        target: `llvm [-mcpu=… -mtriple=… …]`.
        level: Kernel optimization level 1-4.
        crc_check: Store a CRC32 of the weights.
        model_id: Id of the model; "" derives a UUID from its content and these options.
        dump_ir: Folder for the IR text after every pass.
        verify: Compare the object with the numpy reference before it is written.
        verify_inputs: `.npy` files by input name that `verify` feeds; seeded random ones if empty.
        threads: Threads that the schedules are chosen for; 0 is the number of CPUs usable here.
        jobs: Processes that build kernels; 0 is the number of CPUs usable here.
        plugins: Python files that register passes, ops, templates and searches.
        cache_dir: Folder of the kernel cache; None is the user's cache folder.
        cc: C compiler (and linker) to use; "" looks for one.
        iterations: New measurements of the search over kernels' configs; 0 builds from what its
            log holds; None: no search, the templates' defaults.
        tuning_logs: Logs of other searches to learn from; they are only read.
        seed: Of the search's random choices.
    """

    input_path: Path
    output_path: Path
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    layout: str = ""
    target: str = "llvm"
    level: int = levels.DEFAULT
    crc_check: bool = False
    model_id: str = ""
    dump_ir: Path | None = None
    verify: bool = False
    verify_inputs: Mapping[str, Path] = field(default_factory=dict)
    threads: int = 0
    jobs: int = 0
    plugins: tuple[Path, ...] = ()
    cache_dir: Path | None = None
    cc: str = ""
    iterations: int | None = None
    tuning_logs: tuple[Path, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for anything that can be seen to be wrong without reading a file."""
        _check_level(self.level, _OPTIMIZATION, _FORM)
        if self.layout and self.layout not in LAYOUTS:
            raise UsageError(
                f"unknown layout {self.layout!r}", "--layout", f"known: {', '.join(LAYOUTS)}"
            )
        for flag, number in (("--threads", self.threads), ("--jobs", self.jobs)):
            whole = isinstance(number, Integral) and not isinstance(number, bool)
            if not whole or not 0 <= number <= 1024:
                raise UsageError(f"{number!r} is not a sensible number", flag, "give 1 or more")
        for name, shape in self.input_shapes.items():
            if any(size < 1 for size in shape):
                raise UsageError(
                    f"input {name!r}: every dimension must be 1 or more: {list(shape)}",
                    "--input_shapes",
                    "for example --input_shapes image:1,3,224,224",
                )
        if self.verify_inputs and not self.verify:
            raise UsageError(
                "inputs are given, and nothing would use them",
                "--input",
                "add --verify, which compares the object with the reference on them",
            )
        self._check_search()
        if self.model_id:
            _check_id(self.model_id)
        if self.request.kind == "cuda":
            raise UsageError(
                "the cuda target is not in this version",
                "--target",
                "use llvm, which compiles for x86 and ARM CPUs",
            )

    def _check_search(self) -> None:
        if self.iterations is not None:
            count = self.iterations
            whole = isinstance(count, Integral) and not isinstance(count, bool)
            if not whole or not 0 <= count <= MOST_ITERATIONS:
                raise UsageError(f"{count!r} iterations cannot be made", _OPTIMIZATION, _FORM)
        elif self.tuning_logs:
            raise UsageError(
                "tuning logs are given, and nothing would use them",
                "--tuning_log",
                "add --optimization category:graph,iterations:0, which builds from what they hold",
            )
        whole = isinstance(self.seed, Integral) and not isinstance(self.seed, bool)
        if not whole or not 0 <= self.seed < 1 << 32:
            raise UsageError(f"{self.seed!r} is no seed", "--seed", "give 0 to 4294967295")

    @property
    def request(self) -> TargetRequest:
        """The target's flags. Raises TargetError if its text has another form."""
        return TargetRequest.parse(self.target)

    @property
    def usable_threads(self) -> int:
        return int(self.threads) or usable_cpus()

    @property
    def usable_jobs(self) -> int:
        return int(self.jobs) or usable_cpus()


@dataclass(frozen=True)
class PassOptions:
    """What `leip opt` and `leip.optimize` take beside a graph.

    Attributes:
        passes: Passes to run, as text; "" is the pipeline of `level`.
        level: Optimization level 1-4 of the pipeline.
        target: Target of the pipeline, as `CompileOptions` has it.
        input_shapes: Shapes by input name, for dynamic dimensions.
        plugins: Python files that register passes.
    """

    passes: str = ""
    level: int = levels.DEFAULT
    target: str = "llvm"
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    plugins: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Raises UsageError for a level that does not exist."""
        _check_level(self.level, "level", "levels are 1 to 4")


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def parse_optimization(texts: Sequence[str]) -> Optimization:
    """Repeated `--optimization category:…`.

    Raises:
        UsageError: Another form, a level that does not exist, something said in two ways, or a
            category that is not in this version (`cuda`).
    """
    numbers: dict[str, int] = {}
    for text in texts:
        items = _items(text)
        category = items.pop("category", "")
        if category == "kernel":
            number = _level(items, text)
        elif category == "graph":
            number = _iterations(items, text)
        elif category == "cuda":
            _one_of(items, "enabled", ("true", "false"), text)
            raise UsageError(f"category:cuda is not in this version ({text})", _OPTIMIZATION, _FORM)
        else:
            raise UsageError(f"unknown category {category!r} in {text!r}", _OPTIMIZATION, _FORM)
        if (before := numbers.setdefault(category, number)) != number:
            raise UsageError(
                f"category:{category} is given with {before} and with {number}",
                _OPTIMIZATION,
                "give each category once",
            )
    return Optimization(numbers.get("kernel", levels.DEFAULT), numbers.get("graph"))


def parse_input_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes by name from repeated `NAME:1,3,224,224`. Raises UsageError."""
    if not texts:
        return {}
    from ..ir.onnx import parse_input_shapes as parse

    return parse(texts)


def parse_assignment(texts: Sequence[str], flag: str) -> dict[str, str]:
    """`name=value` by name; a lone value stands under "". Raises UsageError for a name twice."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, value = (name, value) if equals else ("", text)
        if name in result:
            raise UsageError(f"{name or 'the input'} is given twice", flag, "give each name once")
        result[name] = value
    return result


def _check_level(level: int, flag: str, hint: str) -> None:
    whole = isinstance(level, Integral) and not isinstance(level, bool)
    if not whole or level not in levels.LEVELS:
        raise UsageError(f"level {level!r} does not exist", flag, hint)


def _items(text: str) -> dict[str, str]:
    """The values of `key:value,…` by key."""
    items: dict[str, str] = {}
    for item in text.split(","):
        key, colon, value = item.strip().partition(":")
        if not colon:
            message = f"{item!r} in {text!r} is not of the form key:value"
            raise UsageError(message, _OPTIMIZATION, _FORM)
        if key in items:
            raise UsageError(f"{key!r} stands twice in {text!r}", _OPTIMIZATION, _FORM)
        items[key] = value
    return items


def _level(items: dict[str, str], text: str) -> int:
    value = items.pop("level", "")
    if items:
        raise UsageError(f"unknown key {next(iter(items))!r} in {text!r}", _OPTIMIZATION, _FORM)
    if value not in [str(level) for level in levels.LEVELS]:
        raise UsageError(f"level {value!r} does not exist ({text})", _OPTIMIZATION, _FORM)
    return int(value)


def _one_of(items: dict[str, str], key: str, choices: tuple[str, ...], text: str) -> None:
    if set(items) - {key} or items.get(key, choices[0]) not in choices:
        wanted = f"{key}:{'|'.join(choices)}"
        raise UsageError(f"{text!r} does not say {wanted}", _OPTIMIZATION, _FORM)


def _iterations(items: dict[str, str], text: str) -> int:
    value = items.get("iterations", "")
    digits = value.isascii() and value.isdecimal() and len(value) <= 9
    if set(items) - {"iterations"} or not digits or int(value) > MOST_ITERATIONS:
        raise UsageError(f"{text!r} does not say iterations:<0-30000>", _OPTIMIZATION, _FORM)
    return int(value)


def _check_id(text: str) -> None:
    if len(text) > MAX_ID or not text.isprintable() or text != text.strip():
        raise UsageError(
            f"{text[:40]!r} is not an id",
            "--model_id",
            f"give up to {MAX_ID} printable characters, for example a UUID",
        )
