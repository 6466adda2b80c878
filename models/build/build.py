"""Builds one model file: `build.py ID VARIANT OUTPUT [SOURCE …]`.

The sources of the variant `float` are the files of the model's package; of `int8` and `int8.reduced`, the float file.

The bytes written are the same on every run and machine: nothing here depends on the time, on the order of
a hash table, or on a linear algebra library (weights are changed only element by element, in IEEE arithmetic).
"""

import sys
from pathlib import Path

import centerface
import coco_ssd
import efficientnet_lite0
import onnx
import quantise
import scene
import sensor
import synthetic
from onnx import ModelProto

BUILDERS = {
    "centerface": centerface.build,
    "efficientnet-lite0": efficientnet_lite0.build,
    "ssdlite-mobilenet-v2": coco_ssd.build,
    "synthetic-contrast": scene.contrast,
    "synthetic-glare": scene.glare,
    "synthetic-stumbles": sensor.stumbles,
    "synthetic-yolov8": synthetic.yolov8,
    "synthetic-yolox": synthetic.yolox,
    "window-distance": sensor.window_distance,
}


LIMITS = {"int8": quantise.FULL, "int8.reduced": quantise.REDUCED}


def main(identifier: str, variant: str, output: str, *sources: str) -> None:
    """Builds, and writes the file."""
    if variant == "float":
        model: ModelProto = BUILDERS[identifier]([Path(source) for source in sources])
    else:
        model = quantise.variant(identifier, onnx.load(sources[0]), LIMITS[variant])
    Path(output).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
