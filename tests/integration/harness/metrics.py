"""/metrics, read as Prometheus reads it: by the strict parser of its own Python client."""
import http.client
import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
# As Prometheus 2.42 asks.
ACCEPT = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


class Scrape:
    """One look: families as the parser has them; in brackets a sample's value, by its name and labels."""

    def __init__(self, text, parse=parse_openmetrics):
        self.text = text
        self.families = list(parse(text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"twice: {sample}"
                self.samples[key] = sample.value

    def __getitem__(self, name):
        """The value of the one sample of that name without labels."""
        return self.get(name)

    def get(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def all(self, name, **labels):
        """[(labels, value)] of samples that have these labels among theirs."""
        return [(dict(have), value) for (sample, have), value in self.samples.items() if sample == name and labels.items() <= dict(have).items()]

    def names(self):
        return {name for name, _ in self.samples}

    def counters(self):
        """What must never go back."""
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("_count", "_sum")}
        return {(sample.name, frozenset(sample.labels.items())): sample.value for family in self.families
                for sample in family.samples if sample.name.endswith(ends.get(family.type, ())) and ends.get(family.type)}


def fetch(port, accept=ACCEPT, method="GET", seconds=20):
    """(status, content type, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, "/metrics", headers={"Accept": accept} if accept else {})
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read().decode()
    finally:
        connection.close()


def scrape(port):
    status, kind, body = fetch(port)
    assert (status, kind) == (200, OPENMETRICS)
    return Scrape(body)


def promtool(*words, text=None):
    """What it complains about; "" is nothing."""
    done = subprocess.run(["promtool", *map(str, words)], input=text, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""
