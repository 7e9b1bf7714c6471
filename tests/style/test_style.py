"""The house's rules that a machine can check: includes run downwards, without circles; no leftovers in the sources."""
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TOP / "src"

# From the ground up: a file includes from its own folder and from those before it.
LAYERS = ["base", "config", "net", "process", "worker", "program", "master", "control", "reloader", "reloaderctl"]
# The public library: links nothing of the house but its ground floor, and nobody of the house includes it.
LIBRARY, LIBRARY_MAY = "client", {"client", "base"}


def includes(path):
    """The files of ours that a file includes, relative to src/."""
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)


def upward_includes(source):
    wrong = []
    for path in sorted(source.rglob("*.[ch]")):
        layer = path.relative_to(source).parts[0]
        for name in includes(path):
            other = name.split("/")[0] if "/" in name else layer
            if LIBRARY in (layer, other):
                allowed = layer == LIBRARY and other in LIBRARY_MAY
            else:
                allowed = LAYERS.index(other) <= LAYERS.index(layer)
            if not allowed:
                wrong.append(f"{path.relative_to(source)} includes {name}")
    return wrong


def circles(source):
    """Headers that include each other, directly or not."""
    graph = {}
    for path in source.rglob("*.h"):
        name = str(path.relative_to(source))
        graph[name] = [other if "/" in other else f"{name.split('/')[0]}/{other}" for other in includes(path)]
    found, done = [], set()

    def visit(name, trail):
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name):], name]))
        elif name not in done:
            for other in graph.get(name, []):
                visit(other, [*trail, name])
            done.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_every_folder_is_a_layer():
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    assert folders <= {*LAYERS, LIBRARY}


def test_includes_run_downwards():
    assert upward_includes(SOURCE) == []


def test_includes_have_no_circles():
    assert circles(SOURCE) == []


def test_the_checks_can_fail(tmp_path):
    for layer, name, text in (("base", "a.h", '#include "net/b.h"\n'), ("net", "b.h", '#include "base/a.h"\n'),
                              ("client", "c.c", '#include "base/a.h"\n#include "net/b.h"\n')):
        (tmp_path / layer).mkdir(exist_ok=True)
        (tmp_path / layer / name).write_text(text)
    assert upward_includes(tmp_path) == ["base/a.h includes net/b.h", "client/c.c includes net/b.h"]
    assert circles(tmp_path) in (["base/a.h -> net/b.h -> base/a.h"], ["net/b.h -> base/a.h -> net/b.h"])


def c_files(*folders):
    return [path for folder in folders for path in sorted((TOP / folder).rglob("*.[ch]"))]


PRODUCT = ("src", "examples", "bench")
EVERYTHING = (*PRODUCT, "tests")


@pytest.mark.parametrize("folders,pattern,what", [
    (EVERYTHING, r"\b(TODO|FIXME|XXX|HACK)\b", "an unfinished thought"),
    (EVERYTHING, r"\t", "a tab"),
    (EVERYTHING, r"[ \t]+$", "blanks at the end of a line"),
    (PRODUCT, r"\b(strcat|gets|system|popen|alloca)\s*\(", "a function without bounds or checks"),
    (EVERYTHING, r"^typedef\s+(struct|enum|union)\b", "a typedef-ed struct"),
], ids=["todo", "tab", "blanks", "unbounded", "typedef"])
def test_no_leftovers(folders, pattern, what):
    wrong = [f"{path.relative_to(TOP)}:{number}: {what}" for path in c_files(*folders)
             for number, line in enumerate(path.read_text().splitlines(), 1) if re.search(pattern, line)]
    assert wrong == []


def test_headers_carry_a_contract_and_a_guard():
    for path in sorted(SOURCE.rglob("*.h")):
        text = path.read_text()
        assert text.startswith("/*"), f"{path}: no comment at its head"
        assert "#pragma once" in text or re.search(r"^#ifndef \w+_H", text, re.MULTILINE), f"{path}: no guard"
