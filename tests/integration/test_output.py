"""Where workers' output goes: each of `to`, `redirect_stderr`, `strip_ansi`, seen in /proc of the worker and where it arrives."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import BINARIES, proc
from harness.output import comm, logger_of, undisturbed
from test_journal import Journal


def shell(script, **options):
    """A worker that runs this and then lives on. It prints what it prints before it is ready."""
    return {"programs": {"web": {"command": ["bash", "-c", script + "; exec sleep 1000"], "start_seconds": "50ms", **options}}}


HELLO = "echo out; echo err >&2"


def written(path, text):
    """Waits until a file has exactly this in it. While it is rotated it is not there for a moment."""
    path.parent.mkdir(exist_ok=True)
    proc.wait_until(lambda: undisturbed(path.read_text) == text, f"{path} has {text!r}")


@pytest.mark.sanitized
@pytest.mark.parametrize("options", [{}, {"stdout": "inherit", "stderr": {"to": "inherit"}}], ids=["default", "said"])
def test_inherit(master, options):
    one = master(shell(HELLO, **options))
    (pid,) = one.pids()
    for fd in (1, 2):
        assert proc.fds(pid)[fd] == proc.fds(one.pid)[fd]
    one.wait_line("^out$")
    one.wait_line("^err$")
    assert not logger_of(one), "there is nothing for it to do"


@pytest.mark.key("programs.NAME.silent")
@pytest.mark.parametrize("options", [{"silent": True}, {"stdout": None, "stderr": "null"}, {"stdout": {"to": "null"}, "stderr": {"to": None}}],
                         ids=["silent", "short", "long"])
def test_null(master, options):
    one = master(shell(HELLO, **options))
    (pid,) = one.pids()
    assert [proc.fds(pid)[fd] for fd in (1, 2)] == ["/dev/null"] * 2
    assert not logger_of(one)


@pytest.mark.key("log_directory", "programs.NAME.stdout.to", "programs.NAME.stderr.to")
@pytest.mark.sanitized
def test_file(master, directory):
    """Named after program and slot where it has no path; its directory is made, and others may not read it."""
    one = master({"log_directory": str(directory / "logs"), **shell(HELLO, workers=2, stdout="file", stderr={"to": "file"})})
    for slot, stream, text in [(0, "stdout", "out\n"), (1, "stdout", "out\n"), (0, "stderr", "err\n"), (1, "stderr", "err\n")]:
        path = directory / "logs" / f"web-{slot}.{stream}.log"
        written(path, text)
        assert path.stat().st_mode & 0o777 == 0o640
    assert len(list((directory / "logs").iterdir())) == 4
    assert not one.log.find("^(out|err)$")
    assert comm(logger_of(one)) == "reloader-log"


@pytest.mark.key("programs.NAME.stdout.path", "programs.NAME.numprocs_start")
@pytest.mark.parametrize("form", [lambda path: path, lambda path: {"path": path}, lambda path: {"to": "file", "path": path}], ids=["short", "path", "long"])
def test_path(master, directory, form):
    master(shell(HELLO, workers=2, numprocs_start=8, stdout=form(f"{directory}/%(program_name)s.%(process_num)s"), stderr="null"))
    written(directory / "web.8", "out\n")
    written(directory / "web.9", "out\n")


def test_relative_path(master, directory):
    """Relative to the configuration, as all paths are, and not to the worker's directory."""
    (directory / "elsewhere").mkdir()
    master(shell(HELLO, directory="elsewhere", stdout="./out.log"))
    written(directory / "out.log", "out\n")


