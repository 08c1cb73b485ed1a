"""Prints "<passed> <failed> <skipped>" of a JUnit report written by ctest.

Usage: count_tests.py <report.xml> <exit status of ctest>
Exits with 1 where anything failed, so that the caller shows the log.
"""
import sys
import xml.etree.ElementTree as xml


def count(report: str, ctest_status: int) -> tuple[int, int, int]:
    """Of the report's text. No report, no test, or a status nobody explains is one failure."""
    try:
        suite = xml.fromstring(report)
    except xml.ParseError:
        return 0, 1, 0
    passed = failed = skipped = 0
    for case in suite.iter("testcase"):
        status = case.get("status")
        reason = case.find("skipped")
        if status == "run":
            passed += 1
        elif status == "disabled" or (
            # A test that says so itself; ctest names everything that it could not run "skipped".
            status == "notrun" and reason is not None
            and reason.get("message", "").startswith("SKIP_")
        ):
            skipped += 1
        else:
            failed += 1
    if passed + failed == 0 or (ctest_status != 0 and failed == 0):
        failed += 1
    return passed, failed, skipped


def main(report_path: str, ctest_status: str) -> int:
    try:
        with open(report_path, encoding="utf-8", errors="replace") as file:
            report = file.read()
    except OSError:
        report = ""
    counted = count(report, int(ctest_status))
    print(*counted)
    return 1 if counted[1] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
