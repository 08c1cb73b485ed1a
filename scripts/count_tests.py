"""Prints "<passed> <failed>" of a JUnit report written by ctest.

Usage: count_tests.py <report.xml> <exit status of ctest>
Exits with 1 where anything failed, so that the caller shows the log.
"""
import sys
import xml.etree.ElementTree as xml


def count(report_path: str, ctest_status: int) -> tuple[int, int]:
    """A run without a report, without tests, or ended by a signal is one failure."""
    try:
        suite = xml.parse(report_path).getroot()
    except (OSError, xml.ParseError):
        return 0, 1
    passed = failed = 0
    for case in suite.iter("testcase"):
        status = case.get("status")
        if status == "run":
            passed += 1
        elif status == "fail":
            failed += 1
        # "notrun" and "disabled" are skipped tests: neither passed nor failed.
        elif status == "notrun" and case.find("skipped") is None:
            failed += 1
    if passed + failed == 0 or (ctest_status != 0 and failed == 0):
        failed += 1
    return passed, failed


if __name__ == "__main__":
    passed_count, failed_count = count(sys.argv[1], int(sys.argv[2]))
    print(passed_count, failed_count)
    sys.exit(1 if failed_count else 0)
