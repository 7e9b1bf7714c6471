"""A small Varlink client: JSON objects ended by NUL over a Unix socket."""
import json
import socket
import struct

INTERFACE = "io.reloader.Control"


class VarlinkError(Exception):
    """An error reply. `name` is what stands behind the last dot of its error."""

    def __init__(self, error, parameters):
        super().__init__(f"{error} {parameters}")
        self.error = error
        self.name = error.rpartition(".")[2]
        self.parameters = parameters


class Varlink:
    """One connection. Every wait is bounded by `seconds`."""

    def __init__(self, path, seconds=30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # Waits for room in a full queue; what has Python's time limit, a non-blocking socket, would be turned away.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6)))
        self._rest = b""
        try:
            self.socket.connect(str(path))
            self.socket.settimeout(seconds)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, method, parameters=None, **flags):
        method = method if "." in method else f"{INTERFACE}.{method}"
        call = {"method": method, "parameters": parameters or {}, **flags}
        try:
            self.socket.sendall(json.dumps(call).encode() + b"\0")
        except BrokenPipeError:
            pass  # turned away: what was said at the door is still to be read

    def receive(self):
        """The next reply as it is; ConnectionError when the other end has closed."""
        while b"\0" not in self._rest:
            chunk = self.socket.recv(1 << 20)
            if not chunk:
                raise ConnectionError("the master has closed the connection")
            self._rest += chunk
        frame, _, self._rest = self._rest.partition(b"\0")
        return json.loads(frame)

    def has_more(self):
        """Is there another reply already, of which poll(2) knows nothing?"""
        return b"\0" in self._rest

    def call(self, method, parameters=None):
        """One call, one reply: its parameters."""
        self.send(method, parameters)
        return self._unwrap(self.receive())

    def stream(self, method, parameters=None):
        """A call with `more`: yields each reply's parameters, the last one included."""
        self.send(method, parameters, more=True)
        while True:
            reply = self.receive()
            yield self._unwrap(reply)
            if not reply.get("continues"):
                return

    @staticmethod
    def _unwrap(reply):
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {})
