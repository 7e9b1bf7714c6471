"""Events again and as they come: none lost or doubled between the two, what is gone is said."""
import datetime
import json
import random
import re
import select
import subprocess
import threading
import time

import pytest

from harness import BINARIES, VarlinkError, WORKERS, configs, proc
from harness.paths import PYTHON

QUICK = {"start_seconds": "50ms", "ready": "message", "reload": {"probation": "0s"}}
EVENTS_MAX = 4096
THE_END = {"cmd": "echo", "got": "the end", "generation": 1}


def talkers(*options, workers=2):
    return {"command": [PYTHON, "-S", str(WORKERS / "talker.py"), *options], "workers": workers, **QUICK}


def subscribe(one, **parameters):
    """The connection, and what the first reply says."""
    connection = one.connect()
    connection.send("Subscribe", parameters, more=True)
    return connection, connection.receive()["parameters"]


def newest(one):
    connection, first = subscribe(one)
    connection.close()
    return first


def read_until(connection, sequence):
    """Replies up to the one with that number."""
    replies = [connection.receive()["parameters"]]
    while replies[-1].get("sequence", 0) < sequence and replies[-1].get("missed", {"last": 0})["last"] < sequence:
        replies.append(connection.receive()["parameters"])
    return replies


def check_gapless(replies, begin, end):
    """Each number from `begin` to `end` is either told once, in order, or said to be missed. How many were missed."""
    expected, missed = begin, 0
    for reply in replies:
        if "missed" in reply:
            assert reply["missed"]["first"] == expected, (expected, reply)
            missed += reply["missed"]["last"] + 1 - expected
            expected = reply["missed"]["last"] + 1
        else:
            assert reply["sequence"] == expected, (expected, reply)
            expected += 1
    assert expected == end + 1
    return missed


def storm(one, name="storm"):
    assert {entry["result"] for entry in one.call("Send", {"programs": [name], "message": {"cmd": "storm"}})["results"]} == {"sent"}


def storm_to_its_end(one):
    """The number of what the worker says after it."""
    connection, _ = subscribe(one, commands=["echo"])
    storm(one)
    one.call("Send", {"programs": ["storm"], "message": "end"})
    (reply,) = read_until(connection, 1)
    connection.close()
    assert reply["event"]["value"]["got"] == "end"
    return reply["sequence"]


# --- none lost, none twice


@pytest.mark.limit(120)
def test_many_subscribers_in_a_storm(master):
    """60 begin at random times, from random numbers, while four workers flood and all are reloaded; each sees every number once."""
    one = master({"programs": {"storm": talkers("--storm=4000", workers=4), "other": talkers(workers=2)}})
    choose = random.Random(7)
    begun, over = [], threading.Event()

    def reloads():
        while not over.is_set():
            one.reload(programs=["other"])

    def read(entry):
        while entry["replies"][-1:] == [] or entry["replies"][-1].get("event", {}).get("value", {}) != THE_END:
            entry["replies"].append(entry["connection"].receive()["parameters"])

    reloader = threading.Thread(target=reloads)
    reloader.start()
    storm(one)
    threads = []
    try:
        for _ in range(60):
            last = newest(one)["last"]
            since = max(0, last - choose.randrange(0, 3000)) if choose.random() < 0.7 else None
            connection, first = subscribe(one, **({} if since is None else {"since": since}))
            begun.append({"connection": connection, "begin": (first["last"] if since is None else since) + 1, "replies": []})
            threads.append(threading.Thread(target=read, args=[begun[-1]]))
            threads[-1].start()
            select.select([], [], [], choose.random() / 20)
    finally:
        over.set()
        reloader.join()
    one.call("Send", {"programs": ["storm:0"], "message": "the end"})
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    told = {}
    for entry in begun:
        entry["connection"].close()
        replies = entry["replies"]
        end = replies[-1]["sequence"]
        check_gapless(replies, entry["begin"], end)
        for reply in replies:
            if "event" in reply:
                assert told.setdefault(reply["sequence"], reply["event"]) == reply["event"], "one number, one event"
    assert len({entry["replies"][-1]["sequence"] for entry in begun}) == 1, "all ended with the same"
    assert len(told) > 4000


