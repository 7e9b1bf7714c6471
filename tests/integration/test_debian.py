"""
The Debian packages in a clean root directory, under its own systemd: installed, started by their units, used, removed, purged.

One story in the order in which an administrator lives it; each test is a chapter and needs those before it.
"""
import json
import os
import shutil

import pytest

from harness import BINARIES, Load, configs, proc
from harness.debian import bootstrap, build_packages, dependencies
from harness.service import ECHO, Service
from harness.systemd import Machine, is_debian, why_not
from test_systemd import ADDRESS, PORT, ask, await_generation

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.limit(600)]

# Where installing and removing any package leaves traces.
NOT_OURS = ("/var/cache/", "/var/log/", "/var/lib/dpkg/", "/var/lib/apt/", "/var/backups/", "/var/lib/systemd/")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    if not is_debian():
        pytest.skip("Debian packages are built on Debian")
    return build_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def booted(packages, tmp_path_factory):
    needed = {name for path in packages.values() for name in dependencies(path)} - set(packages)
    root = bootstrap(tmp_path_factory.mktemp("debian"), sorted(needed))
    try:
        if reason := why_not(root):
            pytest.skip(f"no systemd can be booted here: {reason}")
        with Machine(tmp_path_factory.mktemp("machine"), root=root, distribution=True) as machine:
            with open(BINARIES.tcp_echo, "rb") as program:
                machine.write(ECHO, program.read(), mode="755")
            machine.before = traces(machine)
            yield machine
    finally:
        shutil.rmtree(root)


@pytest.fixture
def machine(booted, isolated):
    with booted.network():
        yield booted


@pytest.fixture
def service(machine):
    return Service(machine, "/etc/reloader/reloader.yaml")


def traces(machine):
    """All that a package might leave: files, accounts, what dpkg and systemd remember."""
    files = machine.run("find", "/", "-xdev", "-not", "-path", "/tmp/*").stdout.splitlines()
    accounts = machine.run("cat", "/etc/passwd", "/etc/group").stdout.splitlines()
    known = machine.run("dpkg-query", "-W", "-f", "${Package} ${Status}\n").stdout.splitlines()
    remembered = machine.run("find", "/var/lib/systemd", "/var/lib/dpkg/info", "/run", "-name", "*reloader*").stdout.splitlines()
    return {*(path for path in files if not path.startswith(NOT_OURS)), *accounts, *known, *remembered}


def apt(machine, *words):
    return machine.run("apt-get", "-y", "-q", *words, seconds=300)


def install(machine, packages, *options):
    for name, path in packages.items():
        machine.write(f"/tmp/{name}.deb", path.read_bytes())
    apt(machine, "install", *options, *(f"/tmp/{name}.deb" for name in packages))


def test_install(machine, packages):
    """Nothing runs, and nothing will at the next boot, before somebody says so."""
    assert set(packages) == {"reloader", "libreloader0", "libreloader-dev"}
    install(machine, packages)
    assert not [path for path in machine.cgroup.rglob("*reloader*")]
    for unit in ("reloader.service", "reloader.socket"):
        assert machine.run("systemctl", "is-enabled", unit, code=1).stdout == "disabled\n"
    enabled = machine.run("find", "/etc/systemd", "-name", "*reloader*").stdout
    assert enabled == "", "nor for users"
    assert machine.run("getent", "group", "reloader").stdout.startswith("reloader:")
    for unit in ("reloader.service", "reloader.socket", "reloader@.service", "reloader@.socket"):
        done = machine.run("systemd-analyze", "verify", "--man=no", f"/lib/systemd/system/{unit}")
        assert done.stdout + done.stderr == ""


def test_as_it_comes_it_says_what_is_missing(service):
    service.systemctl("start", code=1)
    assert "/etc/reloader/reloader.yaml" in service.machine.journal() and "name at least one program" in service.machine.journal()
    service.systemctl("stop")


def test_a_file_in_conf_d_is_enough(service):
    """As another package would bring it."""
    path = "/etc/reloader/conf.d/nap.yaml"
    service.machine.write(path, "programs: {nap: {command: [sleep, infinity], start_seconds: 100ms}}\n")
    service.systemctl("start")
    service.wait_workers(1)
    service.systemctl("stop")
    service.machine.run("rm", path)


def test_started_by_the_socket(service):
    """Enabled, then a first connection."""
    service.configure(json.dumps({
        "control": {"group": "reloader"}, "sockets": {"web": {"listen": ADDRESS}},
        "programs": {"echo": {"command": [ECHO, "--who"], "sockets": ["web"], "workers": 2, "environment": configs.WORKER_ENVIRONMENT}}}))
    service.machine.run("systemctl", "enable", "reloader.service")
    service.machine.run("systemctl", "enable", "--now", "reloader.socket")
    assert service.show("ActiveState") == "inactive"
    assert ask()["generation"] == "1"
    service.wait("active")
    assert os.readlink(f"/proc/{service.master()}/exe").endswith("/usr/bin/reloader")


def test_reload_under_load(service, directory):
    with Load(directory, ADDRESS, 200, 10):
        for number in range(2, 5):
            service.systemctl("reload")
            await_generation(number)


def test_upgrade_leaves_the_master_alone(service, packages, directory):
    """A restart is what it exists to avoid. The administrator's configuration stays."""
    service.wait_workers(2)
    master, workers = service.master(), service.workers()
    text = service.machine.run("cat", service.path).stdout
    with Load(directory, ADDRESS, 200, 10):
        install(service.machine, packages, "--reinstall")
    assert (service.master(), service.workers()) == (master, workers)
    assert service.machine.run("cat", service.path).stdout == text
    service.systemctl("reload")


def test_remove_stops_it(service):
    """An instance as well; the configuration stays."""
    machine = service.machine
    service.wait_workers(2)
    machine.write("/etc/reloader/blue.yaml", "programs: {blue: {command: [sleep, infinity], start_seconds: 100ms}}\n")
    machine.run("systemctl", "start", "reloader@blue.service")
    machine.run("rm", "/etc/reloader/blue.yaml")
    everybody = [pid for path in machine.cgroup.rglob("*reloader*.service") for pid in map(int, (path / "cgroup.procs").read_text().split())]
    assert len(everybody) == 3 + 2
    apt(machine, "remove", "reloader")
    assert not any(map(proc.is_running, everybody)) and proc.tcp_listeners(PORT) == []
    machine.run("test", "-f", "/etc/reloader/reloader.yaml")


def test_purge_leaves_nothing(machine, packages):
    apt(machine, "purge", *packages)
    after = traces(machine)
    assert after - machine.before == set()
    assert machine.before - after == set()
