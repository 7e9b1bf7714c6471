"""on_event: a program's own command is told of what happens to it; whatever that command does, it harms nobody."""
import json
import os
import re
import signal

import pytest

from harness import configs, isolation, proc
from harness.tail import Tail

SOON = {"initial": "10ms", "max": "50ms", "jitter": 0}
DROPPED = r"{}: on_event: (\d+) events? (?:was|were) dropped"
NEVER_TOLD = r"{}: on_event: (\d+) events? (?:was|were) never told, reloader leaves"


def hook(record, *types, before="", after=""):
    """Writes down what it is told, one line for each run."""
    tell = f'read -r line; {before} printf "%%s %%s %%s\\n" "$RELOADER_EVENT" "$RELOADER_PROGRAM" "$line" >> {record}; {after}'
    return {"types": list(types), "command": ["sh", "-c", tell]}


def program(script, on_event=None, **options):
    """A shell; one that exits does so before it is ready, however long it takes to be started."""
    return {"command": ["sh", "-c", script], "start_seconds": "1h" if script.startswith("exit") else "50ms", "backoff": SOON, "reload": {"probation": "0s"},
            **({"on_event": on_event} if on_event else {}), **options}


class Told:
    """What hooks have written down."""

    def __init__(self, path):
        self.path = path
        self.tail = Tail(path)
        os.chmod(path, 0o666)

    def all(self, event=None, program=None, **fields):
        """(RELOADER_EVENT, RELOADER_PROGRAM, the event) of those that match."""
        entries = []
        for line in self.tail.read():
            name, about, text = line.split(" ", 2)
            entry = json.loads(text)
            if event in (None, name) and program in (None, about) and all(entry.get(key) == value for key, value in fields.items()):
                entries.append((name, about, entry))
        return entries

    def wait(self, event=None, times=1, **fields):
        proc.wait_until(lambda: len(self.all(event, **fields)) >= times, f"a hook was told {times} times: {event} {fields}")
        found = self.all(event, **fields)
        assert len(found) == times, found
        return found[-1][2]


@pytest.fixture
def told(directory):
    return Told(directory / "told")


def pid_of(path):
    """As it was read once: it may be written anew by another hook."""
    def whole():
        text = path.read_text() if path.exists() else ""
        return text.endswith("\n") and text
    return int(proc.wait_until(whole, f"{path} is there"))


def total(one, pattern):
    return sum(int(number) for number in re.findall(pattern, one.log.text()))


# --- what it is told

@pytest.mark.key("programs.NAME.on_event.types", "programs.NAME.on_event.command")
@pytest.mark.sanitized
def test_fatal(master, directory, told):
    """Once, with what an operator needs, in the surroundings of the program's workers, and none of their secrets."""
    surroundings = directory / "surroundings"
    on_event = hook(told.path, "fatal", before=f"{{ env; pwd; }} > {surroundings};")
    one = master({"programs": {"job": program("exit 5", on_event, start_retries=1, environment={"PASSWORD": "hunter2"}, directory="/tmp")}},
                 ready=False)
    event = told.wait("fatal", program="job")
    assert (event["type"], event["program"], event["slot"], event["new"]) == ("worker", "job", 0, "FATAL")
    assert event["reason"] == "2 failed starts in a row (start_retries is 1); the last one: exited with 5 before it was ready" \
        and event["time_usec"] > 0
    assert "hunter2" not in json.dumps(event)
    *environment, where = surroundings.read_text().splitlines()
    assert where == "/tmp"
    variables = dict(line.split("=", 1) for line in environment if "=" in line)
    assert variables["RELOADER_EVENT"] == "fatal" and variables["RELOADER_PROGRAM"] == "job" and variables["PASSWORD"] == "hunter2"
    assert not {"LISTEN_FDS", "NOTIFY_SOCKET", "RELOADER_CHANNEL_FD", "RELOADER_SLOT"} & variables.keys()
    one.stop()
    assert len(told.all()) == 1


def test_one_event_of_two_types_is_told_once(master, told):
    one = master({"programs": {"job": program("exit 5", hook(told.path, "worker", "crash", "fatal"), start_retries=0)}}, ready=False)
    told.wait("fatal")
    told.wait("crash")
    told.wait("worker", new="GONE")
    one.stop()
    assert [entry["new"] for _, _, entry in told.all("worker")].count("FATAL") == 0
    assert not [entry for _, _, entry in told.all("worker") if entry.get("crashed")]


