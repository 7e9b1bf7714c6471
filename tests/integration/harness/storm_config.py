"""
The reload storm's configurations: a random model that changes step by step, and ways to break it.

Everything is drawn from one random.Random, so that a seed gives the same configurations again; only ports and the directory
differ from run to run.
"""
import copy
import json

from harness import isolation
from harness.configs import WORKER_ENVIRONMENT
from harness.paths import PYTHON, WORKERS

LOADED = {"main": "shared", "even": "per_worker"}
SLOTS_MAX = 6
MODES = ["leave", "leave", "leave", "closed", "linger", "stubborn", "child"]


class Places:
    """Every address that a configuration may have, and who else is at one of them."""

    def __init__(self, directory):
        self.directory = directory
        self.sockets = directory / "s"
        self.sockets.mkdir()
        self.port = isolation.free_port()
        self.taken = f"127.0.0.1:{self.port + 99}"

    def tcp(self, number):
        return f"127.0.0.1:{self.port + number}"

    def pool(self, kind):
        """Addresses of one kind; of per_slot ones the pattern, and where the numbers begin."""
        match kind:
            case "tcp":
                return [self.tcp(10 + i) for i in range(5)] + [f"[::1]:{self.port + 20 + i}" for i in range(3)]
            case "udp":
                return [f"udp:{self.tcp(30 + i)}" for i in range(3)]
            case "unix":
                return [f"unix:{self.sockets}/u{i}.sock" for i in range(4)] + [f"unix:@{self.directory.name}-{i}" for i in range(2)]
            case "per_worker":
                return [self.tcp(40 + i) for i in range(2)] + [f"udp:{self.tcp(45 + i)}" for i in range(2)]
            case "per_slot":
                return ["127.0.0.1:%(process_num)s", f"unix:{self.sockets}/p%(process_num)s.sock"]

    def numprocs_start(self):
        """The one that per_slot addresses count from: also a port."""
        return self.port + 50


KINDS = ("tcp", "udp", "unix", "per_worker", "per_slot")


