"""Checks by HTTP and TCP: who does not answer well is replaced; an outage of what all need kills nobody."""
import os
import signal
import socket

import pytest
from harness import Load, configs, health, isolation, proc
from harness.output import comm
from test_watchdog import replaced

OFTEN = {"interval": "100ms", "timeout": "1s", "failures": 3}
PATIENTLY = {**OFTEN, "timeout": "20s"}


def prober_of(one):
    found = [pid for pid in proc.children(one.pid) if proc.is_running(pid) and comm(pid) == "reloader-probe"]
    return found[0] if found else None


def ward(directory, workers=2, **program):
    """Workers with a port of their own each; checks are of it."""
    return health.patients(directory, "%(process_num)s", workers=workers, numprocs_start=isolation.free_ports(workers)[0], **program)


def http(path="/", **options):
    return {"http": f"http://127.0.0.1:%(process_num)s{path}", **options}


def all_well(one, number=2):
    one.wait(lambda status: health.conditions(status) == ["healthy"] * number, "all are well")


# --- ready


@pytest.mark.key("programs.NAME.ready")
def test_ready_by_http(master, directory):
    health.ask(directory, "answer", "503")
    one = master(ward(directory, ready=http("/ready?now")), ready=False)
    one.wait(lambda _: len(health.requests(directory)) >= 6, "they are asked again and again")
    assert one.pids() == []
    health.ask(directory, "answer", "204", slot=1)
    one.wait_line("ward/.*: ready after")
    assert [slot["state"] for slot in one.slots()] == ["STARTING", "READY"]
    health.ask(directory, "answer", "200")
    one.wait_ready()
    asked = health.requests(directory)
    assert {(slot, path) for slot, _, path, _ in asked} == {("0", "/ready?now"), ("1", "/ready?now")}
    assert "reloader-probe/" in asked[0][3]


@pytest.mark.key("programs.NAME.start_timeout")
def test_a_start_that_is_never_ready(master, directory):
    health.ask(directory, "answer", "503")
    one = master(ward(directory, workers=1, ready=http(), start_timeout="500ms"), ready=False)
    one.wait_line("ward/.*: not ready within 500 ms, http://127.0.0.1:[0-9]+/: status 503, stopping it")


def test_ready_by_tcp(master, directory):
    """At a port that the test listens at."""
    port = isolation.free_port()
    one = master(health.patients(directory, ready={"tcp": f"127.0.0.1:{port}"}), ready=False)
    one.wait_line("ward/1: up")
    one.wait(lambda _: prober_of(one), "reloader-probe runs")
    assert one.pids() == []
    with socket.create_server(("127.0.0.1", port)):
        one.wait_ready()


def test_a_reload_waits_for_it(master, directory):
    one = master(ward(directory, ready=http(), start_timeout="3s", reload={"canary": True, "probation": "0s"}))
    before = one.pids()
    (directory / "answer").write_text("500")
    one.programs["ward"]["numprocs_start"] = isolation.free_ports(2)[0]
    one.write()
    reply = one.expect_reload("rolled_back")
    assert "status 500" in reply["reason"] and one.pids() == before


# --- health


@pytest.mark.key("programs.NAME.health.http")
@pytest.mark.parametrize("answer", ["500", "404", "cut", "hang"])
def test_a_bad_answer(master, directory, answer):
    one = master(ward(directory, health=http("/health", **OFTEN)))
    all_well(one)
    before = one.pids()
    health.ask(directory, "answer", answer, slot=0)
    one.wait_line(r"ward/.*: unhealthy: http://127.0.0.1:[0-9]+/health: .* \(3 in a row\)")
    health.ask(directory, "answer", "200", slot=0)
    replaced(one, before)
    all_well(one)


@pytest.mark.parametrize("answer", ["204", "302 http://127.0.0.1:1/", "399", "endless"])
def test_a_good_answer(master, directory, answer):
    """A redirect is one, and is not followed; nobody reads without an end."""
    health.ask(directory, "answer", answer)
    one = master(ward(directory, health=http(**OFTEN)))
    one.wait(lambda _: len(health.requests(directory)) > 12, "several checks were made")
    all_well(one)
    assert "check 1 failed" not in one.log.text() and "unhealthy" not in one.log.text()


def test_failures_in_a_row(master, directory):
    """Two bad ones and a good one are nothing."""
    one = master({"log": {"level": "debug"}, **ward(directory, workers=1, health=http(**PATIENTLY))})
    all_well(one, 1)
    before = one.pids()
    health.ask(directory, "answer", "turns 200 503 503")
    one.wait_line("check 2 failed", times=3)
    health.ask(directory, "answer", "200")
    one.wait(lambda status: one.workers(status=status)[0]["health"]["failures"] == 0, "it is well")
    log = one.log.text()
    assert one.pids() == before and "check 3 failed" not in log and "unhealthy" not in log


