"""/metrics beside what status, /proc and ss say; and that Prometheus' own tools have no complaint about it."""
import json
import os
import re
import socket
import threading

import pytest

from harness import configs, gateway as alone, proc
from harness.changes import at_rest, ports
from harness.metrics import ACCEPT, OPENMETRICS, TEXT, Scrape, fetch, parse_text, promtool, scrape

TICK = os.sysconf("SC_CLK_TCK")
BUSY = ["/usr/bin/python3", "-S", "-c", "while True: pass"]
IDLE = ["sleep", "infinity"]

pytestmark = pytest.mark.skipif(not alone.IS_BUILT, reason="built without the gateway")


def is_served(status):
    program = status["gateway"].get("program") or {}
    return program.get("state") == "READY" and len(program["slots"][0]["workers"]) == 1


def settled(one):
    return one.wait(lambda status: at_rest(status) and is_served(status), "all is ready, and the gateway alone")


@pytest.fixture
def watched(master):
    """A master with a gateway, which listens on one.metrics."""
    def start(config):
        (port,) = ports(1)
        one = master({**config, "gateway": {"listen": f"127.0.0.1:{port}"}})
        one.metrics = port
        settled(one)
        return one
    return start


def cpu_seconds(pid):
    fields = proc.stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def start_seconds(pid):
    (booted,) = [int(line.split()[1]) for line in open("/proc/stat", encoding="ascii") if line.startswith("btime ")]
    return booted + int(proc.stat(pid)[19]) / TICK


def memory(pid):
    return int(proc.read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def workers_of(program):
    return [(slot["slot"], worker) for slot in program["slots"] for worker in slot["workers"]]


@pytest.mark.sanitized
def test_of_workers(watched):
    """What status and /proc say of each."""
    one = watched({"programs": {"busy": {"command": BUSY, "start_seconds": "50ms"},
                                "idle": {"command": IDLE, "start_seconds": "10ms", "workers": 2}}})
    (pid,) = one.pids("busy")
    proc.wait_until(lambda: cpu_seconds(pid) > 0.3, "it was busy")
    least = cpu_seconds(pid)
    before = {pid: memory(pid) for pid in one.pids()}
    seen, status = scrape(one.metrics), one.status()
    after = {pid: memory(pid) for pid in one.pids()}
    assert least <= seen.get("reloader_worker_cpu_seconds_total", program="busy", slot="0", pid=str(pid)) <= cpu_seconds(pid)
    for program in status["programs"]:
        name = program["name"]
        for member, metric in (("workers", "wanted"), ("ready", "ready")):
            assert seen.get(f"reloader_program_workers_{metric}", program=name) == program[member]
        assert seen.get("reloader_program_generation", program=name) == program["generation"] == 1
        assert [labels["state"] for labels, value in seen.all("reloader_program_state", program=name) if value] == ["READY"]
        assert len(seen.all("reloader_worker_info", program=name)) == len(workers_of(program)) == program["workers"]
        for slot, worker in workers_of(program):
            labels = {"program": name, "slot": str(slot), "pid": str(worker["pid"])}
            states = {entry["state"]: value for entry, value in seen.all("reloader_worker_state", program=name, slot=str(slot))}
            assert {state for state, value in states.items() if value} == {"READY"} and len(states) == 8
            assert seen.get("reloader_worker_info", **labels, generation="1") == 1
            assert seen.get("reloader_worker_restarts_total", program=name, slot=str(slot)) == 0
            assert seen.get("reloader_worker_start_time_seconds", **labels) == pytest.approx(start_seconds(worker["pid"]), abs=0.001)
            both, told = sorted((before[worker["pid"]], after[worker["pid"]])), seen.get("reloader_worker_resident_memory_bytes", **labels)
            assert both[0] - (512 << 10) <= told <= both[1] + (512 << 10)


def test_of_the_master(watched):
    one = watched({"programs": {"idle": {"command": IDLE, "start_seconds": "10ms"}}})
    least = cpu_seconds(one.pid)
    seen, status = scrape(one.metrics), one.status()["master"]
    assert seen["reloader_up"] == 1
    assert least <= seen["reloader_master_cpu_seconds_total"] <= cpu_seconds(one.pid)
    assert seen["reloader_master_start_time_seconds"] == pytest.approx(start_seconds(one.pid), abs=0.001)
    assert abs(seen["reloader_master_resident_memory_bytes"] - memory(one.pid)) <= 512 << 10
    assert [labels["state"] for labels, value in seen.all("reloader_master_state") if value] == ["running"]
    assert seen.get("reloader_info", version=status["version"]) == 1
    told = seen.get("reloader_loop_delay_seconds_bucket", le="+Inf")
    assert 0 < told == seen["reloader_loop_delay_seconds_count"] <= status["loop_delays"][-1]["count"]
    assert len(seen.all("reloader_loop_delay_seconds_bucket")) == len(status["loop_delays"])
    (gateway,) = [worker["pid"] for _, worker in workers_of(one.status()["gateway"]["program"])]
    assert abs(seen.get("reloader_helper_resident_memory_bytes", helper="gateway", pid=str(gateway)) - memory(gateway)) <= 1 << 20
    assert seen["reloader_gateway_connections"] == 1


def test_queue(watched):
    """Clients that nobody accepts; how many there are is what the test has made."""
    (port,) = ports(1)
    one = watched({"sockets": {"web": {"listen": f"127.0.0.1:{port}", "backlog": 7}},
                   "programs": {"idle": {"command": IDLE, "start_seconds": "10ms", "sockets": ["web"]}}})
    labels = {"listener": "web", "address": f"127.0.0.1:{port}", "socket": "0"}
    clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3)]
    proc.wait_until(lambda: scrape(one.metrics).get("reloader_listener_queue_length", **labels) == 3, "three wait")
    seen = scrape(one.metrics)
    assert seen.get("reloader_listener_queue_limit", **labels) == 7
    assert seen.get("reloader_listener_drops_total", **labels) == 0
    for client in clients:
        client.close()


