"""`make test-deb-arm64`: the arm64 package on a fresh Debian 12 for arm64, on an amd64 machine whose kernel hands arm64 programs to qemu.

It is installed, looks through its example and its models, runs as its unit says, tells a broker that it is online and of people in
front of a camera, stops, and is purged. That shows that the package is whole and that its code works; it shows nothing of how fast a
real box is, nor of instructions that the emulated processor lacks. What is not there: upgrading, which has nothing of a processor
in it and is tried by `make test-deb`.
"""

import argparse
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import deb
from deb import Architecture, DebError
from debian_root import DebianRoot, TestError, enter_namespaces
from service import APPLIED, EMULATED, NOT_APPLIED, wait_for
from test import ROOT, Story

BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
STATUS = "snowgate/v1/+/status"
INCIDENT_WITHIN = 900


def main() -> int:
    """Plays it; the first thing that does not hold ends it."""
    parser = argparse.ArgumentParser(prog="packaging/test_arm64.py", description="Tries the arm64 package on an emulated Debian.")
    parser.add_argument("--sysroot", type=Path, default=ROOT / "target/arm64/sysroot", help="what packaging/sysroot.py has made")
    parser.add_argument("--program", type=Path, default=ROOT / "target/aarch64-unknown-linux-gnu/release/snowgate", help="snowgate for arm64")
    parser.add_argument("--camera", type=Path, default=ROOT / "target/release/camera", help="the camera, for this machine")
    parser.add_argument("--work", type=Path, default=ROOT / "target/test-deb-arm64", help="what is kept between runs, and logs")
    options = parser.parse_args()
    work = options.work.absolute()
    try:
        enter_namespaces()
        _let_the_kernel_emulate()
        work.mkdir(parents=True, exist_ok=True)
        package = deb.build(options.program.absolute(), work / "package", deb.version(), Architecture.arm64(options.sysroot.absolute()))
        print(f"  built {package.name}, {package.stat().st_size / 1e6:.1f} MB", flush=True)
        with ExitStack() as stack:
            debian = DebianRoot(work, "arm64")
            stack.callback(debian.unmount)
            EmulatedStory(debian, stack, options.camera.absolute(), package, package).play()
    except (TestError, DebError) as error:
        print(f"make test-deb-arm64: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make test-deb-arm64: interrupted", file=sys.stderr)
        return 130
    return 0


def _let_the_kernel_emulate() -> None:
    """Has the kernel start arm64 programs with qemu, in the folder too; the mount that this takes is in a namespace of ours."""
    done = subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not BINFMT.is_file() or "enabled" not in BINFMT.read_text().split():
        raise TestError(f"this kernel does not hand arm64 programs to qemu (binfmt_misc), so the package cannot be tried here: {done.stdout.strip()}")


class EmulatedStory(Story):
    """What of that life has to do with the processor."""

    ready_within = 600

    def play(self) -> None:
        """All of it, in order."""
        self.tell([self.installs, self.files_are_as_they_should_be, self.example_and_models_work, self.first_hour,
                   self.it_is_online, self.an_incident_arrives, self.it_stops, self.purged_it_leaves_nothing])
        print("restrictions of the unit that were applied to the daemon, but for the last line's:\n  " + APPLIED.replace("\n", "\n  "))
        print("not applied, for there is no systemd:\n  " + NOT_APPLIED.replace("\n", "\n  "))
        print(f"not applied, for it is emulated:\n  {EMULATED}")
        print("make test-deb-arm64: everything holds; it ran emulated, not on arm64 hardware")

    def installs(self) -> str:
        said = super().installs()
        machine, version = self.debian.run("uname", "-m").stdout.strip(), self._as_user("snowgate", "--version").strip()
        if machine != "aarch64":
            raise TestError(f"programs of the folder run on {machine}, not on aarch64")
        return f"{said}; {version} on {machine}"

    def it_is_online(self) -> str:
        status = self._status("online")
        return f"{STATUS} says {status['state']}, version {status['version']}"

    def an_incident_arrives(self) -> str:
        event = wait_for("an incident at the broker", self.grid.events, INCIDENT_WITHIN, self.service.ensure_running)[0]
        return event["data"]["title"]

    def it_stops(self) -> str:
        self.service.stop()
        status = self._status("offline")
        if status["reason"] != "stopped":
            raise TestError(f"stopped by SIGTERM it left {status}")
        self.grid.stop()
        self.camera.stop()
        self.broker.stop()
        return f"by SIGTERM with exit 0; {STATUS} says {status['state']}, {status['reason']}"

    def _status(self, state: str) -> dict:
        """The daemon's status at the broker, when it is this one."""
        def holds() -> dict | None:
            status = self.broker.retained(STATUS)
            return status if status and status["state"] == state else None
        return wait_for(f"{state} under {STATUS}", holds, 60)


if __name__ == "__main__":
    sys.exit(main())
