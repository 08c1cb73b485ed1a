"""What the tests of this folder share. Each file also runs alone, after ./dev build:
python3 tests/package/test_package.py"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests" / "system"), str(SOURCE / "tests")]
BUILD = pathlib.Path(os.environ.get("VORRANG_BUILD", SOURCE / "build" / "release"))
os.environ.setdefault("VORRANG_BINARY", str(BUILD / "vorrang"))
os.environ.setdefault("VORRANG_SYSTEM_WORK", str(SOURCE / "build" / "system-tests"))


def program(name, package):
    """Its path; a test is skipped where it is not there, or fails if that is CI."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        raise AssertionError(f"there is no {name}: ./dev setup installs the package {package}")
    if path is None:
        raise unittest.SkipTest(f"there is no {name} (Debian: {package})")
    return path


def run(*command, **more):
    """(exit status, all that it printed)."""
    done = subprocess.run([str(each) for each in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          **more)  # fmt: skip
    return done.returncode, done.stdout


def expect(*command, **more):
    """What it printed; that it went well is asserted."""
    status, text = run(*command, **more)
    assert status == 0, f"{command[0]} ended with {status}:\n{text}"
    return text


def tool(name):
    """A program of the packages in python.txt, which are installed once into the tests' work folder."""
    import library  # of tests/system; its gateway wants VORRANG_BINARY

    python = library.python_environment("package-tools", SOURCE / "tests" / "package" / "python.txt")
    return python.parent / name
