"""What `meson install` puts where."""
import pathlib
import re
import subprocess

from harness.paths import BUILD


class Installation:
    """The build directory's, in a directory of its own instead of the root directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", self.directory],
                       stdout=subprocess.DEVNULL, timeout=60, check=True)

    def files(self):
        """Paths as they will be, of all that is no directory."""
        return sorted(f"/{path.relative_to(self.directory)}" for path in self.directory.rglob("*") if path.is_symlink() or not path.is_dir())

    def find(self, end):
        """The one file whose path ends so."""
        (path,) = [path for path in self.files() if path.endswith(end)]
        return path

    def text(self, end):
        return (self.directory / self.find(end)[1:]).read_text()

    def config(self, end):
        """The configuration that a unit names."""
        return re.search(r"^ExecStart=\S+ -c (\S+)", self.text(end), re.MULTILINE)[1]
