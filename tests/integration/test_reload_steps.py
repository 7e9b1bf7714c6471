"""What a reload tells while it goes: an event for each step, and in the end what became of each program and slot."""
import contextlib

import pytest
from harness import Load, configs, proc
from harness.changes import program

GOOD = ["sh", "-c", "exec sleep 1000"]


def steps(one, act):
    """Events of type reload and rollout from before `act` to the end of the reload that it brings about."""
    with one.connect() as listener:
        listener.send("Subscribe", {"types": ["reload", "rollout"]}, more=True)
        listener.receive()
        act()
        events = []
        while not events or events[-1].get("state") != "ended":
            events.append(listener.receive()["parameters"]["event"])
    return events


def words(events):
    return [event["state"] if event["type"] == "reload" else f"{event['program']} {event['step']}" for event in events]


def two(directory, **options):
    """`a` has a canary and a check; `b` begins when a's canary is proven."""
    mark = directory / "broken"
    script = f'[ -e "{mark}.$RELOADER_SLOT" ] || [ "$BROKEN" = "$RELOADER_SLOT" ] && exit 7; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; exec sleep 1000'
    return {"programs": {
        "a": {"command": ["sh", "-c", script], "workers": 2, "ready": "message", "priority": 1,
              "reload": {"canary": True, "check_command": ["true"], "probation": "100ms"}},
        "b": {"command": ["sh", "-c", script.replace(".$RELOADER_SLOT", ".b")], "ready": "message", "priority": 2, **options}}}


def test_each_step_has_an_event(master, directory):
    one = master(two(directory))
    events = steps(one, lambda: one.expect_reload("committed"))
    assert [word for word in words(events) if " " not in word] == ["checking", "began", "canaries", "rolling", "ended"]
    of_program = {name: [word for word in words(events) if word.startswith(f"{name} ")] for name in "ab"}
    assert of_program["a"][:2] == ["a canary", "a rolling"], of_program
    assert of_program["b"][:2] == ["b waiting", "b rolling"], of_program
    assert "a done" in of_program["a"] or "b done" in of_program["b"], "who is done last ends it"
    assert {event["id"] for event in events if event["type"] == "reload"} == {1}
    assert [event["plan"]["programs"][0]["action"] for event in events if event.get("state") == "began"] == ["roll"]
    last = events[-1]
    assert last["result"] == "committed" and {entry["name"]: entry["result"] for entry in last["programs"]} == {"a": "committed", "b": "committed"}
    assert last["phases"].keys() >= {"preparing", "checking", "canaries", "rolling"}


def test_a_failure_in_the_second_slot(master, directory):
    one = master(two(directory))
    one.programs["a"]["environment"] = {"BROKEN": "1"}
    one.write()
    events = steps(one, lambda: one.expect_reload("rolled_back"))
    states = [word for word in words(events) if " " not in word]
    assert states == ["checking", "began", "canaries", "rolling", "rolling_back", "ended"], states
    entry = next(entry for entry in events[-1]["programs"] if entry["name"] == "a")
    assert entry["result"] == "rolled_back"
    reasons = {slot["slot"]: slot.get("reason") for slot in entry["slots"]}
    assert reasons == {0: None, 1: "a/1 exited with 7 before it was ready"}


def test_degraded(master, directory):
    """The new version fails, and the old one does not start any more either: said for program and slot, and by reloaderctl."""
    one = master(two(directory))
    (directory / "broken.1").touch()
    out = one.ctl("reload")
    assert out.returncode == 1
    assert "degraded" in out.stdout and "a/1 exited with 7 before it was ready" in out.stdout
    (past,) = one.call("History")["reloads"]
    assert past["result"] == "degraded"
    results = {entry["name"]: entry["result"] for entry in past["programs"]}
    assert results["a"] == "degraded" and results["b"] in ("rolled_back", "untouched")
    (directory / "broken.1").unlink()
    one.wait(lambda _: all(slot["state"] == "READY" for slot in one.slots("a")), "it has recovered")
    one.expect_reload("committed")


@contextlib.contextmanager
def gentle(directory, port):
    with Load(directory, f"127.0.0.1:{port}", 300, 20) as load:
        yield
        load.flow(0.2)


def test_settings_and_includes_under_load(master, directory, port):
    """Log and control settings, programs of included files, and the way back: nobody notices."""
    one = master(configs.echo(port))
    inode = proc.tcp_listeners(port)
    with gentle(directory, port):
        one.config["log"] = {"level": "debug", "file": str(directory / "other.log")}
        one.write()
        one.expect_reload("committed")
        assert "committed" in (directory / "other.log").read_text()
        one.config["control"] = {"mode": "0660"}
        one.write()
        one.expect_reload("committed")
        assert one.socket.stat().st_mode & 0o777 == 0o660
        (directory / "more.yaml").write_text("programs: {more: {command: [sleep, '1000'], start_seconds: 0s}}")
        one.config["include"] = ["more.yaml"]
        one.write()
        one.expect_reload("committed")
        assert len(one.pids("more")) == 1
        for gone in ("include", "control", "log"):
            del one.config[gone]
        one.write()
        one.expect_reload("committed")
        proc.wait_until(lambda: not one.pids("more"), "the included program is gone")
        one.ctl("undo", code=0)
        one.ctl("undo", code=0)
        one.wait_drained()
    assert proc.tcp_listeners(port) == inode