def test_tools_have_no_complaint(watched):
    one = watched({**configs.echo(f"127.0.0.1:{ports(1)[0]}", workers=2)})
    one.expect_reload("committed")
    settled(one)
    status, kind, text = fetch(one.metrics, accept=None)
    assert (status, kind) == (200, TEXT)
    assert promtool("check", "metrics", text=text) == ""
    old, new = Scrape(text, parse_text), scrape(one.metrics)
    assert old.names() == new.names() and "# EOF" not in text and new.text.endswith("# EOF\n")
    assert all(family.documentation.endswith(".") for family in new.families)


@pytest.mark.parametrize("accept, kind", [(ACCEPT, OPENMETRICS), ("*/*", TEXT), ("text/html", TEXT), ("application/openmetrics-text;q=0", TEXT)])
def test_formats(watched, accept, kind):
    one = watched({"programs": {"idle": {"command": IDLE, "start_seconds": "10ms"}}})
    status, told, body = fetch(one.metrics, accept)
    assert (status, told) == (200, kind) and body.startswith("# HELP reloader_up ")
    assert fetch(one.metrics, accept, method="HEAD") == (200, kind, "")
    assert fetch(one.metrics, accept, method="POST")[0] == 405


class Watcher(threading.Thread):
    """Scrapes without a pause until it is told to end; `scrapes` is what it got."""

    def __init__(self, port):
        super().__init__()
        self.port, self.scrapes, self.over, self.failure = port, [], threading.Event(), None

    def run(self):
        try:
            while not self.over.is_set():
                self.scrapes.append(scrape(self.port))
        except Exception as failure:  # told by end()
            self.failure = failure

    def end(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive() and self.failure is None, self.failure
        return self.scrapes


@pytest.mark.limit(180)
def test_counters_never_go_back(watched):
    """Through reloads good and bad, and a crash, with scrapes all along; and series of workers that are gone go with them."""
    one = watched(configs.echo(f"127.0.0.1:{ports(1)[0]}", workers=2))
    before = {str(pid) for pid in one.pids("echo")}
    watcher = Watcher(one.metrics)
    watcher.start()
    for _ in range(3):
        one.expect_reload("committed")
    (pid, *_) = one.pids("echo")
    os.kill(pid, 9)
    one.wait(lambda status: at_rest(status) and pid not in [worker["pid"] for worker in one.workers("echo", status)], "it was replaced")
    one.path.write_text("nonsense")
    one.expect_reload("refused")
    proc.wait_until(lambda: scrape(one.metrics).get("reloader_reloads_total", result="refused"), "the last one is told")
    scrapes = [*watcher.end(), scrape(one.metrics)]
    assert len(scrapes) > 3
    most = {}
    for seen in scrapes:
        for key, value in seen.counters().items():
            assert value >= most.get(key, 0), f"{key} went from {most[key]} to {value}"
            most[key] = value
    last = scrapes[-1]
    assert {labels["result"]: value for labels, value in last.all("reloader_reloads_total")} == {
        "committed": 3, "refused": 1, "rolled_back": 0, "degraded": 0, "superseded": 0}
    past = one.call("History")["reloads"]
    committed = sum(entry["duration_usec"] for entry in past if entry["result"] == "committed") / 1e6
    assert last.get("reloader_reload_duration_seconds_sum", result="committed") == pytest.approx(committed, abs=1e-5)
    assert last.get("reloader_reload_duration_seconds_count", result="committed") == 3
    assert last.get("reloader_program_generation", program="echo") == 4
    assert sum(value for _, value in last.all("reloader_worker_restarts_total")) == 1
    now = {labels["pid"] for labels, _ in last.all("reloader_worker_info")}
    assert now == {str(pid) for pid in one.pids("echo")} and not now & before


def test_without_a_master(directory):
    """Still served, and said."""
    gateway = alone.Gateway(directory)
    try:
        client = gateway.http()
        client.request("GET", "/metrics", headers={"Accept": ACCEPT})
        gateway.silent.settimeout(20)
        assert b"Status" in gateway.silent.recv(65536)
        gateway.silent.close()
        gateway.silent = None
        response = client.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, OPENMETRICS)
        seen = Scrape(response.read().decode())
        client.close()
        assert seen["reloader_up"] == 0 and seen.names() == {"reloader_up", "reloader_gateway_connections", "reloader_gateway_connections_limit"}
    finally:
        gateway.stop()