@pytest.mark.key("programs.NAME.health.interval")
def test_interval_and_timeout(master, directory):
    """Long ones are kept: one check, and no second within the time that a whole other program is checked often."""
    config = ward(directory, workers=1, health=http("/rare", interval="1h"))
    often = ward(directory, workers=1, health=http("/often", **OFTEN))
    config["programs"]["often"] = often["programs"]["ward"]
    one = master(config)

    def checks(of):
        return sum(path == of for _, _, path, _ in health.requests(directory))
    one.wait(lambda _: checks("/rare"), "the one check")
    before = checks("/often")
    one.wait(lambda _: checks("/often") >= before + 8, "eight checks")
    assert checks("/rare") == 1


@pytest.mark.key("programs.NAME.health.tcp")
@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_unix_socket(master, directory, kind):
    """Of each worker's own."""
    path = f"{directory}/%(process_num)s.sock"
    check = {"http": f"http://unix:{path}:/health"} if kind == "http" else {"tcp": f"unix:{path}"}
    one = master(health.patients(directory, path, health={**check, **OFTEN}))
    all_well(one)
    if kind == "http":
        assert {path for _, _, path, _ in health.requests(directory)} == {"/health"}
    before = one.pids()
    if kind == "http":
        os.kill(before[1], signal.SIGSTOP)
    else:
        (directory / "1.sock").unlink()
        one.wait_line(r"ward/1: unhealthy: unix:\S+: cannot connect: No such file or directory")
    one.wait_line("ward/1: unhealthy")
    replaced(one, before, slot=1)


