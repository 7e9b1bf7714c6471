"""The truth from outside: what /proc knows of processes and sockets."""
import os
import re
import select
import time


def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def stat(pid):
    """Fields of /proc/PID/stat from the state on, or None when there is no such process."""
    try:
        return read(pid, "stat").rpartition(b") ")[2].split()
    except OSError:
        return None


PF_EXITING = 0x4


def is_running(pid):
    """There, and neither a zombie nor on its way to be one."""
    fields = stat(pid)
    return fields is not None and fields[0] not in (b"Z", b"X") and not int(fields[6]) & PF_EXITING


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid):
    return [child for child in pids() if (fields := stat(child)) and int(fields[1]) == pid]


def descendants(pid, without=()):
    """All of them, but for those in `without` and what descends from them."""
    found = []
    for child in children(pid):
        if child not in without:
            found += [child, *descendants(child, without)]
    return found


def describe(pid):
    try:
        words = read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = "gone"
    return f"{pid} ({words[:160]}, state {(stat(pid) or [b'?'])[0].decode()})"


def environment(pid):
    return dict(entry.decode().partition("=")[::2] for entry in read(pid, "environ").split(b"\0") if entry)


def maps(pid):
    """What the process has mapped, as text; empty where that cannot be seen."""
    try:
        return read(pid, "maps").decode()
    except OSError:
        return ""


def fds(pid):
    """{number: what it is}"""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            pass
    return found


def fds_at_rest(pid):
    """The same of a process that sleeps all the time meanwhile; else None."""
    before = read(pid, "schedstat")
    found = fds(pid)
    return found if stat(pid)[0] == b"S" and read(pid, "schedstat") == before else None


def socket_inode(pid, fd):
    return int(re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))[1])


def limit(pid, name):
    """(soft, hard) of a line in /proc/PID/limits, as text."""
    for line in read(pid, "limits").decode().splitlines():
        if line.startswith(name):
            return tuple(line[len(name):].split()[:2])
    raise KeyError(name)


def catches(pid, number):
    """Does it ignore that signal, or have a handler for it?"""
    return bool((int(field(pid, "SigCgt"), 16) | int(field(pid, "SigIgn"), 16)) >> number - 1 & 1)


def field(pid, name):
    """A field of /proc/PID/status as text."""
    for line in read(pid, "status").decode().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise KeyError(name)


TCP_LISTEN = "0A"


def tcp_listening():
    """
    The fields of all listening sockets in /proc/net/tcp and tcp6. They come first there; what follows, tens of thousands of
    connections under load, takes the kernel seconds, and a look that takes longer than one waits is one at the past.
    """
    for table in ("tcp", "tcp6"):
        with open(f"/proc/self/net/{table}") as lines:
            next(lines)
            for fields in map(str.split, lines):
                if fields[3] != TCP_LISTEN:
                    break
                yield fields


def tcp_listeners(port):
    """Inodes of the sockets that listen on a TCP port, over IPv4 and IPv6."""
    return [int(fields[9]) for fields in tcp_listening() if int(fields[1].rpartition(":")[2], 16) == port]


def udp_sockets(port):
    """Inodes of the sockets that are bound to a UDP port, over IPv4."""
    with open("/proc/self/net/udp") as lines:
        return [int(fields[9]) for fields in map(str.split, list(lines)[1:]) if int(fields[1].rpartition(":")[2], 16) == port]


def tcp_connections(port):
    """How many connections a process still holds at the end that listened on `port`, over IPv4."""
    with open("/proc/self/net/tcp") as lines:
        return sum(1 for fields in map(str.split, list(lines)[1:])
                   if int(fields[1].rpartition(":")[2], 16) == port and fields[3] != TCP_LISTEN and fields[9] != "0")


def unix_sockets(path):
    """(inode, flags) of the Unix sockets bound to `path` (an abstract one begins with @)."""
    with open("/proc/self/net/unix") as lines:
        rows = [line.split() for line in list(lines)[1:]]
    return [(int(row[6]), int(row[3], 16)) for row in rows if len(row) > 7 and row[7] == str(path)]


def unix_listeners(path):
    """Inodes of those that listen."""
    return [inode for inode, flags in unix_sockets(path) if flags & 0x10000]


def unix_connections(path):
    """Inodes of the server's ends of connections."""
    return [inode for inode, flags in unix_sockets(path) if not flags & 0x10000]


def wait_gone(pid, seconds=20):
    """Waits until a process has ended (as a zombie or for good)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], seconds)[0]:
            raise AssertionError(f"still there after {seconds} s: {describe(pid)}")
    finally:
        os.close(pidfd)


def wait_until(condition, what, seconds=20):
    """For the few facts that nobody announces: looks again and again, boundedly."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds} s: {what}")
        select.select([], [], [], 0.01)
    return value
