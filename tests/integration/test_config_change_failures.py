"""Configurations that cannot become true: nothing is left of them. And what happens when they overtake each other."""
import contextlib
import os
import signal
import socket

import pytest

from harness import Load, configs, proc
from harness.changes import Facts, at, held, inode, is_refused, names, ports, program

AT_ONCE = {"order": "ready-first"}  # no slot waits for who leaves
NEVER_READY = {"command": configs.fault(), "ready": "message"}


def change(one, **sections):
    """Writes the file anew; `sockets` and `programs` are what these sections say now."""
    one.config = {**one.config, **sections}
    one.write()


def slow(*sockets, **keys):
    """A program that takes its time to get ready, all of it."""
    return program(*sockets, **{**NEVER_READY, **keys})


@pytest.fixture
def pair(master):
    """Two programs with a socket each: (master, port of `a`, port of `b`)."""
    first, second = ports(2)
    one = master({"sockets": {"a": at(first), "b": at(second)}, "programs": {"web": program("a"), "api": program("b")}})
    return one, first, second


def history(one):
    return [(entry["id"], entry["result"]) for entry in one.call("History")["reloads"]]


class Begun:
    """A reload that somebody waits for while others come."""

    def __init__(self, one, method="Reload", **parameters):
        self.one = one
        self.connection = one.connect(60)
        self.connection.send(method, parameters, more=True)
        self.id = self.connection.receive()["parameters"]["id"]

    def end(self):
        """Its result, and why."""
        while (reply := self.connection.receive()).get("continues"):
            pass
        self.connection.close()
        return reply["parameters"]

    def expect(self, result):
        reply = self.end()
        assert reply["result"] == result, self.one.failure(f"expected {result}: {reply}")
        return reply


# New listeners that cannot be had


def take(port):
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    taken.listen()
    return taken


@pytest.mark.sanitized
def test_address_in_use(pair):
    """Those that were bound before it are closed again."""
    one, _, _ = pair
    third, fourth = ports(2)
    before, good = Facts(one), one.config
    with take(fourth):
        change(one, sockets={"new": at(third), **good["sockets"], "taken": at(fourth)},
               programs={**good["programs"], "more": program("new", "taken")})
        reply = one.expect_reload("refused")
        assert f"127.0.0.1:{fourth}: address in use by " in reply["reason"] and f"(pid {os.getpid()})" in reply["reason"]
        assert Facts(one) == before and is_refused(third)
        change(one, sockets={**good["sockets"], "b": at(fourth)}, programs=good["programs"])
        one.hup("refused")
        assert Facts(one) == before
    one.expect_reload("committed")
    assert len(Facts(one).listening) == 2 and inode(fourth)


@pytest.mark.root
def test_port_not_permitted(master, port):
    one = master({"sockets": {"a": at(port)}, "programs": {"web": program("a")}}, wrapper=("setpriv", "--bounding-set=-net_bind_service"))
    before = Facts(one)
    change(one, sockets={"a": at(port), "b": at(7)}, programs={"web": program("a", "b")})
    reply = one.expect_reload("refused")
    assert reply["reason"] == "127.0.0.1:7: binding a port below 1024 needs root or CAP_NET_BIND_SERVICE"
    assert Facts(one) == before


def test_addresses_that_cannot_be(pair, directory):
    one, first, _ = pair
    before, good = Facts(one), one.config
    (directory / "file").write_text("no socket")
    (third,) = ports(1)
    for listen, why in (("192.0.2.1:80", "192.0.2.1:80: "), (f"unix:{directory}/file", "is no socket|not a socket|in the way|File exists"),
                        (f"unix:{directory}/none/a.sock", "none' does not exist"), ("fd:77", "a descriptor is passed when the master starts")):
        change(one, sockets={"early": at(third), **good["sockets"], "late": {"listen": listen}},
               programs={**good["programs"], "more": program("early", "late")})
        reply = one.expect_reload("refused")
        assert any(words in reply["reason"] for words in why.split("|")), reply["reason"]
        assert Facts(one) == before and is_refused(third)
    assert (directory / "file").read_text() == "no socket"
    for keys in ({"options": {"freebind": True}}, {"options": {"transparent": True}}, {"options": {"device": "lo"}}):
        change(one, sockets={**good["sockets"], "a": at(first, **keys), "new": at(third)}, programs=good["programs"])
        reply = one.expect_reload("refused")
        assert "cannot change while its address stays" in reply["reason"] and Facts(one) == before and is_refused(third)


