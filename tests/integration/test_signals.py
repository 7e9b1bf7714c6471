"""Signals to the master: the one ordered intent."""
import json
import os
import pty
import signal
import subprocess

import pytest

from harness import BINARIES, Load, Tail, configs, proc
from harness.master import Master, reload_of
from harness.record import Record


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_reload(master, port, number):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    one.kill(number)
    one.wait_line(r"echo: reload 1 committed")
    assert one.generation() == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_graceful_shutdown(master, directory, number):
    """Everybody is told, nobody is killed, exit status 0."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, workers=3))
    record.wait(count=3, event="start")
    one.stop(number)
    for slot in range(3):
        assert record.words(slot=slot) == ["start", "message graceful_shutdown", "sent fully_closed", "signal SIGTERM", "exit"]


def test_second_term_forces(master, directory):
    """Does not wait for disconnect_timeout."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--silent", workers=2, disconnect_timeout="10m"))
    record.wait(count=2, event="start")
    one.kill(signal.SIGTERM)
    record.wait(count=2, event="message")
    one.kill(signal.SIGTERM)
    one.wait_end(0)
    for slot in range(2):
        assert record.words(slot=slot) == ["start", "message graceful_shutdown", "signal SIGTERM", "exit"]


def test_quit_is_forced(master, directory):
    """stop_signal now, nobody is asked; SIGKILL after stop_timeout, by which it has written down the signal."""
    record = Record(directory / "record")
    one = master(configs.recorders(record.path, "--ready", "--ignore=SIGTERM", workers=1, disconnect_timeout="10m",
                                   stop_timeout="4s"))
    one.stop(signal.SIGQUIT)
    assert record.words() == ["start", "sent ready", "signal SIGTERM"]


def test_shutdown_beats_reload(master, directory):
    """In the middle of a rollout: it ends as superseded, exit status 0; a HUP after that starts nothing."""
    record = Record(directory / "record")
    config = configs.recorders(record.path, "--silent", workers=2)
    config["programs"]["rec"].update(disconnect_timeout="10m")
    one = master(config)
    record.wait(count=2, event="start")
    one.kill(signal.SIGHUP)
    record.wait(event="message")
    one.kill(signal.SIGTERM)
    one.wait_line(r"reload 1 superseded")
    one.kill(signal.SIGHUP)
    record.wait(count=2, event="message")
    one.kill(signal.SIGTERM)
    one.wait_end(0)


def test_many_at_once(master, directory, port):
    """A hundred HUPs: the last generation serves, every reload has just one result, nobody notices."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    with Load(directory, f"127.0.0.1:{port}", 500, 20):
        for _ in range(100):
            one.kill(signal.SIGHUP)
        one.wait(lambda status: reload_of(status).get("result") and status["master"]["state"] == "running", "the last has ended", 40)
        one.wait_ready()
        one.wait_drained()
    results = {}
    for line in one.log.read():
        words = line.split("reload ", 1)[-1].split()
        if "reload " in line and len(words) > 1 and words[0].isdigit() and words[1].rstrip(",") in (
                "committed", "superseded", "rolled", "refused", "degraded"):
            results.setdefault(int(words[0]), []).append(words[1])
    assert results and all(len(found) == 1 for found in results.values()), results
    assert results[max(results)] == ["committed,"] or results[max(results)] == ["committed"], results
    assert len({worker["generation"] for worker in one.workers()}) == 1


def test_early_signals_are_kept(master, directory, port):
    """One that arrives before the master is ready neither ends it nor is lost."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1), ready=False)
    # It has blocked its signals by then; between fork and that the kernel's defaults hold for any process.
    proc.wait_until(lambda: int(proc.field(one.pid, "SigBlk"), 16) & 1 << (signal.SIGHUP - 1), "SIGHUP is blocked", 10)
    one.kill(signal.SIGHUP)
    one.wait_line(r"reload 1 (committed|superseded)")
    one.wait_ready()


def test_early_term(directory, port):
    one = Master(directory, configs.echo(f"127.0.0.1:{port}", workers=1))
    proc.wait_until(lambda: int(proc.field(one.pid, "SigBlk"), 16) & 1 << (signal.SIGTERM - 1), "SIGTERM is blocked", 10)
    one.kill(signal.SIGTERM)
    one.wait_end(0)


