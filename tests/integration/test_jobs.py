"""start, stop and restart of programs, groups and slots, as an operator asks for them; and the order of priorities."""
import contextlib
import os
import signal

import pytest
from harness import Load, configs, proc
from harness.paths import PYTHON

SOON = {"initial": "10ms", "max": "50ms", "jitter": 0}


def sleeper(**options):
    return {"command": ["sleep", "1000"], "start_seconds": 0, **options}


GATED = """
import os, socket, sys, time
open(sys.argv[1]).read()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
time.sleep(1000)
"""


def gated(gate, **options):
    """It is ready when somebody has written into the gate."""
    return {"command": [PYTHON, "-S", "-c", GATED, str(gate)], "ready": "notify", **options}


def started(one):
    """Who runs: "web/0"."""
    names = set()
    for pid in proc.children(one.pid):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, KeyError):
            environment = proc.environment(pid)
            names.add(f"{environment['RELOADER_PROGRAM']}/{environment['RELOADER_SLOT']}")
    return names


def state(one, program):
    return next(p["state"] for p in one.status()["programs"] if p["name"] == program)


def slot_states(one, program):
    return [slot["state"] for slot in one.slots(program)]


def results(reply):
    return {(r["program"], r.get("slot")): r["result"] for r in reply["results"]}


@pytest.fixture
def trio(master):
    return master({"programs": {
        "a": sleeper(groups=["g"], workers=2), "b": sleeper(groups=["g", "h"]), "c": sleeper(worker_name="c-%(process_num)s", workers=3)}})


def test_stop_and_start_a_program(trio):
    before = trio.pids("a")
    others = trio.pids("b") + trio.pids("c")
    assert trio.ctl("stop", "a").stdout == "a: stopped\n"
    assert not any(proc.is_running(pid) for pid in before)
    assert state(trio, "a") == "STOPPED"
    assert trio.ctl("status").returncode == 0, "nothing that should run does not"
    assert trio.ctl("stop", "a").stdout == "a: already stopped\n"
    assert trio.ctl("start", "a").stdout == "a: started\n"
    assert len(trio.pids("a")) == 2 and not set(trio.pids("a")) & set(before)
    assert trio.ctl("start", "a").stdout == "a: already started\n"
    assert trio.pids("b") + trio.pids("c") == others


