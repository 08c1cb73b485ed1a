"""Pictures of what benches found, by matplotlib in a virtual environment of its own."""
import os
import subprocess
import sys
import unittest

from harness import report

sys.path[:0] = [str(report.root / "tests" / name) for name in (".", "system")]
import library  # noqa: E402


def draw(drawer, found, picture):
    """Runs a program of this folder, `drawer FOUND.json PICTURE.svg`, with a Python that has matplotlib."""
    os.environ["VORRANG_SYSTEM_WORK"] = str(report.root / "build" / "bench")
    here = report.root / "bench" / "harness"
    try:
        python = library.python_environment("matplotlib", here / "matplotlib.txt")
    except (unittest.SkipTest, AssertionError) as reason:
        raise RuntimeError(str(reason)) from None
    done = subprocess.run([str(python), "-B", str(here / drawer), str(found), str(picture)], check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{drawer} failed")
    try:
        shown = picture.resolve().relative_to(report.root)
    except ValueError:
        shown = picture
    print(f"the picture: {shown}")
