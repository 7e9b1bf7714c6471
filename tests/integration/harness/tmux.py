"""A terminal as people have it: tmux, which wraps and reflows lines as terminal emulators do."""
import os
import shlex
import shutil
import subprocess


from harness import proc

END = "(this is the end of it)"


class Tmux:
    """Runs one command in a server of its own; its screen stays when the command has ended, until the `with` does."""

    def __init__(self, directory, command, width=80, height=24, environment=None):
        assert shutil.which("tmux"), "tmux is missing; tools/setup.sh installs it"
        self.socket = directory / "tmux.sock"
        self.width = width
        # Without -f there would be somebody's settings. What a shell says last before it ends may get lost: so it does not end.
        settings = directory / "tmux.conf"
        settings.write_text("set -g status off\n"
                            "set -g default-terminal screen\nset -s escape-time 0\nset -g history-limit 10000\n")
        line = shlex.join(["env", *(f"{name}={value}" for name, value in (environment or {}).items()),
                           "sh", "-c", f'"$@"; echo "{END}"; read -r _', "sh", *map(str, command)])
        self._run("-f", settings, "new-session", "-d", "-x", width, "-y", height, f"exec {line}")

    def _run(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
        return subprocess.run(["tmux", "-u", "-S", self.socket, *map(str, arguments)], env={**environment, "LC_ALL": "C.UTF-8"}, check=True,
                              capture_output=True, text=True, timeout=30).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        server = int(self._run("display-message", "-p", "#{pid}"))
        self._run("kill-server")
        proc.wait_gone(server)

    def resize(self, width, height):
        self.width = width
        self._run("resize-window", "-x", width, "-y", height)

    def type(self, *keys):
        self._run("send-keys", *keys)

    def capture(self, *options):
        return self._run("capture-pane", "-p", *options)

    def lines(self, whole=False):
        """As they were written: what was broken because it was too long is one line again. `whole`: with what has scrolled away."""
        text = self.capture("-J", *(["-S", "-"] if whole else []))
        return ["" if line.startswith(END) else line.rstrip() for line in text.split("\n")]

    def rows(self):
        """As they stand there."""
        return ["" if row.startswith(END) else row.rstrip() for row in self.capture().split("\n")[:-1]]

    def has_ended(self):
        """What it wrote before is there, then."""
        return END in self.capture()

    def wait(self, condition, what):
        proc.wait_until(lambda: condition(self.lines()), what)

    def wait_rows(self, condition, what):
        proc.wait_until(lambda: condition(self.rows()), what)

    def wait_text(self, text):
        self.wait(lambda lines: any(text in line for line in lines), text)

    def wait_end(self):
        proc.wait_until(self.has_ended, "its end")
