"""The gateway's page in a real browser: what it shows is compared with the truth, what its buttons do is looked at from outside."""
import contextlib
import http.client
import os
import re
import signal

import pytest
from selenium.webdriver.common.keys import Keys

from harness import configs, isolation, parallel, proc
from harness.browser import Browser
from harness.paths import BINARIES, TOP

pytestmark = pytest.mark.heavy

HOSTILE = "<img src=x onerror=\"window.owned=1\"><script>window.owned=1</script>&lt;b&gt;"
NEWER, SIGNS = ".strip .sign.newer", ".strip .sign"


@pytest.fixture(scope="module")
def chromium():
    """One for all tests, in a network of its own. At the end nothing may be left of it."""
    parallel.HEAVY_LOAD.take()
    network = isolation.Network()
    try:
        one = Browser()
    finally:
        network.leave()
    isolation.LASTING.add(one.driver_pid)
    yield one
    isolation.LASTING.remove(one.driver_pid)
    with beside(one):
        one.close()


def beside(browser):
    return isolation.network_of(browser.driver_pid) if os.geteuid() == 0 else contextlib.nullcontext()


@pytest.fixture(autouse=True)
def beside_the_browser(isolated, chromium):
    """All of a test is in the browser's network."""
    with beside(chromium):
        yield


@pytest.fixture
def browser(chromium):
    """browser(width, …) is as if it had just been started."""
    def renew(*arguments, **options):
        parallel.HEAVY_LOAD.take()
        chromium.renew(*arguments, **options)
        return chromium

    yield renew
    chromium.open("about:blank")


@pytest.fixture
def served(master, port):
    """A master with a gateway that is ready."""
    def start(config, ready=True, **section):
        config["gateway"] = {"listen": f"127.0.0.1:{port}", **section}
        one = master(config, ready=ready)
        one.address = f"http://127.0.0.1:{port}/"
        one.wait(lambda status: status["gateway"]["state"] == "READY", "the gateway is ready")
        return one
    return start


@pytest.fixture
def seen(served, browser):
    """A master with a gateway, and its page open."""
    def start(config, ready=True, width=1600, **options):
        parallel.HEAVY_LOAD.take()  # or the master would be as old as the turns of others are long
        one = served(config, ready, **options)
        return one, look(browser(width), one)
    return start


def look(page, one):
    page.open(one.address)
    page.wait(lambda: page.text("#link") == "live" and page.all(".program"), "the page shows the programs")
    return page


def gateway_pid(one):
    (worker,) = one.status()["gateway"]["program"]["slots"][0]["workers"]
    return worker["pid"]


def button(program, name):
    return f"article[aria-labelledby='program-{program}'] .program-head .{name}"


def card(page, program, part):
    return page.text(f"article[aria-labelledby='program-{program}'] {part}")


def open_gate(path):
    """Lets the recorder go on that waits at the FIFO."""
    with open(path, "wb"):
        pass


def test_reload_by_button_rolls_slot_by_slot(seen, directory):
    """The first of three is let through alone: one slot is new, the others are not; then all."""
    gates = [directory / f"gate.2.{slot}" for slot in range(3)]
    for gate in gates:
        os.mkfifo(gate)
    one, page = seen(configs.recorders(directory / "record", f"--gate={directory}/gate", workers=3, ready="message"), ready=False)
    before = one.wait_ready() and one.pids("rec")
    page.wait_text(".program .ready", "3 of 3")
    page.click("#do-check")
    page.wait_text("#tell", "rec its workers are replaced: 3 workers")
    page.click("#tell-close")
    page.click("#do-reload")
    page.wait_text("#reload", "canaries")
    assert page.all(NEWER) == []
    open_gate(gates[0])
    page.wait(lambda: len(page.all(NEWER)) == 1, "one slot is new")
    page.wait_text("#reload-by", "1 of 3 slots")
    assert page.one("#reload-bar").get_attribute("aria-valuenow") == "1"
    for gate in gates[1:]:
        open_gate(gate)
    page.wait_text("#reload", "committed")
    page.wait_text("#said", "Reload (reload 1): committed")
    page.wait_text("#history-list", "#1")
    assert "rolling" in page.text("#reload-phases")
    page.wait(lambda: len(page.all(SIGNS)) == 3 and not page.all(NEWER), "all are of the generation in force")
    after = one.pids("rec")
    assert len(after) == 3 and not set(before) & set(after)
    for pid in before:
        proc.wait_gone(pid)
    page.wait(lambda: [int(cell.text) for cell in page.all(".workers td.c-pid")] == after, "their pids are shown")
    assert page.complaints() == []


