"""What a container engine does, by unshare(1): a root of its own, a process that is PID 1, an ordinary user. Needs root."""
import json
import os
import pathlib
import select
import signal
import shutil
import subprocess

from harness import gateway, proc
from harness.paths import BINARIES
from harness.tail import Tail

USER = 65532

# $1 is the root, $2 the directory that becomes /etc/reloader, $3 ro or rw, $4 whether /run/reloader is a tmpfs, $5 a cgroup file system
SETUP = f"""
set -e
root=$1 etc=$2 mode=$3 tmpfs=$4 cgroup=$5; shift 5
mount --make-rprivate /
mount -t tmpfs -o mode=755 root "$root"
cd "$root"
mkdir -p usr/bin usr/lib usr/libexec/reloader usr/local/bin proc dev sys/fs/cgroup etc/reloader run/reloader
chown {USER} run/reloader
ln -s usr/bin bin; ln -s usr/lib lib; ln -s usr/lib64 lib64
if [ -d /usr/lib64 ]; then mkdir usr/lib64; mount --bind /usr/lib64 usr/lib64; fi
cp {BINARIES.reloader} {BINARIES.reloaderctl} usr/bin/
cp {BINARIES.tcp_echo} usr/local/bin/server
[ ! -x {gateway.BINARY} ] || cp {gateway.BINARY} usr/libexec/reloader/
for name in sh sleep setsid true; do cp "/usr/bin/$name" usr/bin/; done
mount --bind /usr/lib usr/lib
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$etc" etc/reloader
[ "$cgroup" = none ] || mount --bind "$cgroup" sys/fs/cgroup
[ "$tmpfs" = no ] || mount -t tmpfs -o mode=1777 run run/reloader
mount -o remount,"$mode" "$root"
cd /
exec chroot --userspec={USER}:{USER} --groups= "$root" "$@"
"""


class Container:
    """
    Runs `command` as PID 1. config (a dict or text) is its /etc/reloader/reloader.yaml; `etc` may be filled beforehand instead.

    read_only   of the root; tmpfs: there is one at /run/reloader; cgroup: a directory for /sys/fs/cgroup
    """

    def __init__(self, directory, config=None, command=("reloader", "-c", "/etc/reloader/reloader.yaml"), read_only=True,
                 tmpfs=False, cgroup=None, environment=None):
        self.directory = pathlib.Path(directory)
        self.etc = self.directory / "etc"
        self.etc.mkdir(exist_ok=True)
        if config is not None:
            self.write(config)
        (self.directory / "root").mkdir()
        self.log = Tail(self.directory / "container.log")
        with open(self.log.path, "ab") as output:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "sh", "-c", SETUP, "sh", self.directory / "root",
                 self.etc, "ro" if read_only else "rw", "yes" if tmpfs else "no", cgroup or "none", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True,
                env={"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "XDG_RUNTIME_DIR": "/run/reloader", **(environment or {})})
        self.pidfd = os.pidfd_open(self.process.pid)
        self._pid = None

    def write(self, config):
        draft = self.directory / "draft"
        draft.write_text(config if isinstance(config, str) else json.dumps(config))
        shutil.copyfile(draft, self.etc / "reloader.yaml")

    @property
    def pid(self):
        """That of PID 1, as seen from outside."""
        if self._pid is None:
            (self._pid,) = proc.children(self.process.pid)
        return self._pid

    def wait_line(self, pattern, start=0, seconds=20, times=1):
        return self.log.wait(pattern, start, seconds, [self.pidfd], times)

    def enter(self, *command, seconds=30):
        """Runs a command inside, as exec of an engine does."""
        return subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd=/", f"--setuid={USER}", f"--setgid={USER}",
             *command], capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": "/run/reloader"})

    def ctl(self, *arguments):
        return self.enter("reloaderctl", *arguments)

    def kill(self, number):
        os.kill(self.pid, number)

    def wait_end(self, code, seconds=30):
        assert select.select([self.pidfd], [], [], seconds)[0], f"it has not ended:\n{self.log.text()}"
        assert self.process.wait() == code, self.log.text()

    def close(self):
        if self.process.poll() is None:
            for child in proc.children(self.process.pid):
                os.kill(child, signal.SIGKILL)
            self.process.wait()
        os.close(self.pidfd)