@pytest.mark.key("programs.NAME.groups")
@pytest.mark.parametrize("words, stopped", [
    (["all"], {("a", None), ("b", None), ("c", None)}),
    (["g:*"], {("a", None), ("b", None)}),
    (["h:*", "c"], {("b", None), ("c", None)}),
    (["g:b"], {("b", None)}),
    (["a:*"], {("a", None)}),
    (["a:1"], {("a", 1)}),
    (["a/1"], {("a", 1)}),
    (["c-2"], {("c", 2)}),
    (["c:c-0", "c:1"], {("c", 0), ("c", 1)}),
    (["g:a/0", "a"], {("a", None)}),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_addresses(trio, words, stopped):
    reply = trio.call("Stop", {"programs": words})
    assert results(reply) == {target: "stopped" for target in stopped}
    workers = {"a": 2, "b": 1, "c": 3}
    gone = {f"{program}/{i}" for program, slot in stopped for i in range(workers[program]) if slot in (None, i)}
    assert started(trio) == {f"{program}/{i}" for program, n in workers.items() for i in range(n)} - gone
    assert set(results(trio.call("Start", {"programs": words}))) == stopped
    assert len(proc.children(trio.pid)) == 6


@pytest.mark.parametrize("word, error", [
    ("nobody", "NoSuchProgram"), ("nobody:*", "NoSuchProgram"), ("a:2", "NoSuchWorker"), ("a:b", "NoSuchWorker"),
    ("a/7", "NoSuchProgram"), ("", "NoSuchProgram"), (":", "NoSuchProgram"), ("a:", "NoSuchWorker"), ("a:-1", "NoSuchWorker"),
])
def test_unknown_names_change_nothing(trio, word, error):
    before = proc.children(trio.pid)
    with trio.connect() as connection:
        connection.send("Stop", {"programs": ["b", word]})
        reply = connection.receive()
    assert reply["error"].endswith(error) and reply["parameters"] == {"name": word}
    out = trio.ctl("stop", "b", word or "''")
    assert out.returncode == 1 and "reloaderctl status" in out.stderr
    assert proc.children(trio.pid) == before


def test_usage(trio):
    assert trio.ctl("start").returncode == 2
    assert trio.ctl("start", "--force", "a").returncode == 2


def test_a_slot_is_held(trio):
    first, second = trio.pids("a")
    assert trio.ctl("stop", "a:0").stdout == "a:0: stopped\n"
    assert proc.children(trio.pid).count(second) == 1 and not proc.is_running(first)
    assert slot_states(trio, "a") == ["STOPPED", "READY"]
    assert trio.hup("committed")
    assert slot_states(trio, "a") == ["STOPPED", "READY"], "a reload is not meant to start it"
    assert trio.ctl("restart", "a:0").stdout == "a:0: restarted\n"
    assert slot_states(trio, "a") == ["READY", "READY"]


def test_a_slot_of_a_program_that_is_stopped(trio):
    trio.ctl("stop", "c", code=0)
    assert trio.ctl("start", "c:1").stdout == "c:1: started\n"
    assert slot_states(trio, "c") == ["STOPPED", "READY", "STOPPED"]
    assert trio.ctl("start", "c").stdout == "c: started\n"
    assert slot_states(trio, "c") == ["READY"] * 3


def test_a_stopped_program_stays_so(trio):
    """Whatever is reloaded; but it starts in what was committed last."""
    trio.ctl("stop", "b", code=0)
    trio.programs["b"]["environment"] = {"COLOUR": "new"}
    trio.write()
    trio.hup("committed")
    assert state(trio, "b") == "STOPPED"
    trio.ctl("start", "b", code=0)
    assert proc.environment(trio.pids("b")[0])["COLOUR"] == "new"


def test_forced_stop(master):
    one = master({"programs": {"deaf": {
        "command": ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"], "start_seconds": 0,
        "disconnect_timeout": "1h", "stop_timeout": "100ms"}}})
    (pid,) = one.pids()
    proc.wait_until(lambda: proc.catches(pid, signal.SIGTERM), "it has set its trap")
    assert one.ctl("stop", "--force", "deaf").stdout == "deaf: stopped\n"
    assert not proc.is_running(pid)


def test_restart_reads_nothing(master, directory):
    one = master({"programs": {"web": sleeper(environment={"COLOUR": "old"}, workers=2)}})
    before = one.pids()
    one.programs["web"]["environment"]["COLOUR"] = "new"
    one.write()
    assert one.ctl("restart", "web").stdout == "web: restarted\n"
    after = one.pids()
    assert len(after) == 2 and not set(after) & set(before)
    assert {proc.environment(pid)["COLOUR"] for pid in after} == {"old"}
    (past,) = one.call("History")["reloads"]
    assert (past["kind"], past["result"]) == ("restart", "committed")
    one.path.write_text("programs: [this is broken")
    assert one.ctl("restart", "web").returncode == 0, "the file is not read"


def test_restart_under_load(master, directory, port):
    one = master(configs.echo(port, workers=4))
    with Load(directory, f"127.0.0.1:{port}", 1000, 20) as load:
        for words in (["echo"], ["echo:0", "echo:3"], ["all"], ["echo:1"]):
            before = one.pids()
            one.ctl("restart", *words, code=0)
            one.wait_drained()
            wanted = 4 if ":" not in words[0] else len(words)
            assert len(set(one.pids()) - set(before)) == wanted
            assert len(one.pids()) == 4
        load.flow(0.1)


def test_a_slot_whose_successor_fails_serves_on(master, directory):
    mark = directory / "broken"
    one = master({"programs": {"web": {
        **configs.healthy_without(mark), "workers": 2,
        "reload": {"max_surge": 1}, "backoff": SOON}}})
    before = one.pids()
    mark.touch()
    out = one.ctl("restart", "web:1")
    assert out.returncode == 1 and out.stdout == "web:1: failed: web/1 exited with 9 before it was ready\n"
    assert one.pids() == before
    out = one.ctl("restart", "web")
    assert out.returncode == 1 and "web: failed: web/" in out.stdout
    mark.unlink()
    one.wait(lambda _: all(slot["state"] == "READY" for slot in one.slots("web")), "it has recovered")
    assert one.ctl("restart", "web:1").returncode == 0


def test_start_of_what_fails(master):
    one = master({"programs": {
        "bad": {"command": ["sh", "-c", "exit 4"], "start_seconds": "20s", "autostart": False, "start_retries": 1, "backoff": SOON},
        "done": {"command": ["true"], "start_seconds": 0, "autostart": False, "restart": "unexpected"}}}, ready=False)
    one.wait_line("ready, 0 of 0")
    out = one.ctl("start", "all")
    assert out.returncode == 1
    bad, done = sorted(out.stdout.splitlines())
    assert bad == "bad: failed: bad/0 exited with 4 before it was ready"
    assert done in ("done: exited", "done: started"), "it may be seen before or after its end"
    one.wait(lambda _: state(one, "bad") == "FATAL", "it was given up")
    out = one.ctl("start", "bad")
    assert out.returncode == 1, "it is tried once more"


def test_what_comes_later_wins(master, directory):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"slow": gated(gate, autostart=False)}}, ready=False)
    one.wait_line("ready, 0 of 0")
    with one.connect() as waiting:
        waiting.send("Start", {"programs": ["slow"]})
        one.wait(lambda _: state(one, "slow") == "STARTING", "it starts")
        assert one.call("Stop", {"programs": ["slow"]})["results"][0]["result"] == "stopped"
        (result,) = waiting.receive()["parameters"]["results"]
        assert result == {"program": "slow", "result": "failed", "reason": "it was stopped meanwhile"}


