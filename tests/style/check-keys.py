#!/usr/bin/python3
"""Sees that every key of the configuration has an integration test that observes its effect from outside.

usage: check-keys.py RELOADER [FOLDER]   FOLDER holds the integration tests

A test says which keys it observes by a marker, with the keys as `reloader --list-keys` has them:
    @pytest.mark.key("programs.NAME.nice", "programs.NAME.umask")
An observation is one in /proc, in files, over sockets, by signals or messages that a worker got, by order; not what the
master's own status says of it. That such a test fails where the key has no effect is what tests/long/keys tries.
The tests are parsed, not run.
"""
import ast
import pathlib
import subprocess
import sys

SKIPS = ("skip", "xfail")


def listed_keys(text):
    """Of the output of --list-keys: sections begin a line, their keys are indented."""
    section, keys = "", []
    for line in text.splitlines():
        if line.startswith("  "):
            keys.append(section + line.split()[0])
        elif line:
            section = "" if line == "at the top" else f"{line}."
    return keys


def dotted(node):
    """`pytest.mark.skip` of a name or a call of it."""
    if isinstance(node, ast.Call):
        node = node.func
    words = []
    while isinstance(node, ast.Attribute):
        words.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *words]) if isinstance(node, ast.Name) else ""


def always_true(node):
    return isinstance(node, ast.Constant) and bool(node.value)


def skips_always(marker):
    """A marker that keeps a test from counting, whatever the machine is like."""
    name = dotted(marker)
    if name == "pytest.mark.skipif":
        return isinstance(marker, ast.Call) and bool(marker.args) and always_true(marker.args[0])
    return name in [f"pytest.mark.{word}" for word in SKIPS]


def marks_of_module(tree):
    """Those in `pytestmark`, the same for all of a file's tests."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets):
            found += node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
    return found


def leaves_at_once(function):
    """pytest.skip() as a statement of its own, on no condition."""
    return any(isinstance(node, ast.Expr) and dotted(node.value) in [f"pytest.{word}" for word in SKIPS] for node in function.body)


def why_not_run(function, tree):
    """Why pytest does not run this function or count its result; None if it does."""
    if not function.name.startswith("test_"):
        return "is no test: its name does not begin with test_"
    if function not in tree.body:
        return "is not found by pytest: it is within something else"
    if [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function.name][-1] is not function:
        return "is not run: a later one has the same name"
    if any(map(skips_always, [*function.decorator_list, *marks_of_module(tree)])) or leaves_at_once(function):
        return "is always skipped"
    return None


def keys_of(marker, where, errors):
    if not isinstance(marker, ast.Call) or not marker.args or marker.keywords:
        errors.append(f"{where}: pytest.mark.key without the names of keys")
        return []
    wrong = [argument for argument in marker.args if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str)]
    if wrong:
        errors.append(f"{where}: pytest.mark.key needs the names of keys as plain texts")
    return [argument.value for argument in marker.args if argument not in wrong]


def read_markers(path, marked, errors):
    """Adds the tests of a file to `marked`, {key: [where]}."""
    tree = ast.parse(path.read_text(), str(path))
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.ClassDef)):
            continue
        where = f"{path.name}:{function.lineno}: {function.name}"
        for marker in function.decorator_list:
            if dotted(marker) != "pytest.mark.key":
                continue
            keys = keys_of(marker, where, errors)
            if reason := why_not_run(function, tree):
                errors.append(f"{where} {reason}, and shall test {', '.join(keys)}")
                continue
            for key in keys:
                marked.setdefault(key, []).append(where)


def check(keys, folder):
    """All that is wrong, as lines."""
    marked, errors = {}, []
    for path in sorted(folder.glob("test_*.py")):
        read_markers(path, marked, errors)
    errors += [f"{where}: there is no key {key}" for key in sorted(marked.keys() - set(keys)) for where in marked[key]]
    errors += [f"{key}: no integration test observes it; mark one by @pytest.mark.key(\"{key}\")" for key in keys if key not in marked]
    if not keys:
        errors.append("no keys are listed")
    return errors


def main(reloader, folder=pathlib.Path(__file__).resolve().parents[1] / "integration"):
    listed = subprocess.run([reloader, "--list-keys"], capture_output=True, text=True, check=True, timeout=60).stdout
    errors = check(listed_keys(listed), pathlib.Path(folder))
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