@pytest.mark.limit(60)
def test_one_that_does_not_read(master):
    """It is not cut off and costs nothing; when it reads again it is told which are gone, and goes on gapless."""
    one = master({"programs": {"storm": talkers("--storm=20000", workers=1)}})
    lazy, first = subscribe(one)
    good, _ = subscribe(one, commands=["echo"])
    storm(one)
    one.call("Send", {"programs": ["storm"], "message": "end"})
    (reply,) = read_until(good, 1)
    end = reply["sequence"]
    assert reply["event"]["value"]["got"] == "end" and end > 20000, "the other one was not held up"
    replies = read_until(lazy, end)
    missed = check_gapless(replies, first["last"] + 1, end)
    assert 0 < missed < 20000
    assert int(proc.field(one.pid, "VmHWM").split()[0]) < 40 << 10
    one.expect_reload("committed")
    check_gapless(read_until(lazy, end + 3), end + 1, end + 3)
    lazy.close()
    good.close()


@pytest.mark.limit(60)
def test_bounded(master):
    """What is kept stays within its bounds, and the last ones are there for who comes; what is gone is said."""
    one = master({"programs": {"storm": talkers("--storm=30000", workers=1)}})
    end = storm_to_its_end(one)
    connection, first = subscribe(one, since=0)
    replies = read_until(connection, end)
    connection.close()
    assert check_gapless(replies, 1, end) == replies[0]["missed"]["last"] == end - len(replies) + 1
    assert EVENTS_MAX // 2 < len(replies) - 1 <= EVENTS_MAX and first["last"] >= end
    assert int(proc.field(one.pid, "VmRSS").split()[0]) < 20 << 10


# --- filters, and times


def collect(one, count, **parameters):
    connection, _ = subscribe(one, since=0, **parameters)
    events = [connection.receive()["parameters"]["event"] for _ in range(count)]
    connection.close()
    return events


def program_of(event):
    return event.get("program") or event.get("target", {}).get("program")


def test_filters(master):
    """By type, program, slot, worker and command: exactly those of all."""
    one = master({"programs": {"a": talkers("--own-status"), "b": talkers("--own-status", workers=1)}})
    one.expect_reload("committed")
    one.wait_drained()
    last = newest(one)["last"]
    connection, _ = subscribe(one, since=0)
    everything = [reply["event"] for reply in read_until(connection, last)]
    connection.close()
    cases = [
        ({"types": ["worker"]}, lambda event: event["type"] == "worker"),
        ({"programs": ["a"]}, lambda event: program_of(event) == "a"),
        ({"programs": ["a:1"]}, lambda event: program_of(event) == "a" and event.get("slot") == 1),
        ({"programs": ["a/0", "b"]}, lambda event: event.get("name") == "a/0" or program_of(event) == "b"),
        ({"commands": ["status"]}, lambda event: event["type"] == "message" and event["value"] == {"cmd": "status"}),
        ({"commands": ["status"], "types": ["message", "reload"], "programs": ["b"]},
         lambda event: event["type"] == "message" and event["program"] == "b" and event["value"] == {"cmd": "status"}),
    ]
    for parameters, wanted in cases:
        expected = [event for event in everything if wanted(event)]
        assert expected, parameters
        assert collect(one, len(expected), **parameters) == expected, parameters


def test_since_a_time(master):
    one = master({"programs": {"a": talkers()}})
    first = newest(one)["last"]
    now = int(time.time() * 1e6)
    one.expect_reload("committed")
    connection, _ = subscribe(one, since_usec=now)
    assert connection.receive()["parameters"]["sequence"] == first + 1
    connection.close()
    connection, confirmation = subscribe(one, since_usec=int(time.time() * 1e6) + 10**9)
    one.expect_reload("committed")
    assert connection.receive()["parameters"]["sequence"] > confirmation["last"]
    connection.close()


@pytest.mark.parametrize("parameters,wrong", [
    ({"since": -1}, "since"), ({"since": "5m"}, "since"), ({"since": 1, "since_usec": 1}, "since_usec"), ({"start": 3}, "start"),
    ({"programs": "a"}, "programs"), ({"types": ["nonsense"]}, "types"),
])
def test_wrong_parameters(master, parameters, wrong):
    one = master({"programs": {"a": talkers()}})
    with one.connect() as connection:
        with pytest.raises(VarlinkError) as caught:
            next(connection.stream("Subscribe", parameters))
        assert (caught.value.name, caught.value.parameters) == ("InvalidParameter", {"parameter": wrong})


