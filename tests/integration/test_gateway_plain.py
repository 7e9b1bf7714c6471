"""The gateway's paths for those who drive their daemon by curl, and for probes: byte for byte what they answer, and that it is true."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness import configs, proc

ACCEPTED = b'{"result":"accepted"}'
MEGABYTE = 1 << 20
# Ready as soon as there is a file $GATE.
GATED = 'while [ ! -e "$GATE" ]; do sleep 0.05; done; echo \'"ready"\' >&$RELOADER_CHANNEL_FD; exec sleep 1000'
BUSY = ["/usr/bin/python3", "-S", "-c", "while True: pass"]


def get(one, path, method="GET", seconds=60):
    """(status, body) of an answer that is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=seconds)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        body = reply.read()
        assert reply.getheader("Content-Type") == "application/json", (reply.getheaders(), body)
        return reply.status, body
    finally:
        connection.close()


def gated(gate):
    return {"programs": {"web": {"command": ["sh", "-c", GATED], "ready": "message", "workers": 2, "environment": {"GATE": str(gate)}}}}


def error(text):
    return json.dumps({"error": text}, separators=(",", ":")).encode()


def gateway_pids(status):
    program = (status.get("gateway") or {}).get("program") or {"slots": []}
    return [worker["pid"] for slot in program["slots"] for worker in slot["workers"]]


def workers_of(status):
    return [worker["pid"] for program in status["programs"] for slot in program["slots"] for worker in slot["workers"]]


def await_gateway(one):
    one.wait(lambda status: status["gateway"]["state"] == "READY" and len(gateway_pids(status)) == 1, "the gateway is ready")


@pytest.fixture
def served(master, directory, port):
    """What `config` says, else two workers that record what happens to them; and a gateway on `port`."""
    def start(config=None, **options):
        one = master({**(config or configs.recorders(directory / "record")), "gateway": {"listen": f"127.0.0.1:{port}"}}, **options)
        one.port = port
        await_gateway(one)
        return one
    return start


def stats(one, path="/stats"):
    """Parsed, after a check that it is what is promised, to the byte."""
    status, body = get(one, path)
    assert status == 200
    number = rb"(?:0|[1-9][0-9]*)\.[0-9]{2}"
    process = rb'\{"pid":[1-9][0-9]*,"cpu":' + number + rb',"mem":' + number
    uptime = rb',"uptime":\{"days":[0-9]+,"hours":[0-9]+,"minutes":[0-9]+,"seconds":[0-9]+\}\}'
    workers = rb'"workers":\[(?:' + process + rb"\}(?:," + process + rb"\})*)?\]"
    total = rb'"total":\{"cpu":' + number + rb',"mem":' + number + rb"\}"
    assert re.fullmatch(rb'\{"result":\{"master":' + process + uptime + b"," + workers + b"," + total + rb"\}\}", body), body
    return json.loads(body)["result"]


