"""Drives a running reloader over its control socket: Varlink, JSON objects that each end with a NUL byte.
usage: control.py SOCKET restart NAME... | shutdown | send NAME JSON | listen"""
import json, socket, sys

def call(path, method, more=False, **parameters):
    """Yields the parameters of each reply; there are several with `more`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        message = {"method": f"io.reloader.Control.{method}", "parameters": parameters, "more": more}
        connection.sendall(json.dumps(message).encode() + b"\0")
        rest = b""
        while chunk := connection.recv(65536):
            *frames, rest = (rest + chunk).split(b"\0")
            for reply in map(json.loads, frames):
                if "error" in reply:
                    sys.exit(f"{reply['error']} {reply.get('parameters', '')}")
                yield reply["parameters"]
                if not reply.get("continues"):
                    return
    sys.exit("the master closed the connection")

match sys.argv[1:]:
    case path, "restart", *names: replies = call(path, "Restart", programs=names)
    case path, "shutdown": replies = call(path, "Shutdown")
    case path, "send", name, text: replies = call(path, "Send", programs=[name], message=json.loads(text))
    case path, "listen": replies = call(path, "Subscribe", more=True)
    case _: sys.exit(__doc__)
for reply in replies:
    print(json.dumps(reply), flush=True)
