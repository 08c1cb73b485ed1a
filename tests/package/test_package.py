"""The Debian packages as cpack makes them of this build: what is in them, that the gateway runs from
there, what its unit leaves it. scripts/try-package does the rest in a clean Debian: installing,
systemd, purging."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from shipped import BUILD, SOURCE, expect, program, run

import client  # of tests/system
from gateway import clean_environment, free_port, wait_until

UNIT = "usr/lib/systemd/system/vorrang.service"
EXPOSURE_MAX = 20  # in tenths, of 100: systemd's own scale


def setUpModule():
    """Makes the packages once, in a folder of the build's own; packed as quickly as can be."""
    global folder, gateway, development
    program("dpkg-shlibdeps", "dpkg-dev")
    program("file", "file")
    folder = pathlib.Path(BUILD) / "package-tests"
    shutil.rmtree(folder, ignore_errors=True)
    cpack = os.environ.get("CPACK") or program("cpack", "cmake")
    expect("sh", "-c", 'umask 022; exec "$@"', "sh", cpack, "--config", BUILD / "CPackConfig.cmake",
           "-B", folder, "-D", "CPACK_DEBIAN_COMPRESSION_TYPE=gzip")  # fmt: skip
    found = {path.name.split("_")[0]: path for path in folder.glob("*.deb")}
    assert set(found) == {"vorrang", "vorrang-dev"}, found
    gateway, development = found["vorrang"], found["vorrang-dev"]
    expect("dpkg-deb", "--extract", gateway, folder / "root")
    expect("dpkg-deb", "--control", gateway, folder / "control")


def tearDownModule():
    shutil.rmtree(folder, ignore_errors=True)


def field(package, name):
    return expect("dpkg-deb", "--field", package, name).strip()


def contents(package):
    """{path: (mode, owner)}"""
    found = {}
    for line in expect("dpkg-deb", "--contents", package).splitlines():
        mode, owner, _size, _day, _time, path = line.split(maxsplit=5)
        found[path.split(" -> ")[0].removeprefix(".")] = (mode, owner)
    return found


class Contents(unittest.TestCase):
    def test_fields(self):
        version = expect(os.environ["VORRANG_BINARY"], "--version").split()[1]
        for package in (gateway, development):
            self.assertEqual(field(package, "Version"), version)
            self.assertEqual(package.name, f"{field(package, 'Package')}_{version}_"
                                           f"{expect('dpkg', '--print-architecture').strip()}.deb")  # fmt: skip
        needed = field(gateway, "Depends")
        for name in ("libc6 (>=", "libcaf-core", "libssl3", "adduser", "ca-certificates"):
            self.assertIn(name, needed)
        self.assertNotIn("-dev", needed)
        # Everything that vorrang-config.cmake looks for.
        for name in ("libcaf-dev", "nlohmann-json3-dev", "libyaml-cpp-dev", "libboost", "libssl-dev",
                     "libhiredis-dev", "libspdlog-dev"):  # fmt: skip
            self.assertIn(name, field(development, "Depends"))

    def test_files(self):
        files = contents(gateway)
        for path in ("/usr/bin/vorrang", "/" + UNIT, "/etc/vorrang/config.yaml", "/etc/default/vorrang",
                     "/usr/share/doc/vorrang/copyright", "/usr/share/doc/vorrang/changelog.gz",
                     "/usr/share/doc/vorrang/installing.md", "/usr/share/doc/vorrang/admin-light.png",
                     "/usr/share/doc/vorrang/CHANGELOG.md.gz",
                     "/usr/share/doc/vorrang/examples/prometheus/vorrang.rules.yml",
                     "/usr/share/doc/vorrang/examples/grafana/vorrang.json",
                     "/usr/share/doc/vorrang/examples/kubernetes/base/deployment.yaml",
                     "/usr/share/vorrang/vorrang.schema.json",
                     "/usr/share/man/man1/vorrang.1.gz", "/usr/share/bash-completion/completions/vorrang",
                     "/usr/share/zsh/vendor-completions/_vorrang",
                     "/usr/share/fish/vendor_completions.d/vorrang.fish"):  # fmt: skip
            self.assertIn(path, files)
        for path, (mode, owner) in files.items():
            self.assertTrue(re.match(r"/(usr|etc)?(/|$)", path), path)
            self.assertEqual(owner, "root/root", path)
            wanted = "drwxr-xr-x" if path.endswith("/") else "-rwxr-xr-x" if "/bin/" in path else "-rw-r--r--"
            self.assertEqual(mode, wanted, path)
        self.assertEqual((folder / "control" / "conffiles").read_text(),
                         "/etc/default/vorrang\n/etc/vorrang/config.yaml\n")  # fmt: skip

    def test_its_readme_is_the_list_of_the_pages_beside_it(self):
        pages = folder / "root" / "usr" / "share" / "doc" / "vorrang"
        named = re.findall(r"\]\(([^)#]+)", (pages / "README.md").read_text())
        self.assertGreater(len(named), 10)
        self.assertEqual([name for name in named if not (pages / name).is_file()], [])

    def test_who_else_has_a_right_in_it_is_named(self):
        # What is compiled in of others, where their licences ask for it.
        text = (folder / "root" / "usr" / "share" / "doc" / "vorrang" / "copyright").read_text()
        for name in ("CLI11", "Chart.js", "nlohmann-json"):
            self.assertRegex(text, rf"(?m)^Files: {re.escape(name)}\nCopyright: ")

    def test_files_for_development(self):
        files = contents(development)
        for path in ("/usr/include/vorrang/actors/engine.hpp", "/usr/include/vorrang/http/router.hpp",
                     "/usr/lib/cmake/vorrang/vorrang-config.cmake", "/usr/lib/libvorrang_engine.a"):  # fmt: skip
            self.assertIn(path, files)
        self.assertFalse([path for path in files if "/bin/" in path or path.startswith("/etc")])

    def test_lintian(self):
        program("lintian", "lintian")
        status, text = run(SOURCE / "scripts" / "check-package", gateway)
        self.assertEqual((status, text), (0, ""))

    def test_dpkg_would_install_it(self):
        text = expect("dpkg", "--dry-run", "--force-depends", "--install", gateway)
        self.assertIn("vorrang", text)


