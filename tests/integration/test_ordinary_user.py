"""As an ordinary user: what the other tests show as root."""
import json
import os
import stat
import subprocess

import pytest

from harness import BINARIES, Load, configs, proc
from harness.master import Master

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def mine(directory):
    """The directory belongs to nobody."""
    os.chown(directory, 65534, 65534)
    return directory


@pytest.mark.root
def test_reload_under_load(mine, port):
    one = Master(mine, configs.echo(f"127.0.0.1:{port}", workers=2), wrapper=NOBODY)
    one.wait_ready()
    assert proc.field(one.pid, "Uid").split() == ["65534"] * 4
    assert stat.S_IMODE(one.runtime.stat().st_mode) == 0o700 and one.runtime.stat().st_uid == 65534
    with Load(mine, f"127.0.0.1:{port}", 200, 20):
        one.hup()
        one.expect_reload("committed")
    one.stop()


@pytest.mark.root
def test_default_runtime_directory(mine, port):
    """$XDG_RUNTIME_DIR/reloader, else reloader-UID under the temporary directory; reloaderctl finds both."""
    for variable, place in (("XDG_RUNTIME_DIR", mine / "reloader"), ("TMPDIR", mine / "reloader-65534")):
        environment = {"XDG_RUNTIME_DIR": "", "TMPDIR": "", variable: str(mine)}
        config = configs.echo(f"127.0.0.1:{port}", workers=1)
        # As text, for Master would set a directory of its own.
        one = Master(mine, json.dumps(config), wrapper=[*NOBODY, "env", *(f"-u{name}" for name, value in environment.items() if not value)],
                     environment={variable: str(mine)}, name=variable)
        one.runtime, one.socket = place, place / "control.sock"
        one.wait_ready()
        clean = {key: value for key, value in os.environ.items() if key not in environment}
        done = subprocess.run([*NOBODY, BINARIES.reloaderctl, "status"], env={**clean, variable: str(mine)}, timeout=20, check=False)
        assert done.returncode == 0
        one.stop()
