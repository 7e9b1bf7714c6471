"""Reads what the workers of recorder.py wrote: one file for all of them, so that its order is the order of things."""
import json

from harness.tail import Tail


class Record:
    def __init__(self, path):
        self.path = path
        self.tail = Tail(path)

    def entries(self, **wanted):
        """All entries whose fields are as given, oldest first."""
        found = [json.loads(line) for line in self.tail.read()]
        return [entry for entry in found if all(entry.get(key) == value for key, value in wanted.items())]

    def wait(self, count=1, seconds=20, **wanted):
        """Until there are `count` such entries; returns them."""
        while len(entries := self.entries(**wanted)) < count:
            before = len(self.tail.lines)
            try:
                self.tail.wait("", start=before, seconds=seconds)
            except AssertionError:
                story = [f"{entry.get('slot')} {entry.get('generation')} {word}" for entry, word in zip(self.entries(), self.words())]
                raise AssertionError(f"waiting for {count} of {wanted} in:\n" + "\n".join(story[-60:])) from None
        return entries

    def words(self, **wanted):
        """What happened, as short words: 'start', 'message graceful_shutdown', 'signal SIGTERM' …"""
        return [" ".join(str(entry[key]) for key in ("event", "what") if key in entry) for entry in self.entries(**wanted)]
