"""The arm64 libraries and headers that `make deb-arm64` builds with: an amd64 Debian with arm64 as its second architecture, in a folder.

apt installs them there (Debian's multiarch), so the machine's own packages and architectures stay as they are. Debian's tools that
say which packages a program needs are in the folder too. It is kept, and made anew when what it must have changes.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from deb import DebError, run
from debian_root import SUITE, TestError, sources

LIBRARIES = ["libc6-dev", "libssl-dev", "libgstreamer1.0-dev", "libgstreamer-plugins-base1.0-dev"]
"""What snowgate is linked with; debian-packages.txt says what for."""

TOOLS = ["dpkg-dev", "binutils-aarch64-linux-gnu"]
"""dpkg-shlibdeps, and the objdump that it asks."""

PACKAGES = [*(f"{library}:arm64" for library in LIBRARIES), *TOOLS]

UNREAD = ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*"]
"""What nobody reads in the folder; a sixth of it."""


def main(arguments: list[str]) -> int:
    """Makes it, where it is not there yet."""
    parser = argparse.ArgumentParser(prog="packaging/sysroot.py", description="Makes the folder that the arm64 package is built with.")
    parser.add_argument("folder", type=Path, help="where it is, or is put")
    folder = parser.parse_args(arguments).folder.absolute()
    try:
        make(folder)
    except (DebError, TestError) as error:
        print(f"make deb-arm64: {error}", file=sys.stderr)
        return 1
    return 0


def make(folder: Path) -> None:
    """The folder gets its name when it is complete."""
    wanted = f"{SUITE} {' '.join(PACKAGES)}\n"
    # Beside it: what is inside belongs to Debian.
    stamp = folder.with_name(f"{folder.name}.contents")
    if folder.is_dir() and stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"making a Debian {SUITE} with arm64's libraries (once; kept as {folder})", flush=True)
    stamp.unlink(missing_ok=True)
    new = folder.with_name(f"{folder.name}.new")
    for old in (folder, new):
        if old.exists():
            shutil.rmtree(old)
    new.mkdir(parents=True)
    archive = folder.with_name(f"{folder.name}.tar")
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    # Making the archive takes the rights of several users; unpacking it none, and the files are then those of who asks.
    run("mmdebstrap", "--variant=apt", "--architectures=amd64,arm64", f"--include={','.join(PACKAGES)}",
        *[f"--dpkgopt=path-exclude={unread}" for unread in UNREAD], SUITE, archive,
        *[f"deb {key} {address} {suite} main" for address, suite in sources()])
    run("tar", "-C", new, "--no-same-owner", "--exclude=./dev/*", "-xf", archive)
    archive.unlink()
    _make_links_relative(new)
    os.replace(new, folder)
    stamp.write_text(wanted)


def _make_links_relative(folder: Path) -> None:
    """An absolute link leads out of the folder for all that is not run inside, as the linker: it would take libm.a for libm.so."""
    for path in folder.rglob("*"):
        if path.is_symlink() and (target := os.readlink(path)).startswith("/"):
            path.unlink()
            path.symlink_to(os.path.relpath(folder / target.lstrip("/"), path.parent))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
