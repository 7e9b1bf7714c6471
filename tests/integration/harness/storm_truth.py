"""
What the kernel says of a master that has nothing to do, against a configuration: who runs, with what, and where it listens.

Each of these returns what differs, as text; nothing where all is as it should be.
"""
import collections
import os
import re
import socket

from harness import proc


def _numeric(words):
    """127.0.0.1:80 or [::1]:80, of a line of /proc/net/tcp, udp …"""
    host, _, port = words.rpartition(":")
    raw = b"".join(bytes.fromhex(host[i:i + 8])[::-1] for i in range(0, len(host), 8))
    text = socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)
    return f"[{text}]:{int(port, 16)}" if ":" in text else f"{text}:{int(port, 16)}"


def addresses():
    """{inode: address as a configuration has it} of everything that listens or is bound in this network."""
    found = {int(words[9]): _numeric(words[1]) for words in proc.tcp_listening()}
    for table in ("udp", "udp6"):
        with open(f"/proc/self/net/{table}") as lines:
            for words in (line.split() for line in list(lines)[1:]):
                found[int(words[9])] = f"udp:{_numeric(words[1])}"
    with open("/proc/self/net/unix") as lines:
        for words in (line.split() for line in list(lines)[1:]):
            if len(words) > 7 and int(words[3], 16) & 0x10000:
                found[int(words[6])] = f"unix:{words[7]}"
    return found


def sockets_of(pid):
    """{fd: inode}"""
    return {fd: int(what[8:-1]) for fd, what in proc.fds(pid).items() if what.startswith("socket:[")}


def _users(whole, name):
    return [program for program in whole["programs"].values() if name in program["sockets"]]


def _of_socket(whole, name):
    """Its addresses, one for each of its sockets."""
    entry = whole["sockets"][name]
    listen = entry["listen"]
    users = _users(whole, name)
    if "%(process_num)s" in listen:
        return [listen.replace("%(process_num)s", str(users[0]["numprocs_start"] + slot)) for slot in range(users[0]["workers"])]
    return [listen] * (users[0]["workers"] if entry.get("sharing") == "per_worker" and users else 1)


def expected_addresses(whole):
    return collections.Counter(address for name in whole["sockets"] for address in _of_socket(whole, name))


def held_addresses(pid, control):
    known = addresses()
    found = collections.Counter(known[inode] for inode in sockets_of(pid).values() if inode in known)
    found[f"unix:{control}"] -= 1
    return +found


def _compare(what, expected, found):
    missing, more = expected - found, found - expected
    return [f"{what}: missing {dict(missing)}, too many {dict(more)}"] if missing or more else []


def check_listeners(pid, whole, control):
    return _compare("listening sockets of the master", expected_addresses(whole), held_addresses(pid, control))


def check_paths(directory, whole, foreign):
    expected = {address.removeprefix("unix:") for address in expected_addresses(whole)} | set(map(str, foreign))
    expected = {path for path in expected if path.startswith(str(directory))}
    return _compare("socket files", collections.Counter(expected), collections.Counter(str(path) for path in directory.iterdir()))


class Worker:
    """A child of the master as /proc has it; LookupError when it is gone."""

    def __init__(self, pid):
        self.pid = pid
        try:
            self.environment = proc.environment(pid)
            self.program = self.environment["RELOADER_PROGRAM"]
            self.slot = int(self.environment["RELOADER_SLOT"])
            self.generation = int(self.environment["RELOADER_GENERATION"])
            self.words = [word.decode() for word in proc.read(pid, "cmdline").split(b"\0")[:-1]]
            self.directory = os.readlink(f"/proc/{pid}/cwd")
        except (OSError, KeyError) as error:
            raise LookupError(pid) from error

    @property
    def is_loaded(self):
        return "STORM_LOADED" in self.environment


def workers(master):
    """In the order of programs and slots."""
    found = []
    for pid in proc.children(master):
        try:
            found.append(Worker(pid))
        except LookupError:
            pass  # on its way in or out, or a check_command
    return sorted(found, key=lambda worker: (worker.program, worker.slot, worker.pid))


