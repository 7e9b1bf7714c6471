"""Configurations that change under load: what changed takes effect, what did not is not touched, and nobody is refused."""
import contextlib
import socket

import pytest

from harness import BINARIES, Load, configs, proc
from harness.changes import Facts, at, borrow, held, inode, is_refused, names, ports, program

TCP_DEFER_ACCEPT, TCP_FASTOPEN = 9, 23


def set_up(master, sockets, programs, **keys):
    return master({"sockets": sockets, "programs": programs, **keys})


def change(one, **sections):
    """Writes the file anew; `sockets` and `programs` are what these sections say now."""
    for name, section in sections.items():
        one.config[name] = section
    one.write()


def update(one, result="committed", **parameters):
    """A reload of what changed."""
    reply = one.reload(changed_only=True, **parameters)
    assert reply["result"] == result, one.failure(f"expected {result}: {reply}")
    return reply


@contextlib.contextmanager
def load_on(directory, *numbers):
    """Gentle load on each port, none of which may fail."""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Load(directory, f"127.0.0.1:{port}", 200, 10, who_rate=0, name=f"load-{port}"))
                 for port in numbers]
        yield loads
        Load.flow(0.2)


@pytest.fixture
def pair(master):
    """Two programs with a socket each: (master, port of `a`, port of `b`)."""
    first, second = ports(2)
    one = set_up(master, {"a": at(first), "b": at(second)}, {"web": program("a"), "api": program("b")})
    return one, first, second


# Workers


@pytest.mark.sanitized
@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_workers(master, directory, port, order):
    one = set_up(master, {"a": at(port)}, {"web": program("a", reload={"order": order})})
    listening = inode(port)
    with load_on(directory, port):
        for workers in (5, 1, 4, 2):
            one.programs["web"]["workers"] = workers
            one.write()
            one.hup()
            assert len(Facts(one).pids["web"]) == workers
            assert inode(port) == listening
    assert [len(entry["slots"]) for entry in one.status()["programs"]] == [2]


def test_workers_of_own_sockets(master, directory, port):
    """Those that are too many are closed, and clients of them are not lost."""
    one = set_up(master, {"a": at(port, sharing="per_worker")}, {"web": program("a")})
    before = set(proc.tcp_listeners(port))
    with load_on(directory, port):
        for workers in (4, 2, 3):
            one.programs["web"]["workers"] = workers
            one.write()
            one.hup()
            Facts(one)
            assert len(proc.tcp_listeners(port)) == workers
    assert before < set(proc.tcp_listeners(port)), "the first two were never touched"


# Programs


@pytest.mark.sanitized
def test_program_added_and_removed(pair, directory):
    """The others' workers stay who they are."""
    one, first, second = pair
    (third,) = ports(1)
    before = Facts(one)
    with load_on(directory, first, second):
        change(one, programs={"new": {**program(), "listen": f"127.0.0.1:{third}"}, **one.programs})
        del one.programs["new"]["sockets"]
        one.write()
        update(one)
        with load_on(directory, third):
            pass
        during = Facts(one)
        assert {name: during.pids[name] for name in before.pids} == before.pids
        assert len(during.pids["new"]) == 2 and during.generations["new"] == 1
        assert [entry["name"] for entry in one.status()["programs"]] == ["new", "web", "api"]
        del one.programs["new"]
        one.write()
        update(one)
        assert Facts(one) == before
        assert is_refused(third)


@pytest.mark.sanitized
def test_program_renamed(master, directory):
    """With its own socket, which stays; the other one is not touched."""
    first, second = ports(2)
    one = set_up(master, {"b": at(second)}, {"web": {**program(), "listen": f"127.0.0.1:{first}"}, "api": program("b")})
    before, listening = Facts(one), inode(first)
    with load_on(directory, first, second):
        one.programs["www"] = one.programs.pop("web")
        one.write()
        reply = update(one)
    after = Facts(one)
    assert after.pids.keys() == {"www", "api"} and after.pids["api"] == before.pids["api"]
    assert not set(after.pids["www"]) & set(before.pids["web"])
    assert after.generations == {"www": 2, "api": 1}
    assert inode(first) == listening and after.listening == before.listening
    assert [names(pid) for pid in after.pids["www"]] == [["www"], ["www"]]
    assert {entry["name"]: entry["result"] for entry in reply["programs"]} == {"www": "committed", "api": "untouched"}
    assert after.descriptors == before.descriptors


