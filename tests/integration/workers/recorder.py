"""
recorder.py - a worker of the standard library alone that writes down what happens to it. It never speaks first.

usage: recorder.py RECORD [OPTION...]
Appends one JSON object a line to RECORD, which all recorders share:
    {"event": "start", "pid": …, "slot": …, "generation": …, "environment": {…}, "fds": {…}, …}
    {"event": "message", "what": "graceful_shutdown", …}   {"event": "signal", "what": "SIGTERM", …}
    {"event": "sent", "what": "fully_closed"}   {"event": "eof"}   {"event": "exit"}
Options:
    --silent          does not answer graceful_shutdown
    --extend=USEC     asks for so much time when told to shut down
    --deaf            never reads its channel
    --leave           exits when told to shut down, without a word
    --ready           says "ready" at once (the one exception to never speaking first)
    --notify          says READY=1 at once
    --gate=PATH       says "ready" when somebody opens the FIFO PATH.GENERATION.SLOT for writing, if there is one
    --ignore=SIGNAL   records the signal and lives on
    --linger=SECONDS  takes so long from its stop signal to its exit
    --child           has a child in its group that ignores every signal but KILL
"""
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time

SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH]


class Recorder:
    def __init__(self, path, options):
        self.output = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.options = {name: value for name, _, value in (option.partition("=") for option in options)}
        self.about = {"pid": os.getpid(), "slot": int(os.environ.get("RELOADER_SLOT", -1)),
                      "generation": int(os.environ.get("RELOADER_GENERATION", -1))}
        channel = os.environ.get("RELOADER_CHANNEL_FD")
        self.channel = socket.socket(fileno=int(channel)) if channel else None
        self.rest = b""

    def write(self, event, **fields):
        entry = {"event": event, **fields, **self.about, "time": time.monotonic_ns()}
        os.write(self.output, json.dumps(entry).encode() + b"\n")

    def describe(self):
        """How we were started, as seen from inside."""
        fds = {}
        for name in os.listdir("/proc/self/fd"):
            try:
                fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
            except OSError:
                continue
        fds.pop(self.output, None)
        with open("/proc/self/status") as lines:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
        return {
            "environment": dict(os.environ), "fds": fds, "group": os.getpgrp(), "directory": os.getcwd(),
            "arguments": sys.argv, "blocked": status["SigBlk"], "ignored": self.ignored_at_start,
            "nonblocking": {number: bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK)
                            for number, what in fds.items() if what.startswith("socket:")},
            "nofile": os.sysconf("SC_OPEN_MAX"),
        }

    def say(self, message):
        # Written down first: what it causes must stand behind it.
        self.write("sent", what=message)
        self.channel.sendall(json.dumps(message).encode() + b"\n")

    def notify(self, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
            sender.send(text.encode())
        self.write("notified", what=text)

    def leave(self):
        time.sleep(float(self.options.get("--linger", 0)))
        self.write("exit")
        os._exit(0)

    def on_message(self, message):
        self.write("message", what=message)
        if message != "graceful_shutdown":
            return
        if "--extend" in self.options:
            self.notify(f"EXTEND_TIMEOUT_USEC={self.options['--extend']}")
        if "--leave" in self.options:
            self.leave()
        if "--silent" not in self.options:
            self.say("fully_closed")

    def on_signal(self, number):
        name = signal.Signals(number).name
        self.write("signal", what=name)
        if number == signal.SIGWINCH or self.options.get("--ignore") in (name, "all"):
            return
        self.leave()

    def on_channel(self):
        chunk = self.channel.recv(65536)
        if not chunk:
            self.write("eof")
            self.leave()
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self.on_message(json.loads(line))

    def start_child(self):
        if os.fork() == 0:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            while True:
                signal.pause()

    def run(self):
        # What Python itself ignores is not the master's doing: read the kernel's word before it matters.
        self.ignored_at_start = [number.name for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN]
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno())
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        description = self.describe()
        for number in (receiver.fileno(), sender.fileno()):
            del description["fds"][number], description["nonblocking"][number]
        if "--child" in self.options:
            self.start_child()
        self.write("start", **description)
        self.announce()
        sources = [receiver]
        if self.channel and "--deaf" not in self.options:
            sources.append(self.channel)
        while True:
            ready, _, _ = select.select(sources, [], [])
            if receiver in ready:
                for number in receiver.recv(64):
                    self.on_signal(number)
            if self.channel in ready:
                self.on_channel()

    def announce(self):
        gate = self.options.get("--gate")
        if gate:
            path = f"{gate}.{self.about['generation']}.{self.about['slot']}"
            if os.path.exists(path):
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            self.say("ready")
        if "--ready" in self.options:
            self.say("ready")
        if "--notify" in self.options:
            self.notify("READY=1")


Recorder(sys.argv[1], sys.argv[2:]).run()
