"""disconnect_spread: connections that the server has to end do not all end in one instant, and a shutdown does not wait for it."""
import select
import signal
import socket

import pytest

from harness import Load, configs, proc
from harness.paths import PYTHON, WORKERS
from harness.record import Record

LONG = "10m"  # the next end is not before this test's


def ask(client, data=b"still here\n"):
    client.sendall(data)
    assert client.recv(100) == data


def connect(address):
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(30)
    client.connect(address)
    ask(client)
    return client


def next_end(clients):
    """The first of them that the server ends."""
    readable, _, _ = select.select(clients, [], [], 30)
    assert readable, "none of them has ended"
    assert readable[0].recv(100) == b""
    return readable[0]


def by_slots(directory, **program):
    """Four workers that hold their connections as long as they can, each at an address of its own."""
    record = Record(directory / "record")
    return {"sockets": {"echo": {"listen": f"unix:{directory}/%(process_num)s.sock"}},
            "programs": {"echo": {"command": [PYTHON, "-S", str(WORKERS / "stubborn.py"), str(record.path)], "sockets": ["echo"],
                                  "workers": 4, "ready": "message", "disconnect_timeout": "100ms",
                                  "reload": {"order": "ready-first"}, **program}}}


@pytest.mark.key("programs.NAME.disconnect_spread")
def test_each_worker_has_its_own_end(master, directory):
    """Told together, they are ended slot by slot; those that are not yet serve on. A shutdown ends them all."""
    one = master(by_slots(directory, disconnect_spread="40s"))
    old = one.pids()
    clients = [connect(f"{directory}/{slot}.sock") for slot in range(4) for _ in range(3)]
    one.hup()
    assert next_end(clients) in clients[:3], "the first slot's are first"
    proc.wait_gone(old[0])
    assert all(proc.is_running(pid) for pid in old[1:])
    for client in clients[3:]:
        ask(client)
    for client in clients[:3]:
        assert client.recv(100) == b""
    one.wait_line(r"echo/0: not closed within .* \(disconnect_timeout and its share of disconnect_spread\)")
    one.stop()
    for client in clients[3:]:
        assert client.recv(100) == b""


def test_without_it_nobody_waits(master, directory):
    """Nothing is said of it then, either."""
    one = master(by_slots(directory))
    old = one.pids()
    assert not any("RELOADER_DISCONNECT_SPREAD" in proc.environment(pid) for pid in old)
    clients = [connect(f"{directory}/{slot}.sock") for slot in range(4)]
    one.hup()
    for client in clients:
        assert client.recv(100) == b""
    one.wait_drained()
    assert "disconnect_spread" not in one.log.text()


@pytest.mark.sanitized
def test_a_worker_spreads_by_itself(master, port):
    """tcp-echo is told over what time: it ends one connection at once and keeps the others. A shutdown ends the spread."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1, disconnect_timeout=LONG, disconnect_spread="40s"))
    (old,) = one.pids()
    assert proc.environment(old)["RELOADER_DISCONNECT_SPREAD"] == "40000"
    clients = [connect(("127.0.0.1", port)) for _ in range(20)]
    one.hup()
    (new,) = one.pids()
    assert clients[-1].recv(100) == b"", "from the youngest on"
    # Their time is half a minute from now.
    others = clients[:5]
    for client in others:
        ask(client)
    assert proc.is_running(old) and new != old
    late = connect(("127.0.0.1", port))
    # The old one is told that there is no time any more, the new one never hears of any.
    one.kill(signal.SIGTERM)
    for client in clients[5:]:
        client.close()
    for client in (*others, late):
        assert client.recv(100) == b""
        client.close()
    one.wait_end()


def test_a_removed_program(master, port):
    """Its connections are spread as those of a replaced one are; a shutdown hurries it as well."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1, disconnect_timeout=LONG, disconnect_spread="40s"))
    (old,) = one.pids()
    clients = [connect(("127.0.0.1", port)) for _ in range(20)]
    one.config["programs"]["other"] = one.config["programs"].pop("echo") | {"command": ["sleep", "1000"], "start_seconds": "10ms"}
    one.write()
    one.hup()
    assert clients[-1].recv(100) == b"", "from the youngest on"
    for client in clients[:5]:
        ask(client)
    assert proc.is_running(old)
    one.kill(signal.SIGTERM)
    for client in clients[5:]:
        client.close()
    for client in clients[:5]:
        assert client.recv(100) == b""
        client.close()
    one.wait_end()


def test_shutdown_does_not_spread(master, port):
    """Nobody comes back to a server that is gone: all are ended at once."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2, disconnect_timeout=LONG, disconnect_spread=LONG))
    clients = [connect(("127.0.0.1", port)) for _ in range(20)]
    one.kill(signal.SIGTERM)
    for client in clients:
        assert client.recv(100) == b""
        client.close()
    one.wait_end()


@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_reload_under_load(master, directory, port, order):
    """Nobody notices but by an end at a good moment."""
    one = master(configs.echo(f"127.0.0.1:{port}", disconnect_spread="1s", reload={"order": order}))
    with Load(directory, f"127.0.0.1:{port}", 1000, 100) as load:
        for _ in range(3):
            one.expect_reload("committed")
        one.wait_drained()
    assert one.generation() == 4
    assert load.report["modes"]["streams"]["ended_by_server"] > 0
