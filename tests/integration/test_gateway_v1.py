"""The methods over HTTP: each path of the description is called, and each answer is as the description says."""
import base64
import contextlib
import http.client
import json
import urllib.parse

import pytest

from harness import configs, proc
from harness.openapi import Document

JSON = {"Content-Type": "application/json"}
STREAM = {"Accept": "text/event-stream"}
PROBLEM = "application/problem+json"
TYPES = "/v1/openapi.json#/components/schemas/"

# Of each path that is a method: calls that are answered by 200, in an order in which they can be made one after the other.
CALLS = {
    "/v1/status": [{}],
    "/v1/version": [{}],
    "/v1/history": [{}],
    "/v1/sockets": [{}],
    "/v1/check-config": [{}],
    "/v1/logs": [{"programs": ["all"]}, {"programs": ["echo:0", "echo:1"], "stream": "stderr"}],
    "/v1/why": [{}, {"programs": ["echo:0"]}, {"all": True}, {"all": False, "programs": ["echo"]}],
    "/v1/send": [{"programs": ["echo"], "message": {"cmd": "status"}}, {"programs": ["echo:0"], "message": {}}],
    "/v1/reload": [{}, {"wait": False}, {"dry_run": True}, {"programs": ["echo"], "changed_only": True}, {"programs": None}],
    "/v1/undo": [{}],
    "/v1/stop": [{"programs": ["echo:1"]}, {"programs": ["all"], "force": True}],
    "/v1/start": [{"programs": ["all"]}],
    "/v1/restart": [{"programs": ["echo:0"]}, {"programs": ["echo"], "wait": False}, {"programs": ["echo"]}],
    "/v1/scale": [{"program": "echo", "by": 1}, {"program": "echo", "workers": 2}],
}
STREAMS = {
    "/v1/subscribe": {"since": 0, "types": ["reload", "worker"]},
    "/v1/logs": {"programs": ["all"]},
    "/v1/reload": {},
    "/v1/undo": {},
    "/v1/restart": {"programs": ["all"]},
    "/v1/stop": {"programs": ["echo:1"]},
    "/v1/start": {"programs": ["echo:1"]},
}
GO_ON = {"/v1/subscribe", "/v1/logs"}
ENDS_THE_MASTER = {"/v1/shutdown", "/quit"}
# Those that have tests of their own; here their answers are held against the description.
OTHERS = {
    "/v1/openapi.json": {}, "/help": {}, "/stats": {}, "/info": {}, "/metrics": {"Accept": "application/openmetrics-text"}, "/healthz": {},
    "/readyz": {}, "/reload": {}, "/restart": {}, "/events": {}, "/": {},
}