def test_stop_is_asked_for_and_start_is_not(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    pids = one.pids("rec")
    page.click(button("rec", "stop"))
    assert page.one("#ask").is_displayed() and page.focused() == "ask-no"
    assert "Stop rec?" in page.text("#ask")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.one("#ask").is_displayed(), "the question is gone")
    page.click(button("rec", "stop"))
    page.click("#ask-no")
    assert all(proc.is_running(pid) for pid in pids) and one.pids("rec") == pids
    page.click(button("rec", "stop"))
    page.click("#ask-yes")
    page.wait_text("#said", "Stop of rec: rec stopped")
    assert not any(proc.is_running(pid) for pid in pids)
    page.wait_text(".program-title .chip", "stopped")
    page.click(button("rec", "start"))
    page.wait_text("#said", "Start of rec: rec started")
    page.wait_text(".program .ready", "2 of 2")
    assert len(one.pids("rec")) == 2
    assert page.complaints() == []


def test_one_slot_is_restarted_stopped_and_started(seen, directory):
    one, page = seen(configs.recorders(directory / "record", "--ready"))
    first, second = one.pids("rec")
    page.click("button[aria-label='Restart rec/1']")
    page.wait_text("#said", "Restart of rec/1: rec:1 restarted")
    assert one.pids("rec")[0] == first and one.pids("rec")[1] != second
    page.click("button[aria-label='Stop rec/1']")
    assert "One other serves on" in page.text("#ask")
    page.click("#ask-yes")
    page.wait(lambda: page.all("button[aria-label='Start rec/1']"), "it can be started")
    assert one.pids("rec") == [first]
    page.click("button[aria-label='Start rec/1']")
    page.wait(lambda: page.all("button[aria-label='Stop rec/1']"), "it runs")
    one.wait_ready()
    assert page.complaints() == []


