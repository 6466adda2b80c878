"""What the int8 variants of the scene features lose: `compare_features.py FLOAT.onnx MEDIA_FOLDER VARIANT.onnx …`, run by hand.

Shown are seconds 30 to 79 of `vtest.mp4`, which the calibration has not seen. Printed for each output, over all places of all
pictures: the difference to the float features by their length; and the distance of every place, in pictures of the second half,
to the nearest of those it had in the first half (features of length one), within the float file and within the variant, with
the correlation of the two. The second is what a scene is judged by: what is learnt with a file is compared with that file's own.
Needs what `calibrate.py` needs.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from calibrate import INPUTS, Clip, frames, shown

WANTED = INPUTS["efficientnet-lite0"]
CLIP = Clip("vtest.mp4", 30, 79, 1)
LEARNT_EVERY = 3
"""Of the first half, every third picture is learnt."""


def main(float_file: str, media: str, *variants: str) -> None:
    """Compares and prints."""
    pictures = [
        ((shown(frame, WANTED) - WANTED.mean) / WANTED.std).astype(np.float32).transpose(2, 0, 1)[None]
        for frame in frames(Path(media) / CLIP.name, CLIP)]
    truth = features(float_file, pictures)
    for variant in variants:
        for name, values in features(variant, pictures).items():
            away = np.linalg.norm(values - truth[name], axis=1) / np.linalg.norm(truth[name], axis=1)
            one, other = distances(truth[name]), distances(values)
            print(
                f"{Path(variant).name} {name}, {len(pictures)} pictures: relative difference mean {away.mean():.3f}, 95 % {np.quantile(away, .95):.3f}; "
                f"distance to what was learnt: float mean {one.mean():.3f}, 99 % {np.quantile(one, .99):.3f}, "
                f"variant {other.mean():.3f}, {np.quantile(other, .99):.3f}, correlation {np.corrcoef(one.ravel(), other.ravel())[0, 1]:.4f}")


def features(model_file: str, pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The model's outputs by name, [pictures, channels, rows, columns]."""
    session = onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = zip(*(session.run(names, {"images": picture}) for picture in pictures))
    return {name: np.concatenate(parts) for name, parts in zip(names, values)}


def distances(values: np.ndarray) -> np.ndarray:
    """Of each place in each picture of the second half, to the nearest learnt: [pictures, rows, columns], 0 to 2."""
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    half = len(units) // 2
    learnt = units[:half:LEARNT_EVERY]
    return np.stack([np.linalg.norm(learnt - unit, axis=1).min(axis=0) for unit in units[half:]])


if __name__ == "__main__":
    main(*sys.argv[1:])