@pytest.mark.key("programs.NAME.redirect_stderr")
@pytest.mark.sanitized
@pytest.mark.parametrize("stdout", ["inherit", "null", "file"])
def test_redirect_stderr(master, directory, stdout):
    one = master({"log_directory": str(directory), **shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2", redirect_stderr=True, stdout=stdout)})
    (pid,) = one.pids()
    fds = proc.fds(pid)
    assert fds[1] == fds[2]
    if stdout == "file":
        written(directory / "web-0.stdout.log", "1\n2\n3\n4\n")
    elif stdout == "inherit":
        assert fds[1] == proc.fds(one.pid)[1]


COLOURS = r"printf '\033[1;31mred\033[0m \033]0;title\007plain\033(B \033[2Jx\n'"


@pytest.mark.key("programs.NAME.stdout.strip_ansi")
@pytest.mark.parametrize("strip, text", [(True, "red plain x\n"), (False, "\033[1;31mred\033[0m \033]0;title\aplain\033(B \033[2Jx\n")])
def test_strip_ansi(master, directory, strip, text):
    master(shell(COLOURS, stdout={"path": str(directory / "out"), "strip_ansi": strip}))
    written(directory / "out", text)


# --- the journal and syslog

@pytest.fixture
def journal(directory):
    one = Journal(directory)
    yield one
    one.socket.close()


def own_run(journal):
    """Its /run is the journal's; its log stays text."""
    return journal.options(stream=False)


@pytest.mark.root
@pytest.mark.sanitized
def test_journal(master, journal):
    """With the worker's own pid, and fields to search by."""
    one = master(shell(HELLO, workers=1, stdout="journal", stderr="journal"), **own_run(journal))
    (pid,) = one.pids()
    out = journal.wait(RELOADER_STREAM="stdout")
    assert out == {
        "PRIORITY": "6", "SYSLOG_IDENTIFIER": "web", "SYSLOG_PID": str(pid), "RELOADER_PROGRAM": "web", "RELOADER_WORKER": "web/0", "RELOADER_SLOT": "0",
        "RELOADER_GENERATION": "1", "RELOADER_WORKER_PID": str(pid), "RELOADER_STREAM": "stdout", "MESSAGE": "out"}
    err = next((record for record in journal.records if record["RELOADER_STREAM"] == "stderr"), None) or journal.wait(RELOADER_STREAM="stderr")
    assert err == {**out, "RELOADER_STREAM": "stderr", "MESSAGE": "err"}
    one.hup()
    assert journal.wait(RELOADER_STREAM="stdout")["RELOADER_GENERATION"] == "2"


@pytest.mark.root
def test_a_long_line_for_the_journal(master, journal):
    """What is too long for a datagram goes there as a sealed memory file, as journald wants it."""
    master(shell("head -c 900000 /dev/zero | tr '\\0' x; echo; echo after", stdout="journal"), **own_run(journal))
    journal.socket.settimeout(20)
    _, (fd,), _, _ = socket.recv_fds(journal.socket, 1 << 20, 4)
    with open(fd, "rb") as file:
        file.seek(0)
        data = file.read()
    assert data.split(b"MESSAGE=")[1] == b"x" * 900000 + b"\n"
    assert journal.wait(RELOADER_STREAM="stdout")["MESSAGE"] == "after"


@pytest.mark.root
def test_a_journal_that_does_not_read(master, journal, directory):
    """Workers are not held up, and other output is not either."""
    done = directory / "done"
    one = master(shell(f"seq 200000; echo x > {done}; echo later >&2", stdout="journal", stderr=str(directory / "err")), **own_run(journal))
    written(directory / "err", "later\n")
    dropped = one.wait_line(r"web/0: stdout: (\d+) lines are dropped \((\d+) bytes\): the journal does not take them in time")
    assert int(dropped[1]) > 0
    one.process.terminate()
    one.wait_end()


@pytest.mark.root
@pytest.mark.sanitized
def test_syslog(master, directory):
    """RFC 3164, with the worker's pid."""
    device = directory / "dev"
    device.mkdir()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(device / "log"))
    log.settimeout(20)
    script = 'mount --bind "$0/log" /dev/log && exec "$@"'
    had = os.path.lexists("/dev/log")
    if not had:
        script = 'mount -t tmpfs none /mnt && for d in null zero urandom random full tty; do touch /mnt/$d; mount --bind /dev/$d /mnt/$d; done && ' \
                 'mkdir /mnt/shm && touch /mnt/log && mount --bind "$0/log" /mnt/log && mount --move /mnt /dev && exec "$@"'
    wrapper = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(device)]
    one = master(shell(HELLO, stdout="syslog"), wrapper=wrapper)
    (pid,) = one.pids()
    text = log.recv(65536).decode()
    assert text.startswith("<30>") and text.endswith(f" web[{pid}]: out"), text
    log.close()


# --- the master's log

@pytest.mark.sanitized
def test_log_text(master):
    """Time, worker and pid before each line; colours never, as a log is read on a terminal; tabs stay."""
    one = master(shell(COLOURS + r"; printf 'a\tb\rc\n'; " + HELLO, stdout="log", stderr="log"))
    (pid,) = one.pids()
    when = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info "
    for text in ("red plain x", "a\tb\\?c", "out", "err"):
        one.wait_line(rf"{when}web/0\[{pid}\]: {text}$")


@pytest.mark.key("log.format")
def test_log_json(master):
    one = master({"log": {"format": "json"}, **shell(r"printf 'say \"\\hello\\\"\n'; printf '\303\274\377\n'", stdout="log")})
    (pid,) = one.pids()
    line = json.loads(one.wait_line(r".*hello.*")[0])
    assert line.pop("time")
    assert line == {"level": "info", "program": "web", "worker": "web/0", "slot": 0, "generation": 1, "pid": pid, "stream": "stdout",
                    "message": 'say "\\hello\\"'}
    assert json.loads(one.wait_line(r".*\u00fc.*")[0])["message"] == "\u00fc?"


