"""The control socket as a stranger sees it, who has nothing but Varlink's specification and our description of ourselves."""
import pytest

from harness import configs, proc
from harness.varlink import INTERFACE, Varlink, VarlinkError
from harness.varlink_idl import Interface

SERVICE = "org.varlink.service"

# Of each method: calls that are answered, in an order in which they can be made one after the other.
CALLS = {
    "Status": [{}],
    "CheckConfig": [{}],
    "Version": [{}],
    "Connect": [{}],
    "History": [{}],
    "Signal": [{"programs": ["echo"], "signal": "CONT"}],
    "Sockets": [{}],
    "Attach": [{"name": "echo:0"}],
    "Why": [{}, {"programs": ["echo:0"]}, {"all": True}],
    "Logs": [{"programs": ["all"]}, {"programs": ["echo:0"], "stream": "stderr"}],
    "Send": [{"programs": ["echo"], "message": {"cmd": "status"}}, {"programs": ["echo:0"], "message": {}}],
    "Reload": [{}, {"wait": False}, {"dry_run": True}, {"programs": ["echo"], "changed_only": True}],
    "Undo": [{}],
    "Stop": [{"programs": ["echo:1"]}, {"programs": ["all"], "force": True}],
    "Start": [{"programs": ["all"]}],
    "Restart": [{"programs": ["echo:0"]}, {"programs": ["echo"], "wait": False}, {"programs": ["echo"]}],
    "Scale": [{"program": "echo", "by": 1}, {"program": "echo", "workers": 2}],
}
ENDS_THE_MASTER = {"Shutdown"}
STREAMS = {
    "Subscribe": {"since": 0, "types": ["reload", "worker"]},
    "Logs": {"programs": ["all"]},
    "Reload": {},
    "Restart": {"programs": ["all"]},
}

WRONG = [
    ("Status", {"nonsense": 1}, "InvalidParameter", {"parameter": "nonsense"}),
    ("Reload", {"wait": "yes"}, "InvalidParameter", {"parameter": "wait"}),
    ("Stop", {}, "InvalidParameter", {"parameter": "programs"}),
    ("Stop", {"programs": [1]}, "InvalidParameter", {"parameter": "programs"}),
    ("Stop", {"programs": ["nobody"]}, "NoSuchProgram", {"name": "nobody"}),
    ("Restart", {"programs": ["echo:99"]}, "NoSuchWorker", {"name": "echo:99"}),
    ("Why", {"programs": ["echo:99"]}, "NoSuchWorker", {"name": "echo:99"}),
    ("Scale", {"program": "echo", "workers": 0}, "Failed", None),
    ("Scale", {"program": "echo"}, "InvalidParameter", {"parameter": "workers"}),
    ("Subscribe", {}, "ExpectedMore", {}),
    ("Send", {"programs": ["echo"]}, "InvalidParameter", {"parameter": "message"}),
    ("Send", {"programs": ["nobody"], "message": {}}, "NoSuchProgram", {"name": "nobody"}),
    ("Send", {"programs": ["echo"], "message": "graceful_shutdown"}, "Failed", None),
    ("Nonsense", {}, "MethodNotFound", {"method": f"{INTERFACE}.Nonsense"}),
    ("io.nobody.Nothing", {}, "InterfaceNotFound", {"interface": "io.nobody"}),
    (f"{SERVICE}.GetInterfaceDescription", {"interface": "io.nobody"}, "InterfaceNotFound", {"interface": "io.nobody"}),
    ("Upgrade", {}, "NotInThisVersion", {"method": f"{INTERFACE}.Upgrade"}),
]


def describe(one, name):
    return Interface(one.call(f"{SERVICE}.GetInterfaceDescription", {"interface": name})["description"])


@pytest.fixture
def echo(master, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=2))
    one.wait_ready()
    return one


def test_who_serves(echo):
    info = echo.call(f"{SERVICE}.GetInfo")
    assert set(info) == {"vendor", "product", "version", "url", "interfaces"}
    assert info["interfaces"] == [SERVICE, INTERFACE]
    for name in info["interfaces"]:
        assert describe(echo, name).name == name
    own = describe(echo, SERVICE)
    assert not own.wrong(own.methods["GetInfo"][1], info)


def test_every_method(echo):
    """Each method of the description is called, and its reply is of the type that the description promises."""
    interface = describe(echo, INTERFACE)
    assert set(interface.methods) == {*CALLS, *STREAMS} | ENDS_THE_MASTER, "a method without a call here, or the other way round"
    for method, calls in CALLS.items():
        taken, given = interface.methods[method]
        for parameters in calls:
            assert not interface.wrong(taken, parameters, method)
            reply = echo.call(method, parameters)
            assert not interface.wrong(given, reply, method), f"{parameters}: {reply}"
    echo.wait_ready()


@pytest.mark.parametrize("method", STREAMS)
def test_streams(echo, method):
    """Each reply but the last says `continues`, and each is of the promised type."""
    interface = describe(echo, INTERFACE)
    given = interface.methods[method][1]
    with echo.connect() as client:
        client.send(method, STREAMS[method], more=True)
        replies = [client.receive()]
        if method in ("Subscribe", "Logs"):
            echo.expect_reload("committed")
            if method == "Subscribe":
                while "ended" not in str(replies[-1]):
                    replies.append(client.receive())
            assert all(reply.get("continues") for reply in replies)
        else:
            while replies[-1].get("continues"):
                replies.append(client.receive())
            assert len(replies) > 2
        for reply in replies:
            wrong = interface.wrong(given, reply.get("parameters", {}), method)
            assert not wrong, f"{wrong}: {reply}"


@pytest.mark.parametrize("method, parameters, name, told", WRONG, ids=range(len(WRONG)))
def test_errors(echo, method, parameters, name, told):
    """An error has its name and the parameters that the description gives it; the connection goes on."""
    interface, service = describe(echo, INTERFACE), describe(echo, SERVICE)
    with echo.connect() as client:
        with pytest.raises(VarlinkError) as caught:
            client.call(method, parameters)
        error = caught.value
        assert error.name == name and told in (None, error.parameters), error
        owner = service if error.error.startswith(SERVICE) else interface
        assert not owner.wrong(owner.errors[name], error.parameters, name), error
        assert client.call("Version")


def test_calls_in_a_row(echo):
    """Many calls in one piece: each gets its answer, in their order; a oneway call gets none."""
    with echo.connect() as client:
        for i in range(50):
            client.send("Version", oneway=i % 5 == 0)
        client.send("Nonsense")
        replies = [client.receive() for _ in range(41)]
        assert all("version" in reply["parameters"] for reply in replies[:40])
        assert replies[40]["error"].endswith("MethodNotFound")


def test_shutdown(echo):
    """Its reply comes before it begins; connections end when the master does."""
    interface = describe(echo, INTERFACE)
    with echo.connect() as client, Varlink(echo.socket) as other:
        assert not interface.wrong(interface.methods["Shutdown"][1], client.call("Shutdown"))
        with pytest.raises(ConnectionError):
            other.receive()
    echo.wait_end()
    assert not proc.is_running(echo.pid)
