"""reloaderctl status and pid of some names: what is told is what was asked for."""
import json

import pytest

from harness.master import state


SLEEPER = {"command": ["sleep", "1000"], "start_seconds": "0s", "drain": "signal"}


@pytest.fixture
def one(master):
    one = master({"programs": {
        "web": {**SLEEPER, "workers": 2, "groups": ["front", "all-day"]},
        "api": {**SLEEPER, "groups": ["front"], "worker_name": "the-%(program_name)s"},
        "jobs": {**SLEEPER, "numprocs_start": 10, "workers": 2},
        "off": {**SLEEPER, "autostart": False, "groups": ["front"]}}})
    one.wait(lambda status: all(state(slot) == "ready" for slot in one.slots(status=status)), "all are ready")
    return one


NAMES = [
    (["web"], {"web": [0, 1]}),
    (["web:1"], {"web": [1]}),
    (["web/0", "jobs:0"], {"web": [0], "jobs": [0]}),
    (["jobs/11"], {"jobs": [1]}),
    (["the-api"], {"api": [0]}),
    (["api:the-api"], {"api": [0]}),
    (["jobs:*"], {"jobs": [0, 1]}),
    (["front:*"], {"web": [0, 1], "api": [0], "off": []}),
    (["all-day:*", "off"], {"web": [0, 1], "off": []}),
    (["all"], {"web": [0, 1], "api": [0], "jobs": [0, 1], "off": []}),
]


@pytest.mark.parametrize("names, wanted", NAMES, ids=range(len(NAMES)))
def test_names(one, names, wanted):
    told = json.loads(one.ctl("status", "--json", *names, code=0).stdout)
    assert {program["name"]: [slot["slot"] for slot in program["slots"]] for program in told["programs"]} == wanted
    text = one.ctl("status", *names, code=0).stdout
    heads = [line.split()[0] for line in text.splitlines() if line and not line.startswith(" ")]
    assert sorted(heads) == sorted(wanted), "nothing of the master, and nothing of others"
    slots = {program["name"]: program["slots"] for program in one.status()["programs"]}
    pids = [str(slots[name][number]["workers"][0]["pid"]) for name in wanted for number in wanted[name]]
    assert sorted(one.ctl("pid", *names, code=0 if pids else 1).stdout.split()) == sorted(pids)


@pytest.mark.parametrize("name", ["wed", "web:2", "back:*", "web/2", ""])
def test_nobody_of_that_name(one, name):
    for command in ("status", "pid"):
        done = one.ctl(command, "web", name, code=1)
        assert not done.stdout and f"there is no program or worker '{name}'" in done.stderr


def test_exit_code(one):
    """4 where one of those that were asked for is not as it should be, whatever the others are."""
    one.write({**one.config, "programs": {**one.programs, "bad": {"command": ["false"], "start_retries": 0, "autostart": False}}})
    one.expect_reload("committed")
    one.ctl("start", "bad", code=1)
    one.ctl("status", code=4)
    one.ctl("status", "web", "front:*", code=0)
    one.ctl("status", "bad", code=4)
    one.ctl("status", "bad", "web", code=4)


def test_exit_code_beside_who_only_leaves(one):
    """Nobody is to run there: not in what was stopped, nor in a slot more than there are to be."""
    stays = {**SLEEPER, "drain": "message", "disconnect_timeout": "1000s", "workers": 2}
    one.write({**one.config, "programs": {**one.programs, "stays": stays}})
    one.expect_reload("committed")

    def expect(*states):
        one.wait(lambda status: [state(slot) for slot in one.slots("stays", status)] == list(states), f"{states}")
        one.ctl("status", code=0)

    expect("ready", "ready")
    one.ctl("scale", "stays", "1", code=0)
    expect("ready", "draining")
    one.ctl("stop", "stays", "--no-wait", code=0)
    expect("draining", "draining")
    one.ctl("stop", "stays", "--force", code=0)
    expect()


def test_exit_code_beside_a_stand_in(one):
    """Whoever is surplus serves until the one who is wanted does: the latter is missed."""
    lame = {"command": ["sh", "-c", '[ "$RELOADER_SLOT" = 0 ] && exit 1; exec sleep infinity'], "start_seconds": "50ms", "start_retries": 0, "workers": 3}
    one.write({**one.config, "programs": {**one.programs, "lame": {**lame, "autostart": False}}})
    one.expect_reload("committed")
    one.ctl("start", "lame", code=1)
    one.wait(lambda status: [state(slot) for slot in one.slots("lame", status)] == ["fatal", "ready", "ready"], "one is missing")
    one.ctl("status", code=4)
    one.ctl("scale", "lame", "2", code=0)
    assert [state(slot) for slot in one.slots("lame")] == ["fatal", "ready", "ready"]
    one.ctl("status", code=4)
