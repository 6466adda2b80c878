"""Builds one model file: `build.py ID OUTPUT [SOURCE …]`, where the sources are the files of the model's package.

The bytes written are the same on every run and machine: nothing here depends on the time, on the order of
a hash table, or on a linear algebra library (weights are changed only element by element, in IEEE arithmetic).
"""

import sys
from pathlib import Path

import centerface
import coco_ssd
import synthetic
from onnx import ModelProto

BUILDERS = {
    "centerface": centerface.build,
    "ssdlite-mobilenet-v2": coco_ssd.build,
    "synthetic-yolov8": synthetic.yolov8,
    "synthetic-yolox": synthetic.yolox,
}


def main(identifier: str, output: str, *sources: str) -> None:
    """Builds, and writes the file."""
    model: ModelProto = BUILDERS[identifier]([Path(source) for source in sources])
    Path(output).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
