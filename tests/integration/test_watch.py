"""watch: a program is reloaded when its files change, once for all that changes together, and never for what does not matter."""
import contextlib
import json
import os
import select
import signal
import subprocess

import pytest

from harness import proc
from test_idle import switches

DELAY = "200ms"


def program(base, **keys):
    """One worker that just lives, in `app`, which is made."""
    (base / "app" / "lib").mkdir(parents=True, exist_ok=True)
    keys = {"command": ["sleep", "infinity"], "start_seconds": "10ms", "reload": {"probation": "0s"}, "directory": str(base / "app"),
            "watch": ["lib/"], "reload_delay": DELAY, **keys}
    return {"programs": {"web": keys}}


class Watched:
    """A running master; each change that should count is followed by exactly one reload, which names it."""

    def __init__(self, one, prefix="web: watch"):
        self.one, self.prefix, self.count = one, prefix, 0

    @contextlib.contextmanager
    def moment(self):
        """However long it takes here, it is a moment for the master."""
        self.one.kill(signal.SIGSTOP)
        try:
            yield
        finally:
            self.one.kill(signal.SIGCONT)

    def begun(self):
        return self.one.log.count(r"reload \d+ began")

    def expect(self, path, result="committed"):
        """The next reload is for `path`, and there was no other one before."""
        self.count += 1
        told = self.one.wait_line(rf"{self.prefix}: (\S+) changed", times=self.count)
        assert told[1] == str(path)
        if result == "committed":
            self.one.wait_line(rf"reload {self.count} committed")
            assert self.begun() == self.count
        else:
            self.one.wait_line(rf"reload {self.count} {result}")


@pytest.fixture
def watched(master, directory):
    def start(config, **options):
        prefix = options.pop("prefix", "web: watch")
        return Watched(master(config, **options), prefix)
    return start


def renamed(path, text):
    draft = path.with_name("." + path.name + ".new~")
    draft.write_text(text)
    draft.replace(path)


def emacs(path, text):
    """The old file becomes a backup."""
    path.replace(path.with_name(path.name + "~"))
    path.write_text(text)


@pytest.mark.sanitized
@pytest.mark.parametrize("change", [
    lambda path: path.write_text("longer"), lambda path: renamed(path, "2"), lambda path: emacs(path, "2"),
    lambda path: path.touch(), lambda path: path.chmod(0o700), lambda path: path.unlink(),
], ids=["in-place", "renamed", "emacs", "touch", "chmod", "removed"])
def test_one_file(watched, directory, change):
    config = program(directory)
    path = directory / "app/lib/x"
    path.write_text("1")
    one = watched(config)
    pids = one.one.pids()
    with one.moment():
        change(path)
    one.expect(path)
    assert set(one.one.pids()).isdisjoint(pids)
    (directory / "app/lib/y").write_text("1")
    one.expect(directory / "app/lib/y")


def swap(target, link):
    draft = link.with_name(link.name + ".next")
    draft.symlink_to(target)
    draft.replace(link)


def test_current(watched, directory):
    """A release is a directory, `current` leads to it: the swap is one reload, and workers are in the new one."""
    for release in ("1", "2"):
        (directory / "releases" / release / "lib").mkdir(parents=True)
        (directory / "releases" / release / "lib/x").write_text(release)
    current = directory / "current"
    current.symlink_to("releases/1")
    one = watched(program(directory, directory=str(current)))
    swap("releases/2", current)
    one.expect(current / "lib")
    assert os.readlink(f"/proc/{one.one.pids()[0]}/cwd") == str(directory / "releases/2")
    # The old release does not matter any more, even to the worker's directory.
    subprocess.run(["rm", "-r", directory / "releases/1"], check=True)
    (directory / "releases/2/lib/x").write_text("longer")
    one.expect(directory / "releases/2/lib/x")


def write_config_map(volume, number, files):
    """As the kubelet does: ..data leads to a directory that is never written again."""
    data = volume / f"..{number}"
    data.mkdir(parents=True)
    for name, text in files.items():
        (data / name).write_text(text)
    before = os.readlink(volume / "..data") if (volume / "..data").is_symlink() else None
    swap(data.name, volume / "..data")
    for name in files:
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")
    if before:
        subprocess.run(["rm", "-r", volume / before], check=True)


