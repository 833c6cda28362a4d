"""What an object says about itself: the JSON inside it and beside it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..ir.graph import Graph, Value
from ..ir.target import Target
from .plan import Plan

__all__ = ["SCHEMA_VERSION", "ModelFacts", "make_schema", "model_id", "to_json"]

SCHEMA_VERSION = 1

# A namespace of our own, so that ids of leip do not meet those of others.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "model.leip")


@dataclass(frozen=True)
class ModelFacts:
    """What code generation cannot know of the model by itself.

    Attributes:
        model_hash: Hash of the model as imported, weights included; part of the model id.
        options: Canonical text of the options that matter; part of the model id.
        model_id: Given id; "" derives one.
        data_type: The precision that was compiled for, such as "float32".
        max_ids: Largest legal value of integer inputs that index tables, by input name.
        layouts: Layout of image inputs and outputs by name, such as "NHWC".
        parameters: Number of elements of the model's constants.
    """

    model_hash: str = ""
    options: str = ""
    model_id: str = ""
    data_type: str = ""
    max_ids: Mapping[str, int] = field(default_factory=dict)
    layouts: Mapping[str, str] = field(default_factory=dict)
    parameters: int = 0


def model_id(facts: ModelFacts, target: Target, version: str) -> str:
    """The given id, or a UUIDv5 of model, options, target and version."""
    if facts.model_id:
        return facts.model_id
    text = "\n".join([facts.model_hash, facts.options, str(target), version])
    return str(uuid.uuid5(NAMESPACE, text))


def make_schema(
    graph: Graph,
    plan: Plan,
    target: Target,
    facts: ModelFacts,
    *,
    version: str,
    threads: int,
    level: int,
    features: Sequence[str],
    weights_bytes: int,
    crc: int | None,
) -> dict[str, Any]:
    """The schema without `build_id`, `glibc` and the date, which are known later.

    Args:
        graph: The graph of kernels.
        plan: Its plan.
        target: What it was compiled for.
        facts: Of the model.
        version: Of leip.
        threads: That schedules were chosen for.
        level: Optimization level.
        features: CPU features that the engine checks for.
        weights_bytes: Size of the packed weights.
        crc: CRC-32 of the weights, if it is stored.
    """
    schema: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "producer": "leip",
        "producer_version": version,
        "model_id": model_id(facts, target, version),
        "model_name": graph.name,
        "data_type": facts.data_type or _data_type(graph),
        "target": {
            "kind": target.kind,
            "triple": target.triple,
            "cpu": target.cpu,
            "features": list(features),
        },
        "level": level,
        "threads": threads,
        "inputs": _ios(graph.input_names, graph.inputs, facts, with_ids=True),
        "outputs": _ios(graph.output_names, graph.outputs, facts, with_ids=False),
        "memory": {
            "weights_bytes": weights_bytes,
            "arena_bytes": plan.arena_bytes,
            "workspace_bytes": plan.workspace_bytes,
        },
        "parameters": facts.parameters,
        "flops": plan.flops,
        "kernels": _kernels(plan),
    }
    if crc is not None:
        schema["weights_crc32"] = f"{crc:08x}"
    return schema


def to_json(schema: Mapping[str, Any]) -> str:
    """As it is written: readable, same bytes for same content; lists of numbers on one line."""
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    # strings in JSON hold no line breaks, so a bracket and a break are never inside one
    lists = re.compile(r"\[\n([^\[\]{}]*?)\n *\]")
    flat = lists.sub(lambda m: "[" + ", ".join(re.split(r",\n *", m[1].strip())) + "]", text)
    return flat + "\n"


def _data_type(graph: Graph) -> str:
    """The float type that most of the kernels' results have; the widest integer one if none."""
    counts: dict[str, int] = {}
    for node in graph.nodes():
        if node.op in ("kernel", "input"):
            for value in node.outputs:
                counts[value.dtype.value] = counts.get(value.dtype.value, 0) + value.type.size
    floats = {name: count for name, count in counts.items() if "float" in name}
    best = floats or counts
    return max(best, key=lambda name: (best[name], name)) if best else ""


def _ios(
    names: Sequence[str], values: Sequence[Value], facts: ModelFacts, *, with_ids: bool
) -> list[dict[str, Any]]:
    entries = []
    for name, value in zip(names, values):
        entry: dict[str, Any] = {
            "name": name,
            "shape": list(value.type.physical_shape),
            "dtype": value.dtype.value,
        }
        layout = facts.layouts.get(name) or (str(value.layout) if value.layout else "")
        if layout:
            entry["layout"] = layout
        if with_ids and name in facts.max_ids:
            entry["max_id"] = facts.max_ids[name]
        entries.append(entry)
    return entries


def _kernels(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "name": step.name,
            "symbol": step.entry,
            "template": step.template,
            "config": step.config,
            "origin": step.origin,
            "flops": step.flops,
            "bytes": step.bytes,
        }
        for step in plan.steps
    ]
