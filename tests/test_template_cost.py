"""Layouts and joined kernels of a compile: priced by the models of the templates that make them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import leip
from leip import plugin
from leip.driver.compiling import make_pipeline
from leip.driver.template_cost import CYCLES_PER_NS, PASSED, PLAIN, WAIT, TemplateCost
from leip.errors import PassError
from leip.ir import Graph, Layout, parse_graph
from leip.ir.graph import Node
from leip.passes.fuse_separable import FuseSeparable
from leip.passes.manager import PassManager
from leip.passes.modelled_cost import ModelledCost
from leip.passes.relayout import is_transform
from leip.schedules.select import register_template, select, unregister_template
from leip.schedules.task import Task
from leip.schedules.template import Knobs, Lowered, Template, require
from leip.search.layouts import all_blocked

TARGET = leip.resolve_target("llvm -mcpu=znver4")
BLOCKED = Layout.blocked(4, 1, 16)


def conv_net(channels: int, features: int, size: int, count: int = 6) -> Graph:
    """An image of 3 channels, then convolutions of 3 x 3 and ReLU."""
    same = "{strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"
    lines = [f"%w0 = constant {{value=random(1)}} : f32[{channels},3,3,3]"]
    lines.append(f"%v0 = conv(%x, %w0) {same}")
    wide = channels
    for i in range(1, count):
        lines.append(f"%w{i} = constant {{value=random({i + 1})}} : f32[{features},{wide},3,3]")
        lines.append(f"%r{i} = relu(%v{i - 1})")
        lines.append(f"%v{i} = conv(%r{i}, %w{i}) {same}")
        wide = features
    body = "\n".join(lines)
    return parse_graph(
        f'graph "net" (%x: f32[1,3,{size},{size}]) {{\n{body}\nreturn %v{count - 1}\n}}\n'
    )


def kernels(net: Graph, level: int = 2) -> list[Node]:
    net = PassManager(make_pipeline(level, TARGET, "", threads=2)).run(net)
    return [node for node in net.nodes() if node.op == "kernel"]


def blocked(net: Graph) -> int:
    """How many kernels give blocked images at level 3."""
    nodes = [node for node in kernels(net, 3) if not is_transform(node)]
    return sum(node.output.layout is not None for node in nodes)


def test_a_kernel_costs_what_its_template_says():
    kernel = kernels(conv_net(64, 64, 28))[1]
    cost = TemplateCost(16, TARGET, threads=2, level=3)
    task = Task.of_kernel(kernel, TARGET, 2, 3)
    choice = select(task)
    assert choice.template.name == "conv_f32_plain__x86"
    cycles = choice.template.cycles(task, choice.config)
    assert cost.kernel(kernel, None) == int(cycles / 2 / CYCLES_PER_NS * PLAIN)
    assert 0 < cost.kernel(kernel, BLOCKED) < cost.kernel(kernel, None)
    assert cost.transform(kernel.output.type, BLOCKED) > 0


def test_wide_convolutions_are_blocked_and_narrow_ones_on_large_images_are_not():
    assert blocked(conv_net(64, 64, 28)) == 6
    assert blocked(conv_net(20, 20, 112)) == 0, "blocks of 16 would compute 32 of 20 features"


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_same_graph_gives_the_same_layouts(threads):
    texts = {
        str([str(n.outputs[0].type) for n in PassManager(steps).run(conv_net(24, 40, 56)).nodes()])
        for steps in (make_pipeline(3, TARGET, "", threads) for _ in range(2))
    }
    assert len(texts) == 1


def test_what_has_no_model_costs_its_bytes():
    net = parse_graph(
        """graph "net" (%x: f32[1,32,8,8], %y: f32[1,32,8,8]) {
        %a = relu(%x)
        %b = relu(%y)
        %j = concat(%a, %b) {axis=1}
        %z = exp(%j)
        return %z, %j
        }
        """
    )
    cost = TemplateCost(16, TARGET, threads=2, level=3)
    rates = ModelledCost.of_threads(16, 2)
    for kernel in kernels(net):
        for layout in (None, BLOCKED):
            assert cost.kernel(kernel, layout) == rates.kernel(kernel, layout)


def test_groups_that_only_the_generic_template_takes_on_blocks_are_plain() -> None:
    """One feature and 61 channels a group: on blocks 20 times slower than on plain images."""
    net = parse_graph(
        """graph "net" (%x: f32[1,1403,103,6]) {
        %w = constant {value=random(0)} : f32[23,61,7,7]
        %a = conv(%x, %w) {strides=[2,2], pads=[3,3,3,3], dilations=[1,1], groups=23}
        return %a
        }
        """
    )
    cost = TemplateCost(16, TARGET, threads=2, level=3)
    (kernel,) = kernels(net)
    assert cost.kernel(kernel, None) * 2 < cost.kernel(kernel, BLOCKED)


def pair() -> tuple[Node, Node, Node]:
    """A depthwise kernel and the pointwise one behind it, on blocks, and both as one."""
    net = parse_graph(
        """graph "net" (%x: f32[1,64,14,14]) {
        %w0 = constant {value=random(0)} : f32[64,1,3,3]
        %w1 = constant {value=random(1)} : f32[64,64,1,1]
        %a = conv(%x, %w0) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=64}
        %b = conv(%a, %w1) {strides=[1,1], pads=[0,0,0,0], dilations=[1,1]}
        return %b
        }
        """
    )
    steps = make_pipeline(2, TARGET, "", threads=2)
    apart = all_blocked(PassManager(steps).run(net), 16)
    joined = FuseSeparable().run(apart.copy()).graph
    first, second, both = (
        node
        for one in (apart, joined)
        for node in one.nodes()
        if node.op == "kernel" and not is_transform(node)
    )
    return first, second, both


def test_kernels_as_they_stand_end_with_a_wait_and_pass_their_result_on():
    cost = TemplateCost(16, TARGET, threads=2, level=3)
    for kernel in pair():
        task = Task.of_kernel(kernel, TARGET, 2, 3)
        choice = select(task)
        time = choice.template.cycles(task, choice.config) / 2 / CYCLES_PER_NS
        passed = kernel.outputs[0].type.nbytes / PASSED
        assert cost.as_it_is(kernel) == int(time + WAIT + passed)
        assert TemplateCost(16, TARGET, threads=1, level=3).as_it_is(kernel) is None


def test_kernels_are_not_joined_for_a_template_that_would_take_the_first_of_two():
    class First(Template):
        name = "conv_f32_first_of_two__any"

        def check(self, task: Task) -> None:
            require(any(node.op == "conv" for node in task.nodes), "no convolution")

        def build(self, task: Task, config: Knobs) -> Lowered:
            raise AssertionError

        def cycles(self, task: Task, config: Knobs) -> float:
            return 1.0

    first, _, both = pair()
    template = First()
    register_template(template)
    try:
        cost = TemplateCost(16, TARGET, threads=2, level=3)
        assert cost.as_it_is(first) is not None and cost.as_it_is(both) is None
    finally:
        unregister_template(template.name)


def test_rates_are_shared_by_threads():
    type = kernels(conv_net(16, 16, 28))[0].output.type
    one, four = (ModelledCost.of_threads(16, n).transform(type, BLOCKED) for n in (1, 4))
    launch = ModelledCost(16).launch_ns
    assert (one - launch) == pytest.approx(4 * (four - launch), abs=4)


PLUGIN = """
from leip.plugin import register_template
from leip.schedules.template import Template

