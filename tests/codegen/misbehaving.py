"""A plugin for tests: a template whose kernels do what their knob says, for relu of a tensor."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
from tvm import s_tir, te, tirx

from leip.plugin import register_template
from leip.schedules.task import Task
from leip.schedules.template import (
    InvalidConfig,
    Knobs,
    Lowered,
    Template,
    knob,
    require,
)

SECRET = 7  # elements: a tensor of this size is what the template is for

# what these do stands in LLVM's language
EXTERN = ("slow", "crash", "hang", "allocate", "fork", "leave")
BAD = """
declare ptr @malloc(i64)
declare i32 @kill(i32, i32)
declare i32 @fork()
declare i32 @getpid()
define linkonce_odr float @leip_test_crash(float %x) {
  store volatile i32 1, ptr null
  ret float %x
}
define linkonce_odr float @leip_test_hang(float %x) {
  br label %loop
loop:
  %c = load volatile i32, ptr @leip_test_cell
  br label %loop
}
define linkonce_odr float @leip_test_allocate(float %x) {
  br label %loop
loop:
  %block = call ptr @malloc(i64 16777216)
  store volatile i32 1, ptr %block
  br label %loop
}
define linkonce_odr float @leip_test_slow(float %x) {
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %c = load volatile i32, ptr @leip_test_cell
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, 10000
  br i1 %more, label %loop, label %end
end:
  ret float %x
}
define linkonce_odr float @leip_test_fork(float %x) {
  %before = load volatile i32, ptr @leip_test_copies
  %first = icmp eq i32 %before, 0
  br i1 %first, label %copy, label %end
copy:
  store volatile i32 1, ptr @leip_test_copies
  %pid = call i32 @fork()
  br label %end
end:
  ret float %x
}
define linkonce_odr float @leip_test_leave(float %x) {
  %before = load volatile i32, ptr @leip_test_copies
  %first = icmp eq i32 %before, 0
  br i1 %first, label %copy, label %end
copy:
  store volatile i32 1, ptr @leip_test_copies
  %pid = call i32 @fork()
  %child = icmp eq i32 %pid, 0
  br i1 %child, label %loop, label %end
loop:
  %c = load volatile i32, ptr @leip_test_cell
  br label %loop
end:
  ret float %x
}
@leip_test_cell = linkonce_odr global i32 0
@leip_test_copies = linkonce_odr global i32 0
"""


@dataclass(frozen=True)
class Config(Knobs):
    does: str = knob(
        "right",
        choices=(*EXTERN, "right", "wrong", "refuse", "raise", "die", "grow"),
    )


class Misbehaving(Template):
    """y = max(x, 0), or not."""

    name = "relu_f32_misbehaving__any"
    Config = Config

    def check(self, task: Task) -> None:
        require(task.body.inputs[0].type.shape == (SECRET,), "not for this")

    def build(self, task: Task, config: Knobs) -> Lowered:
        assert isinstance(config, Config)
        does = config.does
        require(does != "refuse", "this point is no legal one", InvalidConfig)
        if does == "raise":
            raise RuntimeError("a bug in the template")
        if does == "die":
            os._exit(9)
        if does == "grow":
            taken = []
            while True:
                taken.append(np.empty(1 << 28, np.uint8))
        if does == "build for ever":
            time.sleep(1000)
        x = te.placeholder((SECRET,), name="x")

        def element(i: object) -> object:
            value = te.max(x[i], tirx.const(0, "float32"))
            if does == "wrong":
                return value + tirx.const(1, "float32")
            if does in EXTERN:
                return tirx.call_extern("float32", f"leip_test_{does}", value)
            return value

        y = te.compute((SECRET,), element, name="y")
        sch = s_tir.Schedule(te.create_prim_func([x, y]))
        if does in EXTERN:
            loop = sch.get_loops(sch.get_sblock("y"))[0]
            sch.annotate(loop, "pragma_import_llvm", BAD)
        return Lowered((sch.mod["main"],))


register_template(Misbehaving())