# Programs that cannot be had


@pytest.mark.sanitized
def test_added_program_does_not_start(pair, directory):
    one, first, second = pair
    (third,) = ports(1)
    before, good = Facts(one), one.config
    with Load(directory, f"127.0.0.1:{first}", 200, 10, name="a"), Load(directory, f"127.0.0.1:{second}", 200, 10, name="b"):
        for command, why in ((configs.fault("exit=3"), r"new/0 exited with 3 before it was ready"),
                             (["/nonexistent"], "new/0: cannot execute '/nonexistent': No such file or directory")):
            change(one, sockets={**good["sockets"], "c": at(third)}, programs={**good["programs"], "new": program("c", command=command)})
            reply = one.reload(changed_only=True)
            assert reply["result"] == "rolled_back" and why in reply["reason"]
            (part,) = [entry for entry in reply["programs"] if entry["name"] == "new"]
            assert part["result"] == "rolled_back" and why.partition(": ")[2] in part["slots"][0]["reason"], reply
            assert Facts(one) == before and is_refused(third)
            assert [entry["name"] for entry in one.status()["programs"]] == ["web", "api"]
    reply = one.expect_reload("rolled_back")
    assert Facts(one) == before and is_refused(third)


def test_later_slot_of_an_added_program(pair):
    """The others have been rolled meanwhile, and return; of the new one nobody is left."""
    one, _, _ = pair
    (third,) = ports(1)
    before = Facts(one)
    script = f'[ "$RELOADER_SLOT" = 2 ] && exit 5; exec {program()["command"][0]}'
    change(one, sockets={**one.config["sockets"], "c": at(third)},
           programs={**one.programs, "new": program("c", workers=3, command=["sh", "-c", script])})
    reply = one.expect_reload("rolled_back")
    assert "new/2 exited with 5" in reply["reason"]
    after = Facts(one)
    assert after.generations == before.generations and after.listening == before.listening and is_refused(third)
    assert after.descriptors == before.descriptors


@pytest.mark.sanitized
def test_renamed_program_does_not_start(pair):
    """It goes on under its old name, and so does its socket."""
    one, first, second = pair
    before, good = Facts(one), one.config
    script = f'[ -e {one.directory}/broken ] && exit 4; exec {program()["command"][0]}'
    change(one, programs={"web": program("a", command=["sh", "-c", script]), "api": program("b")})
    one.expect_reload("committed")
    before = Facts(one)
    (one.directory / "broken").touch()
    change(one, sockets={"main": at(first), "b": at(second)},
           programs={"www": program("main", command=["sh", "-c", script]), "api": program("b")})
    one.expect_reload("rolled_back")
    assert Facts(one) == before
    assert {entry["name"] for entry in one.status()["listeners"]} == {"a", "b"} == set(good["sockets"])
    (one.directory / "broken").unlink()
    one.expect_reload("committed")
    after = Facts(one)
    assert set(after.pids) == {"www", "api"} and after.listening == before.listening
    assert {entry["name"] for entry in one.status()["listeners"]} == {"main", "b"}


# What takes its time to go


def talk(port):
    """A connection that somebody serves; he leaves only when we close it."""
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"hello")
    assert client.recv(5) == b"hello"
    return client


@pytest.mark.sanitized
def test_removed_socket_stays_with_its_last_worker(pair):
    """Whoever drains still has it; with the last of them it is closed, in the master as well."""
    one, first, second = pair
    change(one, programs={"web": program("a", disconnect_timeout="50s"), "api": program("b")})
    one.expect_reload("committed")
    before = Facts(one)
    listening = inode(first)
    with talk(first):
        change(one, sockets={"b": at(second)}, programs={"web": program("b", reload=AT_ONCE), "api": program("b")})
        one.expect_reload("committed")
        (drainer,) = one.wait(lambda status: sum(map(proc.is_running, before.pids["web"])) == 1, "the other one has left") and \
            filter(proc.is_running, before.pids["web"])
        assert listening in held(one.pid) and proc.tcp_listeners(first) == [listening]
        assert first not in [int(entry["address"].rpartition(":")[2]) for entry in one.status()["listeners"]]
        # Named again, it is the very one.
        change(one, sockets={"again": at(first), "b": at(second)}, programs={"web": program("again", reload=AT_ONCE), "api": program("b")})
        one.expect_reload("committed")
        assert inode(first) == listening
        change(one, sockets={"b": at(second)}, programs={"web": program("b"), "api": program("b")})
        one.expect_reload("committed")
        assert proc.tcp_listeners(first) == [listening] and proc.is_running(drainer)
    proc.wait_gone(drainer)
    proc.wait_until(lambda: is_refused(first), "nobody listens any more")
    assert Facts(one).listening == {inode(second)}