def test_another_master(master):
    """Its numbers begin anew: who resumes with the old one's start is told, and gets all that this one has."""
    one = master({"programs": {"a": talkers()}})
    for _ in range(5):
        one.expect_reload("committed")
    old = newest(one)
    one.stop()
    two = master({"programs": {"a": talkers()}})
    new = newest(two)
    assert new["start"] > old["start"]
    for since in (old["last"], 3):
        connection, first = subscribe(two, since=since, start=old["start"])
        assert first["restarted"] is True and first["start"] == new["start"]
        check_gapless(read_until(connection, new["last"]), 1, new["last"])
        connection.close()
    connection, first = subscribe(two, since=3, start=new["start"])
    assert "restarted" not in first
    check_gapless(read_until(connection, new["last"]), 4, new["last"])
    connection.close()


def test_without_a_socket_nothing_is_kept(master, directory, port):
    """socket: none, until a reload brings one: what was before was not kept, and numbers begin there."""
    record = directory / "asked"
    config = {"control": {"socket": "none"}, "programs": {"storm": {"command": configs.fault("ready", "messages=2000", "say=done"), **QUICK}}}
    one = master(config, ready=False)
    one.wait_line("done")
    before = int(proc.field(one.pid, "VmRSS").split()[0])
    del config["control"]
    one.write(config)
    one.kill(1)
    one.wait_ready()
    connection, first = subscribe(one, since=0)
    reply = connection.receive()["parameters"]
    assert reply["event"]["type"] in ("reload", "worker", "rollout", "message")
    assert first["last"] < 2500 and before < 20 << 10
    connection.close()
    assert not record.exists()


# --- reloaderctl


class Events:
    """reloaderctl events, line by line."""

    def __init__(self, one, *arguments):
        self.process = subprocess.Popen([BINARIES.reloaderctl, "-s", str(one.socket), "events", *arguments],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self):
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        return line.rstrip("\n")


def test_ctl_events(master):
    one = master({"programs": {"a": talkers("--own-status"), "b": talkers("--own-status")}})
    with Events(one, "--since", "0", "--json", "--type", "worker,message", "--program", "a") as events:
        entry = json.loads(events.line())
        assert entry["sequence"] > 0 and entry["start"] == newest(one)["start"] and entry["event"]["program"] == "a"
    with Events(one, "--since", "1h", "--cmd", "status", "--program", "b") as events:
        lines = sorted(events.line().partition(" ")[2] for _ in range(2))
        assert lines == ['message b/0: {"cmd":"status"}', 'message b/1: {"cmd":"status"}']
    with Events(one, "--since=2020-01-01T00:00:00Z", "--type=message", "--type=worker", "worker") as events:
        assert re.match(r"[\d:.]+ worker [ab]/\d: STARTING", events.line())
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    with Events(one, "--since", soon, "master") as events:
        assert events.process.poll() is None
    for wrong in (["--since", "yesterday"], ["--since", "-5m"], ["--since"]):
        assert one.ctl("events", *wrong, code=2).stderr
    assert "--type" in one.ctl("status", "--type", "x", code=2).stderr
    assert "types" in one.ctl("events", "nonsense", code=1).stderr


def test_ctl_says_what_is_gone(master):
    one = master({"programs": {"storm": talkers("--storm=6000", workers=1)}})
    storm_to_its_end(one)
    connection, _ = subscribe(one, since=16)
    gone = connection.receive()["parameters"]["missed"]
    connection.close()
    with Events(one, "--since", "16", "--cmd", "echo") as events:
        assert '"end"' in events.line()
        assert re.fullmatch(rf"reloaderctl: events 17\.\.{gone['last']} are gone: .*\n", events.process.stderr.readline())
    with Events(one, "--since", "16", "--cmd", "echo", "--json") as events:
        assert json.loads(events.line())["missed"] == gone
    with Events(one, "--since", "16@5") as events:
        assert "another master's" in events.process.stderr.readline()


def test_ctl_says_where_to_go_on(master):
    """Its master dies: which number was the last one, and how to go on behind it."""
    one = master({"programs": {"a": talkers()}})
    last, start = (newest(one)[name] for name in ("last", "start"))
    with Events(one, "--since", "0") as events:
        for _ in range(last):
            events.line()
        pids = one.pids()
        one.kill(9)
        assert events.process.wait(20) == 3
        assert f"events --since {last}@{start}" in events.process.stderr.read()
    one.process.wait(20)
    one.stopped = True
    for pid in pids:
        proc.wait_gone(pid)


def test_a_nul_in_a_message(master):
    """What an application may say in JSON is shown, whatever it is."""
    one = master({"programs": {"a": {"command": configs.fault(r'line={"cmd":"odd","text":"a\u0000b"}', "ready"), **QUICK}}})
    with Events(one, "--since", "0", "--cmd", "odd") as events:
        assert r'"a\u0000b"' in events.line()
