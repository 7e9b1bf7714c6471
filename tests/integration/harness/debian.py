"""Debian packages of this tree, and a root directory with nothing but a base system to install them in."""
import os
import pathlib
import re
import subprocess

from harness.paths import BUILD, TOP

FILES = BUILD / "test-debs"  # what the mirror gave is kept for the next run


def run(command, log, seconds, **options):
    """Its output goes to a log, whose end tells why it failed."""
    with open(log, "ab") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=seconds, check=False, **options)
    if done.returncode != 0:
        lines = pathlib.Path(log).read_text(errors="replace").splitlines()[-60:]
        raise AssertionError(f"{command[0]} ended with {done.returncode}\n" + "\n".join(lines))


def build_packages(directory):
    """{name: path} of what packaging/debian/build makes. The unit tests have run already."""
    environment = {**os.environ, "DEB_BUILD_OPTIONS": "nocheck noautodbgsym"}
    run([TOP / "packaging" / "debian" / "build", directory], directory / "build.log", 600, env=environment)
    return {path.name.partition("_")[0]: path for path in directory.glob("*.deb")}


def dependencies(package):
    """Names of the packages that it needs; of alternatives the first."""
    text = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
    return [re.split(r"[\s(|]", entry.strip())[0] for entry in text.split(",") if entry.strip()]


def release():
    """(mirror, code name) of this machine's own system, as apt knows them."""
    with open("/etc/os-release") as file:
        (name,) = re.findall(r"^VERSION_CODENAME=(\w+)$", file.read(), re.MULTILINE)
    rows = subprocess.run(["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    return next(row.split()[1] for row in rows if row.split()[0] == name), name


def bootstrap(directory, packages):
    """The smallest system that debootstrap makes, with systemd and `packages`; its root directory."""
    mirror, name = release()
    FILES.mkdir(exist_ok=True)
    root = directory / "root"
    run(["debootstrap", "--variant=minbase", f"--include={','.join(['systemd-sysv', *packages])}", f"--cache-dir={FILES.resolve()}",
         name, root, mirror], directory / "debootstrap.log", 600)
    return root
