"""A configuration without one of its keys: what a test of that key must not pass with. See tests/long/keys."""
import os

# As --list-keys names it: programs.NAME.nice
HIDDEN = os.environ.get("RELOADER_HIDDEN_KEY", "")


def without(config, path):
    """A copy; NAME stands for every name. What is no mapping where one could be is a short form of it, and goes as a whole."""
    name, _, rest = path.partition(".")
    changed = {}
    for key, value in config.items():
        if name not in ("NAME", key):
            changed[key] = value
        elif rest and isinstance(value, dict):
            changed[key] = without(value, rest)
    return changed


def as_written(config):
    return without(config, HIDDEN) if HIDDEN else config
