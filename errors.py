"""Everything a user can cause goes wrong with one of these.

    LeipError
    ├── UsageError          exit 2: a flag or an argument is wrong
    ├── ModelError          exit 1: the model or its file cannot be compiled
    │   ├── ConstraintError     an op's numbered constraint is violated
    │   ├── VerifyError         a graph breaks an invariant of the IR
    │   └── ParseError          IR text does not parse
    ├── TargetError         exit 1: the target is unknown or cannot run here
    ├── BuildError          exit 1: the C compiler, the linker or a kernel build failed
    ├── OutputError         exit 1: the output folder cannot be written
    ├── MismatchError       exit 1: the compiled numbers differ from the reference
    └── PassError           exit 1: a pass failed, or lied about what it did

An error says what is wrong, where (node, op, flag, file) and what to do about it.
"""

from __future__ import annotations


class LeipError(Exception):
    """Base of all errors that reach a user.

    Args:
        message: What is wrong, in one or a few lines.
        where: The node, op, flag or file it concerns.
        hint: What to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n{self.hint}" if self.hint else text


class UsageError(LeipError):
    exit_code = 2


class ModelError(LeipError):
    pass


class ConstraintError(ModelError):
    """Raised by an op's `infer` when constraint `number` (for example "C3") does not hold."""

    def __init__(self, op: str, number: str, message: str, where: str = "", hint: str = "") -> None:
        super().__init__(f"{op} {number}: {message}", where, hint)
        self.op = op
        self.number = number


class VerifyError(ModelError):
    pass


class ParseError(ModelError):
    pass


class TargetError(LeipError):
    pass


class BuildError(LeipError):
    pass


class OutputError(LeipError):
    pass


class MismatchError(LeipError):
    pass


class PassError(LeipError):
    pass


def line_in(error: BaseException, file: str) -> int:
    """The last line of a file that an error came through; 0 if none."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    line = 0
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == file:
            line = step.tb_lineno
        step = step.tb_next
    return line