def test_program_renamed_and_changed(pair, directory):
    """That is another one; its socket stays none the less."""
    one, first, second = pair
    before = Facts(one)
    with load_on(directory, first, second):
        one.programs["www"] = {**one.programs.pop("web"), "workers": 3}
        one.write()
        reply = update(one)
    after = Facts(one)
    assert after.generations == {"www": 1, "api": 1} and after.listening == before.listening
    assert {entry["name"]: entry["result"] for entry in reply["programs"]} == \
        {"www": "committed", "web": "removed", "api": "untouched"}


def test_order_of_programs(pair):
    """Not a change."""
    one, _, _ = pair
    before = Facts(one)
    change(one, programs=dict(reversed(one.programs.items())))
    update(one)
    assert Facts(one) == before
    assert [entry["name"] for entry in one.status()["programs"]] == ["api", "web"]


# Sockets


@pytest.mark.sanitized
def test_socket_added_and_removed(pair, directory):
    one, first, second = pair
    (third,) = ports(1)
    before = Facts(one)
    with load_on(directory, first, second):
        one.config["sockets"]["c"] = at(third)
        one.programs["web"]["sockets"] = ["a", "c"]
        one.write()
        update(one)
        during = Facts(one)
        with load_on(directory, third):
            pass
        assert during.pids["api"] == before.pids["api"] and not set(during.pids["web"]) & set(before.pids["web"])
        assert all(names(pid) == ["a", "c"] for pid in during.pids["web"])
        assert during.listening == before.listening | {inode(third)}
        del one.config["sockets"]["c"]
        one.programs["web"]["sockets"] = ["a"]
        one.write()
        update(one)
    after = Facts(one)
    assert after.listening == before.listening and is_refused(third)
    assert after.pids["api"] == before.pids["api"] and after.descriptors == before.descriptors


def test_socket_renamed(pair, directory):
    one, first, second = pair
    before = Facts(one)
    with load_on(directory, first, second):
        change(one, sockets={"main": at(first), "b": at(second)})
        one.programs["web"]["sockets"] = ["main"]
        one.write()
        update(one)
    after = Facts(one)
    assert after.listening == before.listening and after.pids["api"] == before.pids["api"]
    assert all(names(pid) == ["main"] for pid in after.pids["web"])
    assert {entry["name"]: entry["inode"] for entry in one.status()["listeners"]} == {"main": inode(first), "b": inode(second)}


def test_private_socket_becomes_a_named_one(master, directory, port):
    one = master({"programs": {"web": {**program(), "listen": f"127.0.0.1:{port}"}}})
    listening = inode(port)
    with load_on(directory, port):
        one.programs["web"] = program("a")
        change(one, sockets={"a": at(port)})
        one.hup()
        assert inode(port) == listening and [names(pid) for pid in Facts(one).pids["web"]] == [["a"], ["a"]]
        one.programs["web"] = {**program(), "listen": f"127.0.0.1:{port}"}
        change(one, sockets={})
        one.hup()
        assert inode(port) == listening and [names(pid) for pid in Facts(one).pids["web"]] == [["web"], ["web"]]


@pytest.mark.sanitized
def test_socket_moves(pair, directory):
    """To another program, and on to both."""
    one, first, second = pair
    before = Facts(one)
    with load_on(directory, first, second):
        for web, api in ((["a"], ["b", "a"]), (["a", "b"], ["a"]), (["b"], ["a"]), (["a"], ["b"])):
            one.programs["web"]["sockets"], one.programs["api"]["sockets"] = web, api
            one.write()
            update(one)
            after = Facts(one)
            assert after.listening == before.listening
            assert all(names(pid) == web for pid in after.pids["web"])


def test_names_swapped(pair, directory):
    """What is called `a` now is what `b` was: the sockets stay, and their programs are others'."""
    one, first, second = pair
    before = (inode(first), inode(second))
    with load_on(directory, first, second):
        change(one, sockets={"a": at(second), "b": at(first)})
        update(one)
        after = Facts(one)
    assert (inode(first), inode(second)) == before
    for name, number in (("web", second), ("api", first)):
        for pid in after.pids[name]:
            assert proc.socket_inode(pid, 3) == inode(number)


def test_names_swapped_within_a_program(master, directory):
    first, second = ports(2)
    one = set_up(master, {"a": at(first), "b": at(second)}, {"web": program("a", "b")})
    before = Facts(one)
    with load_on(directory, first, second):
        change(one, sockets={"a": at(second), "b": at(first)})
        update(one)
    after = Facts(one)
    assert after.listening == before.listening and after.generations["web"] == 2
    for pid in after.pids["web"]:
        assert names(pid) == ["a", "b"]
        assert [proc.socket_inode(pid, fd) for fd in (3, 4)] == [inode(second), inode(first)]