class HugeMaster(threading.Thread):
    """The other end of a control connection: its Status is of so many slots that no socket's buffer takes the text at once."""

    SLOTS = 8000

    def __init__(self):
        super().__init__(daemon=True)
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        slots = [{"slot": number, "state": "READY", "restarts": 0, "workers": []} for number in range(self.SLOTS)]
        status = {"master": {"pid": 1}, "programs": [{"name": "huge", "state": "READY", "slots": slots}], "listeners": []}
        self.reply = json.dumps({"parameters": status}, separators=(",", ":")).encode() + b"\0"

    def run(self):
        calls = b""
        while chunk := self.ours.recv(65536):
            calls += chunk
            while b"\0" in calls:
                call, _, calls = calls.partition(b"\0")
                assert json.loads(call)["method"].endswith(".Status")
                self.ours.sendall(self.reply)


def ask_and_read_nothing(gateway):
    """A client with little room. Returns it, and the status of its answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(20)
    client.connect(gateway.address)
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return client, int(client.recv(12)[9:])


def told(gateway):
    """How many connections a text tells, which changes with each of them; or the status that there is instead."""
    status, _, body = gateway.request("GET", "/metrics")
    return int(re.search(rb"^reloader_gateway_connections (\d+)$", body, re.MULTILINE)[1]) if status == 200 else status


def anonymous(pid):
    """What it has allocated."""
    return int(next(line for line in proc.read(pid, "status").decode().splitlines() if line.startswith("RssAnon:")).split()[1]) << 10


@pytest.mark.slow
@pytest.mark.limit(180)
def test_slow_readers(directory):
    """Who reads slowly shares the text with all who came when he did; and so many texts are there, not more."""
    master = HugeMaster()
    master.start()
    gateway = alone.Gateway(directory, control=master.theirs)
    try:
        size = len(gateway.request("GET", "/metrics")[2])
        assert size > 4 << 20
        least = anonymous(gateway.pid)
        clients, seen = [], told(gateway)
        while seen != 503 and len(clients) < 60:
            clients += [ask_and_read_nothing(gateway) for _ in range(3)]
            proc.wait_until(lambda: told(gateway) != seen, "another text")
            seen = told(gateway)
        statuses = [status for _, status in clients]
        assert seen == 503 and 10 <= statuses.count(200) <= 48, (seen, statuses)
        assert anonymous(gateway.pid) - least < 24 * size, "16 of them, and a status"
        for client, _ in clients:
            client.close()
        proc.wait_until(lambda: told(gateway) != 503, "there is room again")
    finally:
        gateway.stop()
        master.ours.close()
