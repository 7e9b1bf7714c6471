"""Who is served by the HTTP gateway: on each of its paths, with each kind of password, and for pages of other sites. Truth are workers that were
replaced, or not."""
import base64
import crypt
import hashlib
import json
import select
import socket

import pytest

from harness import configs, proc
from harness.changes import ports
from harness.gateway import Gateway
from harness.hostile import ask, ask_all, basic

USER, PASSWORD = "admin", "s\u00e4sam: \u00f6ffne dich"
RIGHT = basic(USER, PASSWORD)
WRONG = basic(USER, PASSWORD + "!")
PUBLIC = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture
def served(master):
    """served(section): two workers and a gateway in front of them; .http is its port."""
    def start(**section):
        echo, http = ports(2)
        config = configs.echo(f"127.0.0.1:{echo}", workers=2)
        one = master({**config, "gateway": {"listen": f"127.0.0.1:{http}", **section}})
        one.echo, one.http = echo, http
        one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
        return one
    return start


def with_password(**section):
    return {"username": USER, "password": PASSWORD, **section}


def paths(one):
    """All that there are, as (method, path): of the plain ones and of /v1, and of the page."""
    plain = json.loads(ask(one.http, "/help", RIGHT)[2])["result"]
    described = json.loads(ask(one.http, "/v1/openapi.json", RIGHT)[2])["paths"]
    found = {("GET", path) for path in plain}
    found |= {("POST", path) for path in ("/reload", "/restart", "/quit")}
    found |= {(method.upper(), path.replace("{", "").replace("}", "")) for path, item in described.items()
              for method in item if method in ("get", "post")}
    return sorted(found | {("GET", "/")})


# --- credentials

NOT_RIGHT = {
    "missing": {},
    "wrong password": WRONG,
    "wrong user": basic("root", PASSWORD),
    "no password": basic(USER, ""),
    "both empty": basic("", ""),
    "garbage": {"Authorization": "Basic \x01\xff=="},
    "another scheme": {"Authorization": "Bearer " + RIGHT["Authorization"][6:]},
}


@pytest.mark.sanitized
def test_not_right_on_each_path(served):
    one = served(**with_password())
    before = one.pids()
    asked = [(kind, method, path) for kind in NOT_RIGHT for method, path in paths(one)]
    assert len(asked) > 7 * 30, "where have all the paths gone?"
    # Each from an address of its own: an address that fails again and again would wait longer each time.
    sources = [f"127.0.{1 + i // 250}.{1 + i % 250}" for i in range(len(asked))]
    answers = ask_all(one.http, [((path, NOT_RIGHT[kind], method), {"source": source}) for (kind, method, path), source in zip(asked, sources)])
    for (kind, method, path), (status, headers, body) in zip(asked, answers):
        known = path != "/" or status != 404
        assert status == 401 or not known, f"{kind}: {method} {path}: {status} {body}"
        assert not known or headers["WWW-Authenticate"].startswith("Basic "), f"{kind}: {method} {path}"
    assert answers[asked.index(("missing", "GET", "/stats"))][2] == b'{"error":"unauthorized"}'
    assert one.pids() == before and one.generation() == 1
    assert ask(one.http, "/stats", RIGHT)[0] == 200


@pytest.mark.sanitized
@pytest.mark.key("gateway.public")
def test_public_paths_to_all(served):
    one = served(**with_password(public=["healthz", "metrics"]))
    for headers in NOT_RIGHT.values():
        assert ask(one.http, "/healthz", headers)[0] == 200
        assert ask(one.http, "/metrics", {**headers, "Host": "pod.example"})[0] == 200
    assert ask(one.http, "/readyz")[0] == 401 and ask(one.http, "/healthz/")[0] in (401, 404)


def digest(prefix, algorithm, salt=b""):
    return "{%s}" % prefix + base64.b64encode(algorithm(PASSWORD.encode() + salt).digest() + salt).decode()


PASSWORDS = {
    "plain": PASSWORD,
    "SHA": digest("SHA", hashlib.sha1),
    "SHA in hex": "{SHA}" + hashlib.sha1(PASSWORD.encode()).hexdigest(),
    "SSHA": digest("SSHA", hashlib.sha1, b"salt"),
    "SHA256": digest("SHA256", hashlib.sha256),
    "SSHA256": digest("SSHA256", hashlib.sha256, b"pepper"),
    "yescrypt": crypt.crypt(PASSWORD, "$y$j9T$saltsaltsaltsaltsalt1."),
    "SHA-512": crypt.crypt(PASSWORD, "$6$rounds=2000$salt"),
    "SHA-256": crypt.crypt(PASSWORD, "$5$salt"),
    "bcrypt": crypt.crypt(PASSWORD, "$2b$05$" + "abcdefghijklmnopqrstuu"),
    "MD5": crypt.crypt(PASSWORD, "$1$salt"),
}