def test_crash(master, told):
    """Who is told to leave does not crash, and neither does who has done its work."""
    script = "trap 'exit 9' TERM; while :; do sleep 0.05; done"
    one = master({"programs": {"job": program(script, hook(told.path, "crash")),
                               "done": program("exit 0", hook(told.path, "crash"), restart="never", start_seconds="0s")}}, ready=False)
    one.wait_line("done/0: exited")
    one.wait(lambda status: len(one.pids("job", status)) == 1, "the other one is there")
    (pid,) = one.pids("job")
    one.expect_reload("committed")
    one.wait(lambda status: one.pids("job", status) not in ([], [pid]) and len(one.workers("job", status)) == 1, "the first one has left")
    (pid,) = one.pids("job")
    os.kill(pid, signal.SIGSEGV)
    event = told.wait("crash")
    assert event["pid"] == pid and event["name"] == "job/0" and "SIGSEGV" in event["reason"] and event["crashed"] is True
    one.stop()
    assert len(told.all()) == 1


@pytest.mark.sanitized
def test_reload_is_told_to_all_who_ask(master, told):
    """Committed, refused and rolled back."""
    one = master({"programs": {"a": program("exec sleep 1000", hook(told.path, "reload")),
                               "b": program("exec sleep 1000", hook(told.path, "reload")),
                               "c": program("exec sleep 1000", hook(told.path, "fatal"))}})
    one.expect_reload("committed")
    for name in "ab":
        event = told.wait(program=name, state="ended", id=1)
        assert event["result"] == "committed" and event["type"] == "reload"
    one.programs["a"].update(command=["sh", "-c", "exit 3"], start_seconds="1h")
    one.write()
    one.expect_reload("rolled_back")
    event = told.wait(program="b", state="ended", id=2)
    assert event["result"] == "rolled_back" and "exited with 3" in event["reason"]
    one.write("programs: [")
    one.expect_reload("refused")
    assert told.wait(program="a", state="ended", id=3)["result"] == "refused"
    assert not told.all(program="c")


def test_what_names_a_program_is_told_to_it_alone(master, told):
    """Messages of applications, and steps of a job; its end is everybody's."""
    speaks = """printf '{"hello":"%%s"}\\n' "$RELOADER_PROGRAM" >&3; exec sleep 1000"""
    one = master({"programs": {name: program(speaks, hook(told.path, "message", "job")) for name in "ab"}})
    for name in "ab":
        event = told.wait("message", value={"hello": name})
        assert event["program"] == name and event["pid"] in one.pids(name)
    assert [about for _, about, _ in told.all("message")] in (["a", "b"], ["b", "a"])
    one.ctl("restart", "a", code=0)
    assert told.wait("job", program="a", state="progress", verb="restart")["target"]["program"] == "a"
    for name in "ab":
        told.wait("job", program=name, state="ended", verb="restart")
    assert not told.all("job", program="b", state="progress", verb="restart")


def test_start_and_end_of_the_master(master, told):
    """The last event arrives as well, before the master leaves, though its hook takes its time."""
    one = master({"programs": {"job": program("exec sleep 1000", hook(told.path, "master", before="sleep 0.5;"))}})
    told.wait("master", state="running")
    one.stop()
    assert [entry["state"] for _, _, entry in told.all()] == ["running", "stopping"]


def test_fatal_is_told_before_the_master_leaves_with_it(master, told):
    one = master({"programs": {"job": program("exit 7", hook(told.path, "fatal", before="sleep 0.5;"), start_retries=0, exit_on_fatal=True)}},
                 ready=False)
    one.wait_end(7)
    assert len(told.all("fatal")) == 1


@pytest.mark.root
def test_runs_as_the_workers_do(master, directory):
    (directory / "open").mkdir()
    (directory / "open").chmod(0o777)
    record = directory / "open" / "record"
    tell = f"{{ id -u; ulimit -n; umask; cat; }} > {record}.new; mv {record}.new {record}"
    master({"programs": {"job": program("exit 5", {"types": "fatal", "command": ["sh", "-c", tell]}, start_retries=0,
                                        user="nobody", umask="077", limits={"nofile": 123})}}, ready=False)
    proc.wait_until(record.exists, "the hook has run")
    uid, files, umask, text = record.read_text().splitlines()
    assert (uid, files, umask) == ("65534", "123", "0077") and json.loads(text)["new"] == "FATAL"
    assert record.stat().st_uid == 65534


