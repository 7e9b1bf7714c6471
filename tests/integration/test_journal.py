"""Log records in the journal, by fields; and a journald that does not keep up, or is not there."""
import os
import re
import socket

import pytest

from harness import configs, proc

pytestmark = pytest.mark.root


class Journal:
    """Stands for journald: /run/systemd/journal/socket of a /run of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.run = directory / "run"
        path = self.run / "systemd" / "journal" / "socket"
        path.parent.mkdir(parents=True)
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.records = []

    def options(self, stream=True):
        """For master(): its /run is ours, and its standard error is what JOURNAL_STREAM names."""
        log = self.directory / "reloader.log"
        log.touch()
        st = log.stat()
        script = 'mount --bind "$0" /run && exec "$@"'
        return {"wrapper": ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(self.run)],
                "environment": {"JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino + (not stream)}"}}

    def wait(self, seconds=20, **fields):
        """The first record, from now on, whose fields match these regular expressions."""
        self.socket.settimeout(seconds)
        while True:
            record = dict(line.split("=", 1) for line in self.socket.recv(65536).decode().splitlines())
            self.records.append(record)
            if all(re.search(pattern, record.get(name, "")) for name, pattern in fields.items()):
                return record


@pytest.fixture
def journal(directory):
    one = Journal(directory)
    yield one
    one.socket.close()


@pytest.mark.sanitized
def test_fields(master, journal, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), **journal.options())
    (pid,) = one.pids()
    up = journal.wait(MESSAGE="echo/0: up, pid")
    assert up == {
        "PRIORITY": "6", "SYSLOG_IDENTIFIER": "reloader", "RELOADER_PROGRAM": "echo", "RELOADER_WORKER": "echo/0", "RELOADER_SLOT": "0",
        "RELOADER_GENERATION": "1", "RELOADER_WORKER_PID": str(pid), "MESSAGE": f"echo/0: up, pid {pid}, generation 1"}
    one.hup()
    committed = journal.wait(MESSAGE="committed")
    assert committed["RELOADER_RELOAD"] == "1" and committed["RELOADER_PROGRAM"] == "echo" and committed["RELOADER_GENERATION"] == "2"
    os.kill(one.pids()[0], 9)
    assert journal.wait(MESSAGE="echo/0: died")["PRIORITY"] == "4"
    assert not one.log.find("echo/0"), "not on standard error as well"


@pytest.mark.key("identifier")
def test_identifier(master, journal, port):
    """Of the configuration, and a reload changes it."""
    config = {"identifier": "shop", **configs.echo(f"127.0.0.1:{port}", workers=1)}
    one = master(config, **journal.options())
    assert journal.wait(MESSAGE="ready")["SYSLOG_IDENTIFIER"] == "shop"
    one.config["identifier"] = "other"
    one.write()
    one.hup()
    journal.wait(MESSAGE="committed", SYSLOG_IDENTIFIER="^other$")


@pytest.mark.parametrize("log,stream", [({}, False), ({"format": "text"}, True)], ids=["another stream", "text"])
def test_text_where_it_is_not_wanted(master, journal, port, log, stream):
    one = master({"log": log, **configs.echo(f"127.0.0.1:{port}", workers=1)}, **journal.options(stream=stream))
    one.wait_line("info echo/0: up")


def test_file(master, journal, directory, port):
    """A file that is named wins over what standard error happens to be."""
    master({"log": {"file": str(directory / "my.log")}, **configs.echo(f"127.0.0.1:{port}", workers=1)}, **journal.options())
    assert "info echo/0: up" in (directory / "my.log").read_text()


def test_asked_for(master, journal, port):
    master({"log": {"format": "journal"}, **configs.echo(f"127.0.0.1:{port}", workers=1)}, **journal.options(stream=False))
    journal.wait(MESSAGE="echo/0: up")


def test_journald_does_not_read(master, journal, port):
    """The master goes on, and says how much was lost when it is read again."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=4), **journal.options())
    for _ in range(3):
        one.hup()
    one.wait_drained()
    journal.socket.setblocking(False)
    try:
        while journal.socket.recv(65536):
            pass
    except BlockingIOError:
        pass
    one.hup()
    journal.wait(MESSAGE=r"\d+ log lines were lost")


def test_journald_is_gone(master, journal, port):
    """Lines go to standard error, until it is back."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), **journal.options())
    journal.socket.close()
    one.hup()
    one.wait_line("info echo: reload 1 committed")
    journal.path.unlink()
    journal.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.socket.bind(str(journal.path))
    one.hup()
    journal.wait(MESSAGE="reload 2 committed")


def test_workers_keep_the_stream(master, journal, port):
    """It is the standard error of workers too, and they may want to know."""
    options = journal.options()
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), **options)
    assert proc.environment(one.pids()[0])["JOURNAL_STREAM"] == options["environment"]["JOURNAL_STREAM"]