@pytest.mark.sanitized
def test_log_file_and_its_changes(master, directory):
    """It follows the log: to a file, to its successor after USR1, to another format by a reload."""
    gate = directory / "gate"
    os.mkfifo(gate)
    log = directory / "all"
    config = {"log": {"file": str(log), "format": "text"}, **shell(f"exec 3<> {gate}; while read line <&3; do echo $line; done", stdout="log")}
    one = master(config)

    def say(word):
        gate.write_text(word + "\n")

    say("first")
    proc.wait_until(lambda: "]: first\n" in log.read_text(), "it is in the log")
    log.rename(directory / "all.old")
    one.kill(signal.SIGUSR1)

    def follows():
        """What is printed before reloader-log has heard of it still goes to the old one."""
        say("word")
        return log.exists() and "]: word\n" in log.read_text()
    proc.wait_until(follows, "the log is opened anew")
    say("second")
    proc.wait_until(lambda: "]: second\n" in log.read_text(), "it is in the new log")
    assert "second" not in (directory / "all.old").read_text()
    one.config["log"]["format"] = "json"
    one.write()
    one.hup()
    one.wait_drained()  # or the old one might read it, and be ended before it has printed it
    proc.wait_until(lambda: say("third") or '"message":"third"' in log.read_text(), "it is JSON")


@pytest.mark.root
def test_log_in_the_journal(master, journal):
    """Where the master's log is the journal, that is where it goes, under the master's identifier."""
    master({"identifier": "shop", **shell(HELLO, stdout="log")}, **journal.options())
    record = journal.wait(RELOADER_STREAM="stdout")
    assert record["MESSAGE"] == "out" and record["SYSLOG_IDENTIFIER"] == "shop" and record["RELOADER_WORKER"] == "web/0"


def test_long_lines_of_many_in_one_log(master, directory):
    """Records of several workers, longer than a pipe's atomic writes, are whole in a file."""
    log = directory / "all"
    script = "for i in 1 2 3 4 5 6 7 8; do head -c 100000 /dev/zero | tr '\\0' $RELOADER_SLOT; echo; done"
    master({"log": {"file": str(log)}, **shell(script, workers=4, stdout="log")})
    proc.wait_until(lambda: log.read_text().count("000000\n") == 8 and log.stat().st_size > 32 * 100000, "all is there")
    proc.wait_until(lambda: sum(len(line) > 100000 for line in log.read_text().splitlines()) == 32, "all lines are there")
    for line in log.read_text().splitlines():
        if len(line) > 100000:
            assert set(line.partition("]: ")[2]) in ({"0"}, {"1"}, {"2"}, {"3"}) and len(line.partition("]: ")[2]) == 100000


# --- what does not go together

@pytest.mark.parametrize("options, text", [
    ({"silent": True, "stdout": "/tmp/x"}, r"programs\.web\.stdout: with silent: true"),
    ({"redirect_stderr": True, "stderr": "/tmp/x"}, r"programs\.web\.stderr: with redirect_stderr: true"),
    ({"stdout": "file"}, r"programs\.web\.stdout: no path for the file.*log_directory"),
    ({"stdout": {"to": "journal", "path": "/tmp/x"}}, r"programs\.web\.stdout: a path is for files"),
    ({"stdout": {"path": "/tmp/x", "backups": 0, "compress": True}}, r"programs\.web\.stdout: with backups: 0"),
    ({"stdout": {"path": "/tmp/x", "max_size": 10}}, r"programs\.web\.stdout\.max_size: "),
    ({"stdout": {"path": "/tmp/%(nothing)s"}}, r"programs\.web\.stdout\.path: .*nothing"),
    ({"stdout": "fiel"}, r"programs\.web\.stdout.*: .*did you mean 'file'"),
    ({"stdout": "web.log"}, r"programs\.web\.stdout: 'web\.log' is wrong here, expected .* which has a slash, as \./web\.log"),
    ({"stdout": {"backup_count": 3}}, r"called 'backups' here"),
    ({"stdout": {"events": True}}, r"programs\.web\.stdout: with to: inherit reloader does not see the lines"),
    ({"stdout_logfile": "/tmp/x"}, r"called 'path' in 'stdout' here"),
], ids=str)
def test_refused(directory, options, text):
    path = directory / "reloader.yaml"
    path.write_text(json.dumps(shell("true", **options)))
    done = subprocess.run([BINARIES.reloader, "-t", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and re.search(text, done.stderr), done
