"""A master that says nothing any more, to reloaderctl: it is told from one that is busy with a long reload."""
import json
import signal
import socket
import subprocess
import threading

import pytest

from harness import BINARIES, configs


class FakeMaster:
    """Takes a reload at once and is silent then; answers `answers` questions of others, and with the last one the reload."""

    def __init__(self, directory, answers):
        self.path = directory / "fake.sock"
        self.answers = answers
        self.asked = 0
        self.calls = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(8)
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        rest = b""
        while chunk := connection.recv(65536):
            *frames, rest = (rest + chunk).split(b"\0")
            for frame in frames:
                self.answer(connection, json.loads(frame)["method"].rpartition(".")[2])

    def answer(self, connection, method):
        self.calls.append(method)
        if method == "Status":
            self.reply(connection, {"programs": []})
        elif method == "Reload" and self.answers >= 0:
            self.reply(connection, {"id": 7}, continues=True)
        elif method == "Version" and self.asked < self.answers:
            self.asked += 1
            self.reply(connection, {"version": "0"})
            if self.asked == self.answers:
                self.reply(self.connections[0], {"id": 7, "result": "committed", "duration_usec": 1})

    @staticmethod
    def reply(connection, parameters, **flags):
        connection.sendall(json.dumps({"parameters": parameters, **flags}).encode() + b"\0")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for one in [self.listener, *self.connections]:
            one.close()


@pytest.fixture
def fake(directory):
    started = []

    def start(answers):
        started.append(FakeMaster(directory, answers))
        return started[0]
    yield start
    for one in started:
        one.close()


def reload(path):
    return subprocess.run([BINARIES.reloaderctl, "-s", str(path), "reload"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def test_a_stopped_master(master, directory):
    one = master(configs.recorders(directory / "record", "--ready"))
    one.kill(signal.SIGSTOP)
    try:
        done = one.ctl("reload", code=3)
    finally:
        one.kill(signal.SIGCONT)
    assert f"the master (pid {one.pid}) does not answer: it is stopped; `kill -CONT {one.pid}` lets it go on" in done.stderr


def test_a_reload_that_is_not_taken(fake):
    one = fake(-1)
    done = reload(one.path)
    assert done.returncode == 3 and "does not answer" in done.stderr
    assert one.calls == ["Status", "Reload"]


@pytest.mark.slow
def test_a_long_reload(fake):
    """Nothing to tell for long, but it answers others."""
    one = fake(2)
    done = reload(one.path)
    assert done.returncode == 0 and "reload 7 committed" in done.stdout, done
    assert one.calls == ["Status", "Reload", "Version", "Version"]


@pytest.mark.slow
def test_a_master_that_hangs_in_a_reload(fake):
    one = fake(0)
    done = reload(one.path)
    assert done.returncode == 3
    assert "does not answer" in done.stderr and "reload 7 has no result yet" in done.stderr
    assert one.calls == ["Status", "Reload", "Version"]