@pytest.mark.sanitized
def test_removed_program_drains(pair):
    """The reload does not wait for it; it is there to be seen until it is gone, and its name is free at once."""
    one, first, second = pair
    before = Facts(one)
    change(one, programs={"web": program("a", disconnect_timeout="50s"), "api": program("b")})
    one.expect_reload("committed")
    with talk(first):
        change(one, sockets={"b": at(second)}, programs={"api": program("b")})
        one.hup()
        states = {entry["name"]: entry["state"] for entry in one.status()["programs"]}
        assert states == {"web": "STOPPING", "api": "READY"}
        (drainer,) = one.wait(lambda status: len(one.workers("web", status)) == 1, "the other one has left") and \
            [worker["pid"] for worker in one.workers("web")]
        one.hup()
        # Another one of its name beside it.
        change(one, sockets={"a": at(first), "b": at(second)}, programs={"web": program("a"), "api": program("b")})
        one.hup()
        both = [(entry["state"], entry["generation"]) for entry in one.status()["programs"] if entry["name"] == "web"]
        assert sorted(both) == [("READY", 1), ("STOPPING", 2)]
        with talk(first):
            pass
        assert proc.is_running(drainer)
    after = Facts(one)
    assert after.listening == before.listening and after.generations["web"] == 1


# Reloads that overtake each other


@pytest.mark.sanitized
def test_added_and_not_added(pair):
    """A program that was on its way goes again when a newer configuration does not have it."""
    one, _, _ = pair
    (third,) = ports(1)
    before, good = Facts(one), one.config
    change(one, sockets={**good["sockets"], "c": at(third)}, programs={**good["programs"], "new": slow("c")})
    first = Begun(one, changed_only=True)
    one.wait_line("new/0: up")
    change(one, **good)
    second = Begun(one, changed_only=True)
    assert "superseded by reload 2" in first.expect("superseded")["reason"]
    second.expect("committed")
    after = Facts(one)
    assert after.pids == before.pids and after.listening == before.listening and is_refused(third)
    assert after.descriptors == before.descriptors and history(one) == [(1, "superseded"), (2, "committed")]


@pytest.mark.sanitized
def test_added_twice(pair):
    """One that was on its way is there in the newer configuration as well, changed or not; its socket is the same."""
    one, _, _ = pair
    (third,) = ports(1)
    before, good = Facts(one), one.config
    change(one, sockets={**good["sockets"], "c": at(third, backlog=5)}, programs={**good["programs"], "new": slow("c")})
    first = Begun(one, changed_only=True)
    one.wait_line("new/0: up")
    listening = inode(third)
    change(one, sockets={**good["sockets"], "c": at(third, backlog=6)})
    second = Begun(one, changed_only=True)
    first.expect("superseded")
    one.wait_line("new/0: up", times=2)
    change(one, programs={**good["programs"], "new": program("c", workers=3)})
    one.expect_reload("committed")
    second.expect("superseded")
    after = Facts(one)
    assert len(after.pids["new"]) == 3 and inode(third) == listening and after.pids.keys() == {"web", "api", "new"}
    change(one, **good)
    one.expect_reload("committed")
    assert Facts(one).listening == before.listening


