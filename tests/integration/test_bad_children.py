"""
Processes that do not end as they should, side by side under one master: each ends as its kill_mode and its timeouts say, the
others are not held up, nothing remains, and log and status say which process it was, and why.
"""
import json
import os
import signal

import pytest

from harness import configs, isolation, proc
from harness.paths import PYTHON
from harness.record import Record

# What they do is written down by whoever runs at last: a line "WORD PID" in the file that is the first argument.
PREAMBLE = """
import os, signal, sys, time
def write(word):
    with open(sys.argv[1], "a") as record:
        record.write(f"{word} {os.getpid()} {os.environ['RELOADER_GENERATION']}\\n")
def stay(word):
    signal.signal(signal.SIGTERM, lambda *_: (write(word + "-term"), os._exit(0)))
    write(word)
    while True: signal.pause()
def ready():
    os.write(int(os.environ["RELOADER_CHANNEL_FD"]), b'"ready"\\n')
"""
SCRIPTS = {
    # Sees nothing of what it is told, until it is continued for its stop_signal.
    "stopped": "write('leader'); ready(); os.kill(os.getpid(), signal.SIGSTOP); signal.pause()",
    "ignores": "signal.signal(signal.SIGTERM, signal.SIG_IGN); write('leader'); ready()\nwhile True: signal.pause()",
    # Has a child in its group that ignores TERM and keeps its standard output open.
    "chatty": "if os.fork() == 0:\n signal.signal(signal.SIGTERM, signal.SIG_IGN); write('child'); print('child is here', flush=True)\n"
              " while True: signal.pause()\nready(); stay('leader')",
    # Started by itself twice over, as daemons are: in a session of its own, its parent gone.
    "daemon": "if os.fork() == 0:\n os.setsid()\n if os.fork(): os._exit(0)\n stay('child')\nready(); stay('leader')",
    # Its child leads a group of its own, as a shell's jobs do.
    "job": "if os.fork() == 0:\n os.setpgid(0, 0); stay('child')\nready(); stay('leader')",
    # A daemon again, that ends by nothing but KILL.
    "stubborn": "if os.fork() == 0:\n os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN); write('child')\n while True: signal.pause()\n"
                "ready(); stay('leader')",
}
TREES = ("daemon", "job", "stubborn")
WITH_CHILD = ("chatty", *TREES)


class Children:
    """What the workers wrote down."""

    def __init__(self, directory):
        self.paths = {name: directory / f"{name}.words" for name in SCRIPTS}

    def config(self, names=tuple(SCRIPTS), **options):
        """All side by side; what leaves its group ends with the worker where `kill_mode` is tree."""
        return {name: {"command": [PYTHON, "-S", "-c", PREAMBLE + SCRIPTS[name], str(self.paths[name])], "ready": "message",
                       "drain": "signal", "disconnect_timeout": "300ms", "stop_timeout": "3s", "reload": {"order": "ready-first"},
                       **({"kill_mode": "tree"} if name in TREES else {}), **options} for name in names}

    def words(self, name, generation=1):
        """[(word, pid)]"""
        lines = [line.split() for line in self.paths[name].read_text().splitlines()] if self.paths[name].exists() else []
        return [(word, int(pid)) for word, pid, number in lines if int(number) == generation]

    def pids(self, name, generation=1):
        """{word: pid}, of leader and child, when they are there."""
        wanted = {"leader", "child"} if name in WITH_CHILD else {"leader"}
        proc.wait_until(lambda: wanted <= {word for word, _ in self.words(name, generation)}, f"{name} is complete")
        return {word: pid for word, pid in self.words(name, generation) if word in wanted}


def start(master, directory, **options):
    children = Children(directory)
    config = {"log_directory": str(directory / "output"), "programs": children.config(**options)}
    config["programs"]["chatty"]["stdout"] = "file"
    config["programs"]["good"] = {"command": configs.recorder(directory / "record", "--ready"), "ready": "message"}
    return children, master(config)


def all_gone(pids):
    proc.wait_until(lambda: not any(map(proc.is_running, pids)), f"{[proc.describe(pid) for pid in pids if proc.is_running(pid)]} are gone")