def test_a_restart_that_is_stopped_meanwhile(master, directory):
    """The reload that restarts it may go on for others and commit: this program was not restarted."""
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"a": gated(gate), "b": sleeper()}}, ready=False)
    gate.write_text("go\n")
    one.wait_ready()
    with one.connect() as waiting:
        waiting.send("Restart", {"programs": ["a", "b"]})
        one.wait_line("a/0: up", times=2)
        one.call("Stop", {"programs": ["a"]})
        told = {result["program"]: result for result in waiting.receive()["parameters"]["results"]}
    assert told["a"] == {"program": "a", "result": "failed", "reason": "it was stopped meanwhile"}
    assert told["b"]["result"] == "restarted"


def test_progress_and_events(trio):
    with trio.connect() as listener, trio.connect() as caller:
        listener.send("Subscribe", {"types": ["job"]}, more=True)
        listener.receive()
        caller.send("Stop", {"programs": ["a", "b"]}, more=True)
        job = caller.receive()["parameters"]["id"]
        began = caller.receive()["parameters"]["event"]
        assert began["state"] == "began" and [target["program"] for target in began["targets"]] == ["a", "b"]
        targets = [caller.receive()["parameters"]["event"]["target"] for _ in range(2)]
        last = caller.receive()
        assert "continues" not in last or not last["continues"]
        assert sorted(t["program"] for t in targets) == ["a", "b"]
        assert last["parameters"]["id"] == job and len(last["parameters"]["results"]) == 2
        heard = [listener.receive()["parameters"]["event"] for _ in range(4)]
        assert [event["state"] for event in heard] == ["began", "progress", "progress", "ended"]
        assert {event["verb"] for event in heard} == {"stop"}


def test_not_waited_for(trio):
    reply = trio.call("Stop", {"programs": ["a"], "wait": False})
    assert set(reply) == {"id"}
    trio.wait(lambda _: state(trio, "a") == "STOPPED", "it is stopped")


