"""The int8 variants of a float model: QDQ (QuantizeLinear, DequantizeLinear), which every runtime reads its own way.

Weights are signed, a scale per output channel; activations are unsigned, a scale and a zero point per tensor; biases are
32-bit. The activations' ranges are committed (`ranges/ID.json`); `calibrate.py` made them. Only convolutions and
additions become int8; the arithmetic of boxes and scores behind them, transposed convolutions (we know of no int8
kernel for them) and what `FLOAT` names stay float.

**Full and reduced range.** x86 processors without VNNI multiply with `vpmaddubsw`: two products u8·s8 are added in 16 bits,
which saturate at 32767. With weights of 8 bits (2·255·127 = 64770) that happens and is silent; with weights of 7 bits
(2·255·64 = 32640) it cannot. The reduced variant is for those processors, and a little less exact. Depthwise convolutions
keep their 8 bits in it: their kernels widen to 16 bits first (`vpmaddwd`), and they are what suffers most.

Bytes are the same on every run: weights change element by element, in IEEE arithmetic, and are rounded half to even.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, numpy_helper

from onnxfile import Writer, finish

FULL, REDUCED = 127, 64
"""The largest magnitude a weight may have."""

RANGES = Path(__file__).parent / "ranges"

Keeps = Callable[[NodeProto], bool]


def _nothing(_node: NodeProto) -> bool:
    """Nothing: SSDLite's last convolutions are as good in int8, measured, and a fifth faster with it."""
    return False


def _centerface_head(node: NodeProto) -> bool:
    """Heat map, size (an exponent follows) and offset: not tried in int8, whose steps would be added to boxes and sizes."""
    return node.op_type == "Conv" and node.input[1].startswith("head.")


def _efficientnet_start(node: NodeProto) -> bool:
    """The stem and block 0: two fifths of what int8 lost were lost there, measured, and float they cost no time."""
    return node.output[0].startswith(("stem", "block0"))


FLOAT: dict[str, Keeps] = {"ssdlite-mobilenet-v2": _nothing, "centerface": _centerface_head, "efficientnet-lite0": _efficientnet_start}
"""What stays float though it could be int8, by model. Not a convolution between two int8 ones: ONNX Runtime would quantise its
weights by itself, with one scale for all channels, which for depthwise ones is ruinous (three times the loss of all in int8, measured)."""


def variant(identifier: str, model: ModelProto, limit: int) -> ModelProto:
    """The int8 variant of a float model, by its committed ranges."""
    ranges = json.loads((RANGES / f"{identifier}.json").read_text())["ranges"]
    return Quantiser(model, FLOAT[identifier], ranges, limit).model()


def tensors(identifier: str, model: ModelProto) -> list[str]:
    """The activations whose ranges are needed: what int8 operations read or write, behind their ReLU."""
    return sorted(Quantiser(model, FLOAT[identifier], {}, FULL).measured())


