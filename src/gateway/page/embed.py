#!/usr/bin/env python3
"""
Writes the files of the page as C: `embed.py OUTPUT FILE …`. The same files make the same text, wherever they lie and in whatever order
they are named.
"""
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PER_LINE = 24


def rows(data):
    for start in range(0, len(data), PER_LINE):
        yield "    " + ",".join(str(byte) for byte in data[start:start + PER_LINE]) + ",\n"


def main(output, *names):
    files = sorted((pathlib.Path(name) for name in names), key=lambda path: path.name)
    text = ['#include "gateway/page-internal.h"\n\n']
    table = []
    for number, path in enumerate(files):
        data = path.read_bytes()
        place = "/" if path.name == "index.html" else f"/page/{path.name}"
        tag = hashlib.sha256(data).hexdigest()[:24]
        text += [f"static const unsigned char file_{number}[] = {{\n", *rows(data), "};\n\n"]
        table.append(f'    {{"{place}", "{TYPES[path.suffix]}", "\\"{tag}\\"", file_{number}, sizeof(file_{number})}},\n')
    text += ["const struct page_file page_files[] = {\n", *table, "    {0},\n};\n"]
    pathlib.Path(output).write_text("".join(text), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
