"""
What the man pages say against what the programs do, both ways: keys with types and defaults, commands with their aliases and
options, signals, variables, words, exit codes, the library's functions. Whoever adds one of these documents it, or fails here.

Code is asked where it can answer (--list-keys, --print-config, --list-commands, /proc of a running master and worker); where it cannot,
its source is read.
"""
import functools
import json
import os
import pwd
import re
import signal
import subprocess

import pytest
import yaml
from harness import BINARIES, TOP, configs, proc
from harness.manual import MAN, PAGES, Page, all_entries, declaration, displays, entries, marked, plain, prototypes

KEYS_AT_THE_TOP = "at the top"


def output(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def source(path):
    return (TOP / "src" / path).read_text()


def sources():
    return {str(path.relative_to(TOP / "src")): path.read_text() for path in sorted((TOP / "src").rglob("*.[ch]"))}


def same(code, pages):
    """What is there and not described, and what is described and not there."""
    code, pages = set(code), set(pages)
    assert not code - pages, f"not in the page: {sorted(code - pages)}"
    assert not pages - code, f"only in the page: {sorted(pages - code)}"


# The pages themselves


def test_there_are_exactly_these():
    """Installed, and named by --help and README.md."""
    installed = re.search(r"install_man\((.*?)\)", (TOP / "meson.build").read_text(), re.DOTALL).group(1)
    same(re.findall(r"'man/(\S+)'", installed), PAGES)
    for text in (output(BINARIES.reloader, "--help"), (TOP / "README.md").read_text()):
        same((f"{name}.{number}" for name, number in re.findall(r"\b([\w.-]*reloader[\w.-]*)\((\d)\)", text)), PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_mandoc_has_no_complaint(name):
    """But for references to pages of others, which need not be installed here."""
    done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", MAN / name], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "referenced manual not found" not in line] == []


@pytest.mark.parametrize("name", PAGES)
def test_references_between_them(name):
    """.Xr and .Sx lead somewhere."""
    page = Page(name)
    ours = {tuple(other.rsplit(".", 1)) for other in PAGES}
    for line in page.lines:
        for target, number in re.findall(r"Xr (\S*reloader\S*) (\d)", line):
            assert (target, number) in ours, line
    titles = {line[4:] for line in page.lines if line.startswith((".Sh ", ".Ss "))}
    for line in page.lines:
        if line.startswith(".Sx "):
            assert re.sub(r" [.,:;)]$", "", line[4:]) in titles, line


# reloader.yaml(5)


@functools.cache
def listed_keys():
    """{table: {key: (what it is, "type, default x")}}, as --list-keys has it."""
    tables = {}
    for block in output(BINARIES.reloader, "--list-keys").strip().split("\n\n"):
        title, *lines = block.splitlines()
        tables[title] = {line.split()[0]: tuple(line.split(None, 1)[1].rsplit("; ", 1)) for line in lines}
    return tables


@functools.cache
def described_keys():
    """{table: {key: ("type, default x", its text)}}, as the page has it."""
    page, tables = Page("reloader.yaml.5"), {}
    for title in page.titles("KEYS"):
        tables[title] = {}
        for head, body in entries(page.section(title, "Ss")):
            key, what = re.fullmatch(r"Ic (\S+) Pq (.*)", head).groups()
            tables[title][key] = (plain(what), plain("\n".join(body)))
    return tables


def test_every_table_of_keys():
    same(listed_keys(), described_keys())


@pytest.mark.parametrize("table", listed_keys())
def test_keys_types_and_defaults(table):
    same([(key, what) for key, (_, what) in listed_keys()[table].items()],
         [(key, what) for key, (what, _) in described_keys()[table].items()])


def choices():
    """(table, key, words) of keys that take one of some words."""
    for table, keys in listed_keys().items():
        for key, (text, what) in keys.items():
            if what.startswith("choice,"):
                yield table, key, re.search(r"\(([^()]*)\)$", text).group(1).split(", ")


def test_words_of_choices():
    """Each is described; and all that .Cm marks there is one."""
    checked = 0
    for table, key, words in choices():
        text = described_keys()[table][key][1]
        same(((table, key, word) for word in words), ((table, key, word) for line in text.splitlines() for word in marked(line, "Cm")))
        checked += 1
    assert checked >= 8


def effective(table, key, values):
    """The value of a key in a printed configuration; None where that does not print it."""
    for name in table.replace("sockets.NAME", "sockets.s").replace("programs.NAME", "programs.p").split("."):
        values = values if name == KEYS_AT_THE_TOP else (values or {}).get(name)
        if not isinstance(values, dict):
            return None
    return values.get(key)


def as_number(text):
    """Durations and sizes have many ways to be written."""
    match = re.fullmatch(r"([\d.]+)(ms|s|m|h|K|M|G)?", text)
    factors = {None: 1, "ms": 1, "s": 1000, "m": 60000, "h": 3600000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return float(match.group(1)) * factors[match.group(2)] if match else text


def test_defaults_are_what_is_printed(directory):
    """Of an empty configuration, where the page names a value and not in words where it comes from."""
    path = directory / "empty.yaml"
    path.write_text("sockets: {s: {listen: 8080}}\n"
                    "programs: {p: {command: [sleep], max_restarts: {count: 1}, recycle: {}, health: {tcp: '1'},"
                    " on_event: {types: [fatal], command: [x]}}}\n")
    values = yaml.load(output(BINARIES.reloader, "--print-config", path), Loader=yaml.BaseLoader)
    compared = 0
    for table, keys in described_keys().items():
        for key, (what, _) in keys.items():
            default, value = what.rpartition("default ")[2], effective(table, key, values)
            if value is None or what.endswith("required") or value in ("null", "~") or (table, key) == ("programs.NAME.health", "tcp"):
                continue
            if isinstance(value, list) and len(value) <= 1:
                value = value[0] if value else default if default == "[]" else "none"
            if isinstance(value, str) and " " not in default:
                default = keys[default][0].rpartition("default ")[2] if default in keys else default
                same_value = as_number(value) == as_number(default) or value == f"SIG{default}" or value.endswith(f"/{default}")
                assert same_value, f"{table}.{key}: {value} is not {default}"
                compared += 1
    assert compared > 50


def examples():
    page = Page("reloader.yaml.5")
    return {title: "".join(displays(page.section(title, "Ss"))) for title in page.titles("KEYS")}


@pytest.mark.parametrize("table", examples())
def test_examples_name_every_key(table):
    """At its place: in an object at the path of the table."""
    found = set()

    def walk(value, path):
        if path == ([] if table == KEYS_AT_THE_TOP else table.split(".")):
            found.update(value if isinstance(value, dict) else ())
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, path + ["NAME" if path in (["sockets"], ["programs"]) else name])

    walk(yaml.safe_load(examples()[table]), [])
    assert set(described_keys()[table]) - found == set()


@pytest.mark.root
@pytest.mark.parametrize("table", examples())
def test_examples_are_valid(directory, table):
    """As root, since some name users and privileges."""
    path = directory / "example.yaml"
    text = examples()[table]
    (directory / "web.env").write_text("COLOUR=blue\n")
    path.write_text(text if "programs:" in text else text + "programs: {p: {command: [sleep], sockets: []}}\n")
    done = subprocess.run([BINARIES.reloader, "--check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_expansions(directory):
    """Those that an unknown one is answered with, in a place where all are known."""
    path = directory / "unknown.yaml"
    path.write_text("programs: {p: {command: [sleep, '%(nonsense)s']}}\n")
    done = subprocess.run([BINARIES.reloader, "--check", path], capture_output=True, text=True, check=False)
    known = re.search(r"known here: (.*)", done.stderr).group(1)
    described = {marked(f".It {head}", "Li")[0] for head, _ in entries(Page("reloader.yaml.5").section("Expansions", "Ss"))}
    same({word for word in re.findall(r"%\([\w:]+\)s", known)}, described - {"%%"})


def test_types_of_events():
    """on_event, the HOOKS section, and `events`."""
    code = re.search(r"event_words\[\] = \{(.*?)NULL", source("config/values-event.c"), re.DOTALL).group(1)
    types = re.findall(r'"(\w+)"', code)
    same(types, (head.split()[1] for head, _ in entries(Page("reloader.yaml.5").section("HOOKS"))))
    same(types, marked(described_keys()["programs.NAME.on_event"]["types"][1].splitlines()[-1], "Cm"))


# Command lines


def options_of(text):
    """{name: letter or None} of a table for getopt_long()."""
    rows = re.findall(r'\{"([\w-]+)", (?:no|required)_argument, NULL, (?:\'(\w)\'|\w+)\}', text)
    return {name: letter or None for name, letter in rows}


def flags(lines):
    """The options that are named: {"c", "-config"}; several letters behind one Fl are several."""
    words = {word for line in lines if line.startswith(".") for word in marked(line, "Fl")}
    return {flag for word in words if word != "-" for flag in ([word] if word.startswith("-") else word)}


def test_options_of_reloader():
    """All have an entry with both of their forms; all are in the synopsis, and in --help."""
    page, help_text = Page("reloader.8"), output(BINARIES.reloader, "--help")
    code = options_of(source("reloader/arguments.c"))
    assert len(code) > 10
    names = {f"-{name}" for name in code} | {letter for letter in code.values() if letter}
    heads = [f".It {head}" for head in all_entries(page.lines)]
    same(names, flags(heads))
    same(names, flags(page.lines))
    for name, letter in code.items():
        assert flags(page.section("SYNOPSIS")) & {f"-{name}", letter}, f"--{name} is not in the synopsis"
        assert f"--{name}" in help_text
        both = [head for head in heads if f"-{name}" in marked(head, "Fl")]
        assert not letter or all(letter in marked(head, "Fl") for head in both), f"-{letter} is not with --{name}"


def test_commands_of_reloader():
    code = re.findall(r'strcmp\(\*words, "(\w+)"\)', source("reloader/arguments.c"))
    assert code
    page = Page("reloader.8")
    same(code, (head.split()[1] for head, _ in entries(page.section("COMMANDS"))))
    same(code, (line.split()[1] for line in page.section("SYNOPSIS") if line.startswith(".Cm ")))


@functools.cache
def commands():
    """{name: …}, as reloaderctl lists its commands. Those that only the shell has are described with it."""
    rows = [json.loads(line) for line in output(BINARIES.reloaderctl, "--list-commands").splitlines()]
    return {row["name"]: row for row in rows if not row.get("shell_only")}


@functools.cache
def described_commands():
    """{name: the lines of its entry}: those of the list that follows "The commands are:"."""
    lines = Page("reloaderctl.1").section("DESCRIPTION")
    found = {}
    for head, body in entries(lines[lines.index("The commands are:"):]):
        for name in marked(f".It {head}".replace(" Op ", " Ar "), "Cm")[:1]:
            found[name] = [f".It {head}", *body]
    return found


@functools.cache
def synopses():
    """{name: the lines of its form}; a form may be of several commands: .Cm start | restart."""
    found = {}
    for form in "\n".join(Page("reloaderctl.1").section("SYNOPSIS")).split(".Nm\n")[1:]:
        lines = form.splitlines()
        named = next((line for line in lines if line.startswith(".Cm ")), None)
        for name in re.findall(r"[a-z]\w*", named[4:]) if named else ():
            found[name] = lines
    return found


def test_commands_of_reloaderctl():
    assert len(commands()) > 10
    same(commands(), described_commands())
    same(commands(), synopses())


def test_aliases():
    """An entry says: .Cm list and .Cm ls are the same command."""
    for name, row in commands().items():
        text = "\n".join(described_commands()[name])
        said = re.findall(r"((?:\.Cm [^\n]+\n(?:and\n)?)+)(?:is|are) the same command", text)
        same(row["aliases"], {word for lines in said for word in re.findall(r"[a-z]\w*", lines.replace(".Cm", "").replace("and\n", ""))})


def test_options_of_commands():
    """In its form in the synopsis; and an entry somewhere for each."""
    page = Page("reloaderctl.1")
    described = flags(f".It {head}" for head in all_entries(page.lines))
    everywhere = {"s", "-socket", "h", "-help", "V", "-version", "-list-commands"}
    named = set(everywhere)
    for name, row in commands().items():
        options = {f"-{option['name']}": option.get("letter") for option in row["options"]}
        forms = flags(synopses()[name]) - {"s"}
        same(options, {long for long, letter in options.items() if {long, letter} & forms})
        unknown = forms - set(options) - set(options.values())
        assert not unknown, f"only in the synopsis of {name}: {sorted(unknown)}"
        named |= set(options) | {letter for letter in options.values() if letter}
    same(named, described)


def test_exit_statuses():
    ctl = re.findall(r"EXIT_CODE_\w+ = (\d)", source("reloaderctl/commands.h"))
    same(ctl, (head for head, _ in entries(Page("reloaderctl.1").section("EXIT STATUS"))))
    help_text = output(BINARIES.reloader, "--help")
    told = re.search(r"Exit codes: (.*)", help_text).group(1)
    same(re.findall(r"\b(\d) ", told), (head for head, _ in entries(Page("reloader.8").section("EXIT STATUS"))))


# The master, from outside


def signals_of(pid):
    """Those that a process takes by signalfd(2), as /proc has it."""
    mask = 0
    for fd, what in proc.fds(pid).items():
        if what == "anon_inode:[signalfd]":
            mask |= int(re.search(rb"^sigmask:\s*(\w+)", proc.read(pid, f"fdinfo/{fd}"), re.MULTILINE).group(1), 16)
    return {number.name[3:] for number in signal.Signals if mask >> (number - 1) & 1}


def test_signals(master, port):
    one = master(configs.echo(f"127.0.0.1:{port}", workers=1))
    heads = [head for head, _ in entries(Page("reloader.8").section("SIGNALS"))]
    same(signals_of(one.pid), {name for head in heads for name in head.split(", ")})


def test_environment_of_a_worker(master, port, directory):
    """Of two that get all that a configuration can give between them."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    program = {"command": ["sleep", "infinity"], "start_seconds": "10ms", "drain": "signal", "clear_environment": True}
    one = master({"control": {"expose": True}, "sockets": {"web": {"listen": f"127.0.0.1:{port}", "nonblocking": "true"}}, "programs": {
        "web": {**program, "sockets": ["web"], "handoff": ["env", "scm-rights"], "watchdog": "1h", "disconnect_spread": "1s", "user": user},
        "node": {**program, "sockets": ["web"], "handoff": ["env", "node-ipc"]}}})
    names = set()
    for described in one.status()["programs"]:
        names |= proc.environment(described["slots"][0]["workers"][0]["pid"]).keys()
    heads = [head for head, _ in entries(Page("reloader-worker.7").section("ENVIRONMENT"))]
    same(names, {name for head in heads for name in marked(f".It {head}", "Ev")})


# Words and variables in the sources


def test_words_of_the_channel():
    """Of both directions: bare ones, and those of objects with a member "reloader"."""
    page = Page("reloader-worker.7")
    code = "".join(text for name, text in sources().items() if name.startswith("worker/"))
    said = set(re.findall(r'"reloader", "(\w+)"', code)) | set(re.findall(r'\.drain_message\), "(\w+)"', source("config/keys.c")))
    default = re.search(r'PROGRAM_AT\(drain_message\), "(\w+)"', source("config/keys.c")).group(1)
    same(said | {default}, words_of(page.section("From the master", "Ss")))
    heard = re.findall(r'strcmp\((?:word|verb), "(\w+)"\)', source("worker/channel.c"))
    assert len(heard) >= 4
    same(heard, words_of(page.section("From the worker", "Ss")))


def words_of(lines):
    heads = [plain(head)[3:] for head, _ in entries(lines)]
    values = [json.loads(head) for head in heads]
    return {value if isinstance(value, str) else value["reloader"] for value in values}


def test_assignments_of_the_notify_socket():
    code = re.findall(r'"([A-Z_]+=\w*)"', source("worker/notify.c"))
    assert len(code) > 5
    same(code, {marked(f".It {head}", "Li")[0] for head, _ in entries(Page("reloader-worker.7").section("NOTIFY SOCKET"))})


def test_ways_of_handing_over():
    code = re.search(r"handoff_words\[\] = \{(.*?)NULL", source("config/values-list.c"), re.DOTALL).group(1)
    words = re.findall(r'"([\w-]+)"', code)
    same(words, {head.split()[1] for head, _ in entries(Page("reloader-worker.7").section("SOCKETS"))})
    text = described_keys()["programs.NAME"]["handoff"][1]
    same(words, {word for line in text.splitlines() for word in marked(line, "Cm")})


def test_our_own_variables_and_fields():
    """RELOADER_…: all that is in a string of the sources is in some page, and the other way round."""
    constants = set(re.findall(r"\bRELOADER_[A-Z_]+\b", re.sub(r"/\*.*?\*/", "", source("client/reloader.h"), flags=re.DOTALL)))
    code = {name for text in sources().values() for string in re.findall(r'"(?:[^"\\\n]|\\.)*"', text)
            for name in re.findall(r"RELOADER_[A-Z_]*[A-Z]", string)}
    pages = {name for page in PAGES for line in Page(page).lines for name in re.findall(r"RELOADER_[A-Z_]*[A-Z]", line)}
    assert len(code) > 8
    assert not code - pages, f"in no page: {sorted(code - pages)}"
    assert not pages - code - constants, f"only in a page: {sorted(pages - code - constants)}"


READERS = {"reloaderctl.1": ("reloaderctl/",), "reloader.8": ("reloader/", "master/", "config/", "net/", "base/journal.c", "base/log")}
# By libsystemd, or by a function that both programs use.
READ_ELSEWHERE = {"reloaderctl.1": {"XDG_RUNTIME_DIR", "TMPDIR"}, "reloader.8": {"XDG_RUNTIME_DIR", "TMPDIR", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"}}


@pytest.mark.parametrize("name", READERS)
def test_variables_that_are_read(name):
    code = {variable for path, text in sources().items() if path.startswith(READERS[name])
            for variable in re.findall(r'getenv\("(\w+)"\)', text)}
    section = Page(name).section("ENVIRONMENT")
    variables = {variable for line in section for variable in marked(line, "Ev")}
    same(code | READ_ELSEWHERE[name], variables)


# libreloader(3)


def test_functions_of_the_library():
    header = re.sub(r"/\*.*?\*/", "", source("client/reloader.h"), flags=re.DOTALL)
    code = {}
    for text in re.findall(r"RELOADER_API ([^;{}#]+?)\s*;", header):
        result, name, arguments = re.fullmatch(r"(.*?)(\w+)\((.*)\)", " ".join(text.split())).groups()
        code[name] = declaration(result.strip(), name, re.split(r",\s*", arguments))
    assert len(code) > 15
    same(code.values(), prototypes(Page("libreloader.3").section("SYNOPSIS")).values())
    described = {word for line in Page("libreloader.3").section("DESCRIPTION") for word in marked(line, "Fn")}
    same(code, described)


def test_constants_of_the_library():
    header = re.sub(r"/\*.*?\*/", "", source("client/reloader.h"), flags=re.DOTALL)
    code = set(re.findall(r"\bRELOADER_[A-Z_]+\b", header)) - {"RELOADER_API", "RELOADER_H"}
    same(code, {word for line in Page("libreloader.3").lines for word in marked(line, "Dv")} - {"NULL"})


def test_structures_of_the_library():
    """Their members as they are, but for comments."""
    header = re.sub(r"\s*/\*.*?\*/", "", source("client/reloader.h"), flags=re.DOTALL)
    event = re.search(r"struct reloader_event \{.*?\};", header, re.DOTALL).group(0)
    callback = " ".join(re.search(r"typedef void [^;]*;", header).group(0).split())
    shown = displays(Page("libreloader.3").section("Events", "Ss"))
    assert [line.strip() for line in shown[0].splitlines()] == [line.strip() for line in event.splitlines() if line.strip()]
    assert " ".join(shown[1].split()) == callback