def expect_ends(one, children, pids, since):
    """How each came to its end, by its own record, and as it is said."""
    assert ("child-term", pids["daemon"]["child"]) in children.words("daemon")
    assert ("child-term", pids["job"]["child"]) in children.words("job")
    for name in TREES:
        one.wait_line(rf"{name}/0: pid {pids[name]['child']} \(python3\), which left its process group, gets its stop_signal", start=since)
    for name, who in (("ignores", "leader"), ("chatty", "child"), ("stubborn", "child")):
        one.wait_line(rf"{name}/0: still there 3.0 s after its stop_signal, killing it: .*pid {pids[name][who]} \(python3\)", start=since)
    for name, how in (("stopped", "SIGTERM"), ("ignores", "SIGKILL"), ("chatty", "exited with 0"), ("daemon", "exited with 0")):
        one.wait_line(rf"{name}/0: gone, pid {pids[name]['leader']}, ({how})", start=since)


@pytest.mark.sanitized
def test_reload(master, directory):
    """Their successors do not wait for them, and while they are leaving status says why they are still there."""
    children, one = start(master, directory)
    pids = {name: children.pids(name) for name in SCRIPTS}
    everybody = [pid for found in pids.values() for pid in found.values()]
    good = one.pids("good")
    one.expect_reload("committed")
    leaving = one.wait(lambda status: [worker for worker in one.workers("ignores", status) if worker["state"] == "STOPPING"], "it is told to stop")
    (worker,) = [worker for worker in one.workers("ignores", leaving) if worker["state"] == "STOPPING"]
    assert (worker["pid"], worker["reason"]) == (pids["ignores"]["leader"], "disconnect_timeout")
    assert "disconnect_timeout" in one.ctl("status").stdout
    all_gone(everybody)
    one.wait_drained()
    expect_ends(one, children, pids, 0)
    assert good != one.pids("good") and "strays" not in one.status()
    for name in SCRIPTS:
        assert all(proc.is_running(pid) for pid in children.pids(name, 2).values())
    output = directory / "output" / "chatty-0.stdout.log"
    # It says so after it has written it down, and the logger takes its own time.
    proc.wait_until(lambda: len(output.read_text()) >= len("child is here\n" * 2), "the second one is heard, too")
    assert output.read_text() == "child is here\n" * 2


@pytest.mark.sanitized
def test_shutdown(master, directory):
    children, one = start(master, directory)
    pids = {name: children.pids(name) for name in SCRIPTS}
    one.stop()
    everybody = [pid for found in pids.values() for pid in found.values()]
    assert not any(map(proc.is_running, everybody))
    expect_ends(one, children, pids, 0)


@pytest.mark.parametrize("kill_mode", ["mixed", "group", "process"])
def test_who_left_is_left_alone(master, directory, kill_mode):
    """Where kill_mode does not reach them: they live on, are told of once, stay in status while they live, and are no zombies."""
    children = Children(directory)
    one = master({"programs": children.config(("daemon", "job"), kill_mode=kill_mode)})
    pids = [children.pids(name)["child"] for name in ("daemon", "job")]
    one.expect_reload("committed")
    one.wait_drained()
    for name, pid in zip(("daemon", "job"), pids):
        said = "lives on, and is left alone" if kill_mode == "process" else "has left its process group and lives on"
        one.wait_line(rf"{name}/0: pid {pid} \(python3\) of it {said}")
        assert proc.is_running(pid) and "child-term" not in [word for word, _ in children.words(name)]
    strays = one.status()["strays"]
    assert sorted((stray["pid"], stray["process"], stray["worker"]) for stray in strays) == sorted(
        (pid, "python3", f"{name}/0") for name, pid in zip(("daemon", "job"), pids))
    assert f"left behind by daemon/0: pid {pids[0]} (python3)" in one.ctl("status").stdout
    os.kill(pids[0], signal.SIGKILL)
    proc.wait_until(lambda: proc.stat(pids[0]) is None, "it is reaped")
    assert [stray["pid"] for stray in one.status()["strays"]] == pids[1:]
    assert one.log.count(rf"pid {pids[1]} \(python3\)") == 1
    one.stop(complete=False)
    isolation.kill_children()


def test_who_leaves_is_no_matter_while_its_worker_lives(master, directory):
    """A daemon of a living worker is nobody's business; what has nothing to do with workers is reaped and forgotten."""
    children = Children(directory)
    record = Record(directory / "record")
    config = children.config(("daemon",))
    config["orphans"] = {"command": configs.recorder(record.path, "--ready"), "ready": "message"}
    config["orphans"]["command"] = ["sh", "-c", f"(setsid sh -c 'sleep 0.2; exit 3' &); exec {' '.join(config['orphans']['command'])}"]
    one = master({"log": {"level": "debug"}, "programs": config})
    pids = children.pids("daemon")
    # The shell that was left to us.
    one.wait_line("reaped process .*, which was left to us")
    assert all(map(proc.is_running, pids.values())) and "strays" not in json.dumps(one.status())
    assert not one.log.find("stop_signal")
