"""A running reloader with a configuration of its own, in a directory of its own."""
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import time

from harness import deaf, keys, proc
from harness.paths import BINARIES
from harness.tail import Tail
from harness.varlink import Varlink

START_SECONDS = 30


def state(entry):
    return str(entry["state"]).lower()


def reload_of(status):
    return status.get("reload") or {}


class Master:
    """
    Starts reloader with `config` (a dict, written as JSON, which is YAML; or text as it is) and follows its log.

    arguments   further ones for the command line; instead of the file if `config` is None
    wrapper     words in front of the command (strace, unshare, setpriv …)
    environment variables on top of ours
    pass_fds    descriptors that it inherits
    """

    def __init__(self, directory, config, arguments=(), wrapper=(), environment=None, name="reloader", stdin=None,
                 pass_fds=()):
        self.directory = pathlib.Path(directory)
        self.runtime = self.directory / f"{name}.run"
        self.socket = self.runtime / "control.sock"
        self.path = self.directory / f"{name}.yaml"
        self.log = Tail(self.directory / f"{name}.log")
        self.config = config
        command = [*wrapper, *shlex.split(os.environ.get("RELOADER_WRAPPER", "")), BINARIES.reloader]
        if config is not None:
            if isinstance(config, dict):
                config.setdefault("runtime_directory", str(self.runtime))
            self.write()
            command += ["-c", str(self.path)]
        command += map(str, arguments)
        with open(self.log.path, "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=stdin or subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory,
                env={**os.environ, **(environment or {})}, start_new_session=True, pass_fds=pass_fds)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.pid = self.process.pid
        self.stopped = False

    # --- its configuration

    def write(self, config=None):
        """Replaces the configuration file, at once as an editor would."""
        if config is not None:
            self.config = config
        text = self.config if isinstance(self.config, str) else json.dumps(keys.as_written(deaf.not_waited_for(self.config)), indent=1)
        draft = self.path.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.path)

    @property
    def programs(self):
        return self.config["programs"]

    # --- what it says

    def connect(self, seconds=30):
        return Varlink(self.socket, seconds)

    def call(self, method, parameters=None, seconds=30):
        with self.connect(seconds) as connection:
            return connection.call(method, parameters)

    def status(self):
        return self.call("Status")

    def slots(self, program=None, status=None):
        return [slot for entry in (status or self.status())["programs"] if program in (None, entry["name"])
                for slot in entry["slots"]]

    def workers(self, program=None, status=None):
        return [worker for slot in self.slots(program, status) for worker in slot["workers"]]

    def pids(self, program=None, status=None):
        """Pids of ready workers, in the order of their slots."""
        return [worker["pid"] for worker in self.workers(program, status) if state(worker) == "ready"]

    def generation(self, program=None):
        return max(worker["generation"] for worker in self.workers(program))

    def descriptors(self):
        """How many it holds when no client of its control socket is connected any more, and it is not about to look at /proc."""
        proc.wait_until(lambda: not proc.unix_connections(self.socket), "nobody is connected to the control socket")
        return len(proc.wait_until(lambda: proc.fds_at_rest(self.pid), "it is at rest"))

    def failure(self, what):
        return AssertionError(f"{what}\n--- {self.log.path}\n" + "\n".join(self.log.read()[-80:]))

    # --- waiting

    def await_socket(self, seconds=START_SECONDS):
        """Until the control socket answers; each line of the log is a reason to try again."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.connect()
            except OSError:
                pass
            if self.pidfd in self.log.await_change(0.05, [self.pidfd]):
                raise self.failure(f"reloader has ended with {self.process.wait()}")
            if time.monotonic() > deadline:
                raise self.failure(f"no control socket after {seconds} s")

    def wait(self, condition, what, seconds=20):
        """Until condition(status) holds, looked at after every event. Returns the status."""
        deadline = time.monotonic() + seconds
        with self.await_socket() as events, self.connect() as calls:
            events.send("Subscribe", more=True)
            events.receive()
            # Not all of a status has events (texts, queues); hence a look every now and then.
            events.socket.settimeout(0.2)
            while True:
                status = calls.call("Status")
                if condition(status):
                    return status
                if time.monotonic() > deadline:
                    raise self.failure(f"not after {seconds} s: {what}\n{json.dumps(status, indent=1)}")
                try:
                    events.receive()
                except socket.timeout:
                    pass

    def wait_ready(self, seconds=START_SECONDS):
        """Until every slot of every program is ready."""
        def all_ready(status):
            slots = self.slots(status=status)
            return slots and all(state(slot) == "ready" for slot in slots) and status["master"]["state"] != "starting"
        return self.wait(all_ready, "all slots ready", seconds)

    def wait_line(self, pattern, start=0, seconds=20, times=1):
        """Until the log has a line that matches."""
        return self.log.wait(pattern, start, seconds, [self.pidfd], times)

    def wait_drained(self, seconds=30):
        """Until nobody of an older generation is left."""
        self.wait(lambda status: all(len(slot["workers"]) == 1 for slot in self.slots(status=status)),
                  "one worker in each slot", seconds)

    # --- acting

    def kill(self, number):
        os.kill(self.pid, number)

    def reload(self, seconds=60, **parameters):
        """Reload over the control socket; the last reply."""
        with self.connect(seconds) as connection:
            return list(connection.stream("Reload", parameters))[-1]

    def expect_reload(self, result, seconds=60):
        reply = self.reload(seconds)
        if reply["result"] != result:
            raise self.failure(f"expected {result}: {reply}")
        return reply

    def hup(self, result="committed", seconds=60):
        """SIGHUP, until that reload has ended as expected. Returns what status says of it."""
        before = reload_of(self.status()).get("id") or 0
        self.kill(signal.SIGHUP)
        status = self.wait(lambda status: (reload_of(status).get("id") or 0) > before and reload_of(status).get("result"),
                           "the reload has ended", seconds)
        if reload_of(status)["result"] != result:
            raise self.failure(f"expected {result}: {reload_of(status)}")
        return reload_of(status)

    def ctl(self, *arguments, code=None, seconds=60):
        """Runs reloaderctl; with `code`, checks its exit status."""
        done = subprocess.run([BINARIES.reloaderctl, "-s", str(self.socket), *arguments], capture_output=True,
                              text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False)
        if code is not None and done.returncode != code:
            raise self.failure(f"reloaderctl {arguments}: {done}")
        return done

    # --- ending

    def wait_end(self, code=0, seconds=40):
        """Until the master has left with `code`, and with it all of its workers and files."""
        try:
            ended = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failure(f"reloader has not ended after {seconds} s") from None
        self.stopped = True
        if ended != code:
            raise self.failure(f"reloader ended with {ended} instead of {code}")
        # Its directories may stay: another master may be about to use them.
        left = sorted(str(path) for path in self.runtime.rglob("*") if not path.is_dir())
        if left:
            raise self.failure(f"left behind: {left}")

    def stop(self, number=signal.SIGTERM, code=0, seconds=40, complete=True):
        if self.stopped:
            return
        # Whoever is in its tree now must be gone with it, even if it is no longer its child then.
        tree = proc.descendants(self.process.pid)
        self.kill(number)
        self.wait_end(code, seconds)
        left = [proc.describe(pid) for pid in tree if proc.is_running(pid)]
        if left and complete:
            raise self.failure(f"processes left behind: {left}")