def test_no_proxy(master, directory):
    one = master(ward(directory, health=http(**OFTEN)), environment={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"})
    all_well(one)


def test_beside_the_old_one(master, directory, port):
    """Where the socket is ours its successor is ready and well before the worker is told."""
    one = master(health.patients(directory, "fd:3", workers=1, listen=f"127.0.0.1:{port}", health={"http": f"http://127.0.0.1:{port}/", **OFTEN}))
    all_well(one, 1)
    before = one.pids()
    os.kill(before[0], signal.SIGSTOP)
    replaced(one, before)
    log = one.log.text()
    assert log.index("ward/0: unhealthy") < log.rindex("ward/0: ready after") < log.index("ward/0: draining")
    all_well(one, 1)


def test_one_whose_successor_needs_its_port(master, directory, port):
    """It has a socket of ours, and a port of its own for checks, which no other can have beside it. As others are well, it goes first."""
    one = master(ward(directory, workers=3, listen=f"127.0.0.1:{port}", health=http(**OFTEN)))
    all_well(one, 3)
    before = one.pids()
    os.kill(before[2], signal.SIGSTOP)
    one.wait_line("has to go before its replacement can come: beside it that did not get well")
    replaced(one, before, slot=2)
    all_well(one, 3)


# --- outages


def test_an_outage_under_load(master, directory, port):
    """What all of them need is down, and comes back: nobody was told, no client noticed."""
    dependency = isolation.free_port()
    with socket.create_server(("127.0.0.1", dependency), backlog=4096):
        one = master(configs.echo(port, health={"tcp": f"127.0.0.1:{dependency}", **OFTEN}))
        all_well(one, 4)
    before = one.pids()
    with Load(directory, f"127.0.0.1:{port}", 500, 20) as load:
        # Then nothing is tried for 4 s, in which what they need comes back; a replacement that is there by then would get well.
        one.wait_line("echo: 4 of 4 workers unhealthy, and the replacement in slot . did not get well either: they stay.* is in 4", seconds=30)
        assert set(before) <= set(proc.children(one.pid))
        assert "so they stay for now" in one.status()["programs"][0]["health"]
        with socket.create_server(("127.0.0.1", dependency), backlog=4096):
            all_well(one, 4)
            assert one.pids() == before
            load.flow(0.1)


def test_an_outage_in_which_nobody_can_start(master, directory, port):
    """Nothing is FATAL as long as somebody serves in the slot."""
    mark = directory / "broken"
    config = health.patients(directory, "fd:3", workers=1, watchdog="1s", listen=f"127.0.0.1:{port}", start_retries=1, exit_on_fatal=True,
                             max_restarts={"count": 2})
    command = config["programs"]["ward"]["command"]
    config["programs"]["ward"]["command"] = ["sh", "-c", f'[ -e "{mark}" ] && exit 9; exec "$@"', "sh", *command]
    one = master(config)
    before = one.pids()
    mark.touch()
    health.ask(directory, "watchdog", "silent")
    one.wait_line("ward: 1 of 1 workers unhealthy, and the replacement in slot 0 did not get well either: they stay", times=3)
    one.wait_line("ward/0: died, pid .*, exited with 9", times=3)
    assert one.pids() == before and "FATAL" not in one.log.text()
    mark.unlink()
    health.ask(directory, "watchdog", "ping")
    all_well(one, 1)


def test_an_outage_of_those_without_sockets(master, directory):
    """They go first, but one after the other, and not all."""
    one = master(ward(directory, workers=4, health=http(**OFTEN)))
    all_well(one, 4)
    before = one.pids()
    health.ask(directory, "answer", "503")
    one.wait_line("ward: 4 of 4 workers unhealthy, and the replacement in slot . did not get well either: they stay", seconds=30)

    def stay():
        """All but those who had to go first: one for each try, of which there may be a second by now."""
        told = one.log.count("has to go before its replacement can come")
        return len(set(before) & set(proc.children(one.pid))) == 4 - told
    proc.wait_until(stay, "the others stay")
    health.ask(directory, "answer", "200")
    all_well(one, 4)
    assert len(set(before) & set(one.pids())) >= 2


def test_a_probation_that_is_not_survived_in_health(master, directory):
    one = master(ward(directory, health=http(**OFTEN), reload={"canary": True, "probation": "30s"}))
    all_well(one)
    before = one.pids()
    one.programs["ward"]["numprocs_start"] = isolation.free_ports(2)[0]
    one.programs["ward"]["command"][3] = str(directory / "new")
    (directory / "new").mkdir()
    health.ask(directory / "new", "answer", "500")
    one.write()
    reply = one.expect_reload("rolled_back")
    assert "unhealthy in its probation" in reply["reason"] and one.pids() == before


# --- reloader-probe itself


def test_reloader_probe_is_killed(master, directory):
    one = master(ward(directory, health=http(**OFTEN)))
    all_well(one)
    before = one.pids()
    for _ in range(3):
        old = proc.wait_until(lambda: prober_of(one), "it runs")
        os.kill(old, signal.SIGKILL)
        proc.wait_until(lambda: prober_of(one) not in (None, old), "another one runs")
    assert one.status()["master"]["prober"] == {"pid": prober_of(one), "died": 3}
    health.ask(directory, "answer", "500", slot=1)
    one.wait_line("ward/.*: unhealthy")
    health.ask(directory, "answer", "200", slot=1)
    replaced(one, before, slot=1)


def test_reloader_probe_hangs(master, directory):
    """Nothing is known then, so nothing is done; a reload goes on."""
    one = master(ward(directory, health=http(**OFTEN), reload={"canary": False}))
    all_well(one)
    os.kill(prober_of(one), signal.SIGSTOP)
    one.hup()
    one.wait_drained()
    assert health.conditions(one.status()) == ["unknown"] * 2
    os.kill(prober_of(one), signal.SIGCONT)
    all_well(one)


@pytest.mark.limit(90)
def test_a_stopped_reloader_probe_is_replaced(master, directory):
    """The master asks whether it is there; the next one knows all checks."""
    one = master(ward(directory, health=http(**OFTEN)))
    all_well(one)
    before, old = one.pids(), prober_of(one)
    os.kill(old, signal.SIGSTOP)
    one.wait_line(rf"reloader-probe, pid {old}, does not answer for 10 s .*: it is killed, and another one takes over", seconds=60)
    one.wait_line(rf"reloader-probe, pid {old}, died \(SIGKILL\)")
    proc.wait_until(lambda: prober_of(one) not in (None, old), "another one runs")
    asked = len(health.requests(directory))
    one.wait(lambda _: len(health.requests(directory)) > asked + 4, "checks go on")
    assert one.status()["master"]["prober"] == {"pid": prober_of(one), "died": 1}
    assert one.pids() == before
    health.ask(directory, "answer", "500", slot=1)
    one.wait_line("ward/.*: unhealthy")
    health.ask(directory, "answer", "200", slot=1)
    replaced(one, before, slot=1)


def test_nobody_checks_who_need_not_be(master, directory):
    one = master(health.patients(directory))
    assert prober_of(one) is None
    assert "health" not in one.workers()[0]


def test_new_settings(master, directory):
    """Take effect with the new generation; without them nothing is checked any more."""
    one = master(ward(directory, health=http("/old", **OFTEN), reload={"canary": False}))
    all_well(one)
    one.programs["ward"]["health"] = http("/new", **OFTEN)
    one.write()
    one.expect_reload("committed")
    one.wait_drained()
    # What reloader-probe has begun after it was told of all that is over.
    new = set(map(str, one.pids()))
    one.wait(lambda _: new <= {pid for _, pid, path, _ in health.requests(directory) if path == "/new"}, "the new one is asked for")
    count = sum(path == "/old" for _, _, path, _ in health.requests(directory))
    news = sum(path == "/new" for _, _, path, _ in health.requests(directory))
    one.wait(lambda _: sum(path == "/new" for _, _, path, _ in health.requests(directory)) >= news + 6, "more checks")
    assert sum(path == "/old" for _, _, path, _ in health.requests(directory)) == count