def test_added_one_renamed_on_its_way(pair):
    one, _, _ = pair
    (third,) = ports(1)
    good = one.config
    before = Facts(one)
    change(one, sockets={**good["sockets"], "c": at(third)}, programs={**good["programs"], "new": slow("c")})
    first = Begun(one)
    one.wait_line("new/0: up")
    listening = inode(third)
    change(one, sockets={**good["sockets"], "d": at(third)}, programs={**good["programs"], "other": program("d")})
    one.expect_reload("committed")
    first.expect("superseded")
    after = Facts(one)
    assert after.pids.keys() == {"web", "api", "other"} and inode(third) == listening
    assert after.listening == before.listening | {listening}


@pytest.mark.sanitized
def test_renamed_twice(pair):
    one, _, _ = pair
    before = Facts(one)
    # Slow from the start, so that a rename alone is under way for as long as we like.
    gate = one.directory / "closed"
    script = f'while [ -e {gate} ]; do sleep 0.02; done; exec {program()["command"][0]}'
    web = program("a", command=["sh", "-c", script], ready="message")
    change(one, programs={"web": web, "api": program("b")})
    one.expect_reload("committed")
    gate.touch()
    change(one, programs={"www": web, "api": program("b")})
    first = Begun(one, changed_only=True)
    one.wait_line("www/0: up")
    change(one, programs={"site": web, "api": program("b")})
    second = Begun(one, changed_only=True)
    one.wait_line("site/0: up")
    assert [entry["name"] for entry in one.status()["programs"]] == ["web", "api"]
    gate.unlink()
    first.expect("superseded")
    second.expect("committed")
    after = Facts(one)
    assert after.pids.keys() == {"site", "api"} and after.listening == before.listening
    gate.touch()
    start = len(one.log.read())
    change(one, programs={"web": web, "api": program("b")})
    third = Begun(one, changed_only=True)
    one.wait_line("web/0: up, pid", start=start)
    change(one, programs={"site": web, "api": program("b")})
    one.wait(lambda status: status["reload"]["state"] == "canaries", "it has begun")
    gate.unlink()
    one.expect_reload("committed")
    assert third.end()["result"] in ("superseded", "committed")
    assert Facts(one).pids.keys() == {"site", "api"}


@pytest.mark.sanitized
def test_part_over_all_and_all_over_part(pair):
    one, first, second = pair
    before, good = Facts(one), one.config
    change(one, programs={**good["programs"], "api": slow("b")})
    whole = Begun(one)
    one.wait_line("api/0: up, pid .* generation 2")
    change(one, **good)
    assert one.reload(programs=["web"])["result"] == "committed"
    whole.expect("superseded")
    after = Facts(one)
    assert after.listening == before.listening and not set(after.pids["web"]) & set(before.pids["web"])
    change(one, programs={**good["programs"], "web": slow("a")})
    part = Begun(one, programs=["web"])
    one.wait_line("web/0: up, pid .* generation 4")
    change(one, **good)
    one.expect_reload("committed")
    part.expect("superseded")
    last = Facts(one)
    assert last.listening == before.listening and last.descriptors == before.descriptors
    assert not set(last.pids["api"]) & set(after.pids["api"])


def test_refused_over_a_running_one(pair):
    """One that is refused changes nothing of one that runs."""
    one, _, _ = pair
    (third,) = ports(1)
    good = one.config
    gate = one.directory / "closed"
    gate.touch()
    script = f'while [ -e {gate} ]; do sleep 0.02; done; exec {program()["command"][0]}'
    change(one, sockets={**good["sockets"], "c": at(third)}, programs={**good["programs"], "new": program("c", command=["sh", "-c", script], ready="message")})
    running = Begun(one)
    one.wait_line("new/0: up")
    wanted = one.config
    change(one, sockets={**wanted["sockets"], "bad": at(1, listen="192.0.2.1:80")})
    assert one.reload()["result"] == "refused"
    assert one.reload(programs=["nobody"])["result"] == "refused"
    gate.unlink()
    running.expect("committed")
    assert len(Facts(one).pids["new"]) == 2