@pytest.fixture
def alone(directory):
    """alone(**options): a gateway by itself."""
    started = []

    def start(**options):
        started.append(Gateway(directory, **options))
        return started[-1]
    yield start
    for one in started:
        one.close()


@pytest.mark.sanitized
@pytest.mark.parametrize("kind, end", [*((kind, "") for kind in PASSWORDS), ("plain", "\n"), ("plain", "\r\n"), ("yescrypt", "\n")])
def test_each_kind_of_password(alone, kind, end):
    """Each failure comes from another address, so that none waits long."""
    one = alone(username=USER, password=PASSWORDS[kind] + end)
    sources = (f"127.0.3.{number}" for number in range(1, 100))

    def statuses(*asked):
        return {status for status, _, _ in ask_all(one.address[1], [(("/help", headers), {"source": next(sources)}) for headers in asked])}

    not_right = [WRONG, basic("root", PASSWORD), *([] if kind == "plain" else [basic(USER, PASSWORDS[kind])])]
    for _ in range(2):  # it is remembered the second time
        assert statuses(*not_right) == {401}
        assert statuses(RIGHT) == {200}
    assert statuses(*not_right) == {401}
    one.stop()


@pytest.mark.sanitized
@pytest.mark.parametrize("text, why", [
    ("", "empty"), ("\n", "empty"), ("one\ntwo\n", "more than one line"), ("$x$y", "crypt"), ("$6$salt$short", "crypt"),
    ("$apr1$salt$Y8.5bTvuNzHEzZ0Kh9Y8a/", "crypt"), ("{MD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==", "{SHA}"), ("{SHA}x", "base64"), ("x" * 1025, "1024"),
], ids=range(9))
def test_password_that_is_none(alone, text, why):
    """The gateway does not serve at all, and says why."""
    one = alone(tell=False)
    one.tell(USER, text)
    assert one.process.wait(20) != 0
    log = one.log.read_text()
    assert "password" in log and why in log
    assert len(text) < 5 or text not in log


def test_others_serve_without_a_gateway(master):
    """One whose password is of an unknown kind is no reason for anything else not to start."""
    echo, http = ports(2)
    one = master({**configs.echo(f"127.0.0.1:{echo}", workers=2), "gateway": {"listen": f"127.0.0.1:{http}", **with_password(password="$x$")}})
    one.wait_line("no kind that crypt")
    assert len(one.pids("echo")) == 2
    one.config["gateway"]["password"] = PASSWORD
    one.write()
    one.expect_reload("committed")
    one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    assert ask(http, "/stats", RIGHT)[0] == 200


# --- delays

def send(port, path, headers, source="127.0.0.1"):
    """A request whose answer is not waited for."""
    client = socket.create_connection(("127.0.0.1", port), 30, (source, 0))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    return client


def has_answer(client):
    return bool(select.select([client], [], [], 0)[0])


@pytest.mark.sanitized
def test_failures_wait_and_nobody_else(served):
    """Nine failures of one address: the last ones wait for seconds. Meanwhile right ones of the same address are served, and whoever fails
    for the first time elsewhere waits for less."""
    one = served(**with_password(public=["healthz"]))
    failing = [send(one.http, "/stats", WRONG) for _ in range(9)]
    try:
        assert ask(one.http, "/stats", RIGHT)[0] == 200
        assert ask(one.http, "/healthz")[0] == 200
        assert ask(one.http, "/stats")[0] == 401
        assert ask(one.http, "/stats", WRONG, source="127.0.0.2")[0] == 401
        assert not all(has_answer(client) for client in failing), "they did not wait"
        for client in failing:
            assert client.recv(12) == b"HTTP/1.1 401"
    finally:
        for client in failing:
            client.close()


@pytest.mark.sanitized
def test_failures_that_leave(served):
    """Who does not wait for his answer is forgotten, and what he failed with is not."""
    one = served(**with_password())
    (pid,) = [worker["pid"] for slot in one.status()["gateway"]["program"]["slots"] for worker in slot["workers"]]
    before = len(proc.fds(pid))
    for _ in range(20):
        send(one.http, "/stats", WRONG).close()
    last = send(one.http, "/stats", WRONG)
    assert ask(one.http, "/stats", RIGHT)[0] == 200
    assert not has_answer(last)
    last.close()
    proc.wait_until(lambda: len(proc.fds(pid)) <= before, "the gateway has none of these connections any more")


