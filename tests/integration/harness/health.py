"""Workers whose health a test decides; see workers/patient.py."""
from harness.paths import PYTHON, WORKERS

QUICK = {"drain_grace": "50ms", "disconnect_timeout": "300ms", "stop_timeout": "1s", "start_seconds": "100ms", "backoff": {"initial": "50ms", "max": "200ms"}}


def patients(directory, address="none", workers=2, **program):
    """`address` as patient.py has it, with expansions."""
    return {"programs": {"ward": {"command": [PYTHON, "-S", str(WORKERS / "patient.py"), str(directory), str(address)],
                                  "workers": workers, "ready": "notify", **QUICK, **program}}}


def ask(directory, what, answer, slot=None):
    """What all of them, or the one of a slot, shall do from now on."""
    path = directory / (what if slot is None else f"{what}.{slot}")
    draft = directory / "draft"
    draft.write_text(answer)
    draft.replace(path)


def requests(directory):
    """(slot, pid, path, rest) of each that was made."""
    try:
        return [tuple(line.split(" ", 3)) for line in (directory / "requests").read_text().splitlines()]
    except FileNotFoundError:
        return []


def conditions(status):
    return [worker.get("health", {}).get("state") for program in status["programs"] for slot in program["slots"] for worker in slot["workers"]]