def check_workers(pid, whole):
    """Each slot of each program has exactly its worker, and the master no other children."""
    expected = collections.Counter(f"{name}:{slot} revision {program['environment']['STORM_REVISION']}"
                                   for name, program in whole["programs"].items() if program.get("autostart", True)
                                   for slot in range(program["workers"]))
    there = workers(pid)
    found = collections.Counter(f"{worker.program}:{worker.slot} revision {worker.environment.get('STORM_REVISION')}" for worker in there)
    wrong = _compare("workers", expected, found)
    strangers = set(proc.children(pid)) - {worker.pid for worker in there}
    wrong += [f"child of the master that is no worker: {proc.describe(stranger)}" for stranger in strangers]
    return wrong


def check_processes(pid):
    """Nobody in the tree but workers and what a worker of mode `child` or `sh -c` has in its group."""
    tree = proc.descendants(pid)
    wrong = [f"zombie: {proc.describe(one)}" for one in tree if not proc.is_running(one)]
    leaders = set(proc.children(pid))
    for one in set(tree) - leaders:
        fields = proc.stat(one)
        if fields and int(fields[2]) not in leaders:
            wrong.append(f"outside of any worker's group: {proc.describe(one)}")
    return wrong


def _check_taken(worker, whole, addresses_held):
    """Over its channel a worker gets them in any place."""
    for name in whole["programs"][worker.program]["sockets"]:
        every = _of_socket(whole, name)
        address = every[worker.slot if len(every) > worker.slot else 0]
        if address not in addresses_held:
            yield f"{worker.program}:{worker.slot} has not got {name} at {address}"


def check_handed(pid, whole):
    """Each worker has its program's sockets from descriptor 3 on, and they are those that the master holds."""
    known = addresses()
    held = set(sockets_of(pid).values())
    wrong = []
    for worker in workers(pid):
        program = whole["programs"].get(worker.program)
        if not program:
            continue
        try:
            inodes = sockets_of(worker.pid)
        except (FileNotFoundError, ProcessLookupError):
            wrong.append(f"{worker.program}:{worker.slot} of generation {worker.generation} ended while it was looked at")
            continue
        if "handoff" in program:
            wrong += _check_taken(worker, whole, [known.get(inode) for inode in inodes.values() if inode in held])
            continue
        for number, name in enumerate(program["sockets"], start=3):
            every = _of_socket(whole, name)
            address = every[worker.slot if len(every) > worker.slot else 0]
            inode = inodes.get(number)
            if known.get(inode) != address or inode not in held:
                wrong.append(f"{worker.program}:{worker.slot} has {known.get(inode)} as {number}, not {name} at {address}")
    return wrong


def check_releases(pid, whole, releases):
    """Each program's workers run one of the directories that its reload may have found; one that was removed may be any."""
    wrong = []
    for worker in workers(pid):
        allowed = releases.get(worker.program)
        if worker.program in whole["programs"] and allowed and worker.directory not in allowed and all(map(os.path.isdir, allowed)):
            wrong.append(f"{worker.program}:{worker.slot} is in {worker.directory}, not in {sorted(allowed)}")
    return wrong


def check_generations(pid, whole):
    """All workers of a program are of one generation; those to whom sockets were handed stay in theirs."""
    found = collections.defaultdict(set)
    for worker in workers(pid):
        if "handoff" not in whole["programs"].get(worker.program, {}):
            found[worker.program].add(worker.generation)
    return [f"{name} has workers of generations {sorted(numbers)}" for name, numbers in found.items() if len(numbers) > 1]


def holdings(pid):
    """What its descriptors are, without what differs from one run to the next."""
    return collections.Counter(re.sub(r"\d+", "N", what) for what in proc.fds(pid).values())


def runtime_files(directory):
    """{path in the runtime directory: how many}; numbers are left out, as notify sockets are named by worker."""
    return collections.Counter(re.sub(r"\d+", "N", str(path.relative_to(directory))) for path in directory.rglob("*"))
