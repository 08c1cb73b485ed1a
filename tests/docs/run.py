#!/usr/bin/env python3
"""Tests of README and docs: their commands are run, their links lead somewhere.

    python3 tests/docs/run.py --binary build/release/vorrang [-k PATTERN]

Needs Python 3.11 with jsonschema and PyYAML (Debian: python3-jsonschema, python3-yaml).
"""

import argparse
import os
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", required=True, help="path of the gateway")
    parser.add_argument("--settings-reference", metavar="FILE", help="default: as built with the binary")
    parser.add_argument("--work", help="where client libraries are installed (default: build/system-tests)")
    parser.add_argument("-k", dest="patterns", action="append", help="only tests whose name matches")
    parser.add_argument("-q", "--quiet", action="store_true", help="only failures and the summary")
    options = parser.parse_args()
    binary = pathlib.Path(options.binary).resolve()
    os.environ["VORRANG_BINARY"] = str(binary)
    os.environ["VORRANG_SETTINGS_REFERENCE"] = os.path.abspath(
        options.settings_reference or binary.parent / "config" / "vorrang_settings_reference"
    )
    root = here.parent.parent
    os.environ["VORRANG_SYSTEM_WORK"] = os.path.abspath(options.work or root / "build" / "system-tests")
    sys.path[:0] = [str(here), str(here.parent / "system"), str(here.parent)]
    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in options.patterns]
    suite = loader.loadTestsFromNames(["test_docs", "test_told"])
    result = unittest.TextTestRunner(verbosity=1 if options.quiet else 2).run(suite)
    for test, reason in result.skipped:
        print(f"SKIP {test}: {reason}", flush=True)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main())
