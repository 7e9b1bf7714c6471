"""Workers that never read their channel: a shutdown need not give them the time to, for which half of all tests would wait."""
import os

GRACE = "20ms"


def is_deaf(command):
    """Told by the command alone: a sleep, and a script or fault.py where nothing reads from a descriptor."""
    if not isinstance(command, list) or not command:
        return False
    words = [str(word) for word in command]
    name = os.path.basename(words[0])
    if name in ("sh", "bash"):
        return not any("<&" in word and "CHANNEL_FD" in word for word in words)
    if name == "python3":
        return any(word.endswith("/fault.py") for word in words) or ("-c" in words and not any("CHANNEL_FD" in word for word in words))
    return name == "sleep"


def not_waited_for(config):
    """A copy; who has a drain_grace or a drain of its own keeps it."""
    programs = config.get("programs")
    if not isinstance(programs, dict):
        return config
    spared = {name: {**program, "drain_grace": GRACE}
              if isinstance(program, dict) and is_deaf(program.get("command")) and not {"drain", "drain_grace"} & set(program)
              else program for name, program in programs.items()}
    return {**config, "programs": spared}
