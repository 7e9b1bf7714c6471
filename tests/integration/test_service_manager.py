"""What a service manager (systemd, Type=notify) hears of the master, and when."""
import os
import signal

import pytest

from harness import configs, proc
from harness.manager import Manager, fill, launched, monotonic_usec
from harness.master import Master, reload_of


@pytest.fixture
def manager(directory):
    with Manager(directory) as listening:
        yield listening


def status(manager, text, start=0):
    """Until the status begins with `text`; the message's number."""
    return manager.wait(lambda message: message.get("STATUS", "").startswith(text), f"STATUS={text}", start)


def wait_phase(manager, name, start=0):
    return manager.wait_for(name, start=start)


@pytest.mark.sanitized
def test_start_reload_shutdown(master, manager, port):
    """READY when all are ready, RELOADING with the time and READY for a reload, STOPPING at the end; nothing else in between."""
    one = master(configs.echo(f"127.0.0.1:{port}"), environment=manager.environment())
    wait_phase(manager, "READY")
    status(manager, "4 of 4 ready, generation 1")
    assert all(message["pid"] == one.pid for message in manager.messages)
    assert not any("MAINPID" in message for message in manager.messages)
    before = monotonic_usec()
    one.hup()
    reloading = wait_phase(manager, "RELOADING")
    assert before <= int(manager.messages[reloading]["MONOTONIC_USEC"]) <= monotonic_usec()
    assert manager.messages[reloading]["STATUS"].startswith("reload 1: echo ")
    status(manager, "4 of 4 ready, generation 2", wait_phase(manager, "READY", reloading))
    one.wait_drained()
    one.stop()
    manager.read()
    assert manager.phases() == ["READY", "RELOADING", "READY", "STOPPING"]
    assert manager.messages[wait_phase(manager, "STOPPING")]["STATUS"] == "shutting down: 4 workers left"


def test_not_ready_before_all_are(master, manager, directory, port):
    """While the last worker does not say that it is ready, READY is not sent."""
    gate = directory / "gate"
    os.mkfifo(f"{gate}.1.1")
    one = master(configs.recorders(directory / "record", f"--gate={gate}", workers=2), ready=False, environment=manager.environment())
    status(manager, "starting: 1 of 2 ready")
    assert manager.phases() == []
    assert "EXTEND_TIMEOUT_USEC" in manager.messages[0], "the longest start_timeout may be more than the manager's"
    os.close(os.open(f"{gate}.1.1", os.O_WRONLY))
    wait_phase(manager, "READY")
    one.wait_ready()


@pytest.mark.parametrize("change,said", [
    ({"command": configs.fault("exit=1")}, "reload 1 rolled back: echo/0 exited with 1 before it was ready; 2 of 2 ready, generation 1"),
    ({"workers": 0}, "reload 1 refused: "),
], ids=["rolled back", "refused"])
def test_failed_reload(master, manager, port, change, said):
    """RELOADING and READY all the same, and the status says what happened until a reload commits."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2), environment=manager.environment())
    wait_phase(manager, "READY")
    start = len(manager.messages)
    good = dict(one.programs["echo"])
    one.programs["echo"].update(change)
    one.write()
    one.ctl("reload", code=1)
    wait_phase(manager, "READY", wait_phase(manager, "RELOADING", start))
    status(manager, said, start)
    assert manager.phases(start) == ["RELOADING", "READY"]
    one.programs["echo"] = good
    one.write()
    one.hup()
    status(manager, "2 of 2 ready, generation ", len(manager.messages) - 1)


def test_superseded(master, manager, directory, port):
    """Each reload that began is announced, and READY comes once, at the end of the last."""
    gate = directory / "gate"
    one = master(configs.recorders(directory / "record", f"--gate={gate}", workers=1), environment=manager.environment())
    wait_phase(manager, "READY")
    os.mkfifo(f"{gate}.2.0")
    one.kill(signal.SIGHUP)
    first = wait_phase(manager, "RELOADING")
    before = monotonic_usec()
    one.kill(signal.SIGHUP)
    second = wait_phase(manager, "RELOADING", first + 1)
    assert int(manager.messages[second]["MONOTONIC_USEC"]) >= before, "the second is known to be another one"
    wait_phase(manager, "READY", second)
    one.wait(lambda now: reload_of(now).get("id") == 2 and reload_of(now).get("result") == "committed", "reload 2 has committed")
    manager.read()
    assert manager.phases() == ["READY", "RELOADING", "RELOADING", "READY"]


def test_refused_while_another_runs(master, manager, directory):
    """The refused one is announced, too; the one that runs goes on, and READY comes at its end."""
    gate = directory / "gate"
    one = master(configs.recorders(directory / "record", f"--gate={gate}", workers=1), environment=manager.environment())
    wait_phase(manager, "READY")
    os.mkfifo(f"{gate}.2.0")
    one.kill(signal.SIGHUP)
    first = wait_phase(manager, "RELOADING")
    one.programs["rec"]["workers"] = 0
    one.write()
    one.kill(signal.SIGHUP)
    second = wait_phase(manager, "RELOADING", first + 1)
    os.close(os.open(f"{gate}.2.0", os.O_WRONLY))
    wait_phase(manager, "READY", second)
    assert manager.phases() == ["READY", "RELOADING", "RELOADING", "READY"]


def test_several_programs(master, manager, directory, port):
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["programs"]["other"] = {**config["programs"]["echo"], "sockets": [], "listen": f"unix:{directory}/other", "workers": 1}
    one = master(config, environment=manager.environment())
    status(manager, "3 of 3 ready: echo 2 of 2 generation 1, other 1 of 1 generation 1")
    one.hup()
    manager.wait(lambda message: (text := message.get("STATUS", "")).startswith("reload 1: ") and "echo " in text and "other " in text,
                 "how far both are")


def test_daemon_tells_its_pid(directory, manager, port):
    """-d forks: MAINPID names the one that stays."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["pid_file"] = str(directory / "pid")
    one = Master(directory, config, arguments=["-d", "-l", directory / "my.log"], environment=manager.environment())
    assert one.process.wait(30) == 0, one.log.text()
    pid = int((directory / "pid").read_text())
    ready = wait_phase(manager, "READY")
    assert manager.messages[ready]["MAINPID"] == str(pid) == str(manager.messages[ready]["pid"])
    os.kill(pid, signal.SIGTERM)
    proc.wait_gone(pid)


