"""libreloader as somebody else's build sees it: its symbols, its header, what it links."""
import os
import re
import subprocess

import pytest

from harness.paths import BUILD, TOP

CLIENT = BUILD / "src" / "client"
HEADER = TOP / "src" / "client" / "reloader.h"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done
    return done.stdout


def symbols(*arguments):
    return {line.split()[-1] for line in run("nm", "--defined-only", *arguments).splitlines() if re.search(r" [A-TV-Z] ", line)}


def declared():
    return set(re.findall(r"^RELOADER_API [^(]*?(\w+)\(", HEADER.read_text(), re.MULTILINE))


def test_shared_library_exports_what_the_header_declares():
    assert len(declared()) > 10
    assert symbols("-D", CLIENT / "libreloader.so") == declared()


def test_static_library_takes_no_name_from_its_users():
    found = symbols("-g", CLIENT / "libreloader.a")
    assert declared() <= found
    strangers = {name for name in found if not name.startswith("reloader_") and not name.startswith("__")}
    assert not strangers


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="a sanitizer adds its own libraries")
def test_links_libc_alone():
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", CLIENT / "libreloader.so"))
    assert needed == ["libc.so.6"]


@pytest.mark.parametrize("language", [["-x", "c", "-std=c11"], ["-x", "c", "-std=c99"], ["-x", "c++", "-std=c++17"]])
def test_header(language, tmp_path):
    """It needs no macros, no other flags, and gives no warnings."""
    compiler = "c++" if "c++" in language else "cc"
    source = tmp_path / "use.c"
    source.write_text("#include <reloader.h>\nint main(void) { return reloader_free(NULL) != NULL; }\n")
    run(compiler, *language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", HEADER.parent, source)
