"""Cases of count_tests.py: nothing that did not run counts as passed."""
import unittest

from count_tests import count


def report(*cases: str) -> str:
    return "<testsuite>" + "".join(cases) + "</testsuite>"


RUN = '<testcase name="a" status="run"/>'
FAIL = '<testcase name="b" status="fail"><failure message=""/></testcase>'
SKIPPED = '<testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=4"/></testcase>'
NOT_BUILT = (
    '<testcase name="d" status="notrun"><skipped message="Unable to find executable"/></testcase>'
)
DISABLED = '<testcase name="e" status="disabled"/>'


class Count(unittest.TestCase):
    def test_counts(self):
        self.assertEqual(count(report(RUN, RUN), 0), (2, 0, 0))
        self.assertEqual(count(report(RUN, FAIL), 8), (1, 1, 0))
        self.assertEqual(count(report(RUN, SKIPPED, DISABLED), 0), (1, 0, 2))

    def test_what_could_not_run_failed(self):
        self.assertEqual(count(report(RUN, NOT_BUILT), 8), (1, 1, 0))

    def test_nothing_is_a_failure(self):
        self.assertEqual(count("", 0), (0, 1, 0))
        self.assertEqual(count("<testsuite>", 0), (0, 1, 0))
        self.assertEqual(count(report(), 0), (0, 1, 0))
        self.assertEqual(count(report(SKIPPED), 0), (0, 1, 1))

    def test_a_status_nobody_explains_is_a_failure(self):
        self.assertEqual(count(report(RUN), 139), (1, 1, 0))


if __name__ == "__main__":
    unittest.main()
