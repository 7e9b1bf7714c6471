"""`reloaderctl fg` and `stdin: pipe`: what is typed gets to one worker, what it prints is shown, and nobody is held up or left with a descriptor."""
import os
import re
import signal
import socket
import subprocess

import pytest

pytest.importorskip("pyte", reason="needs python3-pyte")

from harness import BINARIES, VarlinkError, configs, proc  # noqa: E402
from harness.output import logger_of  # noqa: E402
from harness.terminal import Terminal  # noqa: E402

# Does what it reads: each line is a command of the shell.
OBEYS = 'while read -r line; do eval "$line"; done; echo "end of input"'
O_NONBLOCK = os.O_NONBLOCK
PIPE_HOLDS = 65536


def obeys(directory, script=OBEYS, **options):
    return {"command": ["bash", "-c", script], "stdin": "pipe", "start_seconds": "50ms", "stdout": str(directory / "out"),
            "stderr": {"to": "file", "path": str(directory / "err")}, "backoff": {"initial": "100ms", "max": "100ms"}, **options}


@pytest.fixture
def one(master, directory):
    return master({"programs": {"web": obeys(directory)}})


def command(one, *arguments):
    return [BINARIES.reloaderctl, "-s", str(one.socket), "fg", *arguments]


def fg(one, *arguments, given="", code=0):
    """With input that is no terminal; (stdout, stderr)."""
    done = subprocess.run(command(one, *arguments), input=given.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


class Sitting(Terminal):
    """Somebody at a terminal, with a worker in the foreground."""

    def __init__(self, one, *arguments):
        super().__init__(command(one, *arguments), width=200, height=50)

    def has(self, line):
        self.wait(lambda lines: line in lines, f"the line {line!r}")

    def said(self, pattern):
        return self.wait(lambda lines: next((match for line in lines if (match := re.search(pattern, line))), None), pattern)


def has(path, *lines):
    proc.wait_until(lambda: path.exists() and path.read_text().splitlines() == list(lines), f"{path} has {lines}")


def pipes(pid):
    """Of each pipe that a process holds an end of: (descriptor, flags)."""
    found = {}
    for fd, what in proc.fds(pid).items():
        if what.startswith("pipe:"):
            flags = int(re.search(r"flags:\s+(\d+)", proc.read(pid, f"fdinfo/{fd}").decode())[1], 8)
            found.setdefault(what, []).append((fd, flags))
    return found


def stop_reading(one, pid):
    os.kill(pid, signal.SIGSTOP)
    proc.wait_until(lambda: proc.stat(pid)[0] == b"T", "it is stopped")


# --- a script's input

@pytest.mark.sanitized
@pytest.mark.key("programs.NAME.stdin")
def test_input_of_a_script(one, directory):
    (pid,) = one.pids()
    for name in ("web:0", "web/0", "web"):
        out, err = fg(one, name, given=f"echo {name}\n")
        assert out in ("", f"{name}\n") and not err, "it does not wait for an answer"
    has(directory / "out", "web:0", "web/0", "web")
    assert one.pids() == [pid]
    one.wait_line(r"web/0: pid \d+ of user \d+ is attached to its stdin")
    fg(one, "web:0", given="exec sleep 1000 # without an end of the line")
    assert not (directory / "out").read_text().count("end of input"), "the worker's input goes on"


@pytest.mark.key("programs.NAME.stdin")
def test_all_of_it_is_delivered(master, directory):
    """Much more than a pipe holds, to one that reads in its own time; fg leaves when all of it is in the pipe."""
    one = master({"programs": {"web": obeys(directory, f"exec head -c 1000000 > {directory}/got", restart="never")}})
    data = "".join(f"{i}\n" for i in range(200000))[:1000000]
    fg(one, "web:0", given=data)
    proc.wait_until(lambda: (directory / "got").stat().st_size == 1000000, "all is there")
    assert (directory / "got").read_text() == data


def test_undelivered(one):
    """Who does not read holds up nobody: a signal ends fg, and it says that something is missing."""
    (pid,) = one.pids()
    stop_reading(one, pid)
    with subprocess.Popen(command(one, "web:0"), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        # More than the pipes and fg itself have room for: the rest is taken when fg is gone.
        os.set_blocking(waiting.stdin.fileno(), False)
        taken, refused = [], []
        proc.wait_until(lambda: takes_nothing(waiting.stdin.fileno(), taken, refused), "all is full")
        waiting.send_signal(signal.SIGINT)
        error = waiting.stderr.read().decode()
        assert waiting.wait(30) == 1
    assert re.search(rf"web/0, pid {pid}, has not read all: \d+ bytes of input, and what is behind them, are not delivered", error)
    os.kill(pid, signal.SIGCONT)


def takes_nothing(fd, taken, refused):
    """For some looks in a row, after more than its pipe and the worker's hold together: then there is something that fg cannot get rid of."""
    try:
        taken.append(os.write(fd, b"#" * 4096))
        refused.clear()
    except BlockingIOError:
        refused.append(fd)
    return len(refused) > 50 and sum(taken) > 2 * PIPE_HOLDS


def test_a_closed_stdin(master, directory):
    one = master({"programs": {"web": obeys(directory, "exec 0<&-; sleep 1000")}})
    (pid,) = one.pids()
    proc.wait_until(lambda: 0 not in proc.fds(pid), "it has closed its stdin")
    _, error = fg(one, "web:0", given="hello\n", code=1)
    assert f"web/0, pid {pid}, has closed its stdin: 6 bytes of input" in error


def test_the_end_of_input_does_not_end_it(one, directory):
    """With -f; then the end of the worker does."""
    one.config["programs"]["web"]["restart"] = "never"
    one.write()
    one.expect_reload("committed")
    out, error = fg(one, "-f", "web:0", given="echo hello; echo error >&2\nexit 7\n")
    assert out == "hello\n" and re.search(r"^error$", error, re.MULTILINE) and "exited with 7" in error and "web:0 is EXITED" in error


def test_json(one):
    one.config["programs"]["web"]["restart"] = "never"
    one.write()
    one.expect_reload("committed")
    out, _ = fg(one, "-f", "--json", "web:0", given="echo hello\nexit 0\n")
    assert out == '{"program":"web","stream":"stdout","text":"hello","name":"web/0","slot":0}\n'


# --- a terminal

@pytest.mark.sanitized
@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_terminal(one, key):
    (pid,) = one.pids()
    with Sitting(one, "web:0") as terminal:
        terminal.said(rf"web/0, pid {pid}: what is typed goes to it")
        terminal.type("echo one; echo two >&2\n")
        terminal.has("one")
        terminal.has("two")
        terminal.type("printf '\\033]0;title\\007\\033[31mred\\n'\n")
        terminal.has("red")
        terminal.type(key)
        assert terminal.wait_end() == 0
        terminal.said(rf"web/0, pid {pid}, is left running")
        assert b"\x1b" not in terminal.output, "workers do not steer it"
    assert one.pids() == [pid] and one.log.count("is attached to its stdin") == 1
    # Nobody has it any more but the worker and its master.
    ((what, ends),) = [(what, ends) for what, ends in pipes(pid).items() if ends[0][0] == 0]
    assert len(ends) == 1 and len(pipes(one.pid)[what]) == 1


def test_several_at_once(one, directory):
    """All see what it prints, and all may write."""
    with Sitting(one, "web:0") as left, Sitting(one, "web:0") as right:
        for terminal in (left, right):
            terminal.said("what is typed goes to it")
        left.type("echo from-the-left\n")
        right.has("from-the-left")
        right.type("echo from-the-right\n")
        left.has("from-the-right")
        left.type("\x04")
        assert left.wait_end() == 0
        right.type("echo still\n")
        right.has("still")
    has(directory / "out", "from-the-left", "from-the-right", "still")


def fill(one):
    """Until the worker's pipe takes nothing more; how many bytes that took."""
    written = 0
    with open(attach(one)[0], "wb", buffering=0) as pipe:
        while (n := pipe.write(b"#" * 4095 + b"\n")) is not None:
            written += n
    return written


def test_a_full_pipe(one, directory):
    """It is said, and Ctrl-C still works; what comes out of the worker meanwhile is shown."""
    (pid,) = one.pids()
    with Sitting(one, "web:0") as terminal:
        terminal.said("what is typed goes to it")
        stop_reading(one, pid)
        assert fill(one) >= 4096
        terminal.type("echo too much\n")
        terminal.said(rf"web/0, pid {pid}, does not read its input: its pipe is full")
        terminal.type("\x03")
        assert terminal.wait_end() == 0
        terminal.said("14 bytes of input are not delivered")
    os.kill(pid, signal.SIGCONT)
    fg(one, "web:0", given="echo it goes on\n")
    has(directory / "out", "it goes on")


# --- the worker's end

def test_crash(one):
    """With what it ended, and its successor gets what is typed then."""
    (old,) = one.pids()
    with Sitting(one, "web:0") as terminal:
        terminal.said("what is typed goes to it")
        terminal.type("exit 3\n")
        terminal.said(rf"web/0, pid {old}: exited with 3")
        new = int(terminal.said(r"web/0: pid (\d+), generation 1, has taken over, and gets the input from now on")[1])
        terminal.type("echo I am $$\n")
        terminal.has(f"I am {new}")
        terminal.type("kill -KILL $$\n")
        terminal.said(rf"web/0, pid {new}: ended by SIGKILL")
        terminal.type("\x03")
        assert terminal.wait_end() == 0


@pytest.mark.parametrize("order", ["drain-first", "ready-first"])
def test_reload(one, order):
    one.config["programs"]["web"]["reload"] = {"order": order, "probation": "0s", "max_unavailable": 1}
    one.write()
    one.expect_reload("committed")
    one.wait_drained()
    (old,) = one.pids()
    with Sitting(one, "web:0") as terminal:
        terminal.said(rf"web/0, pid {old}: what is typed goes to it")
        one.hup()
        new = int(terminal.said(r"web/0: pid (\d+), generation 3, has taken over, and gets the input from now on")[1])
        assert new != old
        terminal.type("echo I am $$\n")
        terminal.has(f"I am {new}")
        # The next one does not take input any more.
        one.config["programs"]["web"].update(stdin=None, command=["sleep", "1000"])
        one.write()
        one.expect_reload("committed")
        terminal.said(r"generation 4, has taken over$")
        terminal.type("hello\n")
        terminal.said("takes no input: 6 bytes of input are not delivered")
        terminal.type("\x03")
        assert terminal.wait_end() == 0


def test_unread_input(one):
    """What a worker has not read is not for its successor."""
    (old,) = one.pids()
    with Sitting(one, "web:0") as terminal:
        terminal.said("what is typed goes to it")
        terminal.type("sleep 1000\n")
        proc.wait_until(lambda: proc.children(old), "it is busy")
        terminal.type("echo never\n")
        proc.wait_until(lambda: unread(one) == 11, "it is in the pipe")
        os.kill(old, signal.SIGKILL)
        new = int(terminal.said(rf"web/0, pid {old}: ended by SIGKILL; 11 bytes of its input were not read")
                  and terminal.said(r"pid (\d+), .* has taken over")[1])
        stop_reading(one, new)
        size = fill(one)
        terminal.type("echo never\n")
        terminal.said("does not read its input")
        os.kill(new, signal.SIGKILL)
        terminal.said(rf"web/0, pid {new}: ended by SIGKILL; {size + 11} bytes of its input were not read")
        terminal.wait(lambda _: terminal.text().count("has taken over") == 2, "the next one")
        terminal.type("echo next\n")
        terminal.has("next")
        assert "never" not in terminal.lines()


def unread(one):
    import fcntl
    import struct
    import termios
    fd, _ = attach(one)
    try:
        return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]
    finally:
        os.close(fd)


def test_the_end_of_all(master, directory):
    """A slot where nobody is started any more ends it, after the last lines."""
    one = master({"programs": {
        "done": obeys(directory, restart="unexpected", stdout="log"),
        "fatal": obeys(directory, restart="always", start_seconds="50ms", max_restarts={"count": 1, "within": "1h"}),
        "stopped": obeys(directory)}})
    with Sitting(one, "done") as terminal:
        terminal.said("what is typed goes to it")
        terminal.type("seq -f 'line %.0f' 5000; exit 0\n")
        assert terminal.wait_end() == 0
        assert b"done:0 is EXITED, and nobody else is started there" in terminal.output
        assert b"line 5000\r\n" in terminal.output
    with Sitting(one, "fatal") as terminal:
        terminal.said("what is typed goes to it")
        terminal.type("exit 1\n")
        terminal.said("has taken over")
        terminal.type("exit 1\n")
        assert terminal.wait_end() == 1
        terminal.said("fatal:0 is FATAL")
    with Sitting(one, "stopped") as terminal:
        terminal.said("what is typed goes to it")
        one.ctl("stop", "stopped", code=0)
        assert terminal.wait_end() == 0
        terminal.said("ended by SIGTERM")
        terminal.said("stopped:0 is STOPPED")
    for name in ("done", "fatal", "stopped"):
        assert f"`reloaderctl start {name}:0` would do that" in fg(one, name, given="x\n", code=1)[1]


def test_a_worker_that_waits_for_its_next_start(master, directory):
    """One that is to come is waited for, and gets the input."""
    mark = directory / "mark"
    one = master({"programs": {"web": obeys(directory, f"[ -e {mark} ] || exit 1; {OBEYS}", start_seconds="0s")}}, ready=False)
    one.wait_line("died|exited with 1")
    with subprocess.Popen(command(one, "web:0"), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as waiting:
        assert waiting.stdin
        waiting.stdin.write(b"echo at last\n")
        waiting.stdin.close()
        mark.touch()
        assert waiting.wait(60) == 0, waiting.stderr.read()
    has(directory / "out", "at last")


def test_the_master_leaves(one):
    with Sitting(one, "web:0") as terminal:
        terminal.said("what is typed goes to it")
        one.stop()
        assert terminal.wait_end() == 0


def test_a_silent_master(one):
    """Input does not go through it."""
    with Sitting(one, "web:0") as terminal:
        terminal.type("echo begin\n")
        terminal.has("begin")
        one.kill(signal.SIGSTOP)
        try:
            terminal.type(f"echo done > {one.directory}/done\n")
            proc.wait_until((one.directory / "done").exists, "the worker has read it")
            terminal.type("\x03")
            assert terminal.wait_end() == 0
        finally:
            one.kill(signal.SIGCONT)


# --- without a pipe, and errors

def test_no_input(master):
    """Output alone, and a word on how to get more."""
    one = master({"programs": {"web": {"command": ["bash", "-c", "while echo tick; do sleep 0.05; done"], "start_seconds": "50ms", "stdout": "syslog"}}})
    (pid,) = one.pids()
    assert proc.fds(pid)[0] == "/dev/null"
    with Sitting(one, "web:0") as terminal:
        terminal.said("it takes no input, `stdin: pipe` in its program would change that")
        terminal.said("web/0: its stderr goes where reloader's own went")
        terminal.has("tick")
        terminal.type("\x03")
        assert terminal.wait_end() == 0
    assert "takes no input: 6 bytes of input" in fg(one, "web:0", given="hello\n", code=1)[1]
    fg(one, "web:0")


def test_errors(master, directory, port):
    one = master({"sockets": {"s": {"listen": f"127.0.0.1:{port}"}},
                  "programs": {"web": obeys(directory, workers=3), "inetd": {"command": ["sleep", "1000"], "sockets": ["s"], "handoff": "stdin", "start_seconds": "50ms"}}})
    assert "name one of them: web:0, web:1, web:2" in fg(one, "web", code=1)[1]
    for name, said in (("nobody", "no program, group or worker 'nobody'"), ("web:7", "'web:7' is no slot or worker")):
        error = fg(one, name, code=1)[1]
        assert said in error and "there are web:0, web:1, web:2, inetd:0" in error
    for wrong in ([], ["web:0", "web:1"], ["web:0", "--force"]):
        fg(one, *wrong, code=2)
    with Sitting(one, "inetd") as terminal:
        terminal.said("its stdin is its socket, so it takes no input")
    done = subprocess.run([BINARIES.reloader, "--set", "programs.inetd.stdin=pipe", "--check", "-c", str(one.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 3 and "programs.inetd.stdin: pipe, but with handoff: stdin the first socket is there" in done.stderr


# --- descriptors

def attach(one, name="web:0", **parameters):
    """(the descriptor, the reply), as any Varlink client would have them."""
    with one.connect() as connection:
        connection.send("Attach", {"name": name, **parameters})
        data, fds, _, _ = socket.recv_fds(connection.socket, 1 << 16, 4)
        assert data.endswith(b"\0")
        connection._rest = data
        return (fds or [None])[0], connection._unwrap(connection.receive())


def test_attach(one):
    (pid,) = one.pids()
    fd, reply = attach(one)
    assert reply == {"program": "web", "slot": 0, "name": "web/0", "pid": pid, "generation": 1, "state": "READY", "stdin": "pipe"}
    with open(fd, "wb", buffering=0) as pipe:
        assert not os.get_blocking(fd) and os.readlink(f"/proc/self/fd/{fd}") == proc.fds(pid)[0]
        pipe.write(b"echo done > done\n")
    proc.wait_until((one.directory / "done").exists, "it got that")
    assert attach(one, attached=pid) == (None, reply)
    with pytest.raises(VarlinkError) as refused:
        attach(one, "web:1")
    assert refused.value.name == "NoSuchWorker"


@pytest.mark.sanitized
def test_who_has_the_pipe(master, directory):
    """Each worker one end, its master the other, and nobody else any: neither other workers nor helpers."""
    one = master({"programs": {"web": obeys(directory, workers=3), "other": {"command": configs.fault("ready")}}})
    workers = one.pids("web")
    inputs = [proc.fds(pid)[0] for pid in workers]
    assert len(set(inputs)) == 3
    for pid, what in zip(workers, inputs):
        ((fd, flags),) = pipes(pid)[what]
        assert fd == 0 and flags & os.O_ACCMODE == os.O_RDONLY and not flags & O_NONBLOCK
        ((_, flags),) = pipes(one.pid)[what]
        assert flags & os.O_ACCMODE == os.O_WRONLY and flags & O_NONBLOCK and flags & os.O_CLOEXEC
    everybody = proc.descendants(one.pid)
    assert logger_of(one) in everybody and len(everybody) >= 5
    for pid in everybody:
        strangers = set(inputs) - {what for worker, what in zip(workers, inputs) if worker == pid}
        assert not strangers & set(proc.fds(pid).values()), proc.describe(pid)


@pytest.mark.limit(240)
def test_reloads_leave_nothing(master, directory):
    """Nor do clients that come and go, or are still there when their worker is not."""
    one = master({"programs": {"web": obeys(directory, "exec cat", workers=2, ready={"after": "1ms"}, reload={"probation": "0s", "max_unavailable": "100%"})}})
    one.expect_reload("committed")
    one.wait_drained()
    before = one.descriptors()
    kept = []
    for number in range(1000):
        if number % 10 == 0:
            kept.append(attach(one, f"web:{number % 20 // 10}")[0])
        one.expect_reload("committed")
    one.wait_drained()
    assert one.descriptors() == before
    for fd in kept:
        with pytest.raises(BrokenPipeError):
            os.write(fd, b"hello")
        os.close(fd)


def test_a_master_that_is_killed(master, directory):
    """Its workers see the end of their input, unless somebody else is attached."""
    one = master({"programs": {"web": obeys(directory, f"cat > /dev/null; echo end > {directory}/end")}})
    (pid,), helper = one.pids(), logger_of(one)
    one.kill(signal.SIGKILL)
    proc.wait_until((directory / "end").exists, "the end of its input")
    proc.wait_gone(pid)
    proc.wait_gone(helper)
    one.stopped = True
