"""/events: what the control socket tells its subscribers, as server-sent events; none lost, none twice, whatever happens to the gateway."""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

from harness import TOP, WORKERS, configs, proc
from harness.event_stream import EventStream, read_until, streams
from harness.paths import PYTHON

QUICK = {"start_seconds": "50ms", "ready": "message", "reload": {"probation": "0s"}}
EVENTS_MAX = 4096


def talkers(*options, workers=2):
    return {"command": [PYTHON, "-S", str(WORKERS / "talker.py"), *options], "workers": workers, **QUICK}


@pytest.fixture
def served(master, port):
    """Workers that talk, and a gateway at `address`."""
    def start(programs=None, **section):
        one = master({"programs": programs or {"talk": talkers()}, "gateway": {"listen": f"127.0.0.1:{port}", **section}})
        one.port, one.address = port, ("127.0.0.1", port)
        await_gateway(one)
        return one
    return start


def gateway_pids(status):
    program = status["gateway"].get("program") or {"slots": []}
    return [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]


def await_gateway(one, but=None):
    """Until it is ready, and alone, and another one than `but`. Returns its pid."""
    def is_there(status):
        pids = gateway_pids(status)
        return status["gateway"]["state"] == "READY" and len(pids) == 1 and pids[0] != but
    return gateway_pids(one.wait(is_there, "the gateway is ready"))[0]


def say(one, message, name="talk"):
    assert {entry["result"] for entry in one.call("Send", {"programs": [name], "message": message})["results"]} == {"sent"}


def newest(one):
    """What the master says: the first reply to one who subscribes."""
    with one.connect() as connection:
        connection.send("Subscribe", {}, more=True)
        return connection.receive()["parameters"]


def truth(one, **parameters):
    """Number to event, as the control socket tells them."""
    told, last = {}, newest(one)["last"]
    with one.connect() as connection:
        replies = connection.stream("Subscribe", {"since": 0, **parameters})
        next(replies)
        say(one, "mark", "talk:0")
        for reply in replies:
            if "event" in reply and reply["sequence"] <= last:
                told[reply["sequence"]] = reply["event"]
            if reply.get("sequence", 0) > last or reply.get("missed", {"last": 0})["last"] > last:
                return told


def has(what):
    """A worker said that."""
    return lambda stream: any(kind == "message" and data["value"].get("got") == what for _, kind, data in stream.told()[-4000:])


def has_number(last):
    return lambda stream: bool(stream.events) and stream.events[-1][0] >= last


