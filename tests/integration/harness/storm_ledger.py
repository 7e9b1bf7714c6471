"""
What was on disk when, what the master said of its reloads, and hence what may be in force.

A reload reads the file and follows the link somewhen between its request and its beginning. Mostly just one configuration was
there in that time; where it was several, each of them may be in force.
"""
import collections
import queue
import threading
import time

from harness.varlink import Varlink


def now():
    return time.time() * 1e6


class Disk:
    """Configuration and release as they follow each other."""

    def __init__(self):
        self.entries = []

    def write(self, action, whole, is_good, release):
        """Notes what there will be once action() has been done."""
        begin = now()
        action()
        self.entries.append((begin, now(), whole, is_good, release))

    def between(self, since, until):
        """(whole, is_good, release) of all that could be seen."""
        ends = [entry[1] for entry in self.entries[1:]] + [float("inf")]
        return [entry[2:] for entry, end in zip(self.entries, ends) if entry[0] <= until and end >= since]

    @property
    def last(self):
        return self.entries[-1][2:]


class State:
    """What may be in force: configurations, and {program: directories that its workers may have}."""

    def __init__(self, wholes, releases):
        self.wholes = wholes
        self.releases = releases


class Ledger:
    """Follows the events of reloads, and keeps the states that they lead to."""

    def __init__(self, path, disk, whole, release):
        self.disk = disk
        self.state = State([whole], {name: {release} for name in whole["programs"]})
        self.before = None
        self.newest = 0
        self.requested = {}  # {id: since when it may have been asked for}
        self.read = set()  # those that have read what was on disk
        self.ended = collections.defaultdict(list)  # {id: records}
        self.is_degraded = False  # the last one that changed anything
        self.since = now()
        self.is_loose = False  # there may be ids that nobody has heard of
        self.wrong = []
        self._events = queue.Queue()
        self._connection = Varlink(path, 3600)
        self._connection.send("Subscribe", {"types": ["reload"]}, more=True)
        self._connection.receive()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        try:
            while True:
                self._events.put(self._connection.receive())
        except (OSError, ValueError) as error:
            self._events.put(error)

    def close(self):
        """Once the master has left, or to leave it."""
        self._connection.socket.shutdown(2)
        self._thread.join()
        self._connection.close()
        self.take()

    # --- what it hears

    def take(self, seconds=0):
        """Takes in what has come; with `seconds` waits for at least one event."""
        try:
            while True:
                reply = self._events.get(timeout=seconds) if seconds else self._events.get_nowait()
                seconds = 0
                if isinstance(reply, dict) and reply.get("parameters", {}).get("event"):
                    self._note(reply["parameters"]["event"])
        except queue.Empty:
            pass

    def know(self, number):
        """An id that was given out."""
        for one in range(self.newest + 1, number + 1):
            self.requested[one] = self.since
        self.newest = max(self.newest, number)

    def _note(self, event):
        self.know(event["id"])
        self.read.add(event["id"])
        if event["state"] != "ended":
            return
        if event["result"] in ("committed", "rolled_back", "degraded"):
            self.is_degraded = event["result"] == "degraded"
        self.ended[event["id"]].append(event)
        if event["result"] == "committed":
            self._commit(event)

    def request(self):
        """To be called before a reload is asked for."""
        self.take()
        if not self.is_loose:
            self.since = now()
        return self.newest

    def wait_read(self, number, seconds=30):
        self.know(number)
        deadline = time.monotonic() + seconds
        while number not in self.read and time.monotonic() < deadline:
            self.take(0.1)

    def wait_ended(self, number, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.ended[number] and time.monotonic() < deadline:
            self.take(0.1)
        return self.ended[number][-1]["result"] if self.ended[number] else None

    def open_ids(self):
        self.take()
        return [one for one in range(1, self.newest + 1) if not self.ended[one]]

    # --- what follows from it

    def _commit(self, event):
        released = {name: program["result"] for program in event["programs"] if (name := program["name"])}
        if event["kind"] == "undo":
            if not self.before:
                self.wrong.append(f"reload {event['id']}: an undo committed before anything else had")
                return
            wholes, found = self.before.wholes, None
        else:
            seen = [entry for entry in self.disk.between(self.requested[event["id"]], event["time_usec"]) if entry[1]]
            wholes, found = [whole for whole, _, _ in seen], {release for _, _, release in seen}
            if not seen:
                self.wrong.append(f"reload {event['id']} committed though no valid configuration was there")
                return
        releases = {}
        for name in {name for whole in wholes for name in whole["programs"]}:
            old = self.state.releases.get(name, set())
            if released.get(name) == "untouched":
                releases[name] = old
            elif any("handoff" in whole["programs"].get(name, {}) for whole in wholes):
                releases[name] = old | (found or set())
            else:
                releases[name] = found or self.before.releases.get(name, set()) | old
        self.before, self.state = self.state, State(wholes, releases)

    def results(self):
        return collections.Counter(records[0]["result"] for records in self.ended.values() if records)

    def check(self):
        """Every id has exactly one result."""
        return self.wrong + [f"reload {one} has {len(self.ended[one])} results" for one in range(1, self.newest + 1)
                             if len(self.ended[one]) != 1]

    def check_history(self, reloads):
        told = {entry["id"]: entry["result"] for entry in reloads}
        return [f"reload {one} is {result} in the history and {self.ended[one][0]['result']} as an event"
                for one, result in told.items() if self.ended[one] and self.ended[one][0]["result"] != result]