@pytest.mark.parametrize("watch", ["config/key", "config/", "config/*"])
def test_config_map(watched, directory, watch):
    config = program(directory, watch=[watch])
    volume = directory / "app/config"
    write_config_map(volume, 1, {"key": "1"})
    one = watched(config)
    for number in (2, 3):
        with one.moment():
            write_config_map(volume, number, {"key": str(number)})
        one.count += 1
        one.one.wait_line(f"reload {one.count} committed")
        assert one.begun() == one.count


def test_directory_returns(watched, directory):
    config = program(directory)
    library = directory / "app/lib"
    (library / "sub").mkdir()
    (library / "sub/x").write_text("1")
    one = watched(config)
    with one.moment():
        subprocess.run(["rm", "-r", library], check=True)
    one.count += 1
    one.one.wait_line("reload 1 committed")
    library.mkdir()
    one.expect(library)
    (library / "sub").mkdir()
    (library / "sub/x").write_text("1")
    one.expect(library / "sub/x")


@pytest.mark.limit(90)
def test_storm(watched, directory):
    """As git checkout does it: thousands of files, one reload."""
    config = program(directory, reload_delay="3s")
    library = directory / "app/lib"
    for number in range(100):
        (library / str(number)).mkdir()
        for file in range(50):
            (library / f"{number}/{file}").write_text("1")
    one = watched(config)
    for number in range(100):
        for file in range(50):
            renamed(library / f"{number}/{file}", "22")
    one.one.wait_line(r"web: watch: \S+/lib/\d+/\d+ changed and \d{4} more changes")
    one.one.wait_line("reload 1 committed")
    one.count = 1
    (library / "last").write_text("1")
    one.expect(library / "last")


@pytest.mark.key("programs.NAME.watch", "programs.NAME.watch_ignore")
def test_what_does_not_matter(watched, directory):
    config = program(directory, watch_ignore=["*.tmp", "node_modules", ".git"], watch=["lib/", "src/**/*.js"])
    library, source = directory / "app/lib", directory / "app/src"
    (library / "node_modules").mkdir()
    (source / "deep/er").mkdir(parents=True)
    (library / "x").write_text("1")
    one = watched(config)
    (library / "node_modules/x").write_text("1")
    (library / ".git").mkdir()
    (library / ".git/index").write_text("1")
    (library / "a.tmp").write_text("1")
    with one.moment():
        (library / "moment").write_text("1")
        (library / "moment").unlink()
    (library / "x").open("r+").close()
    (library / "x").read_text()
    (library / "empty").mkdir()
    os.mkfifo(library / "fifo")
    (source / "deep/er/x.css").write_text("1")
    (directory / "app/other").write_text("1")
    (directory / "other").write_text("1")
    (source / "deep/er/x.js").write_text("1")
    one.expect(source / "deep/er/x.js")


def test_editor(watched, directory):
    """Opening a file in vim or emacs is no change: what they write beside it is left out unless watch_ignore says otherwise."""
    config = program(directory)
    library = directory / "app/lib"
    one = watched(config)
    for name in (".x.swp", ".x.swx", "x~", "#x#"):
        (library / name).write_text("1")
    (library / ".#x").symlink_to("somebody@somewhere")
    (library / "x").write_text("1")
    one.expect(library / "x")


@pytest.mark.parametrize("watch", [True, ["lib/"]], ids=["alone", "as-well"])
def test_program_file(watched, directory, watch):
    config = program(directory, watch=watch, command=["sh", "run.sh"])
    script = directory / "app/run.sh"
    script.write_text("exec sleep infinity\n")
    one = watched(config)
    renamed(script, "exec sleep 10000\n")
    one.expect(script)
    proc.wait_until(lambda: b"10000" in proc.read(one.one.pids()[0], "cmdline"), "the script runs that was written")


def test_executable(watched, directory):
    """Without a script it is what runs."""
    config = program(directory, watch=True, command=["./sleep", "infinity"])
    subprocess.run(["cp", "/bin/sleep", directory / "app/sleep"], check=True)
    one = watched(config)
    subprocess.run(["cp", "/bin/sleep", directory / "app/.new"], check=True)
    (directory / "app/.new").replace(directory / "app/sleep")
    one.expect(directory / "app/sleep")