def test_nothing_keeps_its_default_action(master, port):
    """Signals of the design never kill the master by their default."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    for number, workers in ((signal.SIGTTIN, 2), (signal.SIGTTOU, 1)):
        one.kill(number)
        one.wait(lambda _, n=workers: len(one.pids()) == n, f"{workers} workers")
    for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGCHLD, signal.SIGWINCH):
        one.kill(number)
    one.hup()


def test_reopen_log(master, directory, port):
    """USR1 after a rename: the next line is in the new file."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    path, old = directory / "my.log", directory / "my.log.1"
    config["log"] = {"file": str(path)}
    one = master(config)
    path.rename(old)
    one.kill(signal.SIGUSR1)
    proc.wait_until(path.exists, "the log file exists again")
    one.hup()
    assert "reload 1 committed" in path.read_text()
    assert "reload 1 committed" not in old.read_text()


def start_on_terminal(directory, port):
    """A master that leads a session on a terminal of its own: (process, log, our end of the terminal)."""
    config = {**configs.echo(f"127.0.0.1:{port}", workers=1), "runtime_directory": str(directory / "tty.run")}
    path = directory / "tty.yaml"
    path.write_text(json.dumps(config))
    ours, theirs = pty.openpty()
    with open(directory / "tty.log", "wb") as log:
        # Who runs the tests by nohup(1) ignores SIGHUP, and a master that inherits that outlives its terminal.
        process = subprocess.Popen(["setsid", "--ctty", BINARIES.reloader, "-c", str(path)], stdin=theirs, stdout=log, stderr=log,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    os.close(theirs)
    tail = Tail(directory / "tty.log")
    tail.wait(r"echo/0: ready")
    return process, tail, ours


def test_lost_terminal_shuts_down(directory, port):
    """HUP to a master that was started on a controlling terminal which is gone means: shut down."""
    process, log, terminal = start_on_terminal(directory, port)
    os.close(terminal)
    assert process.wait(20) == 0, log.text()
    assert log.find("terminal")


def test_hup_on_a_live_terminal_reloads(directory, port):
    """And Ctrl-C typed there reaches the master alone; its workers, in groups of their own, are drained as always."""
    process, log, terminal = start_on_terminal(directory, port)
    process.send_signal(signal.SIGHUP)
    log.wait(r"reload 1 committed")
    os.write(terminal, b"\x03")
    assert process.wait(20) == 0, log.text()
    assert log.find("SIGINT") and log.find("echo/0: fully closed")
    os.close(terminal)


@pytest.mark.root
def test_as_pid_1(directory, port):
    """In a container: strangers that are inherited are reaped, workers as always."""
    record = Record(directory / "record")
    orphans = directory / "orphans"
    # The worker's grandchildren lose their parent and leave when it has gone.
    script = f'for i in 1 2 3 4 5; do sh -c "setsid sleep 0.2 & echo \\$! >>{orphans}"; done; exec "$@"'
    config = configs.recorders(record.path, "--ready", workers=1)
    command = config["programs"]["rec"]["command"]
    config["programs"]["rec"]["command"] = ["sh", "-c", script, "sh", *command]
    one = Master(directory, config, wrapper=["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    one.await_socket().close()
    (inner,) = proc.wait_until(lambda: proc.children(one.process.pid), "unshare has a child")
    one.pid = inner
    assert proc.field(inner, "NSpid").split()[-1] == "1"
    one.wait_ready()
    one.wait(lambda status: status["master"]["pid"] == 1, "it is PID 1 there")
    proc.wait_until(lambda: orphans.exists() and len(orphans.read_text().split()) == 5, "five orphans were made")
    proc.wait_until(lambda: len(proc.children(inner)) == 1, "only the worker is left, no zombie")
    one.hup()
    one.wait_drained()
    proc.wait_until(lambda: len(proc.children(inner)) == 1, "only the worker is left, no zombie")
    one.kill(signal.SIGTERM)
    one.wait_end(0)