@pytest.mark.sanitized
def test_changed_in_place(pair, directory):
    """Nobody is replaced for it, and the very sockets stay."""
    one, first, second = pair
    before = Facts(one)
    options = {"nodelay": True, "keepalive": True, "defer_accept": "5s", "fastopen": 7, "receive_buffer": "64K"}
    with load_on(directory, first, second):
        one.config["sockets"]["a"] = at(first, backlog=77, nonblocking=True, options=options)
        one.write()
        update(one)
        assert Facts(one) == before
    with borrow(one.pid, first) as mine:
        assert mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) and mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert mine.getsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 5
        assert mine.getsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN) == 7
        assert mine.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 128 * 1024
        assert mine.get_inheritable() is False
    (listener,) = [entry for entry in one.status()["listeners"] if entry["name"] == "a"]
    assert listener["backlog"] == 77
    with load_on(directory, first, second):
        one.config["sockets"]["a"] = at(first)
        one.write()
        update(one)
        assert Facts(one) == before
    with borrow(one.pid, first) as mine:
        assert not mine.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) and not mine.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert mine.getsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT) == 0


def test_file_of_a_unix_socket(master, directory):
    path = directory / "a.sock"
    one = set_up(master, {"a": {"listen": f"unix:{path}"}}, {"web": program("a")})
    before, file = Facts(one), path.stat()
    with Load(directory, f"unix:{path}", 200, 10):
        for mode in ("0600", "0666"):
            one.config["sockets"]["a"]["mode"] = mode
            one.write()
            update(one)
            assert path.stat().st_mode & 0o777 == int(mode, 8)
        assert Facts(one) == before and path.stat().st_ino == file.st_ino
        del one.config["sockets"]["a"]["mode"]
        one.write()
        update(one)
        assert path.stat().st_mode == file.st_mode


@pytest.mark.sanitized
def test_address_changes(pair, directory):
    """The old one serves until the new ones are proven."""
    one, first, second = pair
    (third,) = ports(1)
    before = Facts(one)
    with load_on(directory, second):
        with Load(directory, f"127.0.0.1:{first}", 200, 10, name="old"):
            pass
        one.config["sockets"]["a"] = at(third)
        one.write()
        update(one)
        with load_on(directory, third):
            pass
    after = Facts(one)
    assert after.pids["api"] == before.pids["api"] and not set(after.pids["web"]) & set(before.pids["web"])
    assert is_refused(first) and after.listening == {inode(second), inode(third)}
    assert after.descriptors == before.descriptors


def test_old_address_serves_until_the_commit(pair, directory):
    one, first, second = pair
    (third,) = ports(1)
    with load_on(directory, first, second):
        one.config["sockets"]["a"] = at(third)
        one.programs["web"]["command"] = configs.fault()
        one.programs["web"]["ready"] = "message"
        one.write()
        with one.connect() as caller:
            caller.send("Reload", more=True)
            caller.receive()
            one.wait_line(r"web/0: up, pid \d+, generation 2")
            assert inode(first) and inode(third)
            one.config["sockets"]["a"] = at(first)
            one.programs["web"] = program("a")
            one.write()
            one.hup()
    assert is_refused(third)


@pytest.mark.sanitized
def test_numbers_of_slots_shift(master, directory):
    """Slots take the sockets of their new numbers along; only the one at the end is new, and the first one goes."""
    numbers = ports(5)
    one = set_up(master, {"a": {"listen": "127.0.0.1:%(process_num)s"}}, {"web": program("a", workers=3, numprocs_start=numbers[0])})
    before = [inode(port) for port in numbers[:3]]
    with load_on(directory, *numbers[1:3]):
        one.programs["web"]["numprocs_start"] = numbers[1]
        one.write()
        one.hup()
        after = Facts(one)
    assert [inode(port) for port in numbers[1:3]] == before[1:] and is_refused(numbers[0])
    assert [proc.socket_inode(pid, 3) for pid in after.pids["web"]] == [inode(port) for port in numbers[1:4]]
    with load_on(directory, *numbers[1:4]):
        one.programs["web"].update(numprocs_start=numbers[0], workers=5)
        one.write()
        one.hup()
        after = Facts(one)
    assert [inode(port) for port in numbers[1:3]] == before[1:]
    assert [proc.socket_inode(pid, 3) for pid in after.pids["web"]] == [inode(port) for port in numbers]


