"""
A real systemd as PID 1 of a machine that does not last: namespaces of its own over the files of this machine, or of another
root directory. What is written in there is gone with it, and nothing in there is seen outside but its processes.

    with Machine(directory) as machine:
        machine.run("systemctl", "start", "reloader.service")
        with machine.network():
            …                            # this process and its children meet the machine's sockets on loopback

What happens between unshare and systemd is in systemd_init.py.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

from harness import isolation, proc
from harness.paths import PYTHON

INIT = pathlib.Path(__file__).with_name("systemd_init.py")
SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ("mount", "uts", "ipc", "net", "pid", "cgroup")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
               "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0", "DEBIAN_FRONTEND": "noninteractive"}
BOOT_SECONDS = 60
RUNNING = []  # whose journals a failed test shows
UNITS = "/run/harness"  # inside: first in the unit path; what tests write there is found after a daemon-reload


def cgroup2():
    """Where the unified hierarchy of control groups is mounted, or None."""
    with open("/proc/self/mounts") as mounts:
        return next((pathlib.Path(words[1]) for words in map(str.split, mounts) if words[2] == "cgroup2"), None)


def is_debian():
    return os.path.exists("/etc/debian_version")


def why_not(root="/"):
    """Why no machine can be booted here, or None. On Debian as root a missing package is no excuse."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists(f"{root}{SYSTEMD}"):
        assert not is_debian(), "the package systemd is missing: ./test installs it"
        return f"there is no {root}{SYSTEMD}"
    hierarchy = cgroup2()
    if hierarchy is None:
        return "no cgroup2 is mounted"
    try:
        os.rmdir(tempfile.mkdtemp(prefix="reloader-", dir=hierarchy))
    except OSError as error:
        return f"cannot make a control group: {error}"
    return None


class Machine:
    """
    root           the directory whose files it has (and does not change)
    distribution   boots to root's own multi-user.target; else nothing but journald runs, and units are found in UNITS and `unit_path`
    """

    def __init__(self, directory, root="/", distribution=False, unit_path=()):
        self.console = pathlib.Path(directory) / "console.log"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="machine-", dir=directory))
        self.cgroup = cgroup2() / self.directory.name
        self.cgroup.mkdir()
        self.pid = None
        self._words = {"root": str(root), "directory": str(self.directory), "cgroup": str(self.cgroup), "units": UNITS,
                       "systemd": SYSTEMD, "unit_path": None if distribution else [UNITS, *unit_path]}
        self._starter = None

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        RUNNING.append(self)
        return self

    def __exit__(self, *_):
        RUNNING.remove(self)
        self.close()

    # --- from the start to the end

    def _boot(self):
        terminal, slave = os.openpty()
        self._words["console"] = os.ttyname(slave)
        threading.Thread(target=self._copy_console, args=(terminal,), daemon=True).start()
        command = ["unshare", "--fork", "--kill-child", "--propagation=private", *(f"--{name}" for name in NAMESPACES if name != "cgroup"),
                   PYTHON, "-S", str(INIT), json.dumps(self._words)]
        self._starter = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave,
                                         preexec_fn=isolation.die_with_parent)
        os.close(slave)
        isolation.LASTING.add(self._starter.pid)
        self.pid = self._await("its first process", lambda: next(iter(proc.children(self._starter.pid)), None))
        self._await("systemd answers", lambda: os.path.exists(f"/proc/{self.pid}/root/run/systemd/private"))
        state = self.run("systemctl", "is-system-running", "--wait", code=None).stdout.strip()
        if state != "running":
            raise self.failure(f"booted to '{state}'\n{self.run('systemctl', '--failed', code=None).stdout}")

    def _await(self, what, condition):
        def look():
            if self._starter.poll() is not None:
                raise self.failure(f"ended with {self._starter.returncode} before: {what}")
            return condition()
        try:
            return proc.wait_until(look, what, BOOT_SECONDS)
        except AssertionError as error:
            raise self.failure(str(error)) from None

    def _copy_console(self, terminal):
        """Ends when nobody has the terminal open any more (EIO)."""
        with open(self.console, "ab", buffering=0) as log, contextlib.suppress(OSError):
            while chunk := os.read(terminal, 4096):
                log.write(chunk)
        os.close(terminal)

    def failure(self, what):
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return AssertionError(f"machine: {what}\n--- console\n{console[-4000:]}")

    def close(self):
        """With the end of its PID 1 the kernel ends everything in there."""
        if self._starter is not None:
            for pid in (self.pid, self._starter.pid):
                if pid is not None and self._starter.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        proc.wait_gone(pid)
            self._starter.wait(20)
            isolation.LASTING.discard(self._starter.pid)
        proc.wait_until(self._remove_cgroup, f"{self.cgroup} is empty")
        shutil.rmtree(self.directory)

    def _remove_cgroup(self):
        for path, _, _ in os.walk(self.cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not self.cgroup.exists()

    # --- inside

    def command(self, *words):
        """`words` as a command that runs inside."""
        return ["nsenter", f"--target={self.pid}", "--root", *(f"--{name}" for name in NAMESPACES), "--",
                "env", "-i", *(f"{name}={value}" for name, value in ENVIRONMENT.items()),
                "sh", "-c", 'cd / && exec "$@"', "sh", *map(str, words)]

    def run(self, *words, code=0, stdin=None, seconds=60):
        """Runs it; its output as text. `code`: what it has to end with, None for anything."""
        done = subprocess.run(self.command(*words), input=stdin if stdin is not None else b"", capture_output=True, timeout=seconds, check=False)
        done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if code is not None and done.returncode != code:
            raise self.failure(f"{' '.join(map(str, words))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def sync_journal(self):
        """What was said before is in it, then: journald takes it in when its turn comes."""
        self.run("journalctl", "--sync", code=None)

    def journal(self, lines=60):
        self.sync_journal()
        return self.run("journalctl", "--no-pager", "-n", lines, "-o", "short-precise", code=None).stdout

    def write(self, path, content, mode="644"):
        """A file inside, with the directories on its way."""
        self.run("install", "-D", "-m", mode, "/dev/stdin", path, stdin=content if isinstance(content, bytes) else content.encode())

    def unpack(self, directory):
        """All of `directory`, as if it were the root directory inside: through its symbolic links, as /lib is one."""
        archive = subprocess.run(["tar", "-C", directory, "-c", "."], stdout=subprocess.PIPE, check=True).stdout
        self.run("tar", "-C", "/", "-x", "--no-same-owner", "--no-overwrite-dir", "--keep-directory-symlink", stdin=archive)

    def show(self, unit, name):
        """A property of a unit as text."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def processes(self, unit):
        """Pids, as seen outside, of everything in the unit's control group."""
        group = self.cgroup / "system.slice" / unit
        return [int(pid) for path in group.rglob("cgroup.procs") for pid in path.read_text().split()]

    def main_pid(self, unit):
        """Its main process, as seen outside."""
        inside = self.show(unit, "MainPID")
        return next((pid for pid in self.processes(unit) if proc.field(pid, "NSpid").split()[-1] == inside), None)

    @contextlib.contextmanager
    def network(self):
        """This thread and what it starts are in the machine's network."""
        with isolation.network_of(self.pid):
            yield
