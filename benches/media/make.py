"""Makes a clip of the scale bench: `make.py VTEST.avi OUT NAME` writes NAME.mp4 and NAME.json into OUT.

Real people from a real surveillance camera walk at known times through that camera's own, empty street, behind sensor noise
that is new in every picture. Same inputs, same numpy, same encoder: same bytes."""

import json
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import schedule
from encode import GOP, encode, sizes, undate
from scene import FPS, HEIGHT, SOURCE_HEIGHT, SOURCE_WIDTH, WIDTH, Noise, Planes, background, median
from walkers import cut

RECIPES = Path(__file__).with_name("clips.toml")
GRAIN = 20
"""Seed of the street's own texture: the same in all clips."""


def main(avi: Path, out: Path, name: str) -> None:
    """Makes the named clip."""
    recipes = tomllib.loads(RECIPES.read_text())
    clip = next(clip for clip in recipes["clip"] if clip["name"] == name)
    frames = clip["seconds"] * FPS
    source = decoded(avi, out / "source.i420")
    empty = median(source)
    street = background(empty, GRAIN)
    walkers = {entry["name"]: cut(entry["name"], entry["frames"], entry["box"], source, empty) for entry in recipes["walker"]}
    if "busy" in clip:
        events = schedule.busy(clip["busy"], frames, walkers, clip["seed"])
    else:
        events = schedule.written(clip.get("events", []), walkers)
    described = list(schedule.described(events, recipes["zone"]))
    file = out / f"{name}.mp4"
    noise = Noise(street, recipes["noise"], clip["seed"])
    encode(pictures(street, noise, events, frames), recipes["encoders"][clip["encode"]], file)
    undate(file)
    facts = {"clip": name, "rate_control": clip["encode"], **measured(file, frames), "zone": recipes["zone"], "events": described}
    file.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")


def decoded(avi: Path, raw: Path) -> np.ndarray:
    """The source's pictures, raw, one a row."""
    pipeline = f"filesrc location={avi} ! avidemux ! avdec_msmpeg4 ! videoconvert ! video/x-raw,format=I420 ! filesink location={raw}"
    subprocess.run(["gst-launch-1.0", "--quiet", *pipeline.split()], check=True)
    return np.memmap(raw, np.uint8, "r").reshape(-1, SOURCE_WIDTH * SOURCE_HEIGHT * 3 // 2)


def pictures(street: Planes, noise: Noise, events: list[schedule.Event], frames: int) -> Iterator[Planes]:
    """What the camera sends, picture by picture."""
    for frame in range(frames):
        present = [event for event in events if event.shows(frame)]
        scene = tuple(plane.copy() for plane in street) if present else street
        # Who is farther down is nearer, and stands before the others.
        for event in sorted(present, key=lambda event: event.box(frame).bottom):
            event.walker.paint(event.start + frame - event.begin, scene)
        yield noise.add(scene)


def measured(file: Path, frames: int) -> dict:
    """What the encoder made of it."""
    made = sizes(file)
    if len(made.pictures) != frames or made.keys != list(range(0, frames, GOP)):
        raise SystemExit(f"{file.name}: {len(made.pictures)} pictures, key frames at {made.keys[:5]}…: not what was asked for")
    keys = [made.pictures[key] for key in made.keys]
    deltas = [size for number, size in enumerate(made.pictures) if number % GOP]
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "duration_s": frames / FPS,
        "gop_s": GOP / FPS,
        "bitrate_kbps": round(sum(made.pictures) * 8 / (frames / FPS) / 1000),
        "key_frame_bytes": {"median": round(statistics.median(keys)), "max": max(keys)},
        "delta_frame_bytes": {"median": round(statistics.median(deltas)), "max": max(deltas)},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
