"""The house's rules that a machine can check, but for its includes, which tests/unit/check-includes.py looks at."""
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TOP / "src"


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
