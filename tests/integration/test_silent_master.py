"""A master that says nothing any more, to reloaderctl: it is told from one that is busy with a long reload."""
import json
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BINARIES, configs


class FakeMaster:
    """Takes a reload at once and is silent then; answers `answers` questions of others, and with the last one the reload."""

    def __init__(self, path, answers):
        self.path = path
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


def reload(path):
    return subprocess.run([BINARIES.reloaderctl, "-s", str(path), "reload"], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def stopped_master(one):
    one.kill(signal.SIGSTOP)
    try:
        done = one.ctl("reload", code=3)
    finally:
        one.kill(signal.SIGCONT)
    assert f"the master (pid {one.pid}) does not answer: it is stopped; `kill -CONT {one.pid}` lets it go on" in done.stderr


def reload_that_is_not_taken(one):
    done = reload(one.path)
    assert done.returncode == 3 and "does not answer" in done.stderr
    assert one.calls == ["Status", "Reload"]


def long_reload(one):
    """Nothing to tell for long, but it answers others."""
    done = reload(one.path)
    assert done.returncode == 0 and "reload 7 committed" in done.stdout, done
    assert one.calls == ["Status", "Reload", "Version", "Version"]


def hangs_in_a_reload(one):
    done = reload(one.path)
    assert done.returncode == 3
    assert "does not answer" in done.stderr and "reload 7 has no result yet" in done.stderr
    assert one.calls == ["Status", "Reload", "Version"]


@pytest.mark.limit(150)
def test_silence(master, directory):
    """Each waits for what reloaderctl gives a master, ten seconds or more: all of them at a time."""
    fakes = {case: FakeMaster(directory / f"{case.__name__}.sock", answers)
             for case, answers in ((reload_that_is_not_taken, -1), (long_reload, 2), (hangs_in_a_reload, 0))}
    real = master(configs.recorders(directory / "record", "--ready"))
    try:
        with ThreadPoolExecutor() as together:
            ended = [together.submit(case, fake) for case, fake in fakes.items()] + [together.submit(stopped_master, real)]
        for one in ended:
            one.result()
    finally:
        for fake in fakes.values():
            fake.close()