@pytest.mark.parametrize("arguments", [[], ["-d"]], ids=["foreground", "daemon"])
def test_watchdog(directory, manager, port, arguments):
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["pid_file"] = str(directory / "pid")
    one = Master(directory, config, arguments=[*arguments, "-l", directory / "my.log"], wrapper=launched(watchdog=True),
                 environment=manager.environment(watchdog_usec=200_000))
    first = manager.wait_for("WATCHDOG")
    ready = wait_phase(manager, "READY")
    second = manager.wait_for("WATCHDOG", start=max(first, ready) + 1)
    manager.wait_for("WATCHDOG", start=second + 1)
    pid = int((directory / "pid").read_text())
    assert {message["pid"] for message in manager.messages} == {pid}
    (worker,) = proc.children(pid)
    environment = proc.environment(worker)
    assert not {"WATCHDOG_USEC", "WATCHDOG_PID"} & set(environment)
    assert environment["NOTIFY_SOCKET"] != manager.path, "its own, not ours"
    os.kill(pid, signal.SIGTERM)
    proc.wait_gone(pid)
    one.process.wait(20)


def test_no_watchdog_of_somebody_else(master, manager, port):
    """WATCHDOG_PID names another process: it is not for us."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1),
                 environment={**manager.environment(watchdog_usec=1000), "WATCHDOG_PID": "1"})
    one.hup()
    one.stop()
    assert not any("WATCHDOG" in message for message in manager.read())


def test_time_for_a_shutdown(master, manager, directory):
    """The sum over priorities of what draining and stopping may take."""
    record = directory / "record"
    config = configs.recorders(record, "--ready", workers=1, disconnect_timeout="20s", stop_timeout="30s", priority=1)
    config["programs"]["last"] = {**config["programs"]["rec"], "disconnect_timeout": "100s", "priority": 2}
    config["programs"]["beside"] = {**config["programs"]["rec"], "disconnect_timeout": "15s", "priority": 2}
    one = master(config, environment=manager.environment())
    wait_phase(manager, "READY")
    one.stop()
    stopping = wait_phase(manager, "STOPPING")
    granted = int(manager.messages[stopping]["EXTEND_TIMEOUT_USEC"]) / 1e6
    assert 180 <= granted <= 180 + 60, "100 + 30 of the last, 20 + 30 of the first, and a margin"


def test_time_for_a_reload(master, manager, directory):
    """Its next step may take as long as workers have to drain, their disconnect_spread included."""
    config = configs.recorders(directory / "record", "--ready", workers=1, disconnect_timeout="100s", stop_timeout="30s",
                               disconnect_spread="300s", reload={"canary": True})
    one = master(config, environment=manager.environment())
    wait_phase(manager, "READY")
    one.hup()
    reloading = wait_phase(manager, "RELOADING")
    assert int(manager.messages[reloading]["EXTEND_TIMEOUT_USEC"]) > 500e6
    one.stop()


def test_more_time_for_a_worker(master, manager, directory):
    """A worker that asks for more time to drain gets it, and so does the master."""
    config = configs.recorders(directory / "record", "--ready", "--silent", "--extend=400000000", workers=1,
                               disconnect_timeout="100s", stop_timeout="30s")
    one = master(config, environment=manager.environment())
    wait_phase(manager, "READY")
    one.kill(signal.SIGTERM)
    stopping = wait_phase(manager, "STOPPING")
    assert int(manager.messages[stopping]["EXTEND_TIMEOUT_USEC"]) < 200e6
    more = manager.wait(lambda message: "EXTEND_TIMEOUT_USEC" in message, "more time", stopping + 1)
    assert 430e6 <= int(manager.messages[more]["EXTEND_TIMEOUT_USEC"]) <= 490e6, "400 to drain, 30 to stop, and a margin"
    one.kill(signal.SIGQUIT)
    one.wait_end()


def test_a_manager_that_does_not_listen(master, manager, port):
    """Its queue is full for the whole of a reload: the master goes on, and catches up when it is read again."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2), environment=manager.environment())
    wait_phase(manager, "READY")
    manager.read()
    start = len(manager.messages)
    fill(manager.path)
    one.hup()
    one.hup()
    one.wait_drained()
    wait_phase(manager, "READY", wait_phase(manager, "RELOADING", start))
    status(manager, "2 of 2 ready, generation 3", start)
    assert manager.phases(start)[-1] == "READY"


def test_quiet_when_nothing_happens(master, manager, port):
    """Nothing is told twice."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2), environment=manager.environment())
    wait_phase(manager, "READY")
    for _ in range(3):
        one.status()
    manager.read()
    texts = [message["STATUS"] for message in manager.messages if "STATUS" in message]
    assert all(a != b for a, b in zip(texts, texts[1:]))
    assert all(set(message) - {"pid"} for message in manager.messages)