class Model:
    """A configuration that is valid, and the next one, and the one after that …"""

    def __init__(self, rng, places):
        self.rng = rng
        self.places = places
        self.count = 0
        self.revision = 0
        self.sockets = {}
        self.programs = {}
        self.included = []
        self.top = {}
        for name in LOADED:
            self._add_loaded(name)
        for _ in range(3):
            self.add_program()

    def next_number(self):
        self.count += 1
        return self.count

    def revise(self, program):
        """Marks that something of it changed, for whoever looks at its workers."""
        self.revision += 1
        program["environment"]["STORM_REVISION"] = str(self.revision)

    # --- the programs under load

    def _add_loaded(self, name):
        number = list(LOADED).index(name)
        self.sockets[name] = {"listen": self.places.tcp(number), "sharing": LOADED[name]}
        program = {"command": ["./echo", "--who"], "sockets": [name], "max_draining": 100,
                   "environment": {**WORKER_ENVIRONMENT, "STORM_LOADED": name}}
        if name == "main":
            self.sockets["path"] = {"listen": f"unix:{self.places.sockets}/main.sock"}
            program["sockets"].append("path")
        self._finish(f"{name}-0", program)

    def loaded(self):
        return [name for name, program in self.programs.items() if "STORM_LOADED" in program["environment"]]

    def others(self):
        return [name for name in self.programs if name not in self.loaded()]

    # --- programs

    def _finish(self, name, program):
        """What every program has."""
        rng = self.rng
        loaded = "STORM_LOADED" in program["environment"]
        program.update({"directory": str(self.places.directory / "current"), "workers": rng.randint(1, 6 if loaded else 4)})
        if not loaded:
            program.update({"disconnect_timeout": "200ms", "stop_timeout": "150ms", "drain_grace": "50ms", "start_seconds": "50ms"})
        if self.rng.random() < 0.1:
            program["disconnect_spread"] = "100ms"
        program["backoff"] = {"initial": "10ms", "max": "200ms"}
        program["reload"] = self._reload_options(loaded)
        self.revise(program)
        self.programs[name] = program

    def _reload_options(self, loaded):
        rng = self.rng
        options = {"order": rng.choice(["drain-first", "ready-first"]), "max_unavailable": rng.choice([1, 2, "50%", "100%", "100%"]),
                   "max_surge": rng.choice([1, 2, "50%"]), "canary": loaded or rng.random() < 0.7,
                   "probation": rng.choice(["auto", "0s", "20ms"])}
        if rng.random() < 0.15:
            options["check_command"] = rng.choice([["true"], ["sleep", "0.1"], "sh -c 'echo fine'"])
        return options

    def add_program(self):
        rng = self.rng
        number = self.next_number()
        kind = rng.choices(["script", "echo", "udp"], [8, 3, 1])[0]
        program = {"environment": {**WORKER_ENVIRONMENT}}
        match kind:
            case "script":
                program["command"] = ["./serve", rng.choice(MODES), f"v{number}"]
                program["sockets"] = [name for _ in range(rng.choice([0, 1, 1, 2, 3])) if (name := self.add_socket())]
            case "echo":
                program["command"] = ["./echo", "--who"]
                program["sockets"] = [self.add_socket(("tcp", "unix", "per_slot")), self.add_socket(("unix", "tcp"))]
                if rng.random() < 0.5:
                    program["handoff"] = rng.choice(["scm-rights", ["env", "scm-rights"]])
            case "udp":
                program["command"] = [PYTHON, "-S", str(WORKERS / "udp.py")]
                program["sockets"] = [self.add_socket(("udp",))]
        program["sockets"] = [name for name in program["sockets"] if name]
        if kind != "script" and not program["sockets"]:
            program["command"] = ["./serve", "leave", f"v{number}"]
            program.pop("handoff", None)
        program["numprocs_start"] = self.places.numprocs_start() if self._is_per_slot(program) else 0
        if rng.random() < 0.1:
            program["autostart"] = False
        if rng.random() < 0.2:
            program["priority"] = rng.choice([1, 5, 999])
        if rng.random() < 0.2:
            program["environment_file"] = str(self.places.directory / "environment")
        if rng.random() < 0.2:
            program["max_draining"] = rng.randint(1, 4)
        if rng.random() < 0.2:
            program["kill_mode"] = "group"
        if kind == "script" and rng.random() < 0.2:
            program["ready"] = "message"
        self._finish(f"p{number}", program)
        if kind == "udp":
            program["workers"] = min(program["workers"], 2)
        if rng.random() < 0.25:
            self.included.append(f"p{number}")

    def _is_per_slot(self, program):
        return any("%(process_num)s" in self.sockets[name]["listen"] for name in program["sockets"])

    def remove_program(self):
        if len(self.others()) > 1:
            self._drop(self.rng.choice(self.others()))

    def _drop(self, name):
        program = self.programs.pop(name)
        self.included = [other for other in self.included if other != name]
        for socket in program["sockets"]:
            if not self._users(socket):
                self.sockets.pop(socket, None)

    def _users(self, socket):
        return [name for name, program in self.programs.items() if socket in program["sockets"]]

    # --- sockets

    def add_socket(self, kinds=KINDS):
        """The name of a new one at a free address, or None: all are taken."""
        rng = self.rng
        kind = rng.choice(kinds)
        used = {socket["listen"] for socket in self.sockets.values()}
        free = [listen for listen in self.places.pool(kind) if listen not in used]
        if not free:
            return None
        name = f"s{self.next_number()}"
        socket = {"listen": rng.choice(free)}
        if kind == "per_worker":
            socket["sharing"] = "per_worker"
        self.sockets[name] = socket
        self.set_options(name)
        return name

    def set_options(self, name):
        rng = self.rng
        socket = self.sockets[name]
        for key in ("backlog", "options", "mode"):
            socket.pop(key, None)
        if not socket["listen"].startswith("udp:") and rng.random() < 0.3:
            socket["backlog"] = rng.choice([128, 512, 1024])
        if socket["listen"].startswith("unix:/") and rng.random() < 0.4:
            socket["mode"] = rng.choice(["0600", "0660", "0666"])
        if not socket["listen"].startswith(("udp:", "unix:")) and rng.random() < 0.3:
            socket["options"] = rng.choice([{"nodelay": True}, {"keepalive": True}, {"receive_buffer": "256K"}])

    def _hand_socket(self):
        """One more for workers that take it over their channel: nothing else of them changes."""
        names = [name for name in self.others() if "handoff" in self.programs[name] and len(self.programs[name]["sockets"]) < 5]
        if names and (socket := self.add_socket(("tcp", "unix"))):
            self.programs[self.rng.choice(names)]["sockets"].append(socket)

    def _rename_socket(self, old):
        new = f"s{self.next_number()}"
        self.sockets = {new if name == old else name: socket for name, socket in self.sockets.items()}
        for name in self._users(old):
            program = self.programs[name]
            program["sockets"] = [new if socket == old else socket for socket in program["sockets"]]
            self.revise(program)

    def _is_exclusive(self, name):
        socket = self.sockets[name]
        return socket.get("sharing") == "per_worker" or "%(process_num)s" in socket["listen"]

    def _move_socket(self):
        """From one program to another, or to both of them."""
        rng = self.rng
        scripts = [name for name in self.others() if self.programs[name]["command"][0] == "./serve"]
        owned = [(name, socket) for name in scripts for socket in self.programs[name]["sockets"]
                 if "%(process_num)s" not in self.sockets[socket]["listen"]]
        if not owned or len(scripts) < 2:
            return
        name, socket = rng.choice(owned)
        other = rng.choice([script for script in scripts if script != name])
        target = self.programs[other]
        if socket in target["sockets"] or len(target["sockets"]) >= 5:
            return
        if self._is_exclusive(socket) or rng.random() < 0.6:
            self.programs[name]["sockets"].remove(socket)
            self.revise(self.programs[name])
        target["sockets"].insert(rng.randint(0, len(target["sockets"])), socket)
        self.revise(target)

    # --- steps

    def step(self):
        """One to four changes."""
        for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4])):
            self.rng.choices([self._change_loaded, self._change_other, self.add_program, self.remove_program, self._rename_program,
                              self._change_socket, self._move_socket, self._replace_loaded, self._include, self._set_top, self._hand_socket],
                             [4, 6, 3 if len(self.others()) < 5 else 0, 2, 2, 3, 2, 1, 1, 1, 2])[0]()

    def _change(self, name):
        rng = self.rng
        program = self.programs[name]
        loaded = name in self.loaded()
        match rng.choice(["workers", "workers", "reload", "environment", "version", "priority"]):
            case "workers":
                program["workers"] = rng.randint(1, SLOTS_MAX if loaded else 4)
            case "reload":
                program["reload"] = self._reload_options(loaded)
            case "environment":
                program["environment"]["STORM_WORD"] = str(rng.randint(0, 10**6))
            case "version" if program["command"][0] == "./serve":
                program["command"] = ["./serve", rng.choice(MODES), f"v{self.next_number()}"]
            case "version" if program["command"][0] == "./echo":
                program["command"] = rng.choice([["./echo", "--who"], ["sh", "-c", "exec ./echo --who"], "./echo --who"])
            case "priority":
                program["priority"] = rng.choice([1, 5, 999])
        self.revise(program)

    def _change_loaded(self):
        self._change(self.rng.choice(self.loaded()))

    def _change_other(self):
        if self.others():
            self._change(self.rng.choice(self.others()))

    def _rename(self, old, new):
        self.programs = {new if name == old else name: program for name, program in self.programs.items()}
        self.included = [new if name == old else name for name in self.included]

    def _rename_program(self):
        old = self.rng.choice(list(self.programs))
        self._rename(old, f"{old.partition('-')[0]}-{self.next_number()}" if old in self.loaded() else f"p{self.next_number()}")

    def _replace_loaded(self):
        """Its sockets move to a program that is new."""
        old = self.rng.choice(self.loaded())
        program = copy.deepcopy(self.programs.pop(old))
        program["environment"]["STORM_WORD"] = f"new {self.next_number()}"
        program["workers"] = self.rng.randint(1, SLOTS_MAX)
        self.revise(program)
        self.included = [name for name in self.included if name != old]
        self.programs[f"{old.partition('-')[0]}-{self.next_number()}"] = program

    def _change_socket(self):
        name = self.rng.choice(list(self.sockets))
        match self.rng.choice(["name", "options", "sharing"]):
            case "name":
                self._rename_socket(name)
            case "options":
                self.set_options(name)
            case "sharing":
                self._change_sharing(name)

    def _change_sharing(self, name):
        socket, users = self.sockets[name], self._users(name)
        if len(users) == 1 and not socket["listen"].startswith("unix:") and "%(process_num)s" not in socket["listen"]:
            socket["sharing"] = "shared" if socket.get("sharing") == "per_worker" else "per_worker"
            self.revise(self.programs[users[0]])

    def _include(self):
        name = self.rng.choice(list(self.programs))
        if name in self.included:
            self.included.remove(name)
        else:
            self.included.append(name)

    def _set_top(self):
        top = {"log": [{"level": "debug"}, {"file": str(self.places.directory / "other.log")}, {"format": "json"}],
               "control": [{"mode": "0600"}, {"mode": "0660"}], "identifier": ["storm"], "process_title": ["storm"]}
        key = self.rng.choice(list(top))
        if self.rng.random() < 0.5:
            self.top.pop(key, None)
        else:
            self.top[key] = self.rng.choice(top[key])

    # --- as files

    def whole(self):
        """A copy that later steps leave alone: {sockets, programs, included, top}."""
        return copy.deepcopy({"sockets": self.sockets, "programs": self.programs, "included": self.included, "top": self.top})


