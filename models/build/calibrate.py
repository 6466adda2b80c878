"""Measures the ranges of a float model's activations on the sample media: `calibrate.py ID MODEL.onnx MEDIA_FOLDER`.

Writes `ranges/ID.json`, from which `quantise.py` makes the int8 variants. It is run by hand, when a model or the media
change, and needs what the ordinary build does not: `pip install onnxruntime==1.31.1 numpy onnx`, and GStreamer's
`gst-launch-1.0` (`make deps`). Its result is committed, for sums of floats differ from processor to processor.

The pictures measured are not those that `precision` compares the variants on: other parts of the clips, other pictures.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import quantise


@dataclass(frozen=True)
class Clip:
    """Pictures of one file: from `first` to `last` second, one each `every` seconds; a picture has one only."""

    name: str
    first: float = 0.0
    last: float = 1e9
    every: float = 1.0


@dataclass(frozen=True)
class Input:
    """What a model is shown: whole pictures and square parts of them of these sides."""

    clips: tuple[Clip, ...]
    size: tuple[int, int]
    mean: float
    std: float
    parts: tuple[int, ...] = ()


INPUTS = {
    "ssdlite-mobilenet-v2": Input(
        (Clip("vtest.mp4", 0, 26, 2), Clip("face-long.mp4", 0, 20, 5), Clip("no_face.mp4", 0, 20, 5), Clip("faces1.jpg"), Clip("faces2.jpg")),
        (300, 300), 127.5, 127.5, (300, 420)),
    "centerface": Input(
        (Clip("faces1.jpg"), Clip("faces2.jpg"), Clip("faces3.jpg"), Clip("face-long.mp4", 0, 20, 4), Clip("vtest.mp4", 0, 26, 6)),
        (640, 384), 0, 1),
    "efficientnet-lite0": Input(
        (Clip("vtest.mp4", 0, 26, 2), Clip("face-long.mp4", 0, 20, 5), Clip("no_face.mp4", 0, 20, 5), Clip("faces1.jpg"), Clip("faces2.jpg")),
        (320, 256), 127, 128),
}


def main(identifier: str, model_file: str, media: str) -> None:
    """Measures and writes."""
    wanted = INPUTS[identifier]
    model = onnx.load(model_file)
    names = quantise.tensors(identifier, model)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name != "images")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    low, high, count = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf), 0
    for picture in pictures(wanted, Path(media)):
        images = ((picture.astype(np.float32) - wanted.mean) / wanted.std).transpose(2, 0, 1)[None]
        values = dict(zip((output.name for output in session.get_outputs()), session.run(None, {"images": images})), images=images)
        for name in names:
            low[name], high[name] = min(low[name], values[name].min()), max(high[name], values[name].max())
        count += 1
    # Five digits: a step of 8 bits is a hundred times as coarse.
    ranges = {name: [float(f"{bound:.5g}") for bound in (low[name], high[name])] for name in names}
    parts = [clip.name if clip.name.endswith("jpg") else f"{clip.name} {clip.first}–{min(clip.last, 99):g} s every {clip.every:g} s" for clip in wanted.clips]
    made = {"made_by": "calibrate.py: smallest and largest value of each activation", "pictures": count, "of": parts}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(bounds)}" for name, bounds in ranges.items())
    head = json.dumps(made, indent=1, ensure_ascii=False).removesuffix("\n}")
    (quantise.RANGES / f"{identifier}.json").write_text(f'{head},\n "ranges": {{\n{lines}\n }}\n}}\n')
    print(f"{identifier}: {len(ranges)} activations on {count} pictures")


def pictures(wanted: Input, media: Path) -> Iterator[np.ndarray]:
    """What the model is shown, [height, width, 3] in 0..255."""
    for clip in wanted.clips:
        for frame in frames(media / clip.name, clip):
            yield shown(frame, wanted)
            height, width = frame.shape[:2]
            for side in wanted.parts:
                for top in range(0, max(height - side, 0) + 1, side * 3 // 4):
                    for left in range(0, max(width - side, 0) + 1, side * 3 // 4):
                        yield shown(frame[top:top + side, left:left + side], wanted)


def frames(path: Path, clip: Clip) -> Iterator[np.ndarray]:
    """The pictures of a file, [height, width, 3], ten of each second looked at; GStreamer's own parts do the decoding."""
    rate = "" if path.suffix == ".jpg" else "videorate ! video/x-raw,framerate=10/1 ! "
    pipeline = f"filesrc location={path} ! decodebin ! videoconvert ! {rate}videoconvert ! video/x-raw,format=RGB ! pnmenc ! fdsink"
    with subprocess.Popen(["gst-launch-1.0", "-q", *pipeline.split()], stdout=subprocess.PIPE) as process:
        number = 0
        while head := process.stdout.readline():
            assert head == b"P6\n", head
            while (line := process.stdout.readline()).startswith(b"#"):
                pass
            width, height = map(int, line.split())
            process.stdout.readline()  # the largest value
            frame = np.frombuffer(process.stdout.read(width * height * 3), np.uint8).reshape(height, width, 3)
            second, number = number / 10, number + 1
            if clip.first <= second <= clip.last and round((second - clip.first) * 10) % round(clip.every * 10) == 0:
                yield frame


def shown(frame: np.ndarray, wanted: Input) -> np.ndarray:
    """A picture at the model's size: stretched bilinearly."""
    width, height = wanted.size
    rows = np.clip((np.arange(height) + .5) * frame.shape[0] / height - .5, 0, frame.shape[0] - 1)
    columns = np.clip((np.arange(width) + .5) * frame.shape[1] / width - .5, 0, frame.shape[1] - 1)
    def between(values: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (at - low).reshape([-1 if index == axis else 1 for index in range(3)])
        return np.take(values, low, axis) * (1 - share) + np.take(values, high, axis) * share
    return between(between(frame.astype(np.float32), rows, 0), columns, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