class Quantiser:
    """Rewrites one graph."""

    def __init__(self, model: ModelProto, keeps: Keeps, ranges: dict[str, list[float]], limit: int) -> None:
        graph = model.graph
        self.graph, self.keeps, self.ranges, self.limit = graph, keeps, ranges, limit
        self.weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.writer = Writer()
        self.views: dict[str, str] = {}
        self.doc = model.doc_string
        # A clamp is left out, so that its input is what is quantised, and clamped by that.
        clamps = ((node, self._clamp(node)) for node in graph.node)
        self.unclamped = {clamp.output[0]: node.output[0] for node, clamp in clamps if clamp is not None}

    def model(self) -> ModelProto:
        """The rewritten model."""
        made: set[str] = set()  # the results of int8 operations: everybody reads them through their 8 bits
        for node in self.graph.node:
            if node.output[0] in self.unclamped:
                continue
            new = NodeProto()
            new.CopyFrom(node)
            int8 = self._is_int8(node)
            for place, name in enumerate(node.input):
                if name in self.weights:
                    continue
                if int8 or name in made:
                    new.input[place] = self._view(name)
            if int8 and node.op_type == "Conv":
                self._convolution(node, new)
            else:
                for name in node.input:
                    if name in self.weights:
                        self.writer.constant(name, self.weights[name])
            if int8:
                made.add(self._result(node))
            self.writer.nodes.append(new)
        bits = "8" if self.limit == FULL else "7"
        return finish(
            self.graph.name, f"{self.doc}; int8, weights of {bits} bits",
            self.writer.nodes, list(self.writer.constants.values()), list(self.graph.input), list(self.graph.output))

    def measured(self) -> set[str]:
        """The names of all activations with 8 bits."""
        names = set()
        for node in filter(self._is_int8, self.graph.node):
            names.update(name for name in node.input if name not in self.weights)
            names.add(self._result(node))
        return names

    def _is_int8(self, node: NodeProto) -> bool:
        """Convolutions, and additions of two convolutions' results: not those of the boxes' arithmetic."""
        if self.keeps(node):
            return False
        if node.op_type == "Conv":
            return True
        return node.op_type == "Add" and any(reader.op_type == "Conv" for reader in self.readers.get(node.output[0], []))

    def _clamp(self, node: NodeProto) -> NodeProto | None:
        """The ReLU or ReLU6 that is all that reads an int8 operation's result."""
        readers = self.readers.get(node.output[0], [])
        if self._is_int8(node) and len(readers) == 1 and readers[0].op_type in ("Relu", "Clip"):
            return readers[0]
        return None

    def _result(self, node: NodeProto) -> str:
        """What an int8 operation's result is called, behind its ReLU."""
        clamp = self._clamp(node)
        return clamp.output[0] if clamp is not None else node.output[0]

    def _scale(self, name: str) -> tuple[np.float32, np.uint8]:
        """Scale and zero point of an activation. Zero, which pads pictures, must be exact."""
        low, high = (np.float64(bound) for bound in self.ranges[name])
        low, high = min(low, np.float64(0)), max(high, np.float64(1e-6))
        scale = np.float32((high - low) / 255)
        return scale, np.uint8(np.clip(np.rint(-low / np.float64(scale)), 0, 255))

    def _view(self, name: str) -> str:
        """The activation as seen through its 8 bits."""
        if name not in self.views:
            scale, zero = self._scale(name)
            parameters = [self.writer.scalar(f"{name}/scale", scale), self.writer.scalar(f"{name}/zero", zero)]
            quantised = self.writer.node("QuantizeLinear", [self.unclamped.get(name, name), *parameters], f"{name}/int8")
            self.views[name] = self.writer.node("DequantizeLinear", [quantised, *parameters], f"{name}/view")
        return self.views[name]

    def _convolution(self, node: NodeProto, new: NodeProto) -> None:
        """Weights and bias in integers. Of a dead channel the scale is 1, and all its weights are 0."""
        source, kernel, bias = node.input
        weights = self.weights[kernel].astype(np.float64)
        largest = np.abs(weights).reshape(weights.shape[0], -1).max(axis=1)
        groups = next(item.i for item in node.attribute if item.name == "group")
        limit = FULL if groups == weights.shape[0] else self.limit
        scales = np.where(largest > 0, largest / limit, 1).astype(np.float32)
        steps = np.rint(weights / scales.astype(np.float64)[:, None, None, None])
        integers = np.clip(steps, -limit, limit).astype(np.int8)
        new.input[1] = self._constant_view(kernel, integers, scales)
        # A runtime adds the bias to sums of products: its scale is theirs.
        products = scales * self._scale(source)[0]
        most = np.iinfo(np.int32).max
        steps = np.rint(self.weights[bias].astype(np.float64) / products.astype(np.float64))
        new.input[2] = self._constant_view(bias, np.clip(steps, -most, most).astype(np.int32), products)

    def _constant_view(self, name: str, integers: np.ndarray, scales: np.ndarray) -> str:
        zero = np.zeros(scales.shape, integers.dtype)
        names = [self.writer.constant(f"{name}/{part}", value) for part, value in (("int8", integers), ("scale", scales), ("zero", zero))]
        return self.writer.node("DequantizeLinear", names, f"{name}/view", axis=0)
