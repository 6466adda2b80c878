"""A small Debian of its own in a folder: made by debootstrap once, kept as a tarball, unpacked anew for each test.

Its mounts are in a mount namespace of ours, its processes in a process namespace: whatever becomes of the test, the
kernel takes both away when the test's first process ends.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SUITE = "bookworm"

POLICY = "#!/bin/sh\n# No service is started here: this is no running system.\nexit 101\n"


class TestError(Exception):
    """What does not hold; its text is the whole message."""


def enter_namespaces() -> None:
    """Starts this program once more, in namespaces of its own; returns there."""
    inside = "SNOWGATE_DEB_TEST_INSIDE"
    if os.environ.get(inside):
        return
    if os.geteuid() != 0:
        raise TestError("debootstrap and chroot need root: run it as root")
    unshare = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    os.execvpe(unshare[0], [*unshare, sys.executable, *sys.argv], {**os.environ, inside: "1"})


class DebianRoot:
    """The unpacked folder, with its mounts."""

    def __init__(self, work: Path, architecture: str | None = None) -> None:
        """Unpacks it; another architecture than the machine's own needs a kernel that hands its programs to an emulator."""
        self.work = work
        own = _run("dpkg", "--print-architecture").stdout.strip()
        self.architecture = architecture or own
        self.emulated = self.architecture != own
        self.path = work / "root"
        shutil.rmtree(self.path, ignore_errors=True)
        base = self._base()
        self.path.mkdir()
        _run("tar", "-C", self.path, "-xpf", base)
        self._mount("-t", "proc", "proc", self.path / "proc")
        # Packages that were downloaded once are there the next time.
        archives = work / "archives"
        (archives / "partial").mkdir(parents=True, exist_ok=True)
        self._mount("--bind", archives, self.path / "var/cache/apt/archives")
        self._configure()
        self.run("apt-get", "-q", "update")

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess:
        """Runs a program in it as root, without a terminal; its output is one text."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        proxies = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
        return _run("chroot", self.path, *command, check=check, env=environment | proxies)

    def at(self, place: str) -> Path:
        """A path as it is called inside, as it is called out here."""
        return self.path / place.lstrip("/")

    def take(self, file: Path) -> str:
        """Copies a file into it; its path inside."""
        shutil.copy(file, self.at("/tmp"))
        return f"/tmp/{file.name}"

    def unmount(self) -> None:
        """Takes the mounts away, the last one first. Ending would do it too."""
        for place in ("var/cache/apt/archives", "proc"):
            subprocess.run(["umount", self.path / place], stderr=subprocess.DEVNULL)

    def _base(self) -> Path:
        """The tarball of a fresh Debian; its making takes a minute or two, and some more where it is emulated."""
        base = self.work / f"base-{SUITE}-{self.architecture}.tar"
        if not base.is_file():
            print(f"  making a Debian {SUITE} (once; kept as {base.name})", flush=True)
            making = self.work / "making"
            shutil.rmtree(making, ignore_errors=True)
            _run("debootstrap", f"--arch={self.architecture}", "--variant=minbase", SUITE, making, sources()[0][0])
            _run("tar", "-C", making, "-cf", f"{base}.new", ".")
            os.replace(f"{base}.new", base)
            shutil.rmtree(making)
        return base

    def _configure(self) -> None:
        """The machine's own sources of this suite, its name server, and no services."""
        key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        lines = [f"deb {key} {address} {suite} main\n" for address, suite in sources()]
        self.at("/etc/apt/sources.list").write_text("".join(lines))
        shutil.copy("/etc/resolv.conf", self.at("/etc/resolv.conf"))
        self.at("/etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
        # What is only recommended is not needed.
        self.at("/etc/apt/apt.conf.d/recommends").write_text('APT::Install-Recommends "false";\n')
        policy = self.at("/usr/sbin/policy-rc.d")
        policy.write_text(POLICY)
        policy.chmod(0o755)

    def _mount(self, *arguments: str | Path) -> None:
        _run("mount", *arguments)


def sources() -> list[tuple[str, str]]:
    """Address and suite of what apt is configured with on this machine, the plain suite first."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = _run("apt-get", "indextargets", "--format", form, "Created-By: Packages").stdout.splitlines()
    targets = (line.split() for line in lines)
    found = dict.fromkeys((address, suite) for address, suite, component in targets
                          if component == "main" and suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-security"))
    if SUITE not in (suite for _, suite in found):
        raise TestError(f"apt knows no source of Debian {SUITE} on this machine")
    return sorted(found, key=lambda source: source[1])


def _run(*command: str | Path, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    if check and done.returncode != 0:
        last = "\n".join(done.stdout.strip().splitlines()[-25:])
        raise TestError(f"this failed (exit {done.returncode}): {' '.join(map(str, command))}\n{last}")
    return done