@pytest.mark.sanitized
def test_added_by_a_checked_one_after_a_failure(pair):
    """Its check was running when an older reload, which was to add the program too, failed: the program is still added."""
    one, _, _ = pair
    good = one.config
    gate, dead = one.directory / "check", one.directory / "dead"
    for path in (gate, dead):
        path.touch()
    (third,) = ports(1)
    script = f'while [ -e {dead} ]; do sleep 0.02; done; exit 9'
    change(one, sockets={**good["sockets"], "c": at(third)},
           programs={**good["programs"], "new": program("c", command=["sh", "-c", script], ready="message")})
    first = Begun(one)
    one.wait_line("new/0: up")
    check = ["sh", "-c", f"while [ -e {gate} ]; do sleep 0.02; done"]
    change(one, programs={**good["programs"], "new": program("c", reload={"check_command": check})})
    second = Begun(one)
    dead.unlink()
    first.expect("rolled_back")
    gate.unlink()
    second.expect("committed")
    after = Facts(one)
    assert len(after.pids.get("new", [])) == 2 and inode(third) in after.listening


@pytest.mark.sanitized
@pytest.mark.parametrize("priority", [1, 999])
def test_started_by_itself_or_not(master, port, priority):
    """autostart is changed, and changed back while it is on its way: in the end there is one program of that name."""
    later = {**NEVER_READY, "workers": 1, "autostart": False}
    one = master({"sockets": {"a": at(port)}, "programs": {"web": program("a"), "later": later}}, ready=False)
    one.wait_line("web/1: ready")
    before = Facts(one)
    change(one, programs={**one.programs, "later": {**later, "autostart": True, "priority": priority}})
    first = Begun(one, changed_only=True)
    one.wait_line("later/0: up")
    change(one, programs={**one.programs, "later": later})
    second = Begun(one, changed_only=True)
    first.expect("superseded")
    second.expect("committed")
    after = Facts(one)
    assert after.pids == before.pids, one.status()["programs"]
    change(one, programs={**one.programs, "later": {**later, "autostart": True, "priority": priority}})
    third = Begun(one, changed_only=True)
    one.wait_line("later/0: up", times=2)
    change(one, programs={**one.programs, "later": {**later, "command": configs.fault("ready"), "autostart": True, "priority": priority}})
    one.expect_reload("committed")
    third.expect("superseded")
    assert len(Facts(one).pids["later"]) == 1
    numbers = [line.rsplit(" ", 1)[1] for line in one.log.read() if " later/0: up" in line]
    assert len(numbers) == len(set(numbers)) == 3
    assert sorted(entry["name"] for entry in one.status()["programs"]) == ["later", "web"]


@pytest.mark.sanitized
def test_added_to_be_started_or_not(pair):
    """What a superseded reload was about to add does not say whether it is started."""
    one, _, _ = pair
    good = one.config["programs"]
    idle = {"command": configs.fault("ready"), "ready": "message", "autostart": False}
    change(one, programs={**good, "new": idle, "slow": slow()})
    first = Begun(one, changed_only=True)
    one.wait_line("slow/0: up")
    change(one, programs={**good, "new": {**idle, "autostart": True}})
    assert one.reload(changed_only=True)["result"] == "committed"
    first.expect("superseded")
    assert len(Facts(one).pids["new"]) == 1
    change(one, programs=good)
    one.expect_reload("committed")
    change(one, programs={**good, "new": {**idle, "autostart": True}, "slow": slow()})
    second = Begun(one, changed_only=True)
    one.wait_line("slow/0: up", times=2)
    change(one, programs={**good, "new": idle})
    assert one.reload(changed_only=True)["result"] == "committed"
    second.expect("superseded")
    assert Facts(one).pids["new"] == [] and [entry["name"] for entry in one.status()["programs"]].count("new") == 1


@pytest.mark.sanitized
def test_name_of_one_that_was_added(pair):
    """A newer reload gives it to another program: there is one of that name in the end."""
    one, _, _ = pair
    good = one.config["programs"]
    before = Facts(one)
    change(one, programs={"api": good["api"], "site": slow("a", workers=3)})
    first = Begun(one)
    one.wait_line("site/0: up")
    change(one, programs={"api": good["api"], "site": good["web"]})
    one.expect_reload("committed")
    first.expect("superseded")
    after = Facts(one)
    assert [entry["name"] for entry in one.status()["programs"]] == ["api", "site"] and after.generations["site"] == 2
    assert after.descriptors == before.descriptors and after.listening == before.listening


# Undo


