"""`reloaderctl tail`: what workers printed, read from their files through rotation, or from the master while it is printed."""
import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess

import pytest

from harness import BINARIES, proc
from harness.output import logger_of
from harness.tail import Tail
from test_output import shell, written

# Does what its gate says: each line is a command of the shell.
OBEYS = 'exec 3<> "$GATE.$RELOADER_SLOT"; while read -r line <&3; do eval "$line"; done'


class Gate:
    """The gates of a program's workers."""

    def __init__(self, directory, workers=1):
        self.path = directory / "gate"
        for slot in range(workers):
            os.mkfifo(f"{self.path}.{slot}")

    def say(self, command, slot=0):
        pathlib.Path(f"{self.path}.{slot}").write_text(command + "\n")

    def config(self, **options):
        return {"programs": {"web": {"command": ["bash", "-c", OBEYS], "environment": {"GATE": str(self.path)}, "start_seconds": "50ms", **options}}}


def tail(one, *arguments, code=0, **options):
    done = subprocess.run([BINARIES.reloaderctl, "-s", str(one.socket), "tail", *map(str, arguments)], capture_output=True, timeout=30, check=False, **options)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


class Follower:
    """A `tail -f` that runs; what it prints is followed."""

    def __init__(self, directory, one, *arguments, **options):
        names = [directory / f"follower{len(list(directory.glob('follower*')))}.{stream}" for stream in ("out", "err")]
        with open(names[0], "ab") as out, open(names[1], "ab") as err:
            self.process = subprocess.Popen([BINARIES.reloaderctl, "-s", str(one.socket), "tail", *map(str, arguments)], stdout=out, stderr=err, **options)
        self.out, self.err = map(Tail, names)

    def wait(self, *lines):
        proc.wait_until(lambda: len(self.out.read()) >= len(lines), f"{lines}, not {self.out.lines} {self.err.read()}")
        assert self.out.lines == list(lines)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


@pytest.fixture
def follow(directory):
    followers = []

    def start(*arguments, **options):
        followers.append(Follower(directory, *arguments, **options))
        return followers[-1]
    yield start
    for one in followers:
        one.close()


# --- files, once

@pytest.mark.sanitized
def test_last_lines(master, directory):
    one = master(shell("seq 25; seq 100 102 >&2", stdout=str(directory / "out"), stderr=str(directory / "err")))
    written(directory / "out", "".join(f"{i}\n" for i in range(1, 26)))
    written(directory / "err", "100\n101\n102\n")
    assert tail(one, "web") == ("".join(f"{i}\n" for i in range(16, 26)), "")
    assert tail(one, "web:0", "-n", 2) == tail(one, "-2", "web/0", "stdout") == ("24\n25\n", "")
    assert tail(one, "web", "stderr", "-n", 100) == ("100\n101\n102\n", "")
    json_lines = [json.loads(line) for line in tail(one, "web", "stderr", "--json", "-n", 1)[0].splitlines()]
    assert json_lines == [{"program": "web", "stream": "stderr", "text": "102", "name": "web/0", "slot": 0}]


@pytest.mark.parametrize("size", [65535, 65536, 65537, 200000])
def test_lines_longer_than_a_block(master, directory, size):
    path = directory / "out"
    one = master(shell(f"echo first; head -c {size} /dev/zero | tr '\\0' x; echo; echo last", stdout=str(path)))
    written(path, "first\n" + "x" * size + "\nlast\n")
    assert tail(one, "web", "-n", 1)[0] == "last\n"
    assert tail(one, "web", "-n", 2)[0] == "x" * size + "\nlast\n"
    assert tail(one, "web", "-n", 3)[0] == tail(one, "web", "-n", 4)[0] == path.read_text()


def test_a_file_for_each_slot(master, directory):
    """With headers, as tail has them; a file that they share is there once."""
    one = master({"log_directory": str(directory), **shell("echo $RELOADER_SLOT; echo common >&2", workers=2, stdout="file", stderr=str(directory / "err"))})
    for slot in range(2):
        written(directory / f"web-{slot}.stdout.log", f"{slot}\n")
    written(directory / "err", "common\n" * 2)
    assert tail(one, "web")[0] == "==> web/0 stdout <==\n0\n\n==> web/1 stdout <==\n1\n"
    assert tail(one, "web:1")[0] == "1\n"
    assert tail(one, "web", "stderr")[0] == "==> web stderr <==\ncommon\ncommon\n"


def test_redirected(master, directory):
    one = master(shell("echo out; echo err >&2", redirect_stderr=True, stdout=str(directory / "out")))
    written(directory / "out", "out\nerr\n")
    assert tail(one, "web", "stderr")[0] == "out\nerr\n"