def memory(pid):
    return int(proc.read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def check_total(seen):
    processes = [seen["master"], *seen["workers"]]
    for name in ("cpu", "mem"):
        assert round(sum(process[name] for process in processes), 2) == seen["total"][name]


@pytest.mark.sanitized
def test_stats(served):
    one = served()
    pids = [one.pid, *one.pids()]
    before = list(map(memory, pids))
    for path in ("/stats", "/info"):
        seen = stats(one, path)
        after = list(map(memory, pids))
        assert seen["master"]["pid"] == one.pid
        assert [worker["pid"] for worker in seen["workers"]] == one.pids()
        for process, *both in zip((seen["master"], *seen["workers"]), before, after):
            assert min(both) - 0.5 <= process["mem"] <= max(both) + 0.5
        check_total(seen)
        uptime = seen["master"]["uptime"]
        assert uptime["days"] == uptime["hours"] == 0 and 0 <= uptime["minutes"] < 60 and 0 <= uptime["seconds"] < 60


def cpu_seconds(pid):
    fields = proc.stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_busy_worker(served):
    """What it shows is what the kernel gave it meanwhile: all of a CPU, unless others want it, too."""
    one = served({"programs": {"busy": {"command": BUSY, "start_seconds": "50ms"}, "idle": {"command": ["sleep", "1000"], "start_seconds": "50ms"}}})
    busy = one.pids("busy")[0]

    def look():
        """What /stats says, and what was so before and after the moment at which it looked."""
        before = cpu_seconds(busy), boottime()
        return stats(one), before, (cpu_seconds(busy), boottime())

    _, earliest, early = look()
    proc.wait_until(lambda: cpu_seconds(busy) - early[0] > 2, "it was busy")
    seen, late, latest = look()
    cpu = {worker["pid"]: worker["cpu"] for worker in seen["workers"]}
    least, most = (100 * (end[0] - begin[0]) / (until[1] - since[1])
                   for begin, end, since, until in ((early, late, earliest, latest), (earliest, latest, early, late)))
    assert 0.9 * least <= cpu[busy] <= 1.1 * most
    assert cpu[one.pids("idle")[0]] <= 1
    check_total(seen)


def test_help(served):
    one = served()
    status, body = get(one, "/help")
    paths = json.loads(body)["result"]
    assert status == 200 and list(json.loads(body)) == ["result"]
    assert body == json.dumps({"result": paths}, separators=(",", ":")).encode()
    assert {"/help", "/stats", "/info", "/reload", "/restart", "/quit"} <= set(paths)


@pytest.mark.parametrize("path", ["/reload", "/restart"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reload(served, path, method):
    one = served()
    before = one.pids()
    assert get(one, path, method) == (200, ACCEPTED)
    one.wait(lambda status: status["reload"].get("result") == "committed" and not set(before) & set(workers_of(status)), "the workers are others")


@pytest.mark.parametrize("wait", ["/reload?wait=1", "/restart?wait=1"])
def test_reload_that_is_waited_for(served, wait):
    """When the answer is there the workers are others; the gateway is the same, and waits for no reload of its own."""
    one = served()
    before, gateway = one.pids(), gateway_pids(one.status())
    assert get(one, wait, "POST") == (200, b'{"result":"committed"}')
    assert not set(before) & {worker["pid"] for worker in one.workers() if worker["state"] == "READY"}
    assert gateway_pids(one.status()) == gateway
    assert get(one, "/reload?wait=0", "POST") == (200, ACCEPTED)
    assert get(one, "/reload?wait=yes", "POST") == (400, error("wait is 0 or 1"))


def test_reload_of_the_gateway_itself(served):
    """It is rolled after the reload, and whoever waits for that has the answer of the one that leaves."""
    one = served()
    gateway = gateway_pids(one.status())
    one.config["gateway"]["public"] = ["healthz"]
    one.write()
    assert get(one, "/reload?wait=1", "POST") == (200, b'{"result":"committed"}')
    one.wait(lambda status: gateway_pids(status) and gateway_pids(status) != gateway, "it is another one")
    await_gateway(one)


def test_reload_is_refused(served):
    one = served()
    before = one.pids()
    one.config["no such key"] = 1
    one.write()
    status, body = get(one, "/reload?wait=1", "POST")
    assert status == 409 and list(json.loads(body)) == ["error"]
    assert json.loads(body)["error"].startswith("the configuration is refused: ") and "no such key" in json.loads(body)["error"]
    assert body == error(json.loads(body)["error"])
    assert get(one, "/reload", "POST") == (200, ACCEPTED), "whether it commits is not known yet"
    assert one.pids() == before


@pytest.mark.parametrize("is_broken, why", [(False, "rolled back: "), (True, "degraded: not all could be rolled back: ")])
def test_reload_fails(served, directory, is_broken, why):
    """Of a program that is only wrong in the new configuration, and of one that can't be had any more at all."""
    mark = directory / "mark"
    one = served({"programs": {"web": {**configs.healthy_without(mark), "reload": {"max_unavailable": 1}}}})
    if is_broken:
        mark.touch()
    else:
        one.config["programs"]["web"]["command"] = ["false"]
        one.write()
    status, body = get(one, "/reload?wait=1", "POST")
    assert status == 500 and json.loads(body)["error"].startswith(why)
    assert body == error(json.loads(body)["error"])


def test_client_leaves(served, directory):
    """The reload that it waited for goes on."""
    gate = directory / "gate"
    gate.touch()
    one = served(gated(gate))
    before = one.pids()
    gate.unlink()
    client = socket.create_connection(("127.0.0.1", one.port))
    client.sendall(b"POST /reload?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    one.wait(lambda status: status["master"]["state"] == "reloading", "it has begun")
    client.close()
    gate.touch()
    one.wait(lambda status: status["reload"].get("result") == "committed", "it has committed")
    one.wait_drained()
    assert not set(before) & set(one.pids())
    assert get(one, "/healthz")[0] == 200


@pytest.mark.sanitized
@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
def test_client_half_closes(served, directory, others):
    """As `nc -N` does: it has said all, and reads on; whether or not others are connected who came before."""
    gate = directory / "gate"
    gate.touch()
    one = served(gated(gate))
    gate.unlink()
    with contextlib.ExitStack() as clients:
        *_, client = [clients.enter_context(socket.create_connection(("127.0.0.1", one.port), 60)) for _ in range(others + 1)]
        client.sendall(b"POST /reload?wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        one.wait(lambda status: status["master"]["state"] == "reloading", "it has begun")
        assert get(one, "/healthz")[0] == 200
        gate.touch()
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'\r\n\r\n{"result":"committed"}')


@pytest.mark.parametrize("path, method", [("/quit", "GET"), ("/quit", "POST"), ("/quit?wait=1", "POST")])
def test_quit(served, path, method):
    one = served()
    pids = [*one.pids(), *gateway_pids(one.status())]
    assert get(one, path, method) == (200, ACCEPTED)
    assert one.process.wait(60) == 0
    one.stopped = True
    for pid in pids:
        proc.wait_gone(pid)


@pytest.mark.parametrize("path, method", [("/stats", "POST"), ("/help", "POST"), ("/reload", "PUT"), ("/quit", "DELETE"), ("/healthz", "POST")])
def test_wrong_method(served, path, method):
    one = served()
    status, body = get(one, path, method)
    assert status == 405 and list(json.loads(body)) == ["error"]
    assert len(one.pids()) == 2


# Probes


def test_probes(served):
    one = served()
    assert get(one, "/healthz") == (200, b'{"result":"ok"}')
    assert get(one, "/readyz") == (200, b'{"result":"ready"}')


def test_not_ready(served, directory):
    """What cannot start makes it not ready, but not dead; what is stopped by wish is as it should be."""
    gate = directory / "gate"
    one = served(gated(gate), ready=False)
    status, body = get(one, "/readyz")
    assert (status, body) == (503, error("web is STARTING: 0 of 2 workers are ready"))
    assert get(one, "/healthz") == (200, b'{"result":"ok"}')
    gate.touch()
    proc.wait_until(lambda: get(one, "/readyz") == (200, b'{"result":"ready"}'), "it is ready")
    one.ctl("stop", "web", code=0)
    proc.wait_until(lambda: get(one, "/readyz") == (200, b'{"result":"ready"}'), "it is ready without")


def test_ready_through_a_reload(served, directory):
    """Workers are replaced one by one: there is always one to serve."""
    one = served()
    seen, over = set(), threading.Event()

    def probe():
        while not over.is_set():
            seen.add(get(one, "/readyz"))

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        for _ in range(3):
            assert get(one, "/reload?wait=1", "POST")[0] == 200
    finally:
        over.set()
        prober.join()
    assert seen == {(200, b'{"result":"ready"}')}


def test_not_ready_while_it_stops(served, directory):
    """The gateway is the last to go, and says so until then."""
    one = served(configs.recorders(directory / "record", "--silent"))
    pids = one.pids()
    assert get(one, "/quit", "POST") == (200, ACCEPTED)
    assert get(one, "/readyz") == (503, error("the master is stopping"))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert one.process.wait(60) == 0
    one.stopped = True


def test_silent_master(served):
    """One that is stopped answers nothing; who has waited too long may go, and it is as before when it goes on."""
    one = served()
    os.kill(one.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            get(one, "/healthz", seconds=1)
    finally:
        os.kill(one.pid, signal.SIGCONT)
    assert get(one, "/healthz") == (200, b'{"result":"ok"}')