@pytest.mark.sanitized
def test_undo_of_each(pair, directory):
    """And the undo of the undo."""
    one, first, second = pair
    third, fourth = ports(2)
    good = one.config
    before = Facts(one)
    renamed = {"www": good["programs"]["web"], "api": good["programs"]["api"]}
    with Load(directory, f"127.0.0.1:{first}", 200, 10, name="a"):
        for sections, listening in (
                ({"programs": {**good["programs"], "new": {**program(), "listen": f"127.0.0.1:{third}"}}}, [first, second, third]),
                ({"programs": {"web": good["programs"]["web"]}}, [first, second]),
                ({"programs": renamed}, [first, second]),
                ({"sockets": {**good["sockets"], "c": at(fourth)}, "programs": {**good["programs"], "web": program("a", "c")}},
                 [first, second, fourth]),
                ({"programs": {"web": program("a", "b"), "api": program("b")}}, [first, second]),
                ({"sockets": {"a": at(first), "b": at(fourth)}}, [first, fourth])):
            change(one, **{**good, **sections})
            for entry in one.programs.values():
                if "listen" in entry:
                    entry.pop("sockets", None)
            one.write()
            assert one.reload(changed_only=True)["result"] == "committed"
            changed = Facts(one)
            assert changed.listening == {inode(port) for port in listening}
            Begun(one, "Undo").expect("committed")
            undone = Facts(one)
            assert undone.pids.keys() == before.pids.keys() and undone.listening == {inode(first), inode(second)}
            assert [names(pid) for name in ("web", "api") for pid in undone.pids[name]] == [["a"], ["a"], ["b"], ["b"]]
            Begun(one, "Undo").expect("committed")
            again = Facts(one)
            assert again.pids.keys() == changed.pids.keys() and len(again.listening) == len(changed.listening)
            change(one, **good)
            one.expect_reload("committed")
            assert inode(first) in before.listening


def test_undo_while_another_runs(pair):
    """It is of what was committed; the one that runs comes to nothing."""
    one, _, _ = pair
    (third,) = ports(1)
    good = one.config
    before = Facts(one)
    change(one, programs={**good["programs"], "web": program("a", workers=3)})
    one.expect_reload("committed")
    change(one, sockets={**good["sockets"], "c": at(third)},
           programs={**good["programs"], "new": slow("c"), "api": program("b", workers=4)})
    running = Begun(one)
    one.wait_line("new/0: up")
    Begun(one, "Undo").expect("committed")
    running.expect("superseded")
    after = Facts(one)
    assert {name: len(pids) for name, pids in after.pids.items()} == {"web": 2, "api": 2}
    assert after.listening == before.listening and is_refused(third) and after.descriptors == before.descriptors


# Settings, and what would be


def test_log_settings(pair):
    """Level, format and file; with a file that cannot be opened nothing changes."""
    one, _, _ = pair
    before = Facts(one)
    good = one.config
    for path, why in ((one.directory / "no" / "such.log", "No such file or directory"), (one.directory, "Is a directory")):
        change(one, log={"level": "debug", "file": str(path)})
        for dry_run in (True, False):
            reply = one.reload(dry_run=dry_run)
            assert (reply["result"], reply["reason"]) == ("refused", f"log.file: cannot open {path}: {why}")
    one.config = good
    path = one.directory / "moved.log"
    change(one, log={"level": "debug", "format": "json", "file": str(path)})
    one.reload(changed_only=True)
    assert Facts(one).pids == before.pids
    one.reload(changed_only=True)
    assert any('"reload 4 began' in line and line.startswith("{") for line in path.read_text().splitlines())
    change(one, log={"level": "info"})
    one.reload(changed_only=True)
    size = path.stat().st_size
    start = len(one.log.read())
    one.reload(changed_only=True)
    one.wait_line("reload 6 began", start)
    assert path.stat().st_size == size and Facts(one) == before