class Api:
    """A gateway, and its description."""

    def __init__(self, master, port, headers=None):
        self.master, self.port = master, port
        self.headers = headers or {}  # of every request
        status, _, text = self.request("GET", "/v1/openapi.json")
        assert status == 200
        self.document = Document(text)

    def open(self, method, path, query=None, body=None, headers=None, seconds=30):
        """(connection, response), to be closed by who asked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        text = "?" + encode(query) if query else ""
        connection.request(method, path + text, body=body, headers={**self.headers, **(headers or {})})
        return connection, connection.getresponse()

    def request(self, method, path, query=None, body=None, headers=None):
        connection, response = self.open(method, path, query, body, headers)
        with contextlib.closing(connection):
            return response.status, response.headers, response.read()

    def verb(self, path):
        (verb,) = self.document.json["paths"][path]
        return verb.upper()

    def send(self, path, parameters, headers=None):
        """With its parameters where they belong: (status, headers, body)."""
        return self.request(*self.spell(path, parameters), headers={**JSON, **(headers or {})})

    def spell(self, path, parameters):
        method = self.verb(path)
        if method == "GET":
            return method, path, parameters, None
        return method, path, None, json.dumps(parameters) if parameters else None

    def call(self, path, parameters):
        """The answer, which must be 200 and as described."""
        method = self.verb(path)
        check = self.document.check_query if method == "GET" else self.document.check_body
        check(path, method, {name: value for name, value in parameters.items() if value is not None})
        status, headers, body = self.send(path, parameters)
        assert status == 200, body
        return self.document.check_answer(path, method, status, headers["Content-Type"], body)

    @contextlib.contextmanager
    def stream(self, path, parameters):
        method, path, query, body = self.spell(path, parameters)
        connection, response = self.open(method, path, query, body, {**JSON, **STREAM})
        with contextlib.closing(connection):
            assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream"), response.read()
            yield events(response)


def encode(query):
    words = [(name, one) for name, value in query.items() for one in (value if isinstance(value, list) else [value])]
    return urllib.parse.urlencode([(name, str(one).lower() if isinstance(one, bool) else one) for name, one in words])


def events(response):
    """(event, data) of a stream, until it ends."""
    name, data = None, None
    for line in response:
        word, _, rest = line.decode().rstrip("\n").partition(":")
        if word == "event":
            name = rest.strip()
        elif word == "data":
            data = json.loads(rest)
        elif not line.strip() and name:
            yield name, data
            name, data = None, None


def gateway_pids(status):
    program = (status.get("gateway") or {}).get("program") or {"slots": []}
    return [worker["pid"] for slot in program["slots"] for worker in slot["workers"] if worker["state"] == "READY"]


@pytest.fixture
def served(master, directory, port):
    """Echo with these keys, and a gateway."""
    def start(section=None, headers=None, **program):
        config = configs.echo(f"unix:{directory}/echo.sock", **{"workers": 2, **program})
        config["gateway"] = {"listen": f"127.0.0.1:{port}", **(section or {})}
        one = master(config)
        one.wait(gateway_pids, "the gateway is ready")
        return Api(one, port, headers)
    return start


@pytest.fixture
def api(served):
    return served()


@pytest.mark.sanitized
def test_description(api):
    """It is one of OpenAPI, and every path of it is called by a test here."""
    api.document.check()
    paths = set(api.document.json["paths"])
    assert paths == {*CALLS, *STREAMS, *OTHERS} | ENDS_THE_MASTER, "a path without a call here, or the other way round"
    streams = {path for path, method, operation in api.document.operations()
               if path.startswith("/v1/") and "text/event-stream" in operation["responses"]["200"]["content"]}
    assert streams == set(STREAMS)


@pytest.mark.sanitized
def test_every_method(api):
    for path, calls in CALLS.items():
        for parameters in calls:
            api.call(path, parameters)
    api.master.wait_ready()


def test_what_is_told_is_what_the_master_says(api):
    assert api.call("/v1/version", {}) == api.master.call("Version")
    assert api.call("/v1/logs", {"programs": ["echo:1"], "stream": "stdout"}) \
        == api.master.call("Logs", {"programs": ["echo:1"], "stream": "stdout"})
    result = api.call("/v1/reload", {})
    assert result["cause"]["pid"] in gateway_pids(api.master.status())
    assert api.call("/v1/history", {})["reloads"][-1]["id"] == result["id"]
    assert api.call("/v1/stop", {"programs": ["echo:1"]})["results"] == [{"program": "echo", "slot": 1, "result": "stopped"}]


def test_who_acted_sees_what_came_of_it(api):
    """Though what was asked for a moment ago is good for a while."""
    for workers in range(3, 9):
        api.call("/v1/status", {})
        api.call("/v1/scale", {"program": "echo", "workers": workers})
        (program,) = api.call("/v1/status", {})["programs"]
        assert program["workers"] == workers


@pytest.mark.parametrize("path", OTHERS)
def test_other_paths(api, path):
    for method in api.document.json["paths"][path]:
        connection, response = api.open(method.upper(), path, headers=OTHERS[path])
        with contextlib.closing(connection):
            content_type = response.headers["Content-Type"]
            body = b"" if content_type == "text/event-stream" else response.read()
            assert response.status == 200, body
            api.document.check_answer(path, method, 200, content_type, body)


# --- errors

# What is asked, with which parameters: the status, the name of the error, and its own members (None: some).
WRONG = [
    ("/v1/status", {"nonsense": 1}, 400, "InvalidParameter", {"parameter": "nonsense"}),
    ("/v1/why", {"all": "perhaps"}, 400, "InvalidParameter", {"parameter": "all"}),
    ("/v1/why", {"all": [True, False]}, 400, "InvalidParameter", {"parameter": "all"}),
    ("/v1/logs", {}, 400, "InvalidParameter", {"parameter": "programs"}),
    ("/v1/logs", {"programs": ["echo"], "stream": "stdin"}, 400, "InvalidParameter", {"parameter": "stream"}),
    ("/v1/logs", {"programs": ["nobody"]}, 404, "NoSuchProgram", {"name": "nobody"}),
    ("/v1/why", {"programs": ["echo:99"]}, 404, "NoSuchWorker", {"name": "echo:99"}),
    ("/v1/reload", {"wait": "yes"}, 400, "InvalidParameter", {"parameter": "wait"}),
    ("/v1/stop", {}, 400, "InvalidParameter", {"parameter": "programs"}),
    ("/v1/stop", {"programs": [1]}, 400, "InvalidParameter", {"parameter": "programs"}),
    ("/v1/stop", {"programs": "echo"}, 400, "InvalidParameter", {"parameter": "programs"}),
    ("/v1/stop", {"programs": ["nobody"]}, 404, "NoSuchProgram", {"name": "nobody"}),
    ("/v1/restart", {"programs": ["echo:99"]}, 404, "NoSuchWorker", {"name": "echo:99"}),
    ("/v1/scale", {"program": "echo", "workers": 0}, 409, "Failed", None),
    ("/v1/scale", {"program": "echo"}, 400, "InvalidParameter", {"parameter": "workers"}),
    ("/v1/send", {"programs": ["echo"]}, 400, "InvalidParameter", {"parameter": "message"}),
    ("/v1/send", {"programs": ["echo"], "message": "graceful_shutdown"}, 409, "Failed", None),
]


def check_problem(api, path, answer, status, name, members=None):
    assert answer[0] == status, answer
    problem = api.document.check_answer(path, api.verb(path), status, answer[1]["Content-Type"], answer[2])
    assert answer[1]["Content-Type"] == PROBLEM
    assert (problem["type"], problem["status"]) == (TYPES + name if name else "about:blank", status)
    assert problem["title"]
    if name:
        assert problem["detail"]
        api.document.validate(problem, name)
    own = {key: value for key, value in problem.items() if key not in ("type", "title", "status", "detail")}
    assert members in (None, own), problem
    return problem


@pytest.mark.parametrize("headers", [{}, STREAM], ids=["answer", "stream"])
def test_errors(api, headers):
    """Also of a stream: what is refused before it begins has a status."""
    for path, parameters, status, name, members in WRONG:
        check_problem(api, path, api.send(path, parameters, headers), status, name, members)
    assert api.call("/v1/version", {})


def test_who_may_not(served):
    """What is refused before a method is looked at is as described, too."""
    right = {"Authorization": "Basic " + base64.b64encode(b"admin:secret").decode()}
    api = served({"username": "admin", "password": "secret"}, right)
    assert api.call("/v1/version", {})
    check_problem(api, "/v1/version", api.request("GET", "/v1/version", headers={"Authorization": ""}), 401, None, {})
    answer = api.request("POST", "/v1/reload", headers={"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"})
    check_problem(api, "/v1/reload", answer, 403, None, {})


def test_another_name(api):
    """As a page would use that has its name lead to us."""
    check_problem(api, "/v1/version", api.request("GET", "/v1/version", headers={"Host": "elsewhere.example"}), 421, None, {})


UNSERVED = [
    ("/v1/nonsense", 404, "about:blank"),
    ("/v1/connect", 404, "about:blank"),
    ("/v1/Status", 404, "about:blank"),
    ("/v1/status/", 404, "about:blank"),
    ("/v1/", 404, "about:blank"),
    ("/v1/get-info", 404, "about:blank"),
    ("/v1/signal", 403, TYPES + "PermissionDenied"),
    ("/v1/attach", 403, TYPES + "PermissionDenied"),
    ("/v1/upgrade", 501, TYPES + "NotInThisVersion"),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_served(api, method):
    for path, status, kind in UNSERVED:
        answer = api.request(method, path)
        problem = json.loads(answer[2])
        assert (answer[0], answer[1]["Content-Type"], problem["type"]) == (status, PROBLEM, kind), path


def test_verbs(api):
    for path, method, _ in api.document.operations():
        if not path.startswith("/v1/") or path == "/v1/openapi.json":
            continue
        other = {"get": "POST", "post": "GET"}[method]
        answer = api.request(other, path)
        assert (answer[0], answer[1]["Allow"]) == (405, {"get": "GET, HEAD", "post": "POST"}[method]), path
        assert api.request("DELETE", path)[0] == 405
    status, headers, body = api.request("HEAD", "/v1/version")
    assert (status, headers["Content-Type"], body) == (200, "application/json", b"")
    assert int(headers["Content-Length"]) == len(api.request("GET", "/v1/version")[2])


def test_bodies(api):
    path = "/v1/reload"
    good = [(None, {}), ("", JSON), ("{}", JSON), ('{"wait":false}', {"Content-Type": "Application/JSON; charset=utf-8"})]
    for body, headers in good:
        assert api.request("POST", path, body=body, headers=headers)[0] == 200, body
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers in [("wait=false", form), ("", form), ("{}", {"Content-Type": "text/plain"}), ("{}", {}), ("{}", {"Content-Type": ""})]:
        check_problem(api, path, api.request("POST", path, body=body, headers=headers), 415, None, {})
    for body in ["{", "[]", "1", '{"wait":false,"wait":true}', "{} {}", b"\xff\xfe", b"\x00", '{"a":"\x01"}', "[" * 60000]:
        check_problem(api, path, api.request("POST", path, body=body, headers=JSON), 400, None, {})
    check_problem(api, path, api.request("POST", path, body='{"programs":["' + "a" * 65536 + '"]}', headers=JSON), 413, None)
    check_problem(api, path, api.request("POST", path, {"wait": False}), 400, "InvalidParameter", {"parameter": "wait"})
    # Not too large for HTTP, but for a call that it is a part of.
    body = '{"programs":["echo"],"message":""}'.replace('""', '"' + "a" * (65536 - 34) + '"')
    check_problem(api, "/v1/send", api.request("POST", "/v1/send", body=body, headers=JSON), 413, "TooLarge", {})


def test_queries(api):
    assert api.request("GET", "/v1/logs?programs=echo%3A0&programs=echo%3a1")[0] == 200
    for query, parameter in [("%ff=1", "?"), ("all=%ff", "all"), ("all", "all"), ("all=1", "all"), ("programs[]=echo", "programs[]"), ("=", "")]:
        check_problem(api, "/v1/why", api.request("GET", f"/v1/why?{query}"), 400, "InvalidParameter", {"parameter": parameter})
    answer = api.request("GET", "/v1/why?programs=%3Cscript%3E")
    assert check_problem(api, "/v1/why", answer, 404, "NoSuchProgram")["name"] == "<script>"


def test_nothing_but_a_stream(api):
    answer = api.request("GET", "/v1/subscribe", headers={"Accept": "application/json"})
    check_problem(api, "/v1/subscribe", answer, 406, None, {})


def test_a_reload_that_does_not_commit_is_an_answer(api):
    api.master.config["programs"]["echo"]["command"] = ["/nonexistent/command"]
    api.master.write()
    result = api.call("/v1/reload", {})
    assert result["result"] in ("rolled_back", "refused") and result["reason"]
    assert api.call("/v1/check-config", {})["result"] in ("refused", "would_commit")


# --- streams

def check_events(api, path, told):
    name = api.document.json["paths"][path][api.verb(path).lower()]["operationId"]
    for event, data in told:
        assert event == "reply", (event, data)
        api.document.validate(data, f"{name}Reply")


@pytest.mark.sanitized
@pytest.mark.parametrize("path", STREAMS)
def test_streams(api, path):
    with api.stream(path, STREAMS[path]) as stream:
        told = [next(stream)]
        if path in GO_ON:
            api.master.expect_reload("committed")
            while path == "/v1/subscribe" and "ended" not in str(told[-1]):
                told.append(next(stream))
        else:
            told += stream
            assert told.pop() == ("end", {}) and len(told) > 1
        check_events(api, path, told)


def test_as_many_streams_as_there_may_be(api):
    """One more is told so. It has a place again when another one has left."""
    with contextlib.ExitStack() as stack:
        for _ in range(48):
            next(stack.enter_context(api.stream("/v1/subscribe", {})))
        answer = api.send("/v1/subscribe", {}, STREAM)
        check_problem(api, "/v1/subscribe", answer, 429, "TooManyCalls", {})
        assert answer[1]["Retry-After"]
        api.call("/v1/reload", {})
        stack.pop_all().close()

        def is_served():
            """The gateway hears of each end by itself; until then it may say again that there are too many."""
            connection, response = api.open("GET", "/v1/subscribe", None, None, STREAM)
            with contextlib.closing(connection):
                assert response.status in (200, 429), response.read()
                return response.status == 200 and next(events(response))[0] == "reply"
        proc.wait_until(is_served, "a stream has a place again")


def test_lines(served, directory):
    """What workers print, as it is printed."""
    mark = directory / "mark"
    api = served(stdout=str(directory / "out"), command=["sh", "-c", f'while ! [ -e {mark} ]; do sleep 0.05; done; echo "here: ü"; exec sleep 1000'],
                 sockets=[], start_seconds="50ms", workers=1)
    with api.stream("/v1/logs", {"programs": ["echo"]}) as stream:
        told = [next(stream)]
        mark.touch()
        told.append(next(stream))
        check_events(api, "/v1/logs", told)
        assert told[1][1]["lines"]["text"] == "here: ü\n"