def test_scale(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    page.click(button("rec", "more"))
    page.wait_text(".program .wanted", "3")
    page.wait_text(".program .ready", "3 of 3")
    assert len(one.pids("rec")) == 3
    page.click(button("rec", "fewer"))
    assert "One worker less for rec?" in page.text("#ask")
    page.click("#ask-yes")
    page.wait_text(".program .ready", "2 of 2")
    one.wait(lambda status: len(one.workers("rec", status)) == 2, "two are left")
    page.wait(lambda: len(page.all(SIGNS)) == 2, "two slots are shown")
    assert page.complaints() == []


def test_reload_begun_elsewhere_moves_the_open_page(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    assert "No reload yet" in page.text("#reload")
    one.hup()
    page.wait_text("#reload", "Reload 1")
    page.wait_text("#reload", "committed")
    page.wait_text("#reload-by", f"SIGHUP of pid {os.getpid()}")
    page.wait_text("#event-lines", "1 ended: committed")
    page.wait(lambda: [int(cell.text) for cell in page.all(".workers td.c-pid")] == one.pids("rec"), "the new pids are shown")
    one.programs["rec"]["command"] = ["/nonexistent"]
    one.write()
    one.expect_reload("rolled_back")
    page.wait_text("#reload", "rolled back")
    page.wait_text("#reload-reason", "/nonexistent")
    page.wait_text("#history-list", "#2")
    assert page.complaints() == []


def test_broken_program_tells_why_and_is_restarted_only_if_meant(seen, directory):
    config = configs.recorders(directory / "record")
    config["programs"]["broken"] = {"command": ["sh", "-c", "exit 7"], "start_seconds": "1h",
                                    "backoff": {"initial": "50s", "max": "50s", "jitter": 0}}
    one, page = seen(config, ready=False)
    page.wait_text("article[aria-labelledby='program-broken'] .workers", "backoff")
    assert "exited with 7" in card(page, "broken", ".workers")
    assert re.search(r"next try in \d+ s", card(page, "broken", ".workers"))
    restarts = one.slots("broken")[0]["restarts"]
    page.click(button("broken", "restart"))
    assert "It is not ready" in page.text("#ask")
    page.click("#ask-no")
    assert one.slots("broken")[0]["restarts"] == restarts
    page.click(button("broken", "restart"))
    page.click("#ask-yes")
    page.wait_text("#failed", "Restart of broken")
    page.click("#failed .close")
    page.wait(lambda: not page.text("#failed"), "the message is closed")
    assert page.complaints() == []


def tab_round(page, most=200):
    """What Tab comes to, until it begins again."""
    stops = []
    for _ in range(most):
        page.press(Keys.TAB)
        stop = page.run("const a = document.activeElement; return a === document.body ? null : a.id || a.getAttribute('aria-label') || a.textContent")
        if stop is None or stop in stops:
            break
        stops.append(stop)
    return stops


def test_keyboard_alone(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    reached = set(tab_round(page))
    buttons = page.run("return [...document.querySelectorAll('button, select, input')].filter(b => !b.disabled && b.checkVisibility())"
                       ".map(b => b.id || b.getAttribute('aria-label') || b.textContent)")
    assert {"do-reload", "do-shutdown", "log-from", "Stop rec/1"} <= set(buttons)
    assert set(buttons) <= reached
    page.run("document.getElementById('do-undo').focus()")
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    page.press(Keys.TAB)
    assert page.run(outline) == "solid"
    page.press("?")
    page.wait_text("#tell", "Pause the log")
    for _ in range(5):
        page.press(Keys.TAB)
        assert page.run("return document.activeElement === document.body || document.getElementById('tell').contains(document.activeElement)")
    page.press("r")  # not while a dialog is open
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.one("#tell").is_displayed(), "the list is closed")
    assert page.focused() == "do-theme"
    assert (one.status().get("reload") or {}).get("id") in (None, 0)
    page.press("r")
    page.wait_text("#reload", "committed")
    page.press("/")
    page.press("nothing has this")
    assert page.focused() == "log-find"
    page.press(Keys.ESCAPE)
    page.press("j", Keys.ENTER)
    page.wait_text("#said", "Restart of rec")
    page.run("document.querySelector('button[aria-label=\"Stop rec/0\"]').focus()")
    page.press(Keys.ARROW_DOWN)
    assert page.focused("getAttribute('aria-label')") == "Stop rec/1"
    page.press(Keys.ENTER)
    page.wait(lambda: page.one("#ask").is_displayed(), "it asks")
    page.press(Keys.TAB, Keys.ENTER)
    page.wait(lambda: page.all("button[aria-label='Start rec/1']"), "it is stopped")
    assert page.complaints() == []


def test_colours_are_kept(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.prefer(dark=True)
    dark = page.run(ground)
    assert light != dark
    page.press("t")
    assert page.run(ground) == light and page.text("#theme-word") == "Light"
    look(page, one)
    assert page.run(ground) == light and page.text("#theme-word") == "Light"
    page.press("tt")
    assert page.run(ground) == dark and page.text("#theme-word") == "System"
    assert page.complaints() == []


def test_narrow_and_wide(seen, port):
    """64 workers, names of forty letters."""
    name = "a-program-whose-name-has-forty-letters-x"
    assert len(name) == 40
    config = configs.echo(f"127.0.0.1:{port + 1}", workers=64)
    config["programs"] = {name: {**config["programs"]["echo"], "worker_name": "%(program_name)s-%(process_num)s"}, "short": {"command": [BINARIES.tcp_echo], "sockets": ["echo"]}}
    one, page = seen(config, width=400)
    assert len(page.all(f"article[aria-labelledby='program-{name}'] .sign")) == 64
    for width in (400, 700, 1000, 1300, 2000):
        page.resize(width)
        for _ in ("folded", "unfolded"):
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.click(button(name, "fold"))
        assert page.run("return [...document.querySelectorAll('button')].filter(b => b.checkVisibility() && "
                        "(b.getBoundingClientRect().right > innerWidth || b.getBoundingClientRect().left < 0)).length") == 0
    page.click(button(name, "fold"))
    assert len(page.all(f"article[aria-labelledby='program-{name}'] tbody tr")) == 64
    assert [int(cell.text) for cell in page.all(f"article[aria-labelledby='program-{name}'] td.c-pid")] == one.pids(name)
    assert page.complaints() == []


def test_the_gateways_silence_and_death_are_shown_and_heal(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    pid = gateway_pid(one)
    os.kill(pid, signal.SIGSTOP)
    try:
        page.wait(lambda: page.one("#lost").is_displayed(), "the page tells that nobody answers")
        page.wait_text("#lost", "Gone for")
        assert page.run("return document.body.className") == "stale" and page.text("#link") == "no connection"
    finally:
        os.kill(pid, signal.SIGCONT)
    page.wait(lambda: not page.one("#lost").is_displayed() and page.text("#link") == "live", "it is well again", 40)
    one.hup()
    page.wait_text("#event-lines", "1 ended: committed", 40)
    os.kill(pid, signal.SIGKILL)
    one.hup()

    def is_another(status):
        workers = [worker["pid"] for slot in status["gateway"]["program"]["slots"] for worker in slot["workers"]]
        return status["gateway"]["state"] == "READY" and len(workers) == 1 and workers != [pid]
    one.wait(is_another, "there is another one", 40)
    page.wait_text("#event-lines", "2 ended: committed", 40)
    page.wait(lambda: not page.one("#lost").is_displayed() and "Reload 2" in page.text("#reload"), "it shows what is", 40)
    told = [line.text for line in page.all("#event-lines .line")]
    assert [sum(f"{number} ended: committed" in line for line in told) for number in (1, 2)] == [1, 1]
    assert page.complaints(cut=True) == []


def test_the_masters_end_is_shown(seen, directory):
    one, page = seen(configs.recorders(directory / "record"))
    page.click("#do-shutdown")
    assert "Shut down reloader?" in page.text("#ask")
    page.click("#ask-yes")
    one.wait_end()
    page.wait(lambda: page.one("#lost").is_displayed(), "the page tells that nobody answers")
    page.click(button("rec", "restart"))
    page.wait_text("#failed", "not now")
    assert page.complaints(cut=True) == []


def test_log_lines_come_and_hostile_text_stays_text(seen, directory):
    """What workers call themselves, say and print ends as text, wherever it is shown."""
    script = directory / "hostile.sh"
    script.write_text(f"""#!/bin/sh
echo '{{"cmd":"status","text":"unused"}}' >/dev/null
while :; do printf '%s \\033[31mred\\033[0m\\n' '{HOSTILE}'; sleep 0.1; done
""")
    script.chmod(0o755)
    config = {"programs": {"evil": {"command": [str(script)], "workers": 2, "stdout": "log", "start_seconds": "50ms",
                                    "worker_name": "<img/src=x/onerror=alert(1)>-%(process_num)s"},
                           "dies": {"command": ["sh", "-c", "exit 1"], "backoff": {"initial": "30s"}, "worker_name": "<script>alert(1)</script>"}}}
    one, page = seen(config, ready=False)
    page.wait_text("#log-lines", f"{HOSTILE} red")
    page.wait_text("#event-lines", "<script>alert(1)</script>")
    assert "<img/src=x/onerror=alert(1)>-0" in card(page, "evil", ".workers")
    page.click(button("evil", "restart"))
    page.wait_text("#said", "Restart of evil")
    assert page.run("return [document.images.length, document.scripts.length, window.owned]") == [1, 2, None]
    page.click("#log-pause")
    page.wait_text("#log-note", "Paused")
    lines = len(page.all("#log-lines .line"))
    page.wait(lambda: re.search(r"Paused: (\d+)", page.text("#log-note"))[1] > "2", "lines wait")
    assert len(page.all("#log-lines .line")) == lines
    page.click("#log-pause")
    page.wait(lambda: len(page.all("#log-lines .line")) > lines, "they are shown")
    page.one("#log-find").send_keys("is printed by nobody")
    page.wait(lambda: not any(line.is_displayed() for line in page.all("#log-lines .line")), "nothing matches")
    assert page.complaints() == []


def fetch(one, path, headers=None):
    connection = http.client.HTTPConnection(one.address.split("/")[2], timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


def test_files_as_they_are_in_the_tree(served, directory):
    """Each with its type, under a strict policy; one that the browser has is not sent again."""
    one = served(configs.recorders(directory / "record"))
    types = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
    files = [path for path in (TOP / "src" / "gateway" / "page").iterdir() if path.suffix in types]
    assert len(files) > 5
    for path in files:
        place = "/" if path.name == "index.html" else f"/page/{path.name}"
        status, headers, body = fetch(one, place)
        assert (status, headers["Content-Type"], body) == (200, types[path.suffix], path.read_bytes())
        policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
        assert policy == {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
                          "form-action": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'"}
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        assert fetch(one, place, {"If-None-Match": headers["ETag"]})[::2] == (304, b"")
        assert fetch(one, place, {"If-None-Match": '"another"'})[0] == 200
    for place in ("/page/", "/page/index.html", "/page/../../etc/passwd", "/page/nothing.js"):
        assert fetch(one, place)[0] == 404


def test_behind_a_password(served, browser, directory):
    """Name and password once, as the browser's own dialog would ask for them, and the page can all."""
    (directory / "password").write_text("open sesame\n")
    (directory / "password").chmod(0o600)
    one = served(configs.recorders(directory / "record"), username="admin", password_file=str(directory / "password"))
    one.address = one.address.replace("http://", "http://admin:open%20sesame@")
    page = look(browser(), one)
    page.click("#do-reload")
    page.wait_text("#reload", "committed")
    assert page.complaints() == []
