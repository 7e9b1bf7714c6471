"""Messages between operators and workers, both ways, over the channel; what a worker read is what it says."""
import json
import shutil
import subprocess
import sys
import threading

import pytest

from harness import BINARIES, TOP, WORKERS, VarlinkError, configs, proc
from harness.master import state
from harness.paths import PYTHON

NODE = shutil.which("node") or shutil.which("nodejs")
QUICK = {"start_seconds": "50ms", "ready": "message", "reload": {"probation": "0s"}}


def talkers(*options, workers=2, **program):
    return {"command": [PYTHON, "-S", str(WORKERS / "talker.py"), *options], "workers": workers, "drain": "message", **QUICK, **program}


def node_talkers(*options, workers=2):
    assert NODE, "nodejs is not installed; ./test installs it"
    return {"command": [NODE, str(WORKERS / "talker.js"), *options], "workers": workers, **QUICK}


@pytest.fixture
def both(master):
    return master({"programs": {"py": talkers(), "js": node_talkers()}})


class Listener:
    """Subscribed to messages."""

    def __init__(self, one, **parameters):
        self.connection = one.connect()
        self.connection.send("Subscribe", {"types": ["message"], **parameters}, more=True)
        self.connection.receive()

    def next(self):
        return self.connection.receive()["parameters"]["event"]

    def take(self, count):
        return [self.next() for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def send(one, message, *names):
    return one.call("Send", {"programs": list(names), "message": message})["results"]


@pytest.mark.sanitized
@pytest.mark.parametrize("message", [
    {"cmd": "status"}, {"nested": {"list": [1, 2.5, None, True, "\u00e9\n\u0001"]}}, "text", 17, [], None, "x" * 60000,
], ids=range(7))
def test_round_trip(both, message):
    """Whatever JSON it is: each worker gets it once, as it was, and its answer is an event with its own name and pid."""
    with Listener(both) as listener:
        results = send(both, message, "all")
        assert [entry["result"] for entry in results] == ["sent"] * 4
        answers = listener.take(4)
    assert sorted((entry["name"], entry["pid"]) for entry in results) == sorted((entry["name"], entry["pid"]) for entry in answers)
    assert {entry["pid"] for entry in answers} == set(both.pids())
    assert [entry["value"] for entry in answers] == [{"cmd": "echo", "got": message, "generation": 1}] * 4


@pytest.mark.parametrize("names,expected", [
    (["py"], ["py/0", "py/1"]), (["py:1"], ["py/1"]), (["js:*"], ["js/0", "js/1"]), (["js/0", "js:0"], ["js/0"]),
    (["all", "py"], ["js/0", "js/1", "py/0", "py/1"]),
])
def test_names(both, names, expected):
    """As Start takes them; nobody gets it twice."""
    with Listener(both) as listener:
        assert sorted(entry["name"] for entry in send(both, {"n": 1}, *names)) == expected
        assert sorted(entry["name"] for entry in listener.take(len(expected))) == expected
        send(both, "end", "py:0")
        assert listener.next()["value"]["got"] == "end", "nothing else came"


@pytest.mark.parametrize("name,error", [("nobody", "NoSuchProgram"), ("py:7", "NoSuchWorker")])
def test_unknown_names(both, name, error):
    with Listener(both) as listener:
        with pytest.raises(VarlinkError) as caught:
            send(both, 1, "py", name)
        assert caught.value.name == error and caught.value.parameters == {"name": name}
        send(both, "end", "py:0")
        assert listener.next()["value"]["got"] == "end", "nobody got it"


@pytest.mark.parametrize("message", ["graceful_shutdown", "leave", {"reloader": "listeners", "names": []}, {"cmd": "NODE_HANDLE"}],
                         ids=["word", "own word", "reloader", "node"])
def test_own_words_are_refused(master, message):
    """What would make a worker leave, or Node's library do something, behind the master's back."""
    one = master({"programs": {"py": talkers(drain_message="leave", disconnect_timeout="100ms")}})
    with pytest.raises(VarlinkError) as caught:
        send(one, message, "py")
    assert caught.value.name == "Failed" and "own words" in caught.value.parameters["reason"]
    pids = one.pids()
    assert len(pids) == 2 and all(proc.is_running(pid) for pid in pids)


@pytest.mark.limit(90)
def test_during_reloads(both):
    """Sends and answers go on while all are replaced: each that was sent is answered once, by whom it was sent to. Words come in order."""
    sent, refused, answers, newest, over = [], [], [], [0], threading.Event()

    def sender():
        number = 0
        while not over.is_set():
            number += 1
            for entry in send(both, {"cmd": "status", "n": number}, "all"):
                (sent if entry["result"] == "sent" else refused).append((entry.get("pid"), number))
            # Not so far ahead that the reader, or a worker, could not keep up.
            proc.wait_until(lambda: newest[0] > number - 200, "the answers come")

    def reader(ends):
        while ends > 0:
            event = listener.next()
            if event["value"]["got"] == "end":
                ends -= 1
                continue
            answers.append((event["pid"], event["value"]["got"]["n"]))
            newest[0] = max(newest[0], answers[-1][1])

    with Listener(both) as listener:
        threads = [threading.Thread(target=sender), threading.Thread(target=reader, args=[4])]
        for thread in threads:
            thread.start()
        def all_are_sent_to():
            return set(both.pids()) <= {pid for pid, _ in sent}
        try:
            proc.wait_until(all_are_sent_to, "the first ones are sent to")
            for _ in range(3):
                both.expect_reload("committed")
                both.wait_drained()
                proc.wait_until(all_are_sent_to, "the new ones are sent to")
        finally:
            over.set()
            threads[0].join()
            ends = send(both, "end", "all")
            threads[1].join()
    assert [entry["result"] for entry in ends] == ["sent"] * 4
    assert len(answers) == len(set(answers)), "an answer came twice"
    assert set(answers) == set(sent)
    assert not set(sent) & set(refused)
    assert len({pid for pid, _ in sent}) == 4 * 4, "old and new ones were sent to"


@pytest.mark.parametrize("program", ["py", "js"])
def test_an_application_s_own_status(master, program):
    """{"cmd":"status"} is no word of reloader's: it is a message, and the worker's text stays what it was."""
    config = {"py": talkers("--own-status", workers=1), "js": node_talkers("--own-status", workers=1)}[program]
    one = master({"programs": {"app": config}})
    with Listener(one, since=0, commands=["status"]) as listener:
        event = listener.next()
    assert event["value"] == {"cmd": "status"} and event["name"] == "app/0" and event["pid"] == one.pids()[0]
    assert "text" not in one.workers()[0]


# --- those who do not get it


def test_a_worker_that_does_not_read(master):
    """What it did not read is kept for it, bounded; then it is said that there is no room. Nobody else waits for it."""
    one = master({"programs": {"deaf": {"command": configs.fault("ready"), **QUICK, "stop_timeout": "1s", "drain_grace": "50ms"},
                               "py": talkers(workers=1)}})
    before = int(proc.field(one.pid, "VmRSS").split()[0])
    assert send(one, "x" * 1000, "deaf") == [{"program": "deaf", "slot": 0, "name": "deaf/0", "pid": one.pids("deaf")[0],
                                             "generation": 1, "result": "sent"}]
    sent = 1
    while (entry := send(one, "x" * 1000, "deaf")[0])["result"] == "sent":
        assert entry["unread"] is True, "its sender is told"
        sent += 1
        assert sent < 2000, "it is kept without bounds"
    assert entry["result"] == "full" and sent > 60
    with Listener(one) as listener:
        assert send(one, "hello", "all")[0]["result"] in ("full", "sent")
        assert listener.next()["value"]["got"] == "hello"
    assert int(proc.field(one.pid, "VmRSS").split()[0]) < before + 2048
    one.expect_reload("committed")
    one.wait_drained()


def test_why_not(master, directory):
    """A channel that is closed, a worker that drains, one that is being stopped, a slot without any."""
    one = master({"programs": {
        "closed": {"command": configs.fault("notify=READY=1", "close"), "ready": "notify", "drain": "signal"},
        "stays": talkers(workers=1, command=configs.fault("ignore-term", "ready"), drain_grace="10m", drain="message",
                         disconnect_timeout="10m", stop_timeout="1s"),
        "idle": talkers(workers=1, autostart=False),
    }}, ready=False)
    one.wait(lambda status: [state(slot) for slot in one.slots("closed", status) + one.slots("stays", status)] == ["ready"] * 2, "ready")
    proc.wait_until(lambda: send(one, 1, "closed")[0]["result"] == "no_channel", "the end of its channel is seen")
    assert [entry["result"] for entry in send(one, 1, "stays")] == ["sent"]
    assert send(one, 1, "idle") == [], "nobody is wanted there"
    (entry,) = send(one, 1, "idle:0")
    assert entry["result"] == "not_running" and "pid" not in entry
    with one.connect() as connection:
        connection.call("Stop", {"programs": ["stays"], "wait": False})
        proc.wait_until(lambda: send(one, 1, "stays")[0]["result"] == "draining", "it drains")
        connection.call("Stop", {"programs": ["stays"], "wait": False, "force": True})
        proc.wait_until(lambda: [entry["result"] for entry in send(one, 1, "stays")] in (["stopping"], []), "it is stopped")


def test_too_long(both):
    """Longer than a channel's line; reals that take more room than they came in."""
    with pytest.raises(VarlinkError) as caught:
        send(both, [0.1] * 12000, "py")
    assert "64 KiB" in caught.value.parameters["reason"]


# --- reloaderctl, and a program


def test_ctl_send(both):
    with Listener(both) as listener:
        done = both.ctl("send", "py:0", "js:0", '{"cmd":"flush"}', code=0)
        assert [line.partition(" (")[0] for line in done.stdout.splitlines()] == ["js/0", "py/0"] or "py/0" in done.stdout
        assert done.stdout.count(": sent\n") == 2
        assert {event["value"]["got"]["cmd"] for event in listener.take(2)} == {"flush"}
        both.ctl("send", "py:1", "-1", code=0)
        assert listener.next()["value"]["got"] == -1
    assert json.loads(both.ctl("send", "--json", "py:0", "7", code=0).stdout)["results"][0]["result"] == "sent"
    assert both.ctl("send", "-q", "py", "7", code=0).stdout == ""
    both.ctl("send", "py", "hello", code=2)
    both.ctl("send", "py", code=2)
    assert "nobody" in both.ctl("send", "nobody", "7", code=1).stderr
    both.ctl("stop", "py:0", code=0)
    done = both.ctl("send", "py", "py:0", "7", code=0)
    assert "py/1" in done.stdout
    assert "no worker runs there" in both.ctl("send", "py:0", "7", code=1).stdout


def test_example(both):
    """examples/control.py: sends, listens, restarts and shuts down."""
    command = [PYTHON, str(TOP / "examples" / "control.py"), str(both.socket)]

    def run(*arguments, code=0):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    with subprocess.Popen([*command, "listen"], stdout=subprocess.PIPE, text=True) as listener:
        assert "start" in json.loads(listener.stdout.readline())
        assert run("send", "js", '{"cmd":"status"}').count('"sent"') == 2
        values = [json.loads(listener.stdout.readline())["event"]["value"] for _ in range(2)]
        assert values == [{"cmd": "echo", "got": {"cmd": "status"}, "generation": 1}] * 2
        before = both.pids()
        assert "restarted" in run("restart", "py")
        both.wait_drained()
        assert set(both.pids("js")) <= set(before) and not set(both.pids("py")) & set(before)
        assert "NoSuchProgram" in run("restart", "nobody", code=1)
        run("shutdown")
        both.wait_end()
        *_, last = map(json.loads, listener.stdout)
        assert last == {}, "the master left in order"
        assert listener.wait(20) == 0
    assert "usage" in run(code=1)
    assert sys.version_info >= (3, 10)
