"""The main promise: reload under load, and no client notices. Five reloads per case; bench/ repeats them more often."""
import re

import pytest

from harness import Load, configs, isolation, proc

pytestmark = pytest.mark.heavy

RELOADS = 5


def reload_under_load(master, directory, config, connect, rate=1000, streams=100, reloads=RELOADS):
    """Reloads by SIGHUP and over the control socket in turn; everybody is replaced each time."""
    (name,) = config["programs"]
    config["programs"][name]["command"].append("--who")
    one = master(config)
    workers = one.programs[name]["workers"]
    with Load(directory, connect, rate, streams, who_rate=50) as load:
        for number in range(reloads):
            before = set(one.pids(name))
            assert len(before) == workers
            if number % 2:
                one.expect_reload("committed")
            else:
                one.hup("committed")
            assert not before & set(one.pids(name)), "an old worker is still ready"
        one.wait_drained()
        load.flow(0.2)
    assert one.generation(name) == reloads + 1
    assert any(f" generation={reloads + 1} " in server for server in load.servers()), "the last one has served"
    return one


@pytest.mark.limit(150)
def test_tcp(master, directory, port):
    reload_under_load(master, directory, configs.echo(f"127.0.0.1:{port}"), f"127.0.0.1:{port}", rate=2000, streams=200)


@pytest.mark.sanitized
@pytest.mark.limit(120)
def test_two_workers(master, directory, port):
    reload_under_load(master, directory, configs.echo(f"127.0.0.1:{port}", workers=2), f"127.0.0.1:{port}",
                      rate=200, streams=20, reloads=2)


@pytest.mark.slow
@pytest.mark.limit(120)
def test_unix_path(master, directory):
    reload_under_load(master, directory, configs.echo(f"unix:{directory}/echo.sock"), f"unix:{directory}/echo.sock")


@pytest.mark.slow
@pytest.mark.limit(120)
def test_unix_abstract(master, directory, port):
    address = f"unix:@reloader-test-{port}"
    reload_under_load(master, directory, configs.echo(address), address)


@pytest.mark.slow
@pytest.mark.limit(120)
def test_ipv6(master, directory, port):
    reload_under_load(master, directory, configs.echo(f"[::1]:{port}"), f"[::1]:{port}")


@pytest.mark.slow
@pytest.mark.limit(120)
def test_ready_first(master, directory, port):
    config = configs.echo(f"127.0.0.1:{port}", reload={"order": "ready-first"})
    reload_under_load(master, directory, config, f"127.0.0.1:{port}")


@pytest.mark.slow
@pytest.mark.limit(120)
def test_one_worker(master, directory, port):
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    reload_under_load(master, directory, config, f"127.0.0.1:{port}", rate=500)


@pytest.mark.slow
@pytest.mark.limit(180)
def test_64_workers(master, directory, port):
    config = configs.echo(f"127.0.0.1:{port}", workers=64)
    reload_under_load(master, directory, config, f"127.0.0.1:{port}")


@pytest.mark.slow
@pytest.mark.limit(120)
def test_all_at_once_without_canary(master, directory, port):
    """Everybody leaves at the same time; meanwhile connections wait in the queue."""
    config = configs.echo(f"127.0.0.1:{port}", reload={"canary": False, "max_unavailable": "100%"})
    reload_under_load(master, directory, config, f"127.0.0.1:{port}")


def test_several_programs_and_sockets(master, directory, port):
    """One reload rolls every program; a program may have several sockets."""
    other = isolation.free_port()
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["sockets"]["more"] = {"listen": f"unix:{directory}/more.sock"}
    config["programs"]["echo"]["sockets"] = ["echo", "more"]
    config["programs"]["second"] = {**config["programs"]["echo"], "sockets": [], "listen": f"127.0.0.1:{other}"}
    del config["programs"]["second"]["sockets"]
    one = master(config)
    with Load(directory, f"127.0.0.1:{port}", 200, 10, name="a"), Load(directory, f"127.0.0.1:{other}", 200, 10, name="b"), \
            Load(directory, f"unix:{directory}/more.sock", 200, 10, name="c"):
        one.hup()
        one.hup()
    assert one.generation("echo") == one.generation("second") == 3


@pytest.mark.slow
@pytest.mark.limit(150)
def test_inode_after_100_reloads(master, port):
    """The listening socket is the one that was bound at the start; nothing is left open."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2, reload={"canary": False, "max_unavailable": "100%"})
    one = master(config)
    inodes = proc.tcp_listeners(port)
    assert len(inodes) == 1
    one.expect_reload("committed")
    one.wait_drained()
    descriptors = one.descriptors()
    for _ in range(99):
        one.expect_reload("committed")
    one.wait_drained()
    assert proc.tcp_listeners(port) == inodes
    for pid in one.pids():
        assert proc.socket_inode(pid, 3) == inodes[0]
    assert one.descriptors() == descriptors, proc.fds(one.pid)
    assert one.generation() == 101


def test_unchanged_file_rolls_everything(master, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    before = one.pids()
    one.hup()
    assert set(one.pids()).isdisjoint(before)
    assert one.wait_line(r"echo: reload 1 committed, generation 2, 2 workers, ")


@pytest.mark.key("programs.NAME.workers")
def test_changes_take_effect(master, directory, port):
    """Command, environment, workers and timeouts of the file as it is now."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    one.programs["echo"].update(command=["sh", "-c", f"exec {one.programs['echo']['command'][0]}"],
                                environment={"NEW": "yes"}, workers=3, stop_timeout="3s")
    one.write()
    one.hup()
    assert len(one.pids()) == 3
    assert all(proc.environment(pid)["NEW"] == "yes" for pid in one.pids())
    one.programs["echo"].update(workers=1, environment={"NEW": "no"})
    one.write()
    with Load(directory, f"127.0.0.1:{port}", 200, 10):
        one.hup()
        one.wait(lambda status: len(one.workers(status=status)) == 1, "one worker")
    assert [proc.environment(pid)["NEW"] for pid in one.pids()] == ["no"]


@pytest.mark.key("programs.NAME.priority")
def test_priority_is_the_order(master, directory):
    """Low starts first and stops last."""
    record = directory / "record"
    programs = {name: {"command": configs.recorder(record, "--ready"), "priority": priority}
                for name, priority in (("late", 20), ("early", 10))}
    one = master({"programs": programs})
    ups = [match[1] for line in one.log.read() if (match := re.search(r"(early|late)\S*: up, pid", line))]
    assert ups == ["early", "late"]


@pytest.mark.key("programs.NAME.autostart")
def test_not_started_by_itself(master, port):
    """autostart: false holds at reloads as well; nothing that should run is missing."""
    config = configs.echo(f"127.0.0.1:{port}", workers=1)
    config["programs"]["later"] = {"command": configs.fault("ready"), "autostart": False}
    one = master(config, ready=False)
    one.wait_line("echo/0: ready")
    one.hup()
    one.wait_drained()
    assert proc.children(one.pid) == one.pids("echo") and not one.log.find("later/0: up")
    one.ctl("status", code=0)
