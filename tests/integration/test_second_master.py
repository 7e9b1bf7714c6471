"""Two masters where only one may be; places that are not ours."""
import os
import re

import pytest

from harness import configs, isolation
from harness.master import Master


def test_same_pid_file(master, directory, port):
    """Refused by the lock, naming the pid; the first one's file stays as it is."""
    path = directory / "pid"
    config = {**configs.echo(f"127.0.0.1:{port}", workers=1), "pid_file": str(path)}
    one = master(config)
    assert path.read_text().strip() == str(one.pid)
    second = Master(directory, {**configs.echo(f"127.0.0.1:{isolation.free_port()}", workers=1), "pid_file": str(path)}, name="second")
    second.wait_end(1)
    assert re.search(rf"pid: .*{one.pid}", second.log.text()), second.log.text()
    assert path.read_text().strip() == str(one.pid)
    one.hup()
    one.stop()
    assert not path.exists()


def test_stale_pid_file(master, directory, port):
    """Without a lock it means nothing, whatever it says."""
    path = directory / "pid"
    path.write_text("1\n")
    one = master({**configs.echo(f"127.0.0.1:{port}", workers=1), "pid_file": str(path)})
    assert path.read_text().strip() == str(one.pid)


def test_same_control_socket(master, directory, port):
    """A live one is refused, naming the pid; nothing of the first one's is touched."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    config = configs.echo(f"127.0.0.1:{isolation.free_port()}", workers=1)
    config["runtime_directory"] = str(one.runtime)
    second = Master(directory, config, name="second")
    second.wait_end(1)
    assert re.search(r"control\.sock", second.log.text()) and str(one.pid) in second.log.text(), second.log.text()
    one.hup()


def test_stale_control_socket(master, directory, port):
    """Left by a master that was killed: replaced."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    one = Master(directory, config)
    one.wait_ready()
    one.kill(9)
    one.process.wait(10)
    isolation.kill_children()
    assert one.socket.exists()
    two = Master(directory, {**config, "runtime_directory": str(one.runtime)}, name="second")
    two.socket, two.runtime = one.socket, one.runtime
    two.wait_ready()
    two.stop()


@pytest.mark.root
def test_runtime_directory_of_somebody_else(directory, port):
    """Owned by another user, or open to others: not a place for sockets."""
    place = directory / "reloader.run"
    place.mkdir(mode=0o755)
    os.chown(place, 65534, 65534)
    one = Master(directory, configs.echo(f"127.0.0.1:{port}", workers=1))
    assert one.process.wait(20) == 1
    assert re.search(r"reloader\.run.*(own|belongs)", one.log.text()), one.log.text()


def test_runtime_directory_open_to_all(directory, port):
    place = directory / "reloader.run"
    place.mkdir()
    place.chmod(0o777)
    one = Master(directory, configs.echo(f"127.0.0.1:{port}", workers=1))
    assert one.process.wait(20) == 1
    assert "reloader.run" in one.log.text()


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_runtime_directory_that_is_none(directory, port, kind):
    place = directory / "reloader.run"
    if kind == "file":
        place.write_text("data")
    else:
        (directory / "elsewhere").mkdir()
        place.symlink_to(directory / "missing")
    one = Master(directory, configs.echo(f"127.0.0.1:{port}", workers=1))
    assert one.process.wait(20) == 1
    assert "reloader.run" in one.log.text()