def get(one, path, method="GET", headers=None):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)) as connection:
        connection.request(method, path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


# --- what comes


@pytest.mark.sanitized
def test_as_the_control_socket_tells_them(served):
    one = served()
    last = newest(one)
    with streams(one.address) as (stream,):
        assert stream.hello() == {"start": last["start"], "last": last["last"], "heartbeat_usec": 15000000}
        assert stream.last_id == f"{last['start']}-{last['last']}" and 1000 <= stream.retry <= 3000
        one.expect_reload("committed")
        one.wait_drained()
        say(one, {"line\n\nid: 1-1\r": "ö\u2028"})
        read_until([stream], has({"line\n\nid: 1-1\r": "ö\u2028"}), "the message")
        say(one, "the end")
        read_until([stream], has("the end"), "the end")
        end = stream.events[-1][0]
        assert stream.check_gapless(last["last"] + 1, end) == 0
        told = truth(one)
        assert {number: event for number, _, event in stream.told()} == \
            {number: event for number, event in told.items() if last["last"] < number <= end}
        assert all(kind == event["type"] for _, kind, event in stream.told())


def test_resumes(served):
    """From an id, by header or query, from a number, a time, or the beginning; the header counts."""
    one = served()
    one.expect_reload("committed")
    one.wait_drained()
    told, start = truth(one), newest(one)["start"]
    begin, middle, last = min(told), sorted(told)[len(told) // 2], max(told)
    usec = told[middle]["time_usec"]
    for query, header, expected in [(f"last_event_id={start}-{middle}", None, middle + 1), (f"since={middle}", None, middle + 1),
                                    ("since=0", None, begin), ("since=1h", None, begin), ("since=0", f"{start}-{middle}", middle + 1),
                                    (f"since_usec={usec}", None, min(n for n, event in told.items() if event["time_usec"] >= usec))]:
        with streams(one.address, query=query, last_id=header) as (stream,):
            read_until([stream], has_number(last), query)
            numbers = [number for number in stream.numbers() if number <= last]
            assert numbers == [number for number in sorted(told) if number >= expected], query


def is_of(event, program, slot=None):
    return event.get("program") == program and slot in (None, event.get("slot"))


@pytest.mark.parametrize("query, wanted", [
    ("type=worker", lambda event: event["type"] == "worker"),
    ("type=worker,reload", lambda event: event["type"] in ("worker", "reload")),
    ("type=message&program=other", lambda event: event["type"] == "message" and is_of(event, "other")),
    ("program=talk:1&program=other/0", lambda event: is_of(event, "talk", 1) or is_of(event, "other", 0)),
    ("cmd=storm", lambda event: event["type"] == "message" and event["value"]["cmd"] == "storm"),
    ("cmd=storm&type=message,rollout", lambda event: event["type"] == "rollout" or
     (event["type"] == "message" and event["value"]["cmd"] == "storm"))])
def test_filters(served, query, wanted):
    """Of what was and of what comes, these alone."""
    one = served({"talk": talkers("--storm=3"), "other": talkers("--storm=3")})

    def happen():
        one.expect_reload("committed")
        one.wait_drained()
        for name in ("talk", "other"):
            say(one, "hello", name)
            say(one, {"cmd": "storm"}, name)
        with streams(one.address) as (stream,):
            say(one, "mark")
            read_until([stream], has("mark"), "the mark")
        return newest(one)["last"]

    happen()
    with streams(one.address, query=f"{query}&since=0") as (stream,):
        last = happen()

        def expected(last):
            """Some workers may still be talking then."""
            told = {number: event for number, event in truth(one).items() if number <= last}
            numbers = [number for number, event in sorted(told.items()) if wanted(event)]
            assert len(numbers) < len(told)
            return numbers
        read_until([stream], has_number(expected(last)[-1]), query)
        numbers = stream.numbers()
        assert numbers == expected(numbers[-1])


@pytest.mark.parametrize("query, word", [("type=nonsense", "reload"), ("types=worker", "parameters are"), ("since=tomorrow", "5m"),
                                         ("since_usec=x", "microseconds"), ("program=", "value"), ("&".join(["cmd=a"] * 65), "64")])
def test_refused(served, query, word):
    one = served()
    status, headers, body = get(one, f"/events?{query}")
    assert status == 400 and word in json.loads(body)["error"]
    assert headers["Content-Type"] == "application/json"


def test_head_and_others(served):
    one = served()
    status, headers, body = get(one, "/events", "HEAD")
    assert (status, headers["Content-Type"], body) == (200, "text/event-stream", b"")
    assert get(one, "/events", "POST")[0] == 405
    assert get(one, "/events", headers={"Host": "elsewhere.example"})[0] == 421


def test_nothing_follows_the_head(served):
    """What came behind it would be taken for the next answer of that connection."""
    one = served()
    with socket.create_connection(one.address, 60) as client:
        client.sendall(b"HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, end, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in head.split(b"\r\n") and end and not body


# --- whatever happens


def test_over_a_reload_of_programs(served):
    """Ten streams, through five reloads."""
    one = served()
    with streams(one.address, 10) as opened:
        begin = opened[0].hello()["last"] + 1
        for _ in range(5):
            one.expect_reload("committed")
        one.wait_drained()
        last = newest(one)["last"]
        read_until(opened, has_number(last), "the last event")
        assert {stream.check_gapless(begin, stream.events[-1][0]) for stream in opened} == {0}
        assert all(not stream.ended for stream in opened)


def reconnect(one, lost, **options):
    """As an EventSource does: with the id that it has. The new stream goes on with what the old one got."""
    stream = EventStream(one.address, last_id=lost.last_id, **options)
    lost.close()
    stream.events, stream.last_id = lost.events, lost.last_id
    return stream


def drain_to_end(streams_):
    """Reads until the other end has closed, each of them."""
    read_until(streams_, lambda stream: stream.ended, "the other end has closed")


@pytest.mark.sanitized
@pytest.mark.parametrize("how", ["killed", "replaced"])
def test_over_another_gateway(served, how):
    """Who comes back to the next one has missed nothing."""
    one = served({"talk": talkers("--storm=300", workers=1)})
    pid = gateway_pids(one.status())[0]
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(EventStream(one.address))) for _ in range(10)]
        read_until(opened, EventStream.hello, "hello")
        begin = opened[0].hello()["last"] + 1
        for i in range(3):
            say(one, {"cmd": "storm"})
            if how == "killed":
                os.kill(pid, signal.SIGKILL)
            else:
                one.config["gateway"]["public"] = [["healthz"], ["metrics"]][i % 2]
                one.write()
                one.expect_reload("committed")
                one.wait_drained()
            drain_to_end(opened)
            say(one, {"cmd": "storm"})
            pid = await_gateway(one, but=pid)
            opened = [stack.enter_context(contextlib.closing(reconnect(one, stream))) for stream in opened]
            # One that was not accepted yet would be served by the gateway after the next one.
            read_until(opened, lambda stream: stream.head, "it is this gateway's")
        say(one, "the end")
        read_until(opened, has("the end"), "the end")
        assert {stream.check_gapless(begin, stream.events[-1][0]) for stream in opened} == {0}
        assert len(opened[0].numbers()) > 1800


def test_missed(served):
    """More happened than is kept: that is said, by number, and all else follows."""
    one = served({"talk": talkers(f"--storm={EVENTS_MAX + 500}", workers=1)})
    with streams(one.address) as (stream,):
        place = stream.last_id
        begin = stream.hello()["last"] + 1
    say(one, {"cmd": "storm"})
    say(one, "the end")
    with streams(one.address, query="cmd=echo&since=0") as (stream,):
        read_until([stream], has("the end"), "the end")
    with streams(one.address, last_id=place) as (stream,):
        read_until([stream], has("the end"), "the end")
        missed = stream.check_gapless(begin, stream.events[-1][0])
        assert 500 <= missed and len(stream.numbers()) == EVENTS_MAX


def test_another_master(served):
    one = served()
    told = truth(one)
    for place in ("1-5", "nonsense", str(10 ** 9)):
        with streams(one.address, last_id=place) as (stream,):
            read_until([stream], has_number(max(told)), "all of this one")
            assert stream.missed()[0] == {"restarted": True}
            assert set(told) <= set(stream.numbers())


def test_master_dies(served):
    """Its streams end when the gateway does; the next master's tell that they are another one's."""
    one = served()
    workers, (gateway,) = one.pids(), gateway_pids(one.status())
    with streams(one.address) as (stream,):
        one.kill(signal.SIGKILL)
        one.process.wait()
        one.stopped = True
        drain_to_end([stream])
        assert [kind for _, kind, _ in stream.events if kind == "gone"] in (["gone"], [])
    for pid in (*workers, gateway):
        proc.wait_gone(pid)


def test_heartbeat(served):
    """It shows that the connection is there, and moves the id past what a filter left out."""
    one = served()
    with streams(one.address, query="cmd=nonsense") as (stream,), streams(one.address) as (whole,):
        one.expect_reload("committed")
        one.wait_drained()
        last = newest(one)["last"]
        read_until([whole], has_number(last), "the last event")
        before = stream.last_id
        # A reload that took long may have had one before its end.
        read_until([stream], lambda stream: stream.heartbeats > 0 and int(stream.last_id.partition("-")[2]) >= last, "a heartbeat with the last id", 60)
        assert stream.last_id != before
        assert stream.told() == []


@pytest.mark.slow
@pytest.mark.limit(200)
def test_nobody_there(served):
    """For who looks at nothing the master is asked nothing: the connection comes with the first stream and goes a while after the last one."""
    one = served()
    (pid,) = gateway_pids(one.status())

    def sockets():
        return sum(what.startswith("socket:") for what in proc.fds(pid).values())

    before = sockets()
    with streams(one.address, 3):
        assert sockets() == before + 4
    proc.wait_until(lambda: sockets() == before, "the subscription is over", 120)
    with streams(one.address, query="since=0") as (stream,):
        last = newest(one)["last"]
        read_until([stream], has_number(last), "all again")
        assert stream.check_gapless(1, last) == 0 and sockets() == before + 2


# --- many


@pytest.mark.limit(180)
def test_many_in_a_storm(served):
    """200 streams: each gets all of it."""
    one = served({"talk": talkers("--storm=2500", workers=1)})
    with streams(one.address, 200) as opened:
        begin = opened[0].hello()["last"] + 1
        say(one, {"cmd": "storm"})
        say(one, "the end")
        read_until(opened, has("the end"), "the end", 120)
        assert {stream.check_gapless(begin, stream.events[-1][0]) for stream in opened} == {0}
        assert len(opened[0].numbers()) > 2500


@pytest.mark.limit(180)
def test_some_do_not_read(served):
    """50 take nothing, while 5 MB of events pass: they cost little, in the kernel, too, hold up nobody, and are told what they missed."""
    one = served({"talk": talkers("--storm=30000", workers=1)})
    (pid,) = gateway_pids(one.status())
    with streams(one.address, 50, receive_buffer=1 << 16) as lazy, streams(one.address, 5, query="cmd=echo") as quick:
        begin = lazy[0].hello()["last"] + 1
        before = int(proc.field(pid, "VmRSS").split()[0])
        say(one, {"cmd": "storm"})
        say(one, "the end")
        read_until(quick, has("the end"), "the end", 120)
        grown = int(proc.field(pid, "VmHWM").split()[0]) - before
        assert grown < 50 * 160 + 8 * 1024, f"{grown} KiB more"
        end = quick[0].events[-1][0]
        read_until(lazy[:5], has_number(end), "the end", 120)
        missed = [stream.check_gapless(begin, stream.events[-1][0]) for stream in lazy[:5]]
        assert all(15000 < one_missed < 30000 for one_missed in missed), missed


def test_example(served):
    """examples/events.py: goes on where it was when the gateway is killed."""
    one = served()
    command = [PYTHON, str(TOP / "examples" / "events.py"), f"http://127.0.0.1:{one.port}"]
    with subprocess.Popen([*command, "cmd=echo", "program=talk"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as example:
        def next_one():
            _, kind, data = example.stdout.readline().split(" ", 2)
            return kind, json.loads(data)
        try:
            assert next_one()[0] == "hello"
            say(one, "one")
            assert [next_one()[1]["value"]["got"] for _ in range(2)] == ["one"] * 2
            (pid,) = gateway_pids(one.status())
            os.kill(pid, signal.SIGKILL)
            say(one, "two")
            await_gateway(one, but=pid)
            assert next_one()[0] == "hello"
            assert [next_one()[1]["value"]["got"] for _ in range(2)] == ["two"] * 2
        finally:
            example.kill()
    done = subprocess.run([*command, "type=nonsense"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "400" in done.stderr