@pytest.mark.sanitized
def test_what_would_be(pair):
    """The plan is what is then done, and asking for it does nothing."""
    one, first, second = pair
    third, fourth = ports(2)
    before = Facts(one)
    change(one, sockets={"main": at(first), "b": at(second, backlog=9), "c": at(third)},
           programs={"web": program("main", workers=3), "api": program("b"), "new": program("c"),
                     "idle": {**NEVER_READY, "autostart": False}},
           log={"level": "debug"})
    plan = one.reload(dry_run=True, changed_only=True)
    assert plan["result"] == "would_commit" and Facts(one) == before and is_refused(third)
    plan = plan["plan"]
    assert {entry["name"]: entry["action"] for entry in plan["programs"]} == \
        {"web": "roll", "api": "keep", "new": "start", "idle": "add"}
    assert {entry["name"]: (entry["action"], entry.get("was")) for entry in plan["sockets"]} == \
        {"main": ("change", "a"), "b": ("change", None), "c": ("bind", None)}
    assert plan["settings"] == ["log.level: info -> debug"]
    assert history(one) == []
    with one.connect() as listener:
        listener.send("Subscribe", {"types": ["reload"]}, more=True)
        listener.receive()
        one.reload(changed_only=True)
        begun = next(event for event in iter(lambda: listener.receive()["parameters"], None) if "began" in str(event))
    assert plan["programs"] == find(begun, "plan")["programs"] and plan["sockets"] == find(begun, "plan")["sockets"]
    after = Facts(one)
    assert after.pids["api"] == before.pids["api"] and len(after.pids["web"]) == 3 and len(after.pids["new"]) == 2
    assert after.listening == before.listening | {inode(third)}
    plan = one.reload(dry_run=True, changed_only=True)["plan"]
    assert {entry["action"] for entry in plan["programs"] + plan["sockets"]} == {"keep"}
    plan = one.reload(dry_run=True)["plan"]
    assert {entry["name"]: entry["action"] for entry in plan["programs"]} == dict.fromkeys(("web", "api", "new", "idle"), "roll")
    one.write("nonsense: [")
    assert one.reload(dry_run=True)["result"] == "refused"
    one.write({"programs": {"web": program("main")}})
    reply = one.reload(dry_run=True)
    assert reply["result"] == "refused", reply
    assert Facts(one) == after