@pytest.mark.sanitized
def test_slot_gets_what_another_drains(master):
    """A slot that is added is to have an address that a worker from before still holds: it gets that very socket."""
    numbers = ports(5)
    web = program("a", workers=3, numprocs_start=numbers[2], disconnect_timeout="50s")
    one = set_up(master, {"a": {"listen": "127.0.0.1:%(process_num)s"}}, {"web": web})
    listening = inode(numbers[2])
    with socket.create_connection(("127.0.0.1", numbers[2]), 20) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        for start, workers in ((numbers[0], 2), (numbers[0], 3)):
            change(one, programs={"web": {**web, "numprocs_start": start, "workers": workers, "reload": {"order": "ready-first"}}})
            one.expect_reload("committed")
        assert inode(numbers[2]) == listening
    assert [proc.socket_inode(pid, 3) for pid in Facts(one).pids["web"]] == [inode(port) for port in numbers[:3]]
    assert is_refused(numbers[3]) and inode(numbers[2]) == listening


def test_slots_get_one_address(master, directory):
    """One socket for each slot becomes one for all, at the address of the first."""
    numbers = ports(2)
    one = set_up(master, {"a": {"listen": "127.0.0.1:%(process_num)s"}}, {"web": program("a", numprocs_start=numbers[0])})
    listening = inode(numbers[0])
    with load_on(directory, numbers[0]):
        one.config["sockets"]["a"] = at(numbers[0])
        one.write()
        update(one)
        Facts(one)
        assert inode(numbers[0]) == listening and is_refused(numbers[1])
        one.config["sockets"]["a"] = {"listen": "127.0.0.1:%(process_num)s"}
        one.write()
        update(one)
        Facts(one)
        assert inode(numbers[0]) == listening and not is_refused(numbers[1])


# Only what changed, and only what was asked for


@pytest.mark.sanitized
def test_only_what_changed(pair, directory):
    one, first, second = pair
    before = Facts(one)
    reply = update(one)
    assert Facts(one) == before and {entry["result"] for entry in reply["programs"]} == {"untouched"}
    with load_on(directory, first, second):
        one.programs["api"]["stop_timeout"] = "3s"
        one.write()
        reply = update(one)
    after = Facts(one)
    assert after.pids["web"] == before.pids["web"] and not set(after.pids["api"]) & set(before.pids["api"])
    assert {entry["name"]: entry["result"] for entry in reply["programs"]} == {"web": "untouched", "api": "committed"}
    update(one)
    assert Facts(one) == after
    one.reload(changed_only=True, programs=["web"])
    last = Facts(one)
    assert last.pids["api"] == after.pids["api"] and not set(last.pids["web"]) & set(after.pids["web"])


def test_one_program_alone(pair, directory):
    one, first, second = pair
    before = Facts(one)
    with load_on(directory, first, second):
        assert one.reload(programs=["web"])["result"] == "committed"
        after = Facts(one)
        assert after.pids["api"] == before.pids["api"] and not set(after.pids["web"]) & set(before.pids["web"])
        one.programs["web"]["workers"] = 3
        one.write()
        assert one.reload(programs=["web"])["result"] == "committed"
        after = Facts(one)
        assert after.pids["api"] == before.pids["api"] and len(after.pids["web"]) == 3


def test_one_program_is_not_asked_for_more(pair):
    """In words, and nothing is changed."""
    one, first, second = pair
    (third,) = ports(1)
    before = Facts(one)
    good = dict(one.config)
    for why, sections in (
            ("program 'api'", {"programs": {**good["programs"], "api": program("b", workers=3)}}),
            ("program 'api'", {"programs": {"web": program("a")}}),
            ("program 'new'", {"programs": {**good["programs"], "new": program()}}),
            ("program 'www'", {"programs": {"www": program("a"), "api": program("b")}}),
            ("socket 'b'", {"sockets": {**good["sockets"], "b": at(second, backlog=9)}}),
            ("socket 'c'", {"sockets": {**good["sockets"], "c": at(third)}}),
            ("log.level: info -> debug", {"log": {"level": "debug"}})):
        one.config = {**good, **sections}
        one.write()
        reply = one.reload(programs=["web"])
        if why == "program 'www'":
            assert reply["reason"] == "there is no program 'web'", reply
        else:
            assert reply["reason"].startswith(f"the configuration changes more than was asked for: {why}; "), reply
        assert reply["result"] == "refused" and Facts(one) == before
    assert is_refused(third)
    assert one.reload(programs=["nobody"])["reason"] == "there is no program 'nobody'"
    one.config = good