class Mine(Template):
    name = "conv_f32_faulty__any"
    def check(self, task): pass
    def default(self, task): return self.Config()
    def build(self, task, config): raise AssertionError
    def cycles(self, task, config): return task.no_such_thing

register_template(Mine())
"""


class Mine(Template):
    """A template of a user's own: it takes plain 3 x 3 convolutions and says what they cost."""

    name = "conv_f32_mine__any"
    said = 1e9

    def check(self, task: Task) -> None:
        conv = next((node for node in task.nodes if node.op == "conv"), None)
        require(conv is not None and conv.output.layout is None, "not a plain convolution")

    def cycles(self, task: Task, config: Knobs) -> float | None:
        return self.said

    def build(self, task: Task, config: Knobs) -> Lowered:
        raise AssertionError("only its price is asked for")


@pytest.fixture
def mine() -> Iterator[Mine]:
    template = Mine()
    register_template(template)
    yield template
    unregister_template(template.name)


def test_templates_of_users_are_asked_too(mine):
    assert blocked(conv_net(20, 20, 112)) == 6, "plain is dear now"
    mine.said = 1.0
    assert blocked(conv_net(64, 64, 28)) == 0, "plain costs nothing now"


@pytest.mark.parametrize(
    "said", [float("nan"), float("inf"), -1.0, "12", [1.0], 1j, np.zeros(3), 10**400, 1e300]
)
def test_what_is_no_number_of_cycles_is_one_clear_error(mine, said):
    mine.said = said
    with pytest.raises(PassError, match="`cycles` of template conv_f32_mine__any gives") as it:
        blocked(conv_net(20, 20, 112))
    assert "a finite number" in it.value.hint and len(it.value.message) < 150


@pytest.mark.parametrize("said", [0, np.float32(12.5), np.int64(7), None])
def test_numbers_of_all_kinds_are_cycles(mine, said):
    mine.said = said
    blocked(conv_net(20, 20, 112))


def test_a_plugin_whose_model_raises_is_named(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    plugin.load([path])
    try:
        with pytest.raises(PassError, match="the plugin fails: AttributeError") as caught:
            blocked(conv_net(20, 20, 112))
    finally:
        unregister_template("conv_f32_faulty__any")
    line = PLUGIN[: PLUGIN.index("no_such_thing")].count("\n") + 1
    assert caught.value.where == f"{path}:{line}"
