"""
The first process of a Machine (systemd.py), alone in new mount, pid, net, ipc and uts namespaces: lays out a root directory in which
systemd finds what a container has, moves there, and becomes systemd.

What the machine outside must not feel is read-only: /sys, /proc/sys. Devices are those that a container has, and a console.
"""
import json
import os
import pathlib
import shutil
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import isolation  # noqa: E402

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MNT_DETACH = 2
CLONE_NEWCGROUP = 0x02000000

# Units that others depend on by default, empty: nothing of the distribution starts because of them.
TARGETS = ("basic", "exit", "final", "multi-user", "network", "paths", "shutdown", "slices", "sockets", "sysinit", "timers", "umount")
JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
TARGET = f"""[Unit]
Description=The harness's
DefaultDependencies=no
Wants={' '.join(JOURNAL)}
After={' '.join(JOURNAL)}
"""


def mount(source, target, kind="", flags=0, data=""):
    words = [os.fsencode(str(word)) or None for word in (source, target, kind)]
    isolation.check(isolation.LIBC.mount(*words, flags, data.encode() or None))


def bind(source, target):
    mount(source, target, flags=isolation.MS_BIND)


def make_read_only(path):
    bind(path, path)
    mount("", path, flags=MS_REMOUNT | isolation.MS_BIND | MS_RDONLY)


def lay_files(lower, directory):
    """The files of `lower`; what is changed stays in memory."""
    mount("tmpfs", directory, "tmpfs", data="mode=0755")
    for name in ("changed", "work", "root"):
        (directory / name).mkdir()
    root = directory / "root"
    mount("overlay", root, "overlay", data=f"lowerdir={lower},upperdir={directory}/changed,workdir={directory}/work")
    return root


def mount_kernel(root):
    mount("proc", root / "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in ("sys", "sysrq-trigger"):
        if (root / "proc" / name).exists():
            make_read_only(root / "proc" / name)
    mount("sysfs", root / "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def make_devices(root, console):
    mount("tmpfs", root / "dev", "tmpfs", MS_NOSUID, "mode=0755")
    for name, source in {**{name: f"/dev/{name}" for name in DEVICES}, "console": console}.items():
        (root / "dev" / name).touch()
        bind(source, root / "dev" / name)
    for name in ("pts", "shm"):
        (root / "dev" / name).mkdir()
    mount("devpts", root / "dev" / "pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    mount("tmpfs", root / "dev" / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in LINKS.items():
        (root / "dev" / name).symlink_to(target)


def make_room(root):
    mount("tmpfs", root / "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    (root / "run" / "lock").mkdir()
    mount("tmpfs", root / "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    (root / "etc" / "fstab").write_text("")
    (root / "etc" / "machine-id").write_text("00112233445566778899aabbccddeeff\n")


def make_units(root, directory):
    units = root / directory.lstrip("/")
    units.mkdir()
    for name in TARGETS:
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for name in JOURNAL:
        shutil.copy(root / "lib" / "systemd" / "system" / name, units)
    (units / "harness.target").write_text(TARGET)


def move_to(root):
    """`root` is all there is from now on."""
    os.chdir(root)
    isolation.check(isolation.LIBC.pivot_root(b".", b"mnt"))
    os.chdir("/")
    isolation.check(isolation.LIBC.umount2(b"/mnt", MNT_DETACH))


def enter_cgroup(group):
    """The group becomes the root of all that is seen of control groups."""
    (group / "cgroup.procs").write_text("0")
    isolation.check(isolation.LIBC.unshare(CLONE_NEWCGROUP))


def become_systemd(words):
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container": "harness",
                   "SYSTEMD_GENERATOR_PATH": "/nonexistent", "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": "/nonexistent"}
    target = "multi-user.target"
    if words["unit_path"]:
        environment["SYSTEMD_UNIT_PATH"] = ":".join(words["unit_path"])
        target = "harness.target"
    os.execve(words["systemd"], [words["systemd"], "--system", f"--unit={target}", "--log-target=journal-or-kmsg",
                                 "--log-color=no", "--show-status=no", "--crash-reboot=no"], environment)


def main(words):
    isolation.Network.set_up()
    socket.sethostname("harness")
    root = lay_files(words["root"], pathlib.Path(words["directory"]))
    mount_kernel(root)
    make_devices(root, words["console"])
    make_room(root)
    if words["unit_path"]:
        make_units(root, words["units"])
    enter_cgroup(pathlib.Path(words["cgroup"]))
    (root / "mnt").mkdir(exist_ok=True)
    move_to(root)
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    become_systemd(words)


main(json.loads(sys.argv[1]))
