"""Finding and reading an .onnx file, with a plain word for every way in which that fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from ...errors import ModelError
from .tensors import TensorReader, external_tensors

MAX_PROTOBUF = (1 << 31) - 1
_MODEL_FIELDS = {
    # field number in ModelProto -> wire type (0 varint, 2 length-delimited)
    1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2,
}  # fmt: skip
_OTHER_KINDS = (
    (b"version https://git-lfs", "a Git LFS pointer", "Run `git lfs pull` to get the real file."),
    (b"PK\x03\x04", "a zip archive", "A PyTorch .pt file has to be exported: torch.onnx.export."),
    (b"\x89HDF", "an HDF5 file", "A Keras model has to be exported with tf2onnx."),
    (b"<", "a text or HTML file", "The download may have failed; get the file again."),
    (b"{", "a JSON file", ""),
    (b"#", "a text file", ""),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"\x7fELF", "an ELF object", ""),
)


@dataclass(frozen=True)
class LoadedModel:
    """A parsed model.

    Attributes:
        proto: The model, external data not loaded.
        path: The file it came from; None for one built in memory.
        reader: Reads its tensors.
    """

    proto: onnx.ModelProto
    path: Path | None
    reader: TensorReader


def find_model(path: str | os.PathLike[str]) -> Path:
    """The .onnx file at `path`, which may be a folder that holds exactly one.

    Raises:
        ModelError: If there is none, or more than one.
    """
    found = Path(path)
    if not found.exists():
        raise ModelError("no such file or folder", str(found))
    if not found.is_dir():
        return found
    models = sorted(p for p in found.iterdir() if p.suffix == ".onnx" and p.is_file())
    if len(models) == 1:
        return models[0]
    if not models:
        raise ModelError("the folder holds no .onnx file", str(found))
    names = ", ".join(p.name for p in models[:5]) + (", ..." if len(models) > 5 else "")
    raise ModelError(
        f"the folder holds {len(models)} .onnx files: {names}",
        str(found),
        f"Give the path of one of them, for example {models[0]}.",
    )


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Read an .onnx file, or the only one in a folder.

    External data stays where it is; that it is there and inside the folder is checked.

    Raises:
        ModelError: If the file is missing, empty, truncated, not ONNX, or lacks its data.
    """
    file = find_model(path)
    try:
        size = file.stat().st_size
        data = file.read_bytes() if 0 < size <= MAX_PROTOBUF else b""
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}", str(file)) from None
    if size == 0:
        raise ModelError("the file is empty", str(file))
    if size > MAX_PROTOBUF:
        raise ModelError(
            f"the file has {size} bytes; ONNX files end at 2 GB",
            str(file),
            "Save the model with external data (onnx.save(..., save_as_external_data=True)).",
        )
    proto = _parse(data, file)
    reader = TensorReader(file.parent)
    for tensor in external_tensors(proto.graph):
        try:
            reader.external_path(tensor)
        except ModelError as error:
            raise ModelError(error.message, str(file), error.hint) from None
    return LoadedModel(proto, file, reader)


def _parse(data: bytes, file: Path) -> onnx.ModelProto:
    problem = _wire_problem(data)
    proto = onnx.ModelProto()
    if not problem:
        try:
            proto.ParseFromString(data)
        except DecodeError:
            problem = "foreign"
    if problem == "truncated":
        raise ModelError(
            f"the file is truncated: it ends after {len(data)} bytes, inside the model",
            str(file),
            "Copy or download it again.",
        )
    if problem or not proto.HasField("graph"):
        for magic, kind, hint in _OTHER_KINDS:
            if data.lstrip()[: len(magic)] == magic:
                raise ModelError(f"not an ONNX model, but {kind}", str(file), hint)
        raise ModelError("not an ONNX model", str(file))
    _check_text(proto.graph, file)
    return proto


def _check_text(graph: onnx.GraphProto, file: Path) -> None:
    """Names must be UTF-8: protobuf gives others as bytes. Raises ModelError."""
    names: list[object] = [tensor.name for tensor in graph.initializer]
    names += [info.name for info in (*graph.input, *graph.output)]
    for node in graph.node:
        names += [node.op_type, node.domain, node.name, *node.input, *node.output]
        for attribute in node.attribute:
            names += [attribute.name, attribute.ref_attr_name]
            if attribute.type == onnx.AttributeProto.GRAPH:
                _check_text(attribute.g, file)
    if any(isinstance(name, bytes) for name in names):
        raise ModelError("the file is damaged: a name in it is not UTF-8", str(file))


def _wire_problem(data: bytes) -> str:
    """Walks the outermost protobuf fields: "" if all is well, "truncated" or "foreign".

    The protobuf parser itself does not tell a cut file from a foreign one.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        if _MODEL_FIELDS.get(tag >> 3) != (tag & 7):
            return "truncated" if at < 0 and start else "foreign"
        value, at = _varint(data, at)
        if at < 0:
            return "truncated"
        if tag & 7 == 2:
            at += value
            if at > len(data):
                # the first field is the tiny IR version or a name: a huge one is a foreign file
                return "truncated" if start or tag >> 3 == 7 else "foreign"
    return ""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and the position after it, (-1, -1) if the data ends inside it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return -1, -1
        value |= (data[at] & 127) << shift
        at += 1
        if not data[at - 1] & 128:
            return value, at
    return -1, -1
