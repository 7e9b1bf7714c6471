"""
A reload storm: random valid and broken configurations, signals, crashes, stopped workers and swapped links, while clients use
sockets that are always configured. None of them may fail, nothing may be left over, and what runs at the end is what was
committed last, as /proc has it.

    Storm(directory, seed=4711, seconds=60).run()

Every decision is drawn from the seed, and none depends on what the master does: the same seed is the same sequence of actions.
How far each of them comes before the next one depends on the machine.

Crashes and stops hit workers of programs that are not under load: who kills a worker cuts its connections, whatever the master
does. What programs under load go through are all the changes, failed ones included.
"""
import contextlib
import collections
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import parallel, proc, storm_truth
from harness.load import Load
from harness.master import Master
from harness.paths import BINARIES, WORKERS
from harness.storm_config import Files, Model, Places, break_it
from harness.storm_ledger import Disk, Ledger
from harness.varlink import VarlinkError

MINIMUM = {"commits": 100, "failures": 50, "superseded": 20, "crashes": 30}
QUIET_SECONDS = 30
CHECK_EVERY = 60  # actions
CLIENTS_MAX = 24  # held open at a time, of the 64 that a master has places for
SIGHUP_BIT = 1 << (signal.SIGHUP - 1)


class StormFailure(AssertionError):
    pass


class Releases:
    """releases/1, releases/2 …, and `current`, which leads to one of them."""

    def __init__(self, directory):
        self.top = directory / "releases"
        self.current = directory / "current"
        self.count = 0

    def make(self, broken=False):
        self.count += 1
        release = self.top / str(self.count)
        release.mkdir(parents=True)
        if broken:
            (release / "serve").write_text("#!/bin/sh\nexit 4\n")
            (release / "serve").chmod(0o755)
        else:
            shutil.copy(WORKERS / "storm.sh", release / "serve")
        shutil.copy(BINARIES.tcp_echo, release / "echo")
        return release

    def switch(self, release):
        draft = self.current.with_name("draft-link")
        draft.symlink_to(release)
        draft.replace(self.current)

    def remove_old(self, keep):
        """All but the current one and the `keep` before it."""
        numbers = sorted(int(path.name) for path in self.top.iterdir())
        for number in numbers[:-1 - keep]:
            shutil.rmtree(self.top / str(number))


