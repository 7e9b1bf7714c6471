"""What the integration tests are written with: a master, load on it, and the truth about both from outside."""
from harness.load import Load
from harness.master import Master
from harness.paths import BINARIES, TOP, WORKERS
from harness.tail import Tail
from harness.varlink import Varlink, VarlinkError

__all__ = ["BINARIES", "TOP", "WORKERS", "Load", "Master", "Tail", "Varlink", "VarlinkError"]
