"""New versions that fail: the old workers serve on or come back, no client notices, and it is said why."""
import re

import pytest

from harness import BINARIES, Load, configs

ECHO = BINARIES.tcp_echo


def shell(script):
    return ["sh", "-c", script]


# (what is wrong, what changes in the program, what reloaderctl says)
FAILURES = [
    ("crash at start", {"command": configs.fault("exit=3")}, r"exited with 3"),
    ("dies after 1.5 s", {"command": configs.fault("old=1.5")}, r"exited with 1"),
    ("dies after 3 s of 6", {"command": configs.fault("old=3"), "reload": {"probation": "6s"}}, r"exited with 1 in its probation"),
    ("killed by a signal", {"command": configs.fault("abort")}, r"SIGABRT"),
    ("never ready", {"command": configs.fault(), "ready": "notify", "start_timeout": "1s"}, r"not ready|start_timeout|1 s"),
    ("binary missing", {"command": ["/nonexistent/server"]}, r"cannot execute '/nonexistent/server': No such file or directory"),
    ("not in PATH", {"command": ["no-such-server"], "environment": {"PATH": "/usr/bin:/bin"}}, r"cannot execute 'no-such-server': No such file or directory"),
    ("not executable", {"command": ["/etc/passwd"]}, r"cannot execute '/etc/passwd': Permission denied"),
    ("only in slot 2", {"command": shell(f'[ "$RELOADER_SLOT" = 2 ] && exit 5; exec {ECHO}')}, r"echo/2 exited with 5"),
    ("only later than the canary", {"command": shell(f'[ "$RELOADER_SLOT" = 0 ] || exit 6; exec {ECHO}')}, r"exited with 6"),
]


@pytest.mark.limit(120)
@pytest.mark.parametrize("change,reason", [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_new_version_fails(master, directory, port, change, reason):
    """reloaderctl reload says why and exits 1; nobody fails; repaired, the next reload commits."""
    config = configs.echo(f"127.0.0.1:{port}", start_timeout="10s")
    one = master(config)
    good = dict(one.programs["echo"])
    with Load(directory, f"127.0.0.1:{port}", 500, 50):
        one.programs["echo"].update(change)
        one.write()
        done = one.ctl("reload", code=1)
        one.log.wait(r"echo: reload 1 rolled back: ")
        assert re.search(reason, done.stdout + done.stderr), done
        assert re.search(reason, one.log.find(r"echo: reload 1 rolled back: .*").group(0)), one.log.text()
        one.wait_ready()
        assert len(one.pids()) == 4
        one.programs["echo"] = good
        one.write()
        assert "committed" in one.ctl("reload", code=0).stdout
        one.wait_drained()
    assert len({worker["generation"] for worker in one.workers()}) == 1


def test_canary_failure_touches_nobody(master, directory, port):
    one = master(configs.echo(f"127.0.0.1:{port}"))
    before = one.pids()
    one.programs["echo"]["command"] = configs.fault("exit=1")
    one.write()
    one.hup("rolled_back")
    assert one.pids() == before
    assert not one.log.find("draining")


def test_slot_2_failure_brings_back_the_old(master, directory, port):
    """Moved slots return to the old generation, gracefully; the others were never told."""
    one = master(configs.echo(f"127.0.0.1:{port}"))
    before = one.pids()
    one.programs["echo"].update(command=shell(f'[ "$RELOADER_SLOT" = 2 ] && exit 5; exec {ECHO}'))
    one.write()
    one.hup("rolled_back")
    one.wait_ready()
    one.wait_drained()
    after = one.pids()
    assert after[3] == before[3], "slot 3 had no reason to be told"
    assert before[0] != after[0]
    assert {worker["generation"] for worker in one.workers()} == {1}


def test_a_failed_generation_is_never_used_again(master, port):
    """Generations count on; the number of a failed one is not given twice."""
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    good = one.programs["echo"]["command"]
    one.programs["echo"]["command"] = configs.fault("exit=1")
    one.write()
    one.hup("rolled_back")
    one.programs["echo"]["command"] = good
    one.write()
    one.hup()
    assert one.generation() == 3


def test_several_programs_roll_back_together(master, directory, port):
    """One program's canary fails: no worker of any program is told."""
    config = configs.echo(f"127.0.0.1:{port}", workers=2)
    config["programs"]["other"] = {"command": [ECHO], "listen": f"unix:{directory}/other.sock", "workers": 2}
    one = master(config)
    before = one.pids()
    one.programs["other"]["command"] = configs.fault("exit=1")
    one.write()
    one.hup("rolled_back")
    assert one.pids() == before
