"""What a request costs in calls, memory, messages and wake-ups, as tests/system/test_counts.py holds it
to ceilings. These are counts: what else runs on the machine changes none of them."""
import os
import sys
import unittest

from harness import report

sys.path[:0] = [str(report.root / "tests" / name) for name in (".", "system")]

import count_cases  # noqa: E402


def number(value):
    return f"{value:,.2f}".removesuffix(".00")


def run(options):
    gateway = options.gateway.resolve()
    os.environ["VORRANG_BINARY"] = str(gateway)
    os.environ["VORRANG_COUNTING"] = str(gateway.parent / "tests" / "system" / "libcounting.so")
    facts = report.circumstances(gateway.parent)
    del facts["busy before"]
    report.print_circumstances("counts", facts, "./dev bench counts")
    try:
        results = {name: case() for name, case in count_cases.CASES.items()}
    except unittest.SkipTest as reason:
        raise RuntimeError(str(reason)) from None
    report.print_table(["each", *results], [
        [shown, *(number(result[key]) for result in results.values())] for shown, key in count_cases.SHOWN.items()
    ])
    report.save(options.results, "counts", facts, results)
