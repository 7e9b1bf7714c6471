"""What check-keys.py finds: it must be able to fail."""
import importlib.util
import pathlib

import pytest

SPEC = importlib.util.spec_from_file_location("check_keys", pathlib.Path(__file__).with_name("check-keys.py"))
check_keys = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_keys)

LIST = """at the top
  umask                of all programs; octal mode

programs.NAME
  nice                 19 is the most patient; number
"""
BOTH = '@pytest.mark.key("umask", "programs.NAME.nice")\n'


def errors(folder, *lines):
    (folder / "test_one.py").write_text("import pytest\n" + "\n".join(lines) + "\n")
    return check_keys.check(check_keys.listed_keys(LIST), folder)


def test_keys_are_listed():
    assert check_keys.listed_keys(LIST) == ["umask", "programs.NAME.nice"]
    assert check_keys.check([], pathlib.Path("/nonexistent")) == ["no keys are listed"]


@pytest.mark.parametrize("before", ["", "@pytest.mark.skipif(x, reason='y')\n", "@pytest.mark.root\n"])
def test_all_is_well(tmp_path, before):
    assert errors(tmp_path, before + BOTH + "def test_a(master):\n    if x: pytest.skip('y')") == []


@pytest.mark.parametrize("text,said", [
    ('@pytest.mark.key("umask")\ndef test_a(): pass', "programs.NAME.nice: no integration test"),
    (BOTH + 'def test_a(): pass\n@pytest.mark.key("umsk")\ndef test_b(): pass', "test_b: there is no key umsk"),
    (BOTH + "def see(): pass", "is no test"),
    (BOTH + "def test_a(): pass\ndef test_a(): pass", "a later one has the same name"),
    ("def outer():\n    @pytest.mark.key('umask')\n    def test_a(): pass", "within something else"),
    ("@pytest.mark.skip(reason='later')\n" + BOTH + "def test_a(): pass", "always skipped"),
    ("@pytest.mark.xfail\n" + BOTH + "def test_a(): pass", "always skipped"),
    ("@pytest.mark.skipif(True, reason='later')\n" + BOTH + "def test_a(): pass", "always skipped"),
    ("pytestmark = [pytest.mark.skip]\n" + BOTH + "def test_a(): pass", "always skipped"),
    (BOTH + "def test_a():\n    pytest.skip('later')", "always skipped"),
    ("@pytest.mark.key\n" + BOTH + "def test_a(): pass", "without the names"),
    ("@pytest.mark.key(*NAMES)\n" + BOTH + "def test_a(): pass", "plain texts"),
])
def test_what_is_wrong(tmp_path, text, said):
    assert any(said in error for error in errors(tmp_path, text))