def test_a_terminal_is_not_steered(master, directory):
    """Bytes are as they are but on a terminal."""
    one = master(shell(r"printf '\033[1;31mred\033[0m\033]0;title\007\a plain\n'", stdout=str(directory / "out")))
    proc.wait_until(lambda: (directory / "out").exists() and (directory / "out").read_bytes().endswith(b"\n"), "it is written")
    assert tail(one, "web")[0].encode() == (directory / "out").read_bytes()
    leader, follower = pty.openpty()
    subprocess.run([BINARIES.reloaderctl, "-s", str(one.socket), "tail", "web"], stdout=follower, timeout=30, check=True)
    os.close(follower)
    # The kernel hands what was written over in pieces, and later than it was written.
    shown = b""
    while not shown.endswith(b"\n"):
        shown += os.read(leader, 4096)
    os.close(leader)
    assert shown == b"red? plain\r\n"


@pytest.mark.parametrize("stdout, said", [
    ("inherit", "web: its stdout goes where reloader's own went when it was started"),
    ("null", "web: its stdout is thrown away"),
    ("journal", "web: its stdout goes to the journal: `journalctl RELOADER_PROGRAM=web RELOADER_STREAM=stdout`; tail -f shows what comes"),
    ("syslog", "web: its stdout goes to syslog, with the tag web; tail -f shows what comes"),
    ("log", "web: its stdout goes into reloader's own log, on the stderr that it was started with; tail -f shows what comes"),
])
def test_no_file(master, stdout, said):
    """It says where to look."""
    one = master(shell(":", workers=2, stdout=stdout))
    out, err = tail(one, "web", code=1)
    assert out == "" and err.startswith(f"reloaderctl: {said}") and err.count("\n") == 1
    assert "web/1: its stdout " in tail(one, "web:1", code=1)[1]


def test_errors(master, directory):
    one = master(shell(":", stdout=str(directory / "no" / "ne" / "out")))
    assert "no program, group or worker 'nobody'" in tail(one, "nobody", code=1)[1]
    assert "'web:7' is no slot or worker" in tail(one, "web:7", code=1)[1]
    assert "nothing was printed yet" in tail(one, "web", code=1)[1]
    for wrong in ([], ["web", "stdout", "stderr"], ["web", "web"], ["web", "-n", "0"], ["web", "--force"]):
        tail(one, *wrong, code=2)


# --- files, followed

@pytest.mark.sanitized
def test_follow(master, directory, follow):
    gate = Gate(directory)
    one = master(gate.config(stdout=str(directory / "out")))
    gate.say("seq 20")
    written(directory / "out", "".join(f"{i}\n" for i in range(1, 21)))
    follower = follow(one, "-f", "web", "-n", 2)
    follower.wait("19", "20")
    gate.say("echo next")
    follower.wait("19", "20", "next")
    gate.say("printf half; echo; printf 'no end'")
    follower.wait("19", "20", "next", "half")
    one.hup()
    follower.wait("19", "20", "next", "half", "no end")


def test_follow_before_there_is_a_file(master, directory, follow):
    gate = Gate(directory)
    one = master(gate.config(stdout=str(directory / "logs" / "out")))
    follower = follow(one, "-f", "web")
    gate.say("echo first")
    follower.wait("first")


@pytest.mark.limit(90)
@pytest.mark.parametrize("backups", [1000, 2])
def test_follow_through_rotation(master, directory, follow, backups):
    """Every line once, in order, while its file is rotated hundreds of times; with few backups, what was missed is said."""
    gate = Gate(directory)
    one = master(gate.config(stdout={"path": str(directory / "out"), "max_size": 4096, "backups": backups}))
    follower = follow(one, "-f", "web", "-n", 1)
    gate.say("echo 0")
    follower.wait("0")
    gate.say("seq 1 100000; echo end")
    proc.wait_until(lambda: "end" in follower.out.read(), "the last line", 60)
    numbers = [int(line) for line in follower.out.lines[:-1]]
    assert numbers == sorted(set(numbers))
    if backups == 1000:
        assert numbers == list(range(100001)) and not follower.err.read()
    else:
        assert len(numbers) == 100001 or follower.err.find("some lines may be missing")


def test_follow_a_file_that_is_emptied(master, directory, follow):
    gate = Gate(directory)
    one = master(gate.config(stdout={"path": str(directory / "out")}))
    gate.say("echo before")
    follower = follow(one, "-f", "web")
    follower.wait("before")
    os.truncate(directory / "out", 0)
    follower.err.wait("it was emptied")
    gate.say("echo after")
    follower.wait("before", "after")


# --- what no file has

@pytest.mark.sanitized
@pytest.mark.parametrize("to", ["log", "syslog"])
def test_live(master, directory, follow, to):
    """Lines come from the master while somebody follows, of those who are followed."""
    gate = Gate(directory, 2)
    one = master(gate.config(stdout=to, stderr=to, workers=2))
    follower = follow(one, "-f", "web:1", "--json")
    others = follow(one, "-f", "web", "stderr")
    proc.wait_until(lambda: len(proc.unix_connections(one.socket)) == 2, "both follow")
    # Nobody can see from outside when its call was taken: the first line that comes is that.
    def comes():
        gate.say("echo begin", 1)
        gate.say("echo begin >&2", 1)
        return follower.out.read() and others.out.read()
    proc.wait_until(comes, "lines come")
    gate.say(r"echo other; echo other >&2", 0)
    gate.say(r"printf 'one\n\377two\0\n'; echo err >&2; printf 'thr'; echo ee", 1)
    follower.out.wait("three")
    others.out.wait("other")
    others.out.wait("err")
    lines = [line for line in map(json.loads, follower.out.read()) if line["text"] != "begin"]
    assert [line["text"] for line in lines] == ["one", "?two?", "three"]
    assert {(line["program"], line["name"], line["slot"], line["stream"]) for line in lines} == {("web", "web/1", 1, "stdout")}
    assert "==> web/0 stderr <==" in others.out.lines and "==> web/1 stderr <==" in others.out.lines