class Storm:
    """
    seconds  how long; it goes on for up to three times as long until it has seen enough (`minimum`)
    actions  instead, after how many it ends
    """

    def __init__(self, directory, seed, seconds=60, actions=None, minimum=None):
        self.directory = directory
        self.seed, self.seconds, self.actions = seed, seconds, actions
        self.minimum = MINIMUM if minimum is None else minimum
        self.rng = random.Random(seed)
        self.counts = collections.Counter()
        self.crashes = 0
        self.stopped = []
        self.clients = []
        self.memory = []
        self.places = Places(directory)
        self.releases = Releases(directory)
        self.release = self.releases.make()
        self.releases.switch(self.release)
        self.model = Model(self.rng, self.places)
        self.story = open(directory / "actions.log", "w", buffering=1)
        (directory / "environment").write_text("STORM_FILE=1\n")

    # --- the whole

    def run(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.story.close)
            stack.enter_context(self._foreigners())
            self._start()
            stack.callback(self._end_master)
            loads = [stack.enter_context(load) for load in self._loads()]
            self._rage()
            self._finish()
            left = self._leave(loads)
            self.ledger.close()
        self.loads = [load.report for load in loads]
        self._compare_with_fresh(left)
        self._expect(*self.ledger.check())
        self._expect(*[f"only {self.reached()[name]} {name}, {least} are needed"
                       for name, least in self.minimum.items() if self.reached()[name] < least])

    def reached(self):
        results = self.ledger.results()
        return {"commits": results["committed"], "failures": results["refused"] + results["rolled_back"] + results["degraded"],
                "superseded": results["superseded"], "crashes": self.crashes}

    def report(self):
        """A table for people."""
        lines = [f"seed {self.seed}", "actions:"]
        lines += [f"  {count:6} {name}" for name, count in sorted(self.counts.items())]
        lines += ["results:"] + [f"  {count:6} {name}" for name, count in sorted(self.ledger.results().items())]
        lines += [f"crashes of workers: {self.crashes}"]
        lines += [f"anonymous memory of the master: {' '.join(self.memory)} kB"]
        for load in getattr(self, "loads", []):
            for name, mode in load["modes"].items():
                lines.append(f"load {name}: {mode['counts']['ok']} ok, {mode['failed']} failed, at most {mode['latency_usec']['max'] / 1e3:.0f} ms")
        return "\n".join(lines)

    def _start(self):
        self.files = Files(self.directory, self.directory / "storm.run")
        whole = self.model.whole()
        self.disk = Disk()
        self.disk.write(lambda: None, whole, True, str(self.release))
        self.master = Master(self.directory, self.files.render(whole), name="storm")
        self.master.wait(lambda status: status["master"]["state"] == "running", "the master is ready", 30)
        self.ledger = Ledger(self.master.socket, self.disk, whole, str(self.release))

    def _end_master(self):
        """It ends, whatever has failed; asked first, so that its workers do."""
        process = self.master.process
        for number in (signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)

    @contextlib.contextmanager
    def _foreigners(self):
        """Who is at addresses that broken configurations want."""
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as path:
            host, _, port = self.places.taken.rpartition(":")
            tcp.bind((host, int(port)))
            tcp.listen()
            path.bind(str(self.places.sockets / "taken.sock"))
            path.listen()
            yield

    def _loads(self):
        """Short connections, questions and streams to one shared socket; held connections; and to a socket for each slot."""
        parallel.HEAVY_LOAD.take()
        always = ["--duration", f"{10 * self.seconds + 600}s", "--stream-linger", "50ms", "--timeout", "20s"]
        tcp = [self.places.tcp(number) for number in (0, 1)]
        return [Load(self.directory, tcp[0], 150, 10, who_rate=10, arguments=always, name="load-main"),
                Load(self.directory, f"unix:{self.places.sockets}/main.sock", 20, 10, arguments=[*always, "--stream-interval", "100ms"],
                     name="load-held"),
                Load(self.directory, tcp[1], 100, 10, who_rate=10, arguments=always, name="load-even")]

    def _expect(self, *wrong):
        if wrong:
            raise StormFailure(f"after {sum(self.counts.values())} actions of seed {self.seed}:\n" + "\n".join(map(str, wrong)))

    def _note(self, text):
        self.story.write(f"{time.strftime('%H:%M:%S')} {sum(self.counts.values())} {text}\n")

    # --- the storm

    ACTIONS = {"good": 30, "good_at_once": 20, "broken": 16, "broken_at_once": 5, "burst": 4, "racing_writes": 3, "reload_programs": 5,
               "reload_changed": 5, "dry_run": 3, "undo": 4, "undo_at_once": 2, "crash": 16, "stop": 3, "go_on": 4, "swap": 6,
               "remove_releases": 3, "broken_release": 2, "visit": 4}

    def _is_over(self, began):
        done = sum(self.counts.values())
        if self.actions:
            return done >= self.actions
        took = time.monotonic() - began
        reached = self.reached()
        return took > 3 * self.seconds or (took > self.seconds and all(reached[name] >= least for name, least in self.minimum.items()))

    def _rage(self):
        began = time.monotonic()
        names, weights = list(self.ACTIONS), list(self.ACTIONS.values())
        while not self._is_over(began):
            name = self.rng.choices(names, weights)[0]
            self.counts[name] += 1
            getattr(self, f"_do_{name}")(random.Random(self.rng.random()))
            self.ledger.take()
            self._expect(*self.ledger.wrong)
            if sum(self.counts.values()) % CHECK_EVERY == 0:
                self._check_all()

    def _pause(self, rng, seconds):
        select.select([], [], [], rng.random() * seconds)

    def _write(self, whole, is_good):
        text = whole if isinstance(whole, str) else self.files.render(whole, **whole.get("more", {}))
        self.disk.write(lambda: self.master.write(text), whole, is_good, str(self.release))

    def _write_good(self):
        self.model.step()
        self._write(self.model.whole(), True)

    # --- asking for a reload

    def _hup(self):
        """Until it is known which reload it is: a new one, or one that was asked for before and has not begun."""
        before = self.ledger.request()
        joinable = self.ledger.open_ids()
        self.master.kill(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while self.ledger.newest <= before:
            self.ledger.take(0.1)
            if any(self.ledger.ended[one] and self.ledger.ended[one][0]["also"] for one in joinable):
                self.ledger.is_loose = True
                return
            if time.monotonic() > deadline:
                self._expect("SIGHUP, and no reload after 30 s")

    def _call(self, method, **parameters):
        """A reload over the control socket, not waited for; its id."""
        self.ledger.request()
        number = self.master.call(method, {"wait": False, **parameters})["id"]
        self.ledger.wait_read(number)
        return number

    def _await_consumed(self):
        """The master has taken the signals that were sent."""
        proc.wait_until(lambda: not int(proc.field(self.master.pid, "ShdPnd"), 16) & SIGHUP_BIT
                        and not int(proc.field(self.master.pid, "SigPnd"), 16) & SIGHUP_BIT, "SIGHUP was received")

    def _await_idle(self):
        """No reload runs or is asked for; its result is in the ledger."""
        self._await_consumed()
        seen = []

        def is_idle():
            reload = self.master.status()["reload"]
            seen.append(reload["id"] if reload["state"] in ("none", "ended") else None)
            self.ledger.take(0.02)
            return seen[-1] is not None and seen[-2:] == [seen[-1]] * 2 and not self.ledger.open_ids()
        try:
            proc.wait_until(is_idle, "no reload runs", 60)
        except AssertionError:
            self._expect(f"no end of reloads {self.ledger.open_ids()} after 60 s: {self.master.status()['reload']}")
        self.ledger.is_loose = False

    def _settle(self, rng, expected, what):
        """Asks for a reload in one of two ways, waits, and compares its result."""
        if rng.random() < 0.5:
            number = self._call("Reload")
        else:
            self._hup()
            number = self.ledger.newest
        loose = self.ledger.is_loose
        result = self.ledger.wait_ended(number)
        self._note(f"{what}: reload {number} {result}")
        if result is None:
            self._expect(f"reload {number} ({what}) has no result after 60 s")
        if not loose and expected and result != expected:
            self._expect(f"reload {number} ({what}) is {result} instead of {expected}: {self.ledger.ended[number]}")

    def _do_good(self, rng):
        self._write_good()
        self._settle(rng, "committed", "good")

    def _do_good_at_once(self, rng):
        self._write_good()
        if rng.random() < 0.5:
            self._call("Reload")
        else:
            self._hup()
        self._note(f"good, not waited for: reload {self.ledger.newest}")
        self._pause(rng, 0.08)

    def _do_broken(self, rng):
        name, whole, result = break_it(rng, self.model, self.places)
        self._note(f"about to break: {name}")
        self._write(whole, False)
        self._settle(rng, result, name)

    def _do_broken_at_once(self, rng):
        name, whole, _ = break_it(rng, self.model, self.places)
        self._write(whole, False)
        self._hup()
        self._note(f"{name}, not waited for: reload {self.ledger.newest}")
        self._pause(rng, 0.2)

    def _do_burst(self, rng):
        self._write_good()
        self.ledger.request()
        self.ledger.is_loose = True
        count = rng.randint(3, 30)
        for _ in range(count):
            self.master.kill(signal.SIGHUP)
            self._pause(rng, 0.005)
        self._await_consumed()
        self._note(f"{count} SIGHUPs")
        if rng.random() < 0.5:
            self._await_idle()

    def _do_racing_writes(self, rng):
        """The file changes without waiting until it was read."""
        self.ledger.request()
        self.ledger.is_loose = True
        for _ in range(rng.randint(2, 5)):
            self._write_good()
            self.master.kill(signal.SIGHUP)
            self._pause(rng, 0.02)
        self._note("writes and SIGHUPs, none waited for")
        if rng.random() < 0.5:
            self._await_idle()

    def _do_reload_programs(self, rng):
        names = list(self.model.programs)
        chosen = rng.sample(names, rng.randint(1, min(2, len(names))))
        number = self._call("Reload", programs=chosen, changed_only=rng.random() < 0.3)
        self._note(f"reload {number} of {chosen}")
        if rng.random() < 0.6:
            self._await_end_of(number)

    def _do_reload_changed(self, rng):
        if rng.random() < 0.7:
            self._write_good()
        number = self._call("Reload", changed_only=True)
        self._note(f"reload {number} of what changed")
        if rng.random() < 0.6:
            self._await_end_of(number)

    def _await_end_of(self, number):
        if self.ledger.wait_ended(number) is None:
            self._expect(f"reload {number} has no result after 60 s")

    def _do_dry_run(self, rng):
        reply = self.master.call("Reload", {"dry_run": True, "changed_only": rng.random() < 0.5})
        if reply.get("result") not in ("would_commit", "refused") or "id" in reply:
            self._expect(f"a dry run says {reply}")
        self._note(f"dry run: {reply['result']}")

    def _do_undo_at_once(self, _rng):
        self._note(f"undo, not waited for: reload {self._call('Undo')}")

    def _do_undo(self, _rng):
        number = self._call("Undo")
        self._await_end_of(number)
        self._note(f"undo: reload {number} {self.ledger.ended[number][-1]['result']}")

    # --- workers

    def _victims(self, rng, count):
        """pidfds of workers that nobody uses."""
        there = [worker for worker in storm_truth.workers(self.master.pid) if not worker.is_loaded]
        for number in [rng.randrange(1 << 30) for _ in range(count)]:
            if not there:
                return
            worker = there.pop(number % len(there))
            try:
                pidfd = os.pidfd_open(worker.pid)
            except ProcessLookupError:
                continue
            if worker.pid in proc.children(self.master.pid):
                yield pidfd, worker
            else:
                os.close(pidfd)

    def _do_crash(self, rng):
        count = rng.choice([1, 1, 2, 3])
        for pidfd, worker in self._victims(rng, count):
            number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, number)
                self.crashes += 1
                self._note(f"{number.name} to {worker.program}:{worker.slot}, {worker.pid}")
            os.close(pidfd)
        self._pause(rng, 0.05)

    def _do_stop(self, rng):
        for pidfd, worker in self._victims(rng, rng.choice([1, 2])):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
                self._note(f"SIGSTOP to {worker.program}:{worker.slot}, {worker.pid}")
            self.stopped.append(pidfd)

    def _do_go_on(self, _rng):
        for pidfd in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            os.close(pidfd)
        self.stopped = []

    # --- releases

    def _switch(self, broken=False):
        self.release = self.releases.make(broken)
        whole, is_good, _ = self.disk.last
        self.disk.write(lambda: self.releases.switch(self.release), whole, is_good and not broken, str(self.release))

    def _do_swap(self, _rng):
        self._switch()
        self._note(f"release {self.release.name}")

    def _do_remove_releases(self, rng):
        keep = rng.choice([0, 1, 2])
        self.releases.remove_old(keep)
        self._note(f"old releases removed but for {keep}")

    def _do_broken_release(self, rng):
        """Its program leaves at once; then there is a better one."""
        self._write_good()
        whole, _, _ = self.disk.last
        suffers = any(program["command"][0] == "./serve" and program.get("autostart", True) for program in whole["programs"].values())
        self._switch(broken=True)
        self._note(f"broken release {self.release.name}")
        self._settle(rng, "rolled_back" if suffers else "committed", "broken release") if suffers else None
        self._switch()
        self._write(whole, True)

    # --- clients of the control socket

    def _do_visit(self, rng):
        for _ in range(rng.randint(1, 12)):
            kind = rng.choice(["status", "half", "garbage", "deaf", "leave", "history"])
            with contextlib.suppress(OSError, VarlinkError, ConnectionError):
                self._visit(kind)
        while len(self.clients) > CLIENTS_MAX or (self.clients and rng.random() < 0.7):
            self.clients.pop(rng.randrange(len(self.clients))).close()

    def _visit(self, kind):
        match kind:
            case "status" | "history":
                self.master.call(kind.capitalize())
                return
        connection = self.master.connect(5)
        self.clients.append(connection)
        match kind:
            case "half":
                connection.socket.sendall(b'{"method": "io.reloader')
            case "garbage":
                connection.socket.sendall(b"}{\0" * 10)
            case "deaf":
                connection.send("Subscribe", more=True)
            case "leave":
                # Asks for a reload and does not stay for its result.
                self.ledger.request()
                self.ledger.is_loose = True
                connection.send("Reload")
                self.clients.pop().close()

    # --- looking

    def _look(self, whole):
        pid, truth = self.master.pid, storm_truth
        return [*truth.check_workers(pid, whole), *truth.check_listeners(pid, whole, self.master.socket),
                *truth.check_paths(self.places.sockets, whole, [self.places.sockets / "taken.sock"]),
                *truth.check_processes(pid), *truth.check_handed(pid, whole), *truth.check_generations(pid, whole),
                *truth.check_releases(pid, whole, self.ledger.state.releases)]

    def _check_all(self):
        """Quiet comes, and then all is as what was committed says."""
        self._do_go_on(None)
        self._await_idle()
        if self.ledger.is_degraded:
            self._write_good()
            self._settle(self.rng, "committed", "good, after a degraded one")
        self._expect(*self.ledger.check())
        self._expect(*self.ledger.check_history(self.master.call("History")["reloads"]))
        found = []

        def all_is_well():
            found[:] = [self._look(whole) for whole in self.ledger.state.wholes]
            return not all(found)
        try:
            proc.wait_until(all_is_well, "what runs is what was committed", QUIET_SECONDS)
        except AssertionError:
            self._expect(f"{QUIET_SECONDS} s after reload {self.ledger.newest} it is not as was committed:", *found[-1],
                         json.dumps(self.master.status()["reload"]))
        self.memory.append(proc.field(self.master.pid, "RssAnon").split()[0])

    # --- the end

    def _settled_twice(self):
        """What can be undone is then the same as what is in force."""
        for _ in range(2):
            number = self._call("Reload")
            if self.ledger.wait_ended(number) != "committed":
                self._expect(f"reload {number} at the end: {self.ledger.ended[number]}")

    def _finish(self):
        """A last good configuration, one that fails after it, a few crashes: it is the good one that runs."""
        self._check_all()
        while self.clients:
            self.clients.pop().close()
        self._write_good()
        good = self.model.whole()
        self._settled_twice()
        for _ in range(3):
            self._do_broken(self.rng)
        self._do_crash(self.rng)
        self._check_all()
        self._expect(*(["the last good configuration is not the one in force"] if self.ledger.state.wholes != [good] else []))

    def _leave(self, loads):
        """What the master holds at last; it then leaves and nothing stays."""
        for load in loads:
            load.stop()
        held, files = self._holdings(keep=1)
        tree = proc.descendants(self.master.pid)
        self.master.stop(complete=False)
        left = [proc.describe(pid) for pid in tree if proc.is_running(pid)]
        self._expect(*[f"left behind: {one}" for one in left])
        rest = [str(path) for path in self.places.sockets.iterdir() if path.name != "taken.sock"]
        self._expect(*[f"left behind: {path}" for path in rest])
        return held, files

    def _holdings(self, keep):
        """Without those of clients: `keep` of them stay connected."""
        path = self.master.socket
        proc.wait_until(lambda: len(proc.unix_connections(path)) <= keep, "clients have gone")
        held = storm_truth.holdings(self.master.pid)
        held["socket:[N]"] -= len(proc.unix_connections(path))
        return held, storm_truth.runtime_files(self.master.runtime)

    def _compare_with_fresh(self, left):
        """A master that has seen nothing but this configuration holds as much."""
        (whole,) = self.ledger.state.wholes
        self.master = Master(self.directory, self.files.render(whole), name="storm")
        try:
            self.master.wait(lambda status: status["master"]["state"] == "running", "the master is ready", 30)
            for _ in range(2):
                self.master.expect_reload("committed")
            for _ in range(1):
                self.master.write("programs: {")
                self.master.expect_reload("refused")
            proc.wait_until(lambda: not self._look(whole), "the fresh master is quiet", QUIET_SECONDS)
            fresh = self._holdings(keep=0)
            self.master.stop()
        finally:
            self._end_master()
        for what, after, expected in zip(("descriptors", "files"), left, fresh):
            if +after != +expected:
                self._expect(f"{what}: more {dict(after - expected)}, fewer {dict(expected - after)} than a fresh master has")