def test_shutdown_ends_jobs(master, directory):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"slow": gated(gate, autostart=False)}}, ready=False)
    one.wait_line("ready, 0 of 0")
    with one.connect() as waiting:
        waiting.send("Start", {"programs": ["slow"]})
        one.wait(lambda _: state(one, "slow") == "STARTING", "it starts")
        one.kill(signal.SIGTERM)
        (result,) = waiting.receive()["parameters"]["results"]
        assert result["result"] == "failed" and "shutting down" in result["reason"]
    one.wait_end()


# --- the order of priorities

def test_order_of_start(master, directory):
    """Each waits until those before it are ready; one that fails its start is not waited for."""
    gates = {name: directory / name for name in ("first", "second")}
    for gate in gates.values():
        os.mkfifo(gate)
    one = master({"programs": {
        "last": sleeper(priority=30), "second": gated(gates["second"], priority=20),
        "broken": {"command": ["sh", "-c", "exit 1"], "start_seconds": "20s", "priority": 10, "backoff": {"initial": "1h", "max": "1h"}},
        "first": gated(gates["first"], priority=1), "first-too": sleeper(priority=1)}}, ready=False)
    one.wait(lambda _: started(one) == {"first/0", "first-too/0"}, "the first ones are there")
    gates["first"].write_text("go\n")
    one.wait(lambda _: "second/0" in started(one), "the second one is there")
    assert "last/0" not in started(one)
    (last,) = [program for program in one.status()["programs"] if program["name"] == "last"]
    assert (last["state"], last["waits_for"]) == ("WAITING", "second")
    text = one.ctl("status", code=4).stdout
    assert "waits for: second" in text and "STOPPED" not in text
    one.wait_line("broken/0: died")
    gates["second"].write_text("go\n")
    one.wait(lambda _: "last/0" in started(one), "the last one is there")
    lines = one.log.text()
    assert lines.index("first/0: ready") < lines.index("broken/0: up") < lines.index("broken/0: died") < lines.index("second/0: up")
    one.wait(lambda _: state(one, "last") == "READY", "all are there")


def test_a_reload_does_not_wait_for_the_order(master, directory):
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"first": gated(gate, priority=1), "last": sleeper(priority=2)}}, ready=False)
    one.wait(lambda _: started(one) == {"first/0"}, "the first one is there")
    one.kill(signal.SIGHUP)
    one.wait(lambda _: "last/0" in started(one), "the last one, too")


def test_order_of_stop(master, directory):
    trace = directory / "trace"
    script = f'trap "echo $RELOADER_PROGRAM >> {trace}; exit 0" TERM; while :; do sleep 0.05; done'
    one = master({"programs": {name: {"command": ["sh", "-c", script], "priority": priority, "start_seconds": 0}
                               for name, priority in (("b", 2), ("c", 3), ("a", 1))}})
    for pid in one.pids():
        proc.wait_until(lambda pid=pid: proc.catches(pid, signal.SIGTERM), "it has set its trap")
    one.ctl("stop", "all", code=0)
    assert trace.read_text().split() == ["c", "b", "a"]
    one.ctl("start", "all", code=0)
    lines = one.log.text()
    ups = [lines.rindex(f"{name}/0: up") for name in "abc"]
    assert ups == sorted(ups)


def test_a_slot_that_is_started_during_a_reload(master, directory):
    """It alone, when the reload has ended."""
    gate = directory / "gate"
    os.mkfifo(gate)
    one = master({"programs": {"a": sleeper(workers=3), "b": sleeper(reload={"canary": True})}})
    one.ctl("stop", "a", code=0)
    one.programs["b"] = gated(gate, reload={"canary": True})
    one.write()
    with one.connect() as reload, one.connect() as start:
        reload.send("Reload")
        one.wait_line("b/0: up, pid .*, generation 2")
        start.send("Start", {"programs": ["a:1"]})
        one.wait_line("a: start of slot 1")
        gate.write_text("go\n")
        assert reload.receive()["parameters"]["result"] == "committed"
        assert start.receive()["parameters"]["results"] == [{"program": "a", "slot": 1, "result": "started"}]
    assert slot_states(one, "a") == ["STOPPED", "READY", "STOPPED"]
