"""What the benches install by pip and npm, each into a folder of its own in build/."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

from harness import report

sys.path[:0] = [str(report.root / "tests" / name) for name in (".", "system")]
import library  # noqa: E402

here = Path(__file__).resolve().parent


def _install(work, function, *arguments):
    os.environ["VORRANG_SYSTEM_WORK"] = str(report.root / "build" / work)
    try:
        return function(*arguments)
    except (unittest.SkipTest, AssertionError) as reason:
        raise RuntimeError(str(reason)) from None


def litellm():
    """The Python that has it, at the version that tests/compare pins, in the folder that those tests use."""
    return _install("compare", library.python_environment, "litellm", report.root / "tests" / "compare" / "litellm.txt")


def smg():
    return _install("bench", library.python_environment, "smg", here / "smg.txt")


def portkey():
    """The folder that has it in its node_modules."""
    return _install("bench", library.node_environment, "portkey", here / "portkey")


def version_of(python, package):
    return report.output_of(str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))")


def draw(name, file):
    """docs/NAME.svg of a bench's figures, with a Python that has matplotlib."""
    python = _install("bench", library.python_environment, "matplotlib", here / "matplotlib.txt")
    picture = report.root / "docs" / f"{name}.svg"
    subprocess.run([str(python), str(here / f"{name}_picture.py"), str(file), str(picture)], check=True)
    print(f"the picture: {picture.relative_to(report.root)}")