class Files:
    """Writes configurations as a main file and at most one that it includes, whose name changes with what is in it."""

    def __init__(self, directory, runtime):
        self.directory = directory
        self.runtime = runtime
        self.place = directory / "conf.d"
        self.place.mkdir()
        self.included = {}

    def render(self, whole, **more):
        top = {"runtime_directory": str(self.runtime), "sockets": whole["sockets"],
               "programs": {name: program for name, program in whole["programs"].items() if name not in whole["included"]}}
        top.update(whole["top"])
        if whole["included"]:
            top["include"] = [self._include({name: whole["programs"][name] for name in whole["included"]})]
        return {**top, **more}

    def _include(self, programs):
        text = json.dumps({"programs": programs}, indent=1)
        name = self.included.get(text)
        if not name:
            name = self.included[text] = f"conf.d/{len(self.included)}.*aml"
            (self.directory / name.replace("*", "y")).write_text(text)
        return name


# --- broken ones


def _set(keys):
    def change(whole, program, _):
        whole["programs"][program].update(keys)
    return change


def _serve(mode, **keys):
    def change(whole, program, _):
        whole["programs"][program].update(command=["./serve", mode, "broken"], **keys)
        if mode == "die":
            whole["programs"][program]["reload"].update(probation="400ms", canary=True)
        if mode == "third":
            whole["programs"][program]["workers"] = 4
    return change


