"""reloader as a service of a Machine."""
import json

from harness import proc

ECHO = "/opt/harness/tcp-echo"  # the example, inside


class Service:
    """One unit with the configuration that it names; drop-ins are gone after the test."""

    def __init__(self, machine, config, name="reloader"):
        self.machine = machine
        self.path = config
        self.name = f"{name}.service"
        self.socket = f"{name}.socket"

    # --- before it runs

    def configure(self, config):
        self.machine.write(self.path, config if isinstance(config, str) else json.dumps(config))

    def drop_in(self, text, unit=None):
        self.machine.write(f"/run/harness/{unit or self.name}.d/test.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    # --- acting

    def systemctl(self, verb, unit=None, code=0):
        return self.machine.run("systemctl", verb, unit or self.name, code=code)

    def ctl(self, *words, code=0):
        directory = self.machine.show(self.name, "RuntimeDirectory")
        return self.machine.run("reloaderctl", "-s", f"/run/{directory}/control.sock", *words, code=code)

    # --- looking

    def show(self, name):
        return self.machine.show(self.name, name)

    def status(self):
        return json.loads(self.ctl("status", "--json", code=None).stdout)

    def master(self):
        return self.machine.main_pid(self.name)

    def workers(self):
        """Their pids as seen outside: all but the master."""
        return set(self.machine.processes(self.name)) - {self.master()}

    def wait(self, state, seconds=30):
        proc.wait_until(lambda: self.show("ActiveState") == state, f"{self.name} is {state}", seconds)

    def wait_workers(self, number, seconds=30):
        """Until there are as many: those that drain have left."""
        proc.wait_until(lambda: len(self.workers()) == number, f"{self.name} has {number} workers", seconds)

    def wait_running_but(self, master, seconds=30):
        """Until another master than that is up and ready."""
        def other():
            return self.show("ActiveState") == "active" and self.master() not in (None, master)
        proc.wait_until(other, f"{self.name} runs with another master", seconds)