class Unit(unittest.TestCase):
    def setUp(self):
        program("systemd-analyze", "systemd")
        self.unit = folder / "root" / UNIT
        self.settings = dict(
            line.split("=", 1) for line in self.unit.read_text().splitlines() if re.match(r"\w+=", line)
        )

    def test_exposure_is_low(self):
        status, text = run("systemd-analyze", "security", "--offline=true", "--no-pager",
                           f"--threshold={EXPOSURE_MAX}", self.unit)  # fmt: skip
        last = text.strip().splitlines()[-1]
        found = re.search(r"exposure level for vorrang.service: ([0-9.]+)", last)
        self.assertTrue(found, text)
        self.assertLessEqual(float(found.group(1)) * 10, EXPOSURE_MAX)
        self.assertEqual(status, 0, last)

    def test_it_is_understood(self):
        # In a root of its own: the programs that it names have to be there.
        for name in ("bin", "sbin", "lib", "lib64"):
            link = folder / "root" / name
            if not link.is_symlink():
                link.symlink_to(f"usr/{name}")
        shell = folder / "root" / "usr" / "bin" / "sh"
        if not shell.exists():
            shutil.copy(shutil.which("sh"), shell)
        for target in ("sysinit", "basic", "multi-user", "shutdown", "network-online"):
            (self.unit.parent / f"{target}.target").write_text("[Unit]\n")
        text = expect("systemd-analyze", "verify", "--man=no", f"--root={folder / 'root'}", "vorrang.service")
        self.assertNotIn("vorrang.service:", text)

    def test_it_waits_longer_than_draining_takes(self):
        text = expect(os.environ["VORRANG_BINARY"], "--check-config", "--config",
                      SOURCE / "deploy" / "debian" / "config.yaml")  # fmt: skip
        drain_s = float(re.search(r"draining: up to ([0-9.]+) s", text).group(1))
        self.assertGreater(float(self.settings["TimeoutStopSec"]), drain_s + 2 + 5)


class Unpacked(unittest.TestCase):
    """The gateway as it lies in the package, with the package's own configuration."""

    def setUp(self):
        self.binary = folder / "root" / "usr" / "bin" / "vorrang"
        self.config = folder / "root" / "etc" / "vorrang" / "config.yaml"

    def test_the_first_configuration_has_no_fault(self):
        done = subprocess.run([self.binary, "--check-config", "--config", self.config], text=True,
                              capture_output=True, env=clean_environment(), timeout=30)  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("0 errors, 0 warnings", done.stdout)

    def test_it_serves_and_tells_the_service_manager(self):
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="vorrang-package-") as work, \
             socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:  # fmt: skip
            manager.bind(f"{work}/notify")
            manager.settimeout(20)
            config = pathlib.Path(work) / "config.yaml"
            # Only the operator's port, which is a fixed one, is taken away.
            config.write_text(self.config.read_text() + "\nvorrang_settings:\n  admin_port: 0\n")
            process = subprocess.Popen(
                [self.binary, "--config", config], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
                env=clean_environment(PORT=str(port), NOTIFY_SOCKET=f"{work}/notify"),
            )  # fmt: skip
            try:
                self.assertEqual(manager.recv(4096), b"READY=1")
                asked = client.call(port, "POST", "/v1/chat/completions", {
                    "model": "hello", "priority": 0, "messages": [{"role": "user", "content": "Hi"}]})  # fmt: skip
                self.assertEqual(asked.status, 200, asked.body)

                config.write_text(config.read_text().replace("model_name: hello", "model_name: changed"))
                process.send_signal(signal.SIGHUP)
                self.assertRegex(manager.recv(4096), rb"^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
                self.assertEqual(manager.recv(4096), b"READY=1")
                self.assertIn(b'"changed"', client.call(port, "GET", "/v1/models").body)

                process.terminate()
                self.assertEqual(manager.recv(4096), b"STOPPING=1")
                output, _ = process.communicate(timeout=20)
                self.assertEqual(process.returncode, 0, output)
            finally:
                process.kill()
                process.communicate()


if __name__ == "__main__":
    unittest.main()
