"""The Grafana dashboard, the scrape configuration and the alerts of packaging/, against what /metrics tells and by Prometheus' own tools."""
import json
import re

import pytest
import yaml

from harness import TOP
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


def filled(expression):
    for name, value in VARIABLES.items():
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