def test_live_outlives_a_worker_and_a_logger(master, directory, follow):
    gate = Gate(directory)
    one = master(gate.config(stdout="syslog"))
    follower = follow(one, "-f", "web")

    def comes(word):
        gate.say(f"echo {word}")
        return word in follower.out.read()
    proc.wait_until(lambda: comes("first"), "lines come")
    old = logger_of(one)
    os.kill(old, signal.SIGKILL)
    proc.wait_until(lambda: comes("second"), "lines come from the next reloader-log")
    one.hup()
    one.wait_line("reload 1 committed|committed, generation 2")
    proc.wait_until(lambda: comes("third"), "lines come from the next worker")
    one.process.send_signal(signal.SIGTERM)
    assert follower.process.wait(30) == 0


def test_nobody_is_held_up(master, directory, follow):
    """A follower that does not read misses lines, and is told how many; the worker and its file are not held up."""
    gate = Gate(directory)
    one = master(gate.config(stdout=str(directory / "out"), stderr="null"))
    with one.connect() as follower:
        follower.send("Logs", {"programs": ["web"]}, more=True)
        assert follower.receive()["parameters"]["outputs"]
        gate.say(f"seq -f '%.0f {'x' * 100}' 1 100000; echo done > {directory}/done")
        proc.wait_until((directory / "done").exists, "the worker is done", 60)
        proc.wait_until(lambda: (directory / "out").read_bytes().endswith(b"\n") and b"\n100000 x" in (directory / "out").read_bytes()[-500:], "all is written")
        seen, missed = [], 0
        while len(seen) + missed < 100000:
            lines = follower.receive()["parameters"]["lines"]
            missed += lines.get("missed", 0)
            seen += lines["text"].splitlines()
        numbers = [int(line.split()[0]) for line in seen]
        assert numbers == sorted(set(numbers))
        assert missed > 0 and len(numbers) + missed == 100000

def test_lines_are_copied_only_while_somebody_follows(master, directory):
    """Else the master is not even woken by them."""
    gate = Gate(directory)
    one = master(gate.config(stdout={"path": str(directory / "out")}))

    def woken():
        return int(proc.field(one.pid, "voluntary_ctxt_switches"))

    def woken_by_lines(follower=None):
        before = woken()
        for number in range(200):
            size = (directory / "out").stat().st_size if (directory / "out").exists() else 0
            gate.say(f"echo {number}")
            proc.wait_until(lambda size=size: (directory / "out").exists() and (directory / "out").stat().st_size > size, "it is written")
            if follower:
                follower.receive()  # or one that is slow would be woken once for several
        return woken() - before
    assert woken_by_lines() < 100
    with one.connect() as follower:
        follower.send("Logs", {"programs": ["web:0"]}, more=True)
        follower.receive()
        assert woken_by_lines(follower) > 150
    proc.wait_until(lambda: not proc.unix_connections(one.socket), "it has left")
    assert woken_by_lines() < 100


# --- events

@pytest.mark.key("programs.NAME.stdout.events")
@pytest.mark.sanitized
def test_events(master, directory):
    gate = Gate(directory)
    one = master(gate.config(stdout={"path": str(directory / "out"), "events": True}, stderr=str(directory / "err")))
    (pid,) = one.pids()
    with one.connect() as events:
        events.send("Subscribe", {"types": ["log"]}, more=True)
        events.receive()
        gate.say(r"echo err >&2; printf 'one\ntwo\n'")
        got = [events.receive()["parameters"]["event"] for _ in range(2)]
    assert [event["text"] for event in got] == ["one", "two"]
    for event in got:
        assert {key: event[key] for key in event if key not in ("time_usec", "text")} == {
            "type": "log", "program": "web", "name": "web/0", "slot": 0, "pid": pid, "generation": 1, "stream": "stdout"}
    written(directory / "out", "one\ntwo\n")


@pytest.mark.key("programs.NAME.stderr.events")
def test_events_as_text(master, directory):
    gate = Gate(directory)
    one = master(gate.config(stderr={"to": "log", "events": True}))
    with subprocess.Popen([BINARIES.reloaderctl, "-s", str(one.socket), "events", "log"], stdout=subprocess.PIPE, text=True) as events:
        proc.wait_until(lambda: proc.unix_connections(one.socket), "it subscribes")
        # The first of these that comes after it has subscribed is an event.
        proc.wait_until(lambda: gate.say("echo hello >&2") or select.select([events.stdout], [], [], 0.1)[0], "an event comes")
        assert events.stdout.readline().endswith(" log web/0 stderr: hello\n")
        events.kill()