@pytest.mark.parametrize("keys, error", [
    ({"max_draining": 0}, "programs.a.max_draining: '0' is out of range"),
    ({"max_draining": "x"}, "programs.a.max_draining"),
    ({"reload": {"check_command": []}}, "programs.a.reload.check_command"),
    ({"reload": {"check_command": ["%(nix)s"]}}, "programs.a.reload.check_command"),
    ({"reload": {"check_command": ["/nonexistent/check"]}}, "check_command: cannot execute '/nonexistent/check'"),
    ({"recycle": {"max_memory": "1K"}}, "programs.a.recycle.max_memory"),
    ({"recycle": {"max_age": 5}}, "needs a unit"),
    ({"recycle": {"jitter": "101%"}}, "programs.a.recycle.jitter"),
    ({"groups": ["all"]}, "programs.a.groups"),
    ({"start_retries": -1}, "programs.a.start_retries"),
    ({"max_restarts": {"within": "1h"}}, "programs.a.max_restarts"),
    ({"restart": "sometimes"}, "programs.a.restart"),
    ({"expected_exit_codes": [256]}, "programs.a.expected_exit_codes"),
    ({"reload_delay": "soon"}, "programs.a.reload_delay"),
    ({"disconnect_spread": 30}, "needs a unit"),
], ids=str)
def test_bad_values_leave_the_old_state(master, keys, error):
    one = master({"programs": {"a": program(workers=2, command=GOOD, start_seconds=0)}})
    before = one.pids()
    one.programs["a"].update(keys)
    one.write()
    reply = one.expect_reload("refused")
    assert error in reply["reason"], reply
    assert one.pids() == before == one.pids("a")


def test_what_failed_in_an_earlier_reload(master):
    """It is not told of one that was refused, nor of one that the program had no part in."""
    def told(arguments, code):
        return [line for line in one.ctl(*arguments, code=code).stdout.splitlines() if "slot" in line or "exited" in line]

    one = master({"programs": {name: {"command": GOOD, "start_seconds": "10ms"} for name in "ab"}})
    good = dict(one.programs["a"])
    one.programs["a"].update(command=["sh", "-c", "exit 7"], start_seconds="20s")
    one.write()
    assert told(["reload"], 1)
    one.programs["b"]["environment"] = {"NEW": "1"}
    one.write()
    assert told(["reload", "a"], 1) == []
    assert one.call("History")["reloads"][-1]["result"] == "refused"
    one.programs["a"] = good
    one.write()
    assert told(["reload", "b"], 0) == []
    entry = next(entry for entry in one.call("History")["reloads"][-1]["programs"] if entry["name"] == "a")
    assert entry["result"] == "untouched" and "reason" not in entry["slots"][0], entry
    one.programs["a"]["command"] = ["sh", "-c", "exit 7"]
    one.write()
    assert told(["reload", "a"], 1)
    one.programs["a"] = good
    one.write()
    one.ctl("scale", "a", "2", code=0)
    entry = next(entry for entry in one.call("History")["reloads"][-1]["programs"] if entry["name"] == "a")
    assert entry["result"] == "committed" and not any("reason" in slot for slot in entry["slots"]), entry


def test_counts(master, directory):
    """Status counts what the history has forgotten: one of each result that is easily had, and more than are remembered."""
    def counts():
        return {entry["result"]: (entry["count"], entry["duration_usec"]) for entry in one.status()["master"]["reloads"]}

    one = master({"programs": {"only": {"command": GOOD, "start_seconds": "10ms"}}})
    assert counts() == dict.fromkeys(("committed", "rolled_back", "superseded", "degraded", "refused"), (0, 0))
    one.expect_reload("committed")
    one.programs["only"].update(command=["false"], start_seconds="20s")
    one.write()
    one.expect_reload("rolled_back")
    one.path.write_text("nonsense")
    one.expect_reload("refused")
    past = one.call("History")["reloads"]
    assert {entry["result"]: (1, entry["duration_usec"]) for entry in past} == {result: value for result, value in counts().items() if value[0]}
    for _ in range(100):
        one.expect_reload("refused")
    assert len(one.call("History")["reloads"]) == 100
    seen = counts()
    assert seen["refused"][0] == 101 and seen["committed"] == (1, past[0]["duration_usec"])