@pytest.mark.limit(90)
def test_overflow(watched, directory):
    """More than the kernel remembers, while the master is stopped: one reload, and everything is seen from then on."""
    config = program(directory)
    library = directory / "app/lib"
    (library / "lost").mkdir()
    one = watched(config)
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        queue = int(file.read())
    with one.moment():
        (library / "a").write_text("1")
        for _ in range(queue // 4 + 1):
            (library / "a").rename(library / "b")
            (library / "b").rename(library / "a")
        (library / "lost").rmdir()
        (library / "lost").mkdir()
    one.one.wait_line("reload 1 committed")
    assert one.begun() == 1
    begun = one.one.log.count("web: watch: ")
    (library / "lost/x").write_text("1")
    one.one.wait_line(rf"web: watch: {library}/lost/x changed")
    one.one.wait_line("reload 2 committed")
    assert one.one.log.count("web: watch: ") == begun + 1


LIMITED = ["unshare", "--user", "--map-root-user", "sh", "-c", 'echo 15 > /proc/sys/user/max_inotify_watches && exec "$0" "$@"']


def test_no_watch_left(watched, directory):
    """The limit of the system is told with its name, and what can be watched still is."""
    config = program(directory)
    for number in range(30):
        (directory / f"app/lib/{number}").mkdir()
    if subprocess.run([*LIMITED, "true"], check=False).returncode != 0:
        pytest.skip("no user namespace to limit watches in")
    one = watched(config, wrapper=LIMITED)
    told = one.one.wait_line(r"warning web: watch: cannot watch '(\S+)': .* (\d+) of them are ours: raise fs\.inotify\.max_user_watches")
    assert 0 < int(told[2]) <= 15
    assert one.one.log.count("max_user_watches") == 1
    (directory / "app/lib/x").write_text("1")
    one.expect(directory / "app/lib/x")


def test_missing_path_is_told(watched, directory):
    one = watched(program(directory, watch=["lbi/"]))
    one.one.wait_line(rf"warning web: watch: '{directory}/app/lbi' is not there, waiting for it")
    (directory / "app/lbi").mkdir()
    one.expect(directory / "app/lbi")


def test_failed_reload_is_tried_again(watched, directory):
    """A change that cannot be deployed changes nothing; the next one tries again."""
    config = program(directory, reload={"probation": "0s", "check_command": ["test", "-e", "lib/good"]})
    one = watched(config)
    pids = one.one.pids()
    (directory / "app/lib/bad").write_text("1")
    one.expect(directory / "app/lib/bad", "refused")
    assert one.one.pids() == pids
    (directory / "app/lib/good").write_text("1")
    one.one.wait_line("reload 2 committed")
    assert set(one.one.pids()).isdisjoint(pids)


@pytest.mark.parametrize("known", [True, False], ids=["known", "not-yet-known"])
def test_reload_covers_what_changed_before(watched, directory, known):
    """A deployment that asks for a reload itself gets one, not two."""
    config = program(directory, reload_delay="5s" if known else DELAY)
    one = watched(config)
    if known:
        (directory / "app/lib/x").write_text("1")
        one.one.hup()
    else:
        with one.moment():
            (directory / "app/lib/x").write_text("1")
            one.one.kill(signal.SIGHUP)
        one.one.wait_line("reload 1 committed")
    (directory / "app/lib/y").write_text("1")
    one.one.wait_line(rf"web: watch: {directory}/app/lib/y changed")
    one.one.wait_line("reload 2 committed")
    assert one.one.log.count("web: watch: ") == 1


def test_others_are_left_alone(watched, directory):
    """A watch reloads its own program, with the configuration that is in force, whatever the file says by now."""
    config = program(directory)
    config["programs"]["other"] = {**config["programs"]["web"], "watch": False}
    one = watched(config)
    other, web = one.one.pids("other"), one.one.pids("web")
    one.one.path.write_text("programs: [\n")
    (directory / "app/lib/x").write_text("1")
    one.expect(directory / "app/lib/x")
    assert one.one.pids("other") == other
    assert set(one.one.pids("web")).isdisjoint(web)
    one.one.wait_line(f"reload 1 began.*: watch, {directory}/app/lib/x changed")
    newest = json.loads(one.one.ctl("history", "--json", code=0).stdout)[-1]
    assert newest["cause"] == {"by": "watch", "path": f"{directory}/app/lib/x"}
    one.one.write()


def inotifies(pid):
    return [fd for fd, target in proc.fds(pid).items() if "inotify" in str(target)]


def test_watch_follows_the_configuration(watched, directory):
    """Other paths after a reload; and one descriptor for all, which is there only while something is watched."""
    config = program(directory)
    config["programs"]["other"] = {**config["programs"]["web"], "watch": ["more/"]}
    (directory / "app/more").mkdir()
    one = watched(config)
    assert len(inotifies(one.one.pid)) == 1
    one.one.programs["web"]["watch"] = ["more/"]
    one.one.programs["other"]["watch"] = False
    one.one.write()
    one.one.hup()
    one.count = 1
    (directory / "app/lib/x").write_text("1")
    (directory / "app/more/x").write_text("1")
    one.one.wait_line(f"web: watch: {directory}/app/more/x changed")
    one.one.wait_line("reload 2 committed")
    assert not one.one.log.find("other: watch")
    one.one.wait_drained()
    descriptors = one.one.descriptors()
    for number in range(5):
        (directory / "app/more/x").write_text("1" * number)
        one.one.wait_line(f"reload {3 + number} committed")
    one.one.wait_drained()
    assert one.one.descriptors() == descriptors


def test_not_while_shutting_down(master, directory):
    config = program(directory, command=["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], stop_timeout="3s", drain="signal",
                     disconnect_timeout="1s")
    one = master(config)
    (pid,) = one.pids()
    proc.wait_until(lambda: proc.catches(pid, signal.SIGTERM), "it has set its trap")
    one.kill(signal.SIGTERM)
    one.wait_line("graceful shutdown")
    (directory / "app/lib/x").write_text("1")
    assert not inotifies(one.pid)
    one.wait_end()
    assert not one.log.find("watch")


@pytest.mark.key("watch_config")
@pytest.mark.parametrize("kind", ["file", "config-map"])
def test_watch_config(master, directory, kind):
    """The file itself, written anew; or swapped by Kubernetes. A wrong one is refused and nothing changes."""
    volume = directory / "volume"

    def text(**keys):
        return json.dumps({**program(directory, watch=False, **keys), "watch_config": True,
                           "runtime_directory": str(directory / "reloader.run")})

    def write(number, content):
        if kind == "file":
            volume.mkdir(exist_ok=True)
            renamed(volume / "reloader.yaml", content)
        else:
            write_config_map(volume, number, {"reloader.yaml": content})

    write(1, text())
    one = master(None, arguments=["-c", volume / "reloader.yaml"])
    write(2, "programs: [\n")
    one.wait_line(rf"watch_config: {volume}/reloader.yaml changed")
    one.wait_line("reload 1 refused")
    write(3, text(workers=2))
    one.wait_line("reload 2 committed")
    assert len(one.pids()) == 2
    assert one.log.count("watch_config: ") == 2


@pytest.mark.key("watch_config")
def test_watch_included_files(master, directory):
    """A file that comes into the directory of an include brings its program, and takes it away again."""
    config = {**program(directory, watch=False), "watch_config": True, "include": ["conf.d/*.yaml"]}
    included = directory / "conf.d"
    one = master(config)
    with Watched(one).moment():
        included.mkdir()
        (included / "not.yaml~").write_text("nonsense")
        renamed(included / "more.yaml", json.dumps({"programs": {"more": {"command": ["sleep", "infinity"], "start_seconds": "10ms"}}}))
    one.wait_line("reload 1 committed")
    assert len(one.pids("more")) == 1
    (included / "more.yaml").unlink()
    one.wait_line("reload 2 committed")
    assert one.log.count(r"watch_config: \S+ changed") == 2


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "RELOADER_WRAPPER" in os.environ, reason="measures the plain build")
def test_idle(watched, directory):
    """A large tree in which nothing happens costs no wake-up, and neither do changes that are read."""
    config = program(directory)
    for number in range(1000):
        (directory / f"app/lib/{number}").mkdir()
    one = watched(config)
    (directory / "app/lib/999/x").write_text("1")
    one.expect(directory / "app/lib/999/x")
    one.one.wait_drained()
    one.one.descriptors()

    def rests():
        before = switches(one.one.pid)
        select.select([], [], [], 1)
        return switches(one.one.pid) == before
    proc.wait_until(rests, "it rests")
    before = switches(one.one.pid)
    for number in range(1000):
        os.listdir(directory / f"app/lib/{number}")
    (directory / "app/lib/999/x").read_text()
    select.select([], [], [], 2)
    assert switches(one.one.pid) == before


def test_busy_neighbour(watched, directory):
    """However much happens in a directory, the master wakes a few times a second, and nobody waits for it."""
    config = program(directory, watch_ignore=["noise"])
    noise = directory / "app/lib/noise"
    one = watched(config)
    for _ in range(20000):
        noise.touch()
    assert one.one.ctl("status", code=0)
    (directory / "app/lib/x").write_text("1")
    one.one.wait_line("reload 1 committed")
