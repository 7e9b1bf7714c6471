"""
A reload that is being checked while an older one commits: what it was made from is not in force any more, but what it asks for
becomes true all the same.
"""
import signal

import pytest

from harness import configs, proc
from harness.varlink import Varlink


@pytest.fixture(name="gated")
def fixture_gated(master, directory, port):
    """A master whose next reload waits for the file `ready`, and the one after that, in its check, for `checked`."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1, reload={"probation": "0s"}))
    one.wait_ready()
    return Gated(one, directory)


class Gated:
    def __init__(self, one, directory):
        self.one = one
        self.ready, self.checked = directory / "ready", directory / "checked"
        self.command = one.programs["echo"]["command"]

    def overtake(self, first, second, after=0):
        """Two reloads, of configurations that these make; the second one's check ends when the first one has committed. `after` so many."""
        one, echo = self.one, self.one.programs["echo"]
        first(one.config)
        echo["command"] = ["sh", "-c", f"until [ -e {self.ready} ]; do sleep 0.02; done; exec {self.command[0]}"]
        one.write()
        one.kill(signal.SIGHUP)
        one.wait_line(f"reload {after + 1} began")
        second(one.config)
        echo["command"] = self.command
        marker = self.checked.with_suffix(".began")
        echo["reload"]["check_command"] = ["sh", "-c", f"touch {marker}; until [ -e {self.checked} ]; do sleep 0.02; done"]
        one.write()
        one.kill(signal.SIGHUP)
        proc.wait_until(marker.exists, "the second one is being checked")
        self.ready.touch()
        one.wait_line(f"reload {after + 1} committed")
        self.checked.touch()
        one.wait_line(f"reload {after + 2} committed")


@pytest.mark.sanitized
@pytest.mark.parametrize("mode", [None, "0666"])
def test_control_socket_moves_there_and_back(gated, directory, mode):
    """Whether or not anything else of it is another than it was."""
    one, other = gated.one, directory / "other.sock"

    def back(config):
        config["control"] = {"mode": mode} if mode else {}

    gated.overtake(lambda config: config.update(control={"socket": str(other)}), back)
    reply = one.call("Status")
    assert reply["reload"]["id"] == 2 and reply["reload"]["result"] == "committed"
    assert not other.exists()
    assert one.socket.stat().st_mode & 0o777 == int(mode or "0600", 8)


@pytest.mark.sanitized
def test_control_socket_moves_on(gated, directory):
    one, paths = gated.one, [directory / "first.sock", directory / "second.sock"]
    gated.overtake(*(lambda config, path=path: config.update(control={"socket": str(path)}) for path in paths))
    with Varlink(paths[1], 30) as connection:
        assert connection.call("Status")["reload"]["id"] == 2
    assert not paths[0].exists() and not one.socket.exists()


@pytest.mark.sanitized
def test_control_socket_that_both_move(gated, directory):
    path = directory / "other.sock"
    gated.overtake(*[lambda config: config.update(control={"socket": str(path)})] * 2)
    with Varlink(path, 30) as connection:
        assert connection.call("Status")["reload"]["id"] == 2
    assert not gated.one.socket.exists()


@pytest.mark.sanitized
def test_program_that_both_start(gated):
    """The second one rolls what the first one started: that program stays, and its generations count on."""
    one = gated.one
    one.programs["late"] = {"command": ["sleep", "1000"], "workers": 1, "autostart": False, "start_seconds": "0s",
                            "reload": {"probation": "0s"}}
    one.write()
    one.hup()

    def start(config):
        config["programs"]["late"]["autostart"] = True

    gated.overtake(start, start, after=1)
    started = [int(line.split("generation ")[1]) for line in one.log.read() if " late/0: up" in line]
    assert len(started) == 2 and started[0] < started[1]
    assert one.generation("late") == started[1]
    for entry in one.call("History")["reloads"]:
        assert sorted((program["name"], program["result"]) for program in entry["programs"]) == [
            ("echo", "committed"), ("late", "committed")], entry


@pytest.mark.sanitized
def test_no_slot_for_a_canary(master, port):
    """All that clients come to are held: nobody can be tried there, and the reload does not wait for somebody."""
    one = master(configs.echo(f"127.0.0.1:{port}", {"sharing": "per_worker"}, workers=1, reload={"probation": "0s"}))
    one.wait_ready()
    one.ctl("stop", "echo:0", code=0)
    one.programs["echo"]["workers"] = 2
    one.write()
    one.kill(signal.SIGHUP)
    one.wait_line("echo/1: ready")
    one.wait_line("reload 1 committed")
    one.ctl("start", "echo:0", code=0)
    assert len(one.wait_ready()["programs"][0]["slots"]) == 2
