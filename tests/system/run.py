#!/usr/bin/env python3
"""Runs the system tests against a built gateway.

    python3 tests/system/run.py --binary build/release/vorrang [-k PATTERN] [FILE...]

FILE is one or more of test_*.py beside this file (default: all). Needs Python 3.11 or later and its
standard library; only the tests of client libraries (test_*_client.py) install packages, into the
work folder.
"""

import argparse
import os
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", help="path of the gateway (without it: tests that need none)")
    parser.add_argument("--work", help="where client libraries are installed (default: build/system-tests)")
    parser.add_argument(
        "--failing-socket", metavar="FILE", help="what test_fault_loop.py preloads (default: as built with the binary)"
    )
    parser.add_argument("--counting", metavar="FILE", help="what test_counts.py preloads (likewise)")
    parser.add_argument("--checked-load", metavar="FILE", help="what test_speed.py runs (likewise)")
    parser.add_argument("-k", dest="patterns", action="append", help="only tests whose name matches")
    parser.add_argument("-q", "--quiet", action="store_true", help="only failures and the summary")
    parser.add_argument("-f", "--failfast", action="store_true", help="stop at the first failure")
    parser.add_argument("files", nargs="*", metavar="FILE")
    options = parser.parse_args()

    sys.path[:0] = [str(here), str(here.parent)]  # of the latter the package `provider`
    if options.binary:
        if not os.access(options.binary, os.X_OK):
            parser.error(f"{options.binary} cannot be run")
        os.environ["VORRANG_BINARY"] = os.path.abspath(options.binary)
        built = pathlib.Path(options.binary).resolve().parent / "tests" / "system"
        os.environ["VORRANG_FAILING_SOCKET"] = options.failing_socket or str(built / "libfailing_socket.so")
        bench = pathlib.Path(options.binary).resolve().parent / "bench" / "vorrang_bench_checked"
        os.environ["VORRANG_CHECKED_LOAD"] = options.checked_load or str(bench)
        os.environ["VORRANG_COUNTING"] = options.counting or str(built / "libcounting.so")
    os.environ["VORRANG_SYSTEM_WORK"] = os.path.abspath(
        options.work or here.parent.parent / "build" / "system-tests"
    )

    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in options.patterns]
    names = [pathlib.Path(name).stem for name in options.files] or sorted(
        path.stem for path in here.glob("test_*.py")
    )
    if not options.binary:
        names = [name for name in names if name == "test_provider"]
    suite = unittest.TestSuite(loader.loadTestsFromName(name) for name in names)
    result = unittest.TextTestRunner(
        verbosity=1 if options.quiet else 2, failfast=options.failfast
    ).run(suite)
    for test, reason in result.skipped:
        print(f"SKIP {test}: {reason}", flush=True)
    if result.testsRun == 0:
        print("no test matches", file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
