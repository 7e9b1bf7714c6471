"""What `meson install` installs: exactly this, usable as it is."""
import os
import re
import subprocess

import pytest

from harness import TOP
from harness.installation import Installation

UNITS = ("reloader.service", "reloader.socket", "reloader@.service", "reloader@.socket")
HELPERS = ["reloader-gateway", "reloader-log", "reloader-probe", "reloader-why"]
PAGES = ("libreloader.3", "reloader-gateway.8", "reloader-worker.7", "reloader.8", "reloader.yaml.5", "reloaderctl.1")
DOCUMENTS = ("reloader.yaml", "grafana.json", "nginx.conf", "prometheus.yml", "prometheus-alerts.yml", "sandboxing.conf", "node/app.js", "node/reloader.yaml", "python/reloader.yaml", "python/server.py", "control.py",
             "events.py")
COMPLETIONS = ("bash-completion/completions/reloaderctl", "zsh/vendor-completions/_reloaderctl",
               "fish/vendor_completions.d/reloaderctl.fish")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def prefix(installed):
    return installed.find("/bin/reloader").removesuffix("/bin/reloader")


def test_exactly_these_files(installed, prefix):
    library = os.path.dirname(installed.find("/libreloader.a"))
    units = os.path.dirname(installed.find("/system/reloader.service"))
    expected = [f"{prefix}/bin/{name}" for name in ("reloader", "reloaderctl")]
    expected += [f"{prefix}/include/reloader.h", f"{library}/pkgconfig/libreloader.pc"]
    expected += [f"{library}/libreloader.{end}" for end in ("a", "so", "so.0", "so.0.1.0")]
    expected += [f"{units}/{name}" for name in UNITS]
    expected += [f"{prefix}/lib/{name}" for name in ("systemd/user/reloader.service", "sysusers.d/reloader.conf", "tmpfiles.d/reloader.conf")]
    expected += [f"{prefix}/share/doc/reloader/examples/{name}" for name in DOCUMENTS]
    expected += [f"{prefix}/libexec/reloader/{name}" for name in HELPERS]
    expected += [f"{prefix}/share/man/man{page[-1]}/{page}" for page in PAGES]
    expected += [f"{prefix}/share/{path}" for path in COMPLETIONS]
    assert installed.files() == sorted(expected)


@pytest.mark.parametrize("unit", UNITS)
def test_units_name_what_is_installed(installed, unit):
    """Programs of ExecStart= and ExecReload=, and examples that comments point to; nothing is left to be filled in."""
    text = installed.text(f"/system/{unit}")
    assert not re.search(r"@\w+@", text)
    named = re.findall(r"^Exec\w+=(\S+)", text, re.MULTILINE) + re.findall(r"(?<= )(/\S+/examples/\S+)", text)
    assert len(named) >= (2 if unit.endswith(".service") else 0)
    assert set(named) <= set(installed.files())


def test_templates_do_the_same(installed):
    """reloader.service and its two kin differ in names and paths alone."""
    def settings(end):
        lines = re.findall(r"^\w+=.*$", installed.text(end), re.MULTILINE)
        names = ("Exec", "Description", "Runtime", "After", "Wanted", "Limit")
        return [line for line in lines if not line.startswith(names)]
    assert settings("/system/reloader.service") == settings("/system/reloader@.service") == settings("/user/reloader.service") != []


def test_pkg_config(installed, directory):
    """A worker is compiled and linked with what libreloader.pc says, and runs with the shared library."""
    source = directory / "worker.c"
    source.write_text("#include <reloader.h>\nint main(void)\n{\n\tstruct reloader *reloader;\n\treturn reloader_new(0, &reloader) < 0;\n}\n")
    root = installed.directory
    folder = root / os.path.dirname(installed.find("/libreloader.pc"))[1:]
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder), "PKG_CONFIG_SYSROOT_DIR": str(root)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libreloader"], env=environment, capture_output=True, text=True, check=True)
    sanitizer = ["-fsanitize=address,undefined"] if "ASAN_OPTIONS" in os.environ else []
    subprocess.run(["cc", source, "-o", directory / "worker", *flags.stdout.split(), *sanitizer], check=True)
    libraries = {**os.environ, "LD_LIBRARY_PATH": str(folder.parent)}
    assert "libreloader.so.0" in subprocess.run(["readelf", "-d", directory / "worker"], capture_output=True, text=True, check=True).stdout
    subprocess.run([directory / "worker"], env=libraries, timeout=20, check=True)


def test_directories_of_the_distribution(directory):
    """Below /usr, units go where systemd.pc says; an option beats it."""
    options = {"system": "systemdsystemunitdir", "user": "systemduserunitdir"}

    def told(name):
        answer = subprocess.run(["pkg-config", f"--variable={options[name]}", "systemd"], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or f"/usr/lib/systemd/{name}"

    for arguments, places in (([], [told(name) for name in options]),
                              ([f"-D{option}=/elsewhere/{name}" for name, option in options.items()], [f"/elsewhere/{name}" for name in options])):
        build = directory / f"build-{len(arguments)}"
        subprocess.run(["meson", "setup", "--prefix=/usr", "-Dunit_tests=disabled", *arguments, build, TOP], stdout=subprocess.DEVNULL, check=True)
        plan = (build / "meson-info" / "intro-install_plan.json").read_text()
        for place in places:
            assert f'"{place}/reloader.service"' in plan
