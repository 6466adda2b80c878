"""Reads a TensorFlow.js graph model (`model.json` and its weight shards)."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Node:
    """One operation of a TensorFlow graph."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: dict

    def integer(self, name: str, default: int = 0) -> int:
        """An integer attribute (JSON has them as text)."""
        return int(self.attributes[name].get("i", default)) if name in self.attributes else default

    def integers(self, name: str) -> list[int]:
        """A list of integers."""
        return [int(value) for value in self.attributes[name]["list"]["i"]]

    def number(self, name: str) -> float:
        """A floating point attribute."""
        return float(self.attributes[name]["f"])

    def text(self, name: str) -> str:
        """A string attribute: converters wrote it as a list of bytes or as base64."""
        value = self.attributes[name]["s"]
        return bytes(value).decode() if isinstance(value, list) else base64.b64decode(value).decode()


@dataclass(frozen=True)
class Graph:
    """Operations by name, and the values of the constants among them."""

    nodes: dict[str, Node]
    constants: dict[str, np.ndarray]


def read(files: list[Path]) -> Graph:
    """Reads the model made of these files, which stand in one folder."""
    model_file = next(path for path in files if path.name == "model.json")
    model = json.loads(model_file.read_text())
    nodes = {}
    for entry in model["modelTopology"]["node"]:
        inputs = tuple(name for name in entry.get("input", []) if not name.startswith("^"))  # ^: order only
        nodes[entry["name"]] = Node(entry["name"], entry["op"], inputs, entry.get("attr", {}))
    constants = {}
    for group in model["weightsManifest"]:
        data = b"".join((model_file.parent / path).read_bytes() for path in group["paths"])
        at = 0
        for weight in group["weights"]:
            if "quantization" in weight:
                raise ValueError(f"{weight['name']}: quantised weights are not read")
            kind = np.dtype({"float32": "<f4", "int32": "<i4"}[weight["dtype"]])
            count = int(np.prod(weight["shape"], dtype=np.int64))
            value = np.frombuffer(data, kind, count, at).reshape(weight["shape"])
            constants[weight["name"]] = value.astype(kind.newbyteorder("="))
            at += count * kind.itemsize
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes of weights left over")
    return Graph(nodes, constants)
