"""The Grafana dashboard, the scrape configuration and the alerts of packaging/, against what /metrics tells and by Prometheus' own tools."""
import json
import re
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from harness import TOP, gateway, proc
from harness.changes import ports
from harness.manual import Page, entries
from harness.metrics import Scrape, promtool

PACKAGING = TOP / "packaging"
DASHBOARD = json.loads((PACKAGING / "grafana" / "reloader.json").read_text())
ALERTS = PACKAGING / "prometheus" / "prometheus-alerts.yml"
# Of a master that has everything; test_gateway_metrics.py and the unit tests compare it with the real one.
SAMPLE = Scrape((TOP / "tests" / "unit" / "metrics" / "openmetrics.txt").read_text())
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$instance": "host:9999", "$program": "web"}
DOCUMENTED_BY_FAMILY = re.compile(r"_(?:bucket|count|sum)$")


def expressions():
    """[(where, PromQL)] of all panels, the annotations, and the variables' queries."""
    found = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    found += [(entry["name"], entry["expr"]) for entry in DASHBOARD["annotations"]["list"]]
    for entry in DASHBOARD["templating"]["list"]:
        if entry["type"] == "query":
            found.append((entry["name"], re.fullmatch(r"label_values\((.*), \w+\)", entry["definition"]).group(1)))
    return found


def filled(expression, **variables):
    for name, value in {**VARIABLES, **variables}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def metrics_of(expression):
    return set(re.findall(r"\breloader_\w+", re.sub(r'"[^"]*"', "", expression)))


def labels_of(expression):
    """{metric: labels that are asked for}"""
    return {name: set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)) for name, selector in re.findall(r"(reloader_\w+)\{([^}]*)\}", expression)}


def test_dashboard_is_whole():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and DASHBOARD["schemaVersion"] >= 36
    covered = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & covered and place["x"] + place["w"] <= 24, f"{panel['title']} lies upon another"
        covered |= cells
        if panel["type"] != "row":
            assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}"
    assert [entry["name"] for entry in DASHBOARD["templating"]["list"]] == ["datasource", "instance", "program"]
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [
        "Overview", "Reloads", "Workers", "CPU and memory", "Accept queues, drops and output", "The master's event loop"]


def test_dashboard_is_valid_promql(directory):
    rules = [{"record": f"test:{number}", "expr": filled(expression)} for number, (_, expression) in enumerate(expressions())]
    assert len(rules) > 30
    path = directory / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert promtool("check", "rules", path) == ""


@pytest.mark.parametrize("where, expression", [
    *expressions(), *((rule["alert"], rule["expr"]) for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"])])
def test_metrics_exist(where, expression):
    """With the labels they are asked for; `instance` and `job` are Prometheus' own."""
    assert metrics_of(expression) <= SAMPLE.names(), where
    for name, labels in labels_of(expression).items():
        known = {label for have, _ in SAMPLE.all(name) for label in have}
        assert labels - {"instance", "job"} <= known, where


def test_dashboard_shows_everything():
    """But for what explains others."""
    shown = {name for _, expression in expressions() for name in metrics_of(expression)}
    left = {"reloader_info", "reloader_master_state", "reloader_stray_processes", "reloader_worker_info", "reloader_loop_delay_seconds_count",
            "reloader_loop_delay_seconds_sum", "reloader_program_output_dropped_lines_total"}
    assert SAMPLE.names() - shown == left


def test_prometheus_takes_the_files(directory):
    for name in ("prometheus.yml", "prometheus-alerts.yml"):
        (directory / name).write_text((PACKAGING / "prometheus" / name).read_text())
    assert promtool("check", "config", directory / "prometheus.yml") == ""


def test_the_manual_names_each():
    """reloader-gateway(8); of histograms and summaries the family."""
    told = {name for head, _ in entries(Page("reloader-gateway.8").section("METRICS")) for name in re.findall(r"reloader_\w+", head)}
    assert told == {DOCUMENTED_BY_FAMILY.sub("", name) for name in SAMPLE.names()}


class Prometheus:
    """The real one, which scrapes a gateway each second by our own configuration."""

    def __init__(self, directory, target, credentials):
        text = (PACKAGING / "prometheus" / "prometheus.yml").read_text()
        username, password = credentials
        (directory / "reloader.password").write_text(password)
        for old, new in (("localhost:9999", target), ("    # basic_auth: {username: admin,", f"    basic_auth: {{username: {username},"),
                         ("/etc/prometheus/reloader.password", str(directory / "reloader.password"))):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (directory / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{text}")
        (directory / "prometheus-alerts.yml").write_text(ALERTS.read_text())
        (self.port,) = ports(1)
        with open(directory / "prometheus.log", "ab") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_ready(self):
        """It listens before it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=20):
                return True
        except OSError:
            return False

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as reply:
            answer = json.load(reply)
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression):
        """Of the one series there is, or None."""
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.mark.slow
@pytest.mark.skipif(not gateway.IS_BUILT, reason="built without the gateway")
def test_prometheus_scrapes_it(master, directory):
    """Each expression of the dashboard is answered, those of what there always is with series; and an alert fires that should."""
    port, web, datagrams = ports(3)
    one = master({"gateway": {"listen": f"127.0.0.1:{port}", "username": "admin", "password": "open sesame"},
                  "sockets": {"web": {"listen": f"127.0.0.1:{web}"}, "dns": {"listen": f"udp:127.0.0.1:{datagrams}"}},
                  "programs": {"web": {"command": ["sleep", "infinity"], "start_seconds": "10ms", "sockets": ["web", "dns"], "workers": 2}}})
    prometheus = Prometheus(directory, f"127.0.0.1:{port}", ("admin", "open sesame"))
    try:
        proc.wait_until(prometheus.is_ready, "Prometheus is ready", seconds=60)
        proc.wait_until(lambda: prometheus.value("reloader_up"), "the first look", seconds=60)
        (target,) = prometheus.ask("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", ""), target
        one.path.write_text("nonsense")
        one.expect_reload("refused")
        proc.wait_until(lambda: prometheus.value('sum(increase(reloader_reloads_total{result="refused"}[1m]))'), "the reload is told", seconds=60)
        silent = [where for where, expression in expressions()
                  if not prometheus.ask("query", query=filled(expression, **{"$instance": ".*", "$program": ".*"}))["result"]]
        assert set(silent) <= {"Slots that are not ready", "Unhealthy workers"}, silent
        proc.wait_until(lambda: [alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]] == ["ReloaderReloadFailed"],
                        "the alert, and no other", seconds=60)
    finally:
        prometheus.stop()