# --- reloads

def test_reload_changes_the_hook(master, directory, told):
    """With the configuration in force: a reload begins with the old one and ends with the new one, or not."""
    other = Told(directory / "other")
    one = master({"programs": {"job": program("exec sleep 1000", hook(told.path, "reload"))}})
    one.programs["job"]["on_event"] = hook(other.path, "reload")
    one.write()
    one.expect_reload("committed")
    told.wait(state="began", id=1)
    other.wait(state="ended", id=1)
    assert not told.all(state="ended") and not other.all(state="began")
    one.programs["job"]["on_event"] = hook(told.path, "reload")
    one.programs["job"].update(command=["sh", "-c", "exit 3"], start_seconds="1h")
    one.write()
    one.expect_reload("rolled_back")
    other.wait(state="ended", id=2)
    assert not told.all(id=2)
    one.programs["job"] = program("exec sleep 1000")
    one.write()
    one.expect_reload("committed")
    other.wait(state="began", id=3)
    one.expect_reload("committed")
    one.stop()
    assert not other.all(state="ended", id=3) and not other.all(id=4)


def test_removed_program_is_told_of_itself_alone(master, directory, told):
    """While its workers are still there; reloads are no affair of its any more."""
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"old": program(f"trap '' TERM; echo '\"ready\"' >&3; until read line < {gate}; do :; done", hook(told.path, "reload", "worker"),
                                              ready="message", disconnect_timeout="200ms", stop_timeout="10m"),
                               "new": program("exec sleep 1000", hook(told.path, "reload"))}})
    (pid,) = one.pids("old")
    del one.programs["old"]
    one.write()
    one.expect_reload("committed")
    told.wait("worker", program="old", new="STOPPING")
    one.expect_reload("committed")
    told.wait("reload", program="new", id=2, state="ended")
    gate.write_text("go\n")
    assert told.wait("worker", program="old", new="GONE")["pid"] == pid
    one.stop()
    assert not told.all("reload", program="old", id=2)


def test_running_hook_keeps_no_socket(master, directory, port):
    """It is of the old generation, and that one's socket closes with its workers."""
    pid_file = directory / "pid"
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["programs"]["echo"]["on_event"] = {"types": ["reload"], "command": ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 1000"]}
    one = master(config)
    assert proc.tcp_listeners(port)
    config["sockets"]["echo"]["listen"] = f"127.0.0.1:{isolation.free_port()}"
    one.write()
    one.expect_reload("committed")
    one.wait_drained()
    pid = pid_of(pid_file)
    proc.wait_until(lambda: not proc.tcp_listeners(port), "the old socket is closed")
    assert proc.is_running(pid)
    stop_and_end_hooks(one)


# --- hooks that misbehave

def stop_and_end_hooks(one, number=signal.SIGTERM):
    """What still runs when the master leaves is left alone, and said."""
    one.stop(number, complete=False)
    left = [int(pid) for pid in re.findall(r"on_event, pid (\d+), still runs; it is left alone", one.log.text())]
    assert left and all(proc.is_running(pid) for pid in left)
    for pid in left:
        os.killpg(pid, signal.SIGKILL)
        proc.wait_gone(pid)
    return left


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=lambda number: number.name)
def test_hangs(master, told, number):
    """A program's own hooks wait for it, up to three; not those of others, and not the master for ever."""
    gate, spoken = told.path.parent / "gate", told.path.parent / "spoken"
    speaks = f"until read line < {gate}; do :; done; for i in 1 2 3 4 5 6 7 8; do echo $i >&3; done; touch {spoken}; exec sleep 1000"
    os.mkfifo(gate)
    one = master({"programs": {"hangs": program(speaks, hook(told.path, "message", after="exec sleep 1000")),
                               "other": program("exec sleep 1000", hook(told.path, "reload"))}})
    gate.write_text("go\n")
    proc.wait_until(lambda: len(told.all("message")) == 3, "three of them run")
    proc.wait_until(spoken.exists, "the others wait")
    one.expect_reload("committed")
    told.wait("reload", program="other", state="ended")
    assert len(told.all("message", program="hangs")) == 3
    assert len(stop_and_end_hooks(one, number)) == 3
    assert total(one, NEVER_TOLD.format("hangs")) >= 5