@pytest.mark.sanitized
def test_guessing_from_many_addresses(served):
    """A hash that is costly, and two hundred that guess at once: everything else is served meanwhile, and in the end who is right, who then has
    to wait for nobody."""
    hashed = crypt.crypt(PASSWORD, "$2b$08$" + "abcdefghijklmnopqrstuu")
    one = served(username=USER, password=hashed, public=["healthz"])
    guesses = [send(one.http, "/help", basic(USER, f"guess{i}"), f"127.0.1.{i + 1}") for i in range(200)]
    try:
        assert ask(one.http, "/healthz")[0] == 200 and ask(one.http, "/help")[0] == 401
        assert not all(has_answer(client) for client in guesses)
        statuses = [ask(one.http, "/help", RIGHT)[0]]
        while statuses[-1] == 503:  # busy
            statuses.append(ask(one.http, "/help", RIGHT)[0])
        assert statuses[-1] == 200
        more = [send(one.http, "/help", basic(USER, f"more{i}"), f"127.0.2.{i + 1}") for i in range(50)]
        guesses += more
        assert ask(one.http, "/help", RIGHT)[0] == 200
        assert not all(has_answer(client) for client in more)
        answers = [client.recv(12) for client in guesses]
        assert set(answers) <= {b"HTTP/1.1 401", b"HTTP/1.1 503"}
    finally:
        for client in guesses:
            client.close()


# --- pages of other sites

OTHER_SITES = {
    "cross-site": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "a link": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
    "same-site": {"Sec-Fetch-Site": "same-site"},
    "old browser": {"Origin": "http://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "sandbox": {"Origin": "null"},
}
FORMS = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]


@pytest.mark.sanitized
@pytest.mark.parametrize("section", [with_password(), {}], ids=["username", "none"])
def test_other_sites(served, section):
    """A browser adds the credentials by itself; what acts is refused all the same, by GET and by forms."""
    one = served(**section)
    before = one.pids()
    credentials = RIGHT if section else {}
    for name, headers in OTHER_SITES.items():
        for path in ("/reload", "/restart", "/quit", "/reload?wait=1", "/v1/Reload"):
            if not path.startswith("/v1"):
                status, _, body = ask(one.http, path, {**credentials, **headers})
                assert status == 403 and b"site" in body, f"{name}: GET {path}: {status} {body}"
            for form in FORMS:
                status, _, body = ask(one.http, path, {**credentials, **headers, "Content-Type": form}, "POST", body=b"x=1")
                assert status == 403, f"{name}: POST {path}: {status} {body}"
        assert ask(one.http, "/stats", {**credentials, **headers})[0] == 200
        assert ask(one.http, "/v1/status", {**credentials, **headers})[0] == 200
    assert one.pids() == before and one.generation() == 1


@pytest.mark.sanitized
def test_own_page(served):
    one = served(**with_password())
    own = f"http://127.0.0.1:{one.http}"
    for number, headers in enumerate([
            {"Sec-Fetch-Site": "same-origin", "Origin": own}, {"Sec-Fetch-Site": "none"}, {"Origin": own}, {},
            {"Host": "ops.example", "Origin": "https://ops.example"}], 2):
        status, _, body = ask(one.http, "/reload?wait=1", {**RIGHT, **headers}, "POST")
        assert status == 200, f"{headers}: {status} {body}"
        assert one.generation("echo") == number


# --- names that are led to us (DNS rebinding)

def hosts_served(one, headers=None, path="/stats"):
    return [host for host in ("127.0.0.1", f"localhost:{one.http}", "[::1]:80", "10.1.2.3", "evil.example", f"evil.example:{one.http}",
                              "127.0.0.1.evil.example", "localhost.evil.example", "evil")
            if ask(one.http, path, {**(headers or {}), "Host": host})[0] == 200]


@pytest.mark.sanitized
def test_rebound_names(served):
    one = served(public=["healthz"])
    assert hosts_served(one) == ["127.0.0.1", f"localhost:{one.http}", "[::1]:80", "10.1.2.3"]
    rebound = f"evil.example:{one.http}"
    same = {"Host": rebound, "Origin": f"http://{rebound}", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/stats"), ("GET", "/reload"), ("POST", "/reload"), ("POST", "/quit"), ("GET", "/events"), ("GET", "/v1/Status")):
        status, _, body = ask(one.http, path, same, method)
        assert status == 421, f"{method} {path}: {status} {body}"
    assert ask(one.http, "/healthz", same)[0] == 200
    assert one.generation() == 1


@pytest.mark.sanitized
def test_any_name_with_credentials(served):
    one = served(**with_password())
    assert len(hosts_served(one, RIGHT)) == 9
    assert hosts_served(one) == []


@pytest.mark.sanitized
def test_public_paths_alone(master):
    """An address that others reach, and no username."""
    echo, http = ports(2)
    one = master({**configs.echo(f"127.0.0.1:{echo}", workers=2), "gateway": {"listen": f"0.0.0.0:{http}", "public": ["healthz"]}})
    one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    assert ask(http, "/healthz", {"Host": "pod.example"})[0] == 200
    for path in ("/stats", "/reload", "/metrics", "/events", "/v1/Status"):
        assert ask(http, path)[0] == 403, path
    assert one.generation() == 1
