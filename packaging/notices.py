"""The notices of the Rust crates that are linked into the program: names, licences, and the texts they come with."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")
"""How files with such texts begin."""


def text(target: str | None = None) -> str:
    """All of it, each text once, with the crates it belongs to; for a Rust target, or this machine."""
    crates = _linked(["--target", target] if target else [])
    lines = [f"{name} {version}: {licence}" for name, version, licence, _ in crates]
    texts: dict[str, list[str]] = {}
    for name, version, _, folder in crates:
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name.upper().startswith(NAMES):
                texts.setdefault(file.read_text(errors="replace").strip(), []).append(f"{name} {version} ({file.name})")
    parts = ["Rust crates linked into snowgate\n\n" + "\n".join(lines)]
    parts += [f"{', '.join(of)}:\n\n{text}" for text, of in texts.items()]
    return ("\n\n" + "-" * 80 + "\n\n").join(parts) + "\n"


def _linked(target: list[str]) -> list[tuple[str, str, str, Path]]:
    """Name, version, licence and folder of each, as far as they come from elsewhere; build tools are left out."""
    cargo = lambda *arguments: subprocess.run(
        ["cargo", *arguments, "--locked", "--offline"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    packages = {(package["name"], package["version"]): package
                for package in json.loads(cargo("metadata", "--format-version", "1"))["packages"]}
    tree = cargo("tree", *target, "--package", "snowgate", "--edges", "normal", "--prefix", "none", "--format", "{p}")
    # `name v1.2.3`, and a path behind it where the crate is our own.
    names = sorted({(words[0], words[1].removeprefix("v")) for words in map(str.split, tree.splitlines()) if len(words) >= 2})
    found = (packages[name] for name in names)
    return [(package["name"], package["version"], package["license"] or "see its text", Path(package["manifest_path"]).parent)
            for package in found if package["source"]]