def _take(listen):
    def change(whole, program, places):
        whole["sockets"]["foreign"] = {"listen": listen(places)}
        whole["programs"][program]["sockets"].append("foreign")
    return change


def _top(**keys):
    def change(whole, *_):
        whole["more"] = keys
    return change


def _reload(**keys):
    def change(whole, program, _):
        whole["programs"][program]["reload"].update(keys)
    return change


def _nothing(*_):
    pass


# (what is wrong, how it comes to be so, how the reload ends)
BREAKAGES = [
    ("YAML error", _nothing, "refused"),
    ("unknown key", _set({"wrokers": 3}), "refused"),
    ("unknown socket", _set({"sockets": ["nowhere"]}), "refused"),
    ("missing include", _top(include=["conf.d/nothing.yaml"]), "refused"),
    ("fixed setting", _top(runtime_directory="/nonexistent"), "refused"),
    ("port in use", _take(lambda places: places.taken), "refused"),
    ("path in use", _take(lambda places: f"unix:{places.sockets}/taken.sock"), "refused"),
    ("environment_file missing", _set({"environment_file": "/nonexistent/environment"}), "refused"),
    ("check_command fails", _reload(check_command=["false"]), "refused"),
    ("check_command hangs", _reload(check_command=["sleep", "1000"]), "refused"),
    ("command missing", _set({"command": ["/nonexistent/server"]}), "rolled_back"),
    ("directory missing", _set({"directory": "/nonexistent"}), "refused"),
    ("exits before ready", _serve("exit"), "rolled_back"),
    ("dies within probation", _serve("die"), "rolled_back"),
    ("fails in the third slot", _serve("third"), "rolled_back"),
    ("never ready", _serve("hang", ready="message", start_timeout="300ms"), "rolled_back"),
]


def break_it(rng, model, places):
    """(name, configuration or text, expected result)"""
    name, change, result = rng.choice(BREAKAGES)
    whole = model.whole()
    started = [program for program in whole["programs"] if whole["programs"][program].get("autostart", True)]
    program = rng.choice(started)
    change(whole, program, places)
    if name == "check_command hangs":
        whole["programs"][program]["start_timeout"] = "200ms"
    model.revise(whole["programs"][program])
    return name, "programs: {" if name == "YAML error" else whole, result