@pytest.mark.slow
@pytest.mark.limit(180)
def test_is_ended_after_a_minute(master, directory):
    """With all of its group."""
    pid_file = directory / "pid"
    one = master({"programs": {"job": program("exit 5", {"types": ["fatal"], "command": [
        "sh", "-c", f"trap '' TERM; sleep 1000 & echo $! > {pid_file}; echo waiting; wait; wait"]}, start_retries=0)}}, ready=False)
    pid = pid_of(pid_file)
    one.wait_line(r"warning job: event fatal: on_event did not end within 1 min", seconds=120)
    one.wait_line(r"warning job:   waiting$")
    proc.wait_gone(pid)
    proc.wait_until(lambda: not proc.children(one.pid), "nobody is left")


@pytest.mark.parametrize("script, lines", [
    ("echo one; echo two >&2; exit 3", [r"on_event exited with 3:", r"  one", r"  two"]),
    ("kill -SEGV $$", [r"on_event died of SIGSEGV"]),
    ("head -c 2000000 /dev/zero | tr '\\0' x; echo; seq 1000; exit 1", [r"on_event exited with 1:", *(rf"  {n}" for n in range(991, 1001))]),
    ("printf '\\033[2J'; exit 1", [r"on_event exited with 1:", r"  \?\[2J"]),
    (None, [r"on_event: cannot execute '/nonexistent/notify': No such file or directory"]),
], ids=["exit", "signal", "flood", "control", "missing"])
def test_fails(master, script, lines):
    """A warning with the end of its output, and nothing else."""
    command = ["sh", "-c", script] if script else ["/nonexistent/notify"]
    one = master({"programs": {"job": program("exit 5", {"types": ["fatal"], "command": command}, start_retries=0)}}, ready=False)
    lines = [f"event fatal: {lines[0]}", *lines[1:]]
    one.wait_line(f"warning job: {lines[0]}$")
    if len(lines) > 1:
        one.wait_line(rf"warning job: {lines[-1]}$")
    found = [line.split("warning job: ", 1)[1] for line in one.log.text().splitlines() if "warning job: " in line]
    begin = next(number for number, line in enumerate(found) if line.startswith("event fatal"))
    assert all(re.fullmatch(line, text) for line, text in zip(lines, found[begin:][:len(lines)])), found
    assert not [line for line in found[begin:] if line.startswith("  ")][len(lines) - 1:]
    proc.wait_until(lambda: not proc.children(one.pid), "nobody is left")


def test_many_failures_are_few_lines(master, told):
    """However often it fails."""
    script = "seq 60 >&3; exec sleep 1000"
    one = master({"programs": {"job": program(script, hook(told.path, "message", after="exit 1"))}})
    proc.wait_until(lambda: len(told.all()) == 60, "all were told")
    one.stop()
    assert 1 <= one.log.text().count("event message: on_event exited with 1") <= 30


def test_bursts_are_bounded(master, directory, told):
    """1000 events at once: three hooks run, 64 wait, and of the rest it is said how many they were."""
    gate, go = directory / "gate", directory / "go"
    os.mkfifo(gate)
    script = f"until read line < {gate}; do :; done; seq 1000 >&3; exec sleep 1000"
    one = master({"programs": {"job": program(script, hook(told.path, "message", before=f"until [ -e {go} ]; do sleep 0.05; done;"))}})
    with one.connect() as connection:
        connection.send("Subscribe", more=True)
        connection.receive()
        gate.write_text("go\n")
        last = None
        while last != 1000:
            event = connection.receive()["parameters"].get("event") or {}
            last = event.get("value", last)
    one.wait_line(DROPPED.format("job"))
    assert len([pid for pid in proc.children(one.pid) if pid not in one.pids()]) == 3
    go.touch()
    proc.wait_until(lambda: len(told.all()) == 67, "those that waited are told")
    one.stop()
    assert len(told.all()) == 67
    assert total(one, DROPPED.format("job")) == 1000 - 67
    assert len(re.findall(DROPPED.format("job"), one.log.text())) <= 20
    values = [entry["value"] for _, _, entry in told.all()]
    assert sorted(values)[:64] == list(range(1, 65)), "what came first"
