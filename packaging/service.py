"""The installed daemon, started as its unit says, as far as that can be done without systemd.

What is taken from the unit and applied, and what cannot be, is in `APPLIED` and `NOT_APPLIED`; the test prints both.
"""

import ctypes
import os
import resource
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path

from debian_root import DebianRoot, TestError

UNIT = "/lib/systemd/system/snowgate.service"

APPLIED = """User, Group, WorkingDirectory, UMask, LimitCORE, LimitNOFILE, NoNewPrivileges, CapabilityBoundingSet and
AmbientCapabilities (empty), ProtectSystem=strict (all read-only but /var/lib/snowgate), PrivateTmp, ProtectProc=invisible,
PrivateDevices (the few nodes that debootstrap makes), MemoryDenyWriteExecute (by prctl), Type=notify, WatchdogSec"""

NOT_APPLIED = """SystemCallFilter, RestrictAddressFamilies, RestrictNamespaces, RestrictSUIDSGID, RestrictRealtime, LockPersonality,
SystemCallArchitectures (they are seccomp filters, which systemd writes), DevicePolicy, MemorySwapMax, TasksMax (control
groups), PrivateUsers, RemoveIPC, KeyringMode, Protect… of the kernel, hostname and control groups, Restart"""

# In a mount namespace of its own: $1 is the root, $2 the state directory in it; the rest is the command.
SANDBOX = """set -e
root=$1 state=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$root$state" "$root$state"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t proc -o hidepid=invisible proc "$root/proc"
exec chroot "$root" "$@"
"""

EMULATED = "MemoryDenyWriteExecute (the emulator executes what it has written)"
"""What is not applied either where the daemon is emulated."""

PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1  # linux/prctl.h, since Linux 6.3

LOOK_EVERY = 0.1


def wait_for(what: str, holds, seconds: float, while_waiting=lambda: None):
    """Waits until `holds()` is true, and answers it."""
    end = time.monotonic() + seconds
    while not (answer := holds()):
        while_waiting()
        if time.monotonic() > end:
            raise TestError(f"{what}: not within {seconds:g} s")
        time.sleep(LOOK_EVERY)
    return answer


class Service:
    """One start of it."""

    def __init__(self, root: DebianRoot, log: Path, *arguments: str) -> None:
        self.log = log
        unit = _read(root.at(UNIT))
        user, group, state = unit["User"][-1], unit["Group"][-1], unit["WorkingDirectory"][-1]
        notify = root.at("/run/notify")
        notify.unlink(missing_ok=True)
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.bind(str(notify))
        notify.chmod(0o666)
        self._said: list[str] = []
        # As systemd does: who does not read lets the daemon wait as soon as the queue is full.
        threading.Thread(target=self._hear, daemon=True).start()
        setpriv = ["setpriv", f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs", "--bounding-set=-all",
                   "--inh-caps=-all", "--ambient-caps=-all", "env", "-C", state]
        watchdog = int(unit["WatchdogSec"][-1].removesuffix("s")) * 1_000_000
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": state, "USER": user, "LOGNAME": user,
                       "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": str(watchdog)}
        command = [*shlex.split(unit["ExecStart"][-1]), *arguments]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", SANDBOX, "sandbox", root.path, state, *setpriv, *command],
                env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=lambda: _limit(unit, root.emulated))

    def wait_ready(self, seconds: float = 120) -> None:
        """Waits until it has told systemd that it is ready, and then that it is alive."""
        for word in ("READY=1", "WATCHDOG=1"):
            wait_for(f"{word} from the daemon", lambda: word in self._said, seconds, self.ensure_running)

    def stop(self) -> None:
        """Asks it to stop, as systemd does; it must end well."""
        self.ensure_running()
        self._process.send_signal(signal.SIGTERM)
        code = self.wait()
        if code != 0:
            raise TestError(f"the daemon stopped with {code}; its log ends with:\n{self.last_words()}")

    def wait(self) -> int:
        """Its exit code, when it has ended."""
        try:
            return self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            threads = self._threads()
            self._process.kill()
            raise TestError("the daemon did not end within a minute; its threads, and where the kernel has them wait:\n"
                            f"{threads}\nits log ends with:\n{self.last_words()}") from None
        finally:
            self._notified.shutdown(socket.SHUT_RD)

    def kill(self) -> None:
        """Kills it, if it still runs."""
        self._process.kill()
        self._process.wait()

    def status(self) -> dict[str, str]:
        """What the kernel says of the process."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def _threads(self) -> str:
        tasks = sorted(Path(f"/proc/{self._process.pid}/task").iterdir(), key=lambda task: int(task.name))
        return "\n".join(f"  {(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text()} {(task / 'syscall').read_text().strip()}"
                         for task in tasks)

    def _hear(self) -> None:
        while said := self._notified.recv(4096):
            self._said += said.decode().splitlines()

    def ensure_running(self) -> None:
        """An error if it has ended."""
        if (code := self._process.poll()) is not None:
            raise TestError(f"the daemon ended by itself with {code}; its log ends with:\n{self.last_words()}")


def _limit(unit: dict[str, list[str]], emulated: bool) -> None:
    """In the new process, before it becomes the daemon."""
    os.umask(int(unit["UMask"][-1], 8))
    for key, limit in (("LimitCORE", resource.RLIMIT_CORE), ("LimitNOFILE", resource.RLIMIT_NOFILE)):
        value = int(unit[key][-1])
        resource.setrlimit(limit, (value, value))
    if not emulated and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_MDWE)")


def _read(path: Path) -> dict[str, list[str]]:
    """The unit's settings: all values of each key."""
    unit = defaultdict(list)
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            unit[key].append(value)
    return unit
