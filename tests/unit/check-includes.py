#!/usr/bin/python3
"""Sees that includes run only downwards through the layers of the house, and that headers include each other in no circle.

usage: check-includes.py [ROOT]      ROOT is the folder that holds src/
"""
import pathlib
import re
import sys

# A file includes from its own folder and from those before it.
HOUSE = ["base", "config", "net", "process", "worker", "program", "master", "control"]
ALLOWED = {layer: set(HOUSE[: i + 1]) for i, layer in enumerate(HOUSE)}
ALLOWED["import"] = {"base", "config", "import"}  # no master has it in its way
ALLOWED["reloader"] = {*HOUSE, "import", "reloader"}
ALLOWED["why"] = {"base", "net", "process", "why"}
ALLOWED["helper"] = {"base", "helper"}
ALLOWED["logger"] = {"base", "worker", "helper", "logger"}
ALLOWED["probe"] = {"base", "helper", "probe"}
ALLOWED["gateway"] = {"base", "process", "control", "client", "gateway"}  # of control the command table alone
ALLOWED["reloaderctl"] = {"base", "process", "reloaderctl"}
ALLOWED["client"] = {"base", "client"}  # linked statically, its names kept private

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def find_included(source, root, name, quoted):
    """The file of the house that an include means, as a path from src/, or None for a system header."""
    for folder in ([source.parent] if quoted else []) + [root]:
        path = (folder / name).resolve()
        if path.is_file() and path.is_relative_to(root):
            return path.relative_to(root)
    return None


def check_file(path, root, graph, errors):
    source = path.relative_to(root)
    layer = source.parts[0]
    if layer not in ALLOWED or len(source.parts) < 2:
        errors.append(f"src/{source}: not in a layer of the house; name its folder in check-includes.py")
        return
    for match in INCLUDE.finditer(path.read_text()):
        included = find_included(path, root, match[2], match[1] == '"')
        if included is None:
            if match[1] == '"':
                errors.append(f'src/{source}: includes "{match[2]}", which is not there; system headers take <>')
            continue
        if match[1] == "<":
            errors.append(f"src/{source}: includes <{match[2]}>; headers of the house take quotes")
        if included.parts[0] not in ALLOWED[layer]:
            errors.append(f"src/{source}: includes {included}, but {included.parts[0]} is not above {layer} in the list of layers")
        graph.setdefault(source, []).append(included)


def find_circle(graph):
    """One circle of includes as a list of files, or None."""
    done = set()

    def visit(file, way):
        if file in way:
            return way[way.index(file):] + [file]
        if file in done:
            return None
        for included in graph.get(file, []):
            circle = visit(included, way + [file])
            if circle:
                return circle
        done.add(file)
        return None

    for file in graph:
        circle = visit(file, [])
        if circle:
            return circle
    return None


def main():
    root = (pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve() / "src"
    files = sorted(path for path in root.rglob("*") if path.suffix in (".c", ".h"))
    graph, errors = {}, []
    for path in files:
        check_file(path, root, graph, errors)
    circle = find_circle(graph)
    if circle:
        errors.append("a circle of includes: " + " -> ".join(map(str, circle)))
    if not files:
        errors.append(f"{root}: no sources found")
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(files)} files, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