def find(value, key):
    """The first of that name, however deep."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            if (found := find(item, key)) is not None:
                return found
    return None


@pytest.mark.sanitized
@pytest.mark.parametrize("force", [False, True])
def test_shutdown_meanwhile(master, force):
    """While programs and sockets are added, removed and renamed: all of them go."""
    first, second, third = ports(3)
    one = master({"sockets": {"a": at(first), "b": at(second)}, "programs": {"web": program("a"), "api": program("b")}})
    change(one, sockets={"main": at(first), "c": at(third)}, programs={"www": program("main"), "new": slow("c")})
    begun = Begun(one)
    one.wait_line("new/0: up")
    one.kill(signal.SIGQUIT if force else signal.SIGTERM)
    begun.expect("superseded")
    one.wait_end()
    assert is_refused(first) and is_refused(second) and is_refused(third)


@pytest.mark.limit(120)
@pytest.mark.sanitized
def test_back_and_forth(pair, directory):
    """Every shape to every other, with and without a reload that is overtaken; nothing is left over."""
    one, first, second = pair
    third, fourth = ports(2)
    good = one.config
    before = Facts(one)
    shapes = [
        {"sockets": good["sockets"], "programs": good["programs"]},
        {"sockets": {"b": at(first), "a": at(second)}, "programs": {"web": program("b"), "new": program("a")}},
        {"sockets": {"x": at(first), "y": at(third)}, "programs": {"api": program("x", "y", workers=1)}},
        {"sockets": {"p": {"listen": "127.0.0.1:%(process_num)s"}, "a": at(first)},
         "programs": {"own": program("p", numprocs_start=third), "web": program("a")}},
        {"sockets": {"p": {"listen": "127.0.0.1:%(process_num)s"}, "a": at(first)},
         "programs": {"own": program("p", numprocs_start=fourth, workers=1), "www": program("a")}},
    ]
    with Load(directory, f"127.0.0.1:{first}", 100, 5):
        for i, shape in enumerate(shapes):
            for j, other in enumerate(shapes):
                change(one, **shape)
                overtaken = Begun(one)
                if j % 2:
                    with contextlib.suppress(AssertionError):
                        overtaken.expect("superseded")
                change(one, **other)
                one.reload(changed_only=i % 2 == 0)
                if not j % 2:
                    assert overtaken.end()["result"] in ("superseded", "committed")
                after = Facts(one)
                assert set(after.pids) == set(other["programs"])
    change(one, **good)
    one.expect_reload("committed")
    after = Facts(one)
    assert len(after.listening) == 2 and after.descriptors == before.descriptors


@pytest.mark.sanitized
def test_watched_file_while_another_waits(pair):
    """What a file asks for does not do away with a configuration that is being checked, whatever becomes of the reload before."""
    one, _, _ = pair
    good = one.config["programs"]
    ready, checked, watched = (one.directory / name for name in ("ready", "checked", "watched"))
    for path in (ready, checked, watched):
        path.touch()
    web = program("a", directory=str(one.directory), watch=["watched"], reload_delay="1ms")
    change(one, programs={**good, "web": web})
    one.expect_reload("committed")
    new = program(command=["sh", "-c", f'while [ -e {ready} ]; do sleep 0.02; done; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; exec sleep 99'],
                  ready="message", workers=1)
    change(one, programs={**good, "web": web, "new": new})
    first = Begun(one)
    one.wait_line("new/0: up")
    check = ["sh", "-c", f"while [ -e {checked} ]; do sleep 0.02; done"]
    change(one, programs={"web": {**web, "reload": {"check_command": check}}, "api": program("b", workers=4), "new": new})
    second = Begun(one)
    with open(watched, "a", encoding="ascii") as file:  # one change: to empty it first would be another
        file.write("changed")
    one.wait_line("web: watch: .*watched changed")
    ready.unlink()
    first.expect("committed")
    checked.unlink()
    second.end()
    one.wait(lambda status: status["reload"]["state"] == "ended" and status["reload"]["id"] == 4, "all have ended")
    assert {name: len(pids) for name, pids in Facts(one).pids.items()} == {"web": 2, "api": 4, "new": 1}, history(one)


@pytest.mark.sanitized
@pytest.mark.parametrize("before,after", [("shared", "per_worker"), ("per_worker", "shared")])
def test_sharing_that_comes_to_nothing(master, directory, before, after):
    """It fails, is overtaken, is undone; nobody who connects meanwhile is lost."""
    port, other = ports(2)
    sockets = {"a": at(port, sharing=before)}
    one = master({"sockets": sockets, "programs": {"web": program("a", workers=3)}})
    facts = Facts(one)
    with Load(directory, f"127.0.0.1:{port}", 300, 20):
        change(one, sockets={"a": at(port, sharing=after)}, programs={"web": program("a", workers=4, command=configs.fault("exit=1"))})
        one.expect_reload("rolled_back")
        assert Facts(one) == facts
        change(one, sockets={"a": at(port, sharing=after)}, programs={"web": program("a", workers=4), "new": slow()})
        begun = Begun(one)
        one.wait_line("new/0: up")
        change(one, sockets=sockets, programs={"web": program("a", workers=3)})
        one.expect_reload("committed")
        begun.expect("superseded")
        assert Facts(one).listening == facts.listening
        change(one, sockets={"a": at(port, sharing=after), "b": at(other)}, programs={"web": program("a", workers=2), "api": program("b")})
        one.expect_reload("committed")
        changed = Facts(one)
        assert len(proc.tcp_listeners(port)) == (2 if after == "per_worker" else 1)
        Begun(one, "Undo").expect("committed")
        assert len(Facts(one).listening) == len(facts.listening) and is_refused(other)
        Begun(one, "Undo").expect("committed")
        assert len(Facts(one).listening) == len(changed.listening)


@pytest.mark.sanitized
@pytest.mark.parametrize("workers", [1, 3])
def test_own_sockets_move(master, directory, port, workers):
    """Each slot's socket goes to another program, or fails to; clients go where somebody serves all the time."""
    one = master({"sockets": {"a": at(port, sharing="per_worker")}, "programs": {"web": program("a", workers=workers)}})
    before = Facts(one)
    with Load(directory, f"127.0.0.1:{port}", 300, 20):
        for command in (configs.fault("pause=0.5", "exit=1"), configs.fault("ready", "die=0.5")):
            change(one, programs={"api": program("a", workers=4 - workers, command=command, ready="message", reload={"probation": "20s"})})
            one.expect_reload("rolled_back")
            assert Facts(one) == before
        change(one, programs={"api": program("a", workers=4 - workers)})
        one.expect_reload("committed")
        assert len(Facts(one).listening) == 4 - workers
