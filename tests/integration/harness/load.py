"""bench/loadgen around a test: open-loop load whose every request is accounted for."""
import json
import signal
import subprocess

from harness.paths import BINARIES
from harness.tail import Tail

GOOD = "ok"
BAD = ("refused", "reset", "timeout", "cut", "corrupt")


class Load:
    """
    Load for the length of a with-block; at its end every request must have been answered in full.

        with Load(directory, "127.0.0.1:7000"):
            master.hup()
    """

    def __init__(self, directory, connect, echo_rate=2000, streams=200, http_rate=0, arguments=(), name="load"):
        self.report = None
        self._errors = Tail(f"{directory}/{name}.err")
        command = [BINARIES.loadgen, "--connect", connect, "--duration", "120s"]
        if echo_rate:
            command += ["--echo-rate", str(echo_rate)]
        if streams:
            command += ["--streams", str(streams)]
        if http_rate:
            command += ["--http-rate", str(http_rate)]
        with open(self._errors.path, "ab") as errors:
            self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=errors)

    def __enter__(self):
        self._errors.wait("started")
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            self.check()

    def stop(self):
        """Ends the load; `report` then has what became of every request."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        assert output, f"the load generator reported nothing: {self._errors.text()}"
        self.report = json.loads(output)

    def modes(self):
        return {name: mode for name, mode in self.report.items() if isinstance(mode, dict) and GOOD in mode}

    def count(self, *classes):
        return sum(mode.get(name, 0) for mode in self.modes().values() for name in classes)

    def check(self):
        assert self.count(*BAD) == 0, f"connections failed: {self.report}\n{self._errors.text()}"
        for name, mode in self.modes().items():
            assert mode[GOOD] > 0, f"no load in {name}: {self.report}"
