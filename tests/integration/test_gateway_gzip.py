"""The gateway's answers as gzip: to whom, which, and that they are the same."""
import gzip
import json

import pytest

from harness import gateway as alone
from harness.changes import ports
from harness.hostile import ask, ask_all

pytestmark = pytest.mark.skipif(not alone.IS_BUILT, reason="built without the gateway")

GZIP = {"Accept-Encoding": "gzip, deflate"}


@pytest.fixture
def served(master):
    """Forty programs that nobody has started: enough to be told for a kilobyte and more, and nothing of it changes."""
    (port,) = ports(1)
    programs = {f"p{number}": {"command": ["sleep", "infinity"], "autostart": False} for number in range(40)}
    one = master({"programs": programs, "gateway": {"listen": f"127.0.0.1:{port}"}}, ready=False)
    one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
    return port


def families(text):
    return [line for line in text.decode().splitlines() if line.startswith("# TYPE ")]


@pytest.mark.sanitized
@pytest.mark.parametrize("path, whole", [("/metrics", families), ("/v1/status", lambda text: json.loads(text)["programs"]), ("/v1/openapi.json", json.loads)])
def test_to_whom_it_is_sent(served, path, whole):
    status, headers, text = ask(served, path)
    assert status == 200 and headers["Content-Encoding"] is None and headers["Vary"] == "Accept-Encoding"
    for accept in "gzip", "deflate, gzip;q=0.5":
        status, headers, packed = ask(served, path, {"Accept-Encoding": accept})
        assert status == 200 and headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept-Encoding"
        assert int(headers["Content-Length"]) == len(packed) < len(text) / 2
        assert whole(gzip.decompress(packed)) == whole(text)
    for accept in "identity", "gzip;q=0, *", "br":
        status, headers, text = ask(served, path, {"Accept-Encoding": accept})
        assert status == 200 and headers["Content-Encoding"] is None and whole(text)


def test_head(served):
    """The same head, without the body."""
    status, headers, body = ask(served, "/v1/openapi.json", GZIP, method="HEAD")
    assert (status, headers["Content-Encoding"], body) == (200, "gzip", b"")
    assert headers["Content-Length"] == ask(served, "/v1/openapi.json", GZIP)[1]["Content-Length"]


def test_what_is_not_packed(served):
    """What is small, what has a tag of its bytes, and a stream."""
    for path in "/healthz", "/nothing", "/", "/page/style.css":
        _, headers, body = ask(served, path, GZIP)
        assert body and headers["Content-Encoding"] is None
    _, headers, _ = ask(served, "/page/style.css", GZIP)
    assert headers["ETag"] and headers["Vary"] == "Authorization"


def test_many_share_one(served):
    """Whoever asks at the same time gets the same, each in the way that it accepts."""
    answers = ask_all(served, [(("/metrics", GZIP if number % 2 else {}), {}) for number in range(64)])
    texts = [gzip.decompress(body) if headers["Content-Encoding"] else body for _, headers, body in answers]
    assert {families(text)[0] for text in texts} == {families(texts[0])[0]}
    assert sum(bool(headers["Content-Encoding"]) for _, headers, _ in answers) == 32
