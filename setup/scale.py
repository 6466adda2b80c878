"""`make scale-media`: the clips of `benches/media/clips.toml`, made once in the cache and linked into `assets/scale`."""

import hashlib
import json
import os
import tomllib
from pathlib import Path

from cache import ROOT, Cache, SetupError, link, python_for_models, run, say
from fetch import fetch, package

BUILD = ROOT / "benches/media"
PLACE = ROOT / "assets/scale"
VTEST = "usr/share/doc/opencv-doc/examples/data/vtest.avi"


def make(cache: Cache, _options: set[str]) -> None:
    """Makes what the cache lacks, then links everything into the clone."""
    recipes = tomllib.loads((BUILD / "clips.toml").read_text())
    clips = recipes.pop("clip")
    encoders = recipes.pop("encoders")
    # A clip depends on its own recipe, on what all share, and on the programs.
    common = hashlib.sha256(json.dumps([package("opencv-doc").files[VTEST], recipes], sort_keys=True).encode())
    for source in sorted(BUILD.glob("*.py")):
        common.update(source.read_bytes())
    for clip in clips:
        own = common.copy()
        own.update(json.dumps([clip, encoders[clip["encode"]]], sort_keys=True).encode())
        place = cache.root / "scale" / own.hexdigest()[:16]
        for path in _clip(cache, clip["name"], place):
            link(path, PLACE / path.name)


def _clip(cache: Cache, name: str, place: Path) -> list[Path]:
    """The clip and its facts. The facts get their name last: where they are, both are complete."""
    paths = [place / f"{name}.mp4", place / f"{name}.json"]
    if paths[-1].is_file():
        return paths
    vtest = fetch(cache, "opencv-doc")[VTEST]
    python = python_for_models(cache)
    with cache.workshop() as workshop:
        say(f"making {name}: composed and encoded on one core, a minute or so")
        try:
            run([python, "-B", BUILD / "make.py", vtest, workshop, name])
        except SetupError as error:
            raise SetupError(f"{error}\n  GStreamer's programs and plug-ins come with `make deps`") from None
        place.mkdir(parents=True, exist_ok=True)
        for path in paths:
            with (workshop / path.name).open("rb") as file:
                os.fsync(file.fileno())
            os.replace(workshop / path.name, path)
    return paths
