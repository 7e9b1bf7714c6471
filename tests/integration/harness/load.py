"""bench/loadgen around a test: open-loop load (up to a window) whose every request is accounted for."""
import json
import signal
import subprocess
import time

from harness import parallel
from harness.paths import BINARIES
from harness.tail import Tail


HEAVY_RATE = 1000


class Load:
    """
    Load for the length of a with-block; at its end every request must have been answered in full.

        with Load(directory, "127.0.0.1:7000") as load:
            master.hup()
        load.generations()

    Rates are per second, `streams` are echo connections that send all the time, `who_rate` asks `tcp-echo --who` who serves.
    `udp_rate` are datagrams to workers/udp.py, from `udp_flows` sockets in turn; with PATIENT as arguments never more at a time
    than a socket has room for, however long its workers get no CPU.
    """

    # Whoever else is busy on this machine: what it cannot serve in time is not asked for. A server that hangs still fails these.
    WINDOW = ("--request-window", "256")

    # A datagram takes up to 1280 bytes of a receive buffer, which has 212992 by default.
    PATIENT = ("--udp-window", "100", "--timeout", "20s", "--finish", "20s")

    # After the server's end each stream sends on for up to this time: a drain lasts as long, and of those tests see hundreds.
    LINGER = ("--stream-linger", "100ms")

    def __init__(self, directory, target, echo_rate=2000, streams=200, who_rate=0, http_rate=0, udp_rate=0, udp_flows=64,
                 arguments=(), name="load"):
        self.report = None
        self._errors = Tail(f"{directory}/{name}.err")
        command = [BINARIES.loadgen, "--target", target, "--duration", "150s"]
        modes = {"--echo-rate": echo_rate, "--streams": streams, "--who-rate": who_rate, "--http-rate": http_rate,
                 "--udp-rate": udp_rate, "--udp-flows": udp_rate and udp_flows}
        for option, number in modes.items():
            if number:
                command += [option, str(number)]
        if echo_rate + who_rate + http_rate + udp_rate >= HEAVY_RATE:
            parallel.HEAVY_LOAD.take()
        with open(self._errors.path, "ab") as errors:
            self.process = subprocess.Popen([*command, *self.WINDOW, *(self.LINGER if streams else ()), *arguments], stdout=subprocess.PIPE,
                                            stderr=errors, stdin=subprocess.DEVNULL)

    def __enter__(self):
        self._errors.wait("started")
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.check()

    @staticmethod
    def flow(seconds):
        """A little more of it."""
        time.sleep(seconds)

    def stop(self):
        """Ends the load; `report` then has what became of every request."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        assert output, f"the load generator reported nothing: {self._errors.text()}"
        self.report = json.loads(output)

    def check(self):
        for name, mode in self.report["modes"].items():
            failed = {kind: count for kind, count in mode["counts"].items() if kind != "ok" and count}
            assert not failed, f"{name}: {failed}: {mode['first_failures']}\n{json.dumps(self.report)}"
            assert mode["counts"]["ok"] > 0, f"no load in {name}: {self.report}"
        assert self.report["ok"] is True and self.process.returncode == 0

    def served_by(self, word):
        """How many answers came from each "slot", "pid" or "generation", as text: {"4711": 93, …}."""
        return self.report["served_by"].get(word, {})

    def waited(self, mode):
        """Latencies in microseconds: p50, p99, max …, and how many waited for longer: above_10ms, above_100ms, above_1s."""
        return self.report["modes"][mode]["latency_usec"]

    def moves(self, since=0, until=float("inf")):
        """UDP flows that were served by another one than before, both times between two times of time.monotonic() for certain."""
        began = self.report["began_usec"]
        found = self.report["modes"]["udp"]
        assert not found["moves_forgotten"], f"too many flows moved to know: {found['moves_forgotten']} more"
        return [move for move in found["moves"] if since <= (began + move["since_usec"]) / 1e6 and (began + move["until_usec"]) / 1e6 <= until]

    def servers(self):
        """Who said that it served."""
        return [server["server"] for server in self.report["servers"]]
