"""README.md and reloader.yaml.example, taken at their word: what they show is run as it stands there."""
import os
import re
import shlex
import shutil
import subprocess
import urllib.request

import pytest

from harness import BINARIES, TOP, Master
from harness.paths import BUILD, PYTHON

README = (TOP / "README.md").read_text()
EXAMPLE = (TOP / "reloader.yaml.example").read_text()
NODE = shutil.which("node") or shutil.which("nodejs")
PORT = 8080  # the README's, ours alone in a network namespace

# Backticked words with an underscore or a dot that are no keys of the configuration.
OTHER_WORDS = {"graceful_shutdown", "fully_closed", "sd_notify", "wait_ready", "reloader.yaml", "control.sock", "io.reloader.Control",
               "reloader.socket"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def block(language, containing=""):
    (found,) = [text for text in blocks(language) if containing in text]
    return found


def commands():
    """The commands of the indented blocks, without what is said about them."""
    return [shlex.split(re.split(r"\s{2,}#", line)[0]) for line in re.findall(r"^    ((?:reloader|reloaderctl|\./\w+) .*)$", README, re.MULTILINE)]


def output(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout


def all_keys():
    """Full names of keys, as programs.NAME.reload.order, and their parts."""
    section, keys = "", set()
    for line in output(BINARIES.reloader, "--list-keys").splitlines():
        if line.startswith(" "):
            keys.add(f"{section}.{line.split()[0]}".removeprefix("at the top."))
        elif line:
            section = line
    return keys


def get(path="/"):
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as reply:
        return reply.status


@pytest.fixture
def world(directory):
    """A directory like a reader's: app.py, app.js, server.py, reloader.yaml, the programs in PATH."""
    (directory / "app.py").write_text("def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n")
    (directory / "app.js").write_text(block("js"))
    (directory / "server.py").write_text(block("python"))
    folder = directory / "bin"
    folder.mkdir()
    for program in (BINARIES.reloader, BINARIES.reloaderctl):
        (folder / os.path.basename(program)).symlink_to(program)
    (folder / "node").symlink_to(NODE)
    # Debian's Python, as in all tests: another one in PATH need not have what is needed.
    (folder / "python3").symlink_to(PYTHON)
    return {"PATH": f"{folder}:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


def serve(directory, world, config, arguments=()):
    one = Master(directory, config, arguments=arguments, environment=world)
    one.wait_ready()
    assert get() == 200
    assert one.hup()
    assert get() == 200
    one.stop()


@pytest.mark.root
def test_run_gunicorn(directory, world):
    """The first command a reader types, but for the runtime directory."""
    (words,) = [words for words in commands() if words[:2] == ["reloader", "run"]]
    runtime = directory / "reloader.run"
    serve(directory, world, None, ["run", "--set", f"runtime_directory={runtime}", *words[2:]])


@pytest.mark.root
@pytest.mark.limit(120)
def test_start_with_a_file(directory, world):
    """The YAML block with the Node snippet as its app.js, and then the commands, one after the other."""
    config = f"runtime_directory: {directory}/reloader.run\n" + block("yaml", "programs:")
    one = Master(directory, config, environment=world)
    one.wait_ready()
    assert get() == 200
    ran = []
    for words in commands():
        if words[:2] == ["reloader", "-t"]:
            output(BINARIES.reloader, "-t", one.path)
        elif words[0] == "reloaderctl" and words[1] not in ("top", "events"):
            one.ctl(*words[1:], code=0)
            ran.append(words[1])
    assert ran == ["status", "reload", "undo", "restart", "scale", "history", "why", "send", "shutdown"]
    one.wait_end()
    assert not re.search("disconnect_timeout|SIGKILL", one.log.text()), "it left because it was told"


@pytest.mark.root
def test_python_snippet(directory, world):
    serve(directory, world, {"programs": {"web": {"command": ["python3", "server.py"], "listen": PORT, "workers": 2,
                                                  "start_seconds": "300ms", "reload": {"probation": "0s"}}}})


def test_c_snippet(directory):
    """Compiles and links as the body of a function."""
    source = directory / "worker.c"
    source.write_text("#include <reloader.h>\nstatic void stop_accepting(int fd) { (void)fd; }\n"
                      f"int main(void)\n{{\n{block('c')}\nreturn 0;\n}}\n")
    output("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", TOP / "src" / "client", source, "-o", directory / "worker",
           BUILD / "src" / "client" / "libreloader.a", *sanitizer())


def sanitizer():
    return ["-fsanitize=address,undefined"] if "ASAN_OPTIONS" in os.environ else []


def test_yaml_blocks(directory):
    """Each loads; the one that is a part of a program, as a part of the first."""
    whole = block("yaml", "programs:")
    for text in blocks("yaml"):
        path = directory / "reloader.yaml"
        path.write_text(text if text.startswith("programs:") else whole + text)
        output(BINARIES.reloader, "-t", path)


def test_commands_exist():
    """Every command and option that is shown is in the program's own help; scripts are there."""
    helps = {name: output(getattr(BINARIES, name), "--help") for name in ("reloader", "reloaderctl")}
    shown = commands() + [words.split() for words in re.findall(r"`((?:reloaderctl|reloader|\./\w+) [^`]*)`", README)]
    assert len(shown) > 8
    for words in shown:
        if words[0].startswith("./"):
            helps[words[0]] = output(TOP / words[0], "--help")
        own = words[1:words.index("--")] if "--" in words else words[1:]
        for option in (word for word in own if word.startswith("-")):
            assert re.search(rf"(?<![\w-]){option}\b", helps[words[0]]), words
        if words[0] == "reloaderctl" and not words[1].startswith("-"):
            assert re.search(rf"^  {words[1]}\b", helps["reloaderctl"], re.MULTILINE), words


def test_keys_exist():
    keys = all_keys()
    known = {part for key in keys for part in key.split(".")} | OTHER_WORDS
    suffixes = {".".join(key.split(".")[-n:]) for key in keys for n in (2, 3)} | keys
    for word in re.findall(r"`([a-z]+(?:[._][a-z]+)+)(?:: [^`]*)?`", README):
        assert word in suffixes | known or (TOP / word).exists(), word


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        assert (TOP / target).exists(), target


def uncommented():
    """The example with every key of its comments, as they stand there: "#key: value" and what is below such a line."""
    return re.sub(r"^(\s*)#((?:  )*[a-z0-9_]+:)(?=\s)", r"\1\2", EXAMPLE, flags=re.MULTILINE)


def test_example_shows_the_defaults(directory):
    """With all its keys switched on, it means the same as without."""
    meanings = []
    for text in (EXAMPLE, uncommented()):
        path = directory / "reloader.yaml"
        path.write_text(text)
        meanings.append(output(BINARIES.reloader, "-c", path, "--print-config"))
    assert meanings[1] == meanings[0]


def test_example_shows_every_key():
    shown = set(re.findall(r"(?:^|[{,]) *([a-z0-9_]+):", uncommented(), re.MULTILINE))
    assert {key.rsplit(".", 1)[-1] for key in all_keys()} <= shown
