"""A service manager that listens: the datagrams of sd_notify(3), as systemd would get them."""
import select
import socket
import time


class Manager:
    """Binds a notify socket; `messages` holds what came, each a dictionary, in order, with the sender's pid under "pid"."""

    def __init__(self, directory, name="notify.sock"):
        self.path = str(directory / name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def environment(self, watchdog_usec=None):
        return {"NOTIFY_SOCKET": self.path, **({"WATCHDOG_USEC": str(watchdog_usec)} if watchdog_usec else {})}

    def receive(self):
        data, ancillary, _, _ = self.socket.recvmsg(8192, 256)
        message = dict(line.split("=", 1) for line in data.decode().splitlines())
        message["pid"] = int.from_bytes(ancillary[0][2][:4], "little")
        self.messages.append(message)

    def read(self):
        """Takes in what is there now."""
        while select.select([self.socket], [], [], 0)[0]:
            self.receive()
        return self.messages

    def wait(self, condition, what, start=0, seconds=20):
        """Until condition(message) holds for one from number `start` on; returns its number."""
        deadline = time.monotonic() + seconds
        while True:
            for number, message in enumerate(self.messages[start:], start):
                if condition(message):
                    return number
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise AssertionError(f"not told within {seconds} s: {what}\n" + "\n".join(map(str, self.messages)))
            self.receive()

    def wait_for(self, name, value="1", start=0):
        return self.wait(lambda message: message.get(name) == value, f"{name}={value}", start)

    def phases(self, start=0):
        """The order of what counts: READY, RELOADING, STOPPING."""
        return [name for message in self.messages[start:] for name in ("READY", "RELOADING", "STOPPING") if message.get(name) == "1"]


def launched(watchdog=False):
    """Words in front of a command: WATCHDOG_PID becomes its pid, as systemd sets it."""
    from harness.paths import PYTHON
    script = "import os, sys; os.environ['WATCHDOG_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
    return [PYTHON, "-S", "-c", script] if watchdog else []


def fill(path):
    """Fills the queue of a notify socket, so that it takes nothing until somebody reads. Returns how many it took."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        count = 0
        try:
            while True:
                sender.sendto(b"STATUS=filler", path)
                count += 1
        except BlockingIOError:
            return count


def monotonic_usec():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
