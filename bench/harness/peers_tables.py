"""What peers.py found, as tables. A figure is the median of the rounds ± the median distance from it."""
from harness import report
from harness.peers_contention import call_seconds, requests
from harness.peers_load import connections, streams_alone, streams_together
from harness.peers_setups import priorities

base = "no proxy"


def middle(found, form="{:,.0f}", factor=1):
    """`median ± MAD` of what is there."""
    values = [each * factor for each in found if each is not None]
    if not values:
        return "–"
    return " ± ".join(form.format(each) for each in report.median_and_mad(values))


def later_ms(results, name, count, figure):
    """By how much it was later than without a proxy, in each round."""
    return [(one[figure] - other[figure]) / 1000
            for one, other in zip(results[name]["load"][count], results[base]["load"][count])
            if one["requests"] and other["requests"]]  # fmt: skip


def with_reasons(rows, reasons, width):
    """A row for each that could not be measured."""
    return rows + [[name, " ".join(reason.split())[:120], *[""] * (width - 2)]
                   for name, reason in reasons.items()]  # fmt: skip


def speed_table(results, reasons):
    rows = []
    for name, found in results.items():
        rates = [middle([each["per_second"] for each in found["load"][count]]) for count in connections]
        errors = sum(each["errors"] for rounds in found["load"].values() for each in rounds)
        memory = found.get("memory_mb") or {}
        rows.append([name, *rates, middle([each.get("cpu_us") for each in found["load"][64]], "{:,.0f}"),
                     *(f"{memory[when]:,.0f}" if when in memory else "–" for when in ("idle", "after")), errors])  # fmt: skip
    head = ["gateway", *(f"requests/s, {count} connections" for count in connections),
            "processor for each, µs (64)", "memory idle, MB", "after all, MB", "errors"]  # fmt: skip
    return head, with_reasons(rows, reasons, len(head))


def latency_table(results, reasons):
    rows = []
    for name in results if base in results else ():
        if name == base:
            here = [[each[figure] / 1000 for each in results[name]["load"][count] if each["requests"]]
                    for count in connections for figure in ("p50_us", "p99_us")]  # fmt: skip
        else:
            here = [later_ms(results, name, count, figure) for count in connections for figure in ("p50_us", "p99_us")]
        rows.append([name + (" (itself)" if name == base else ""), *(middle(each, "{:,.2f}") for each in here)])
    head = ["later by, ms", *(f"{count}: {figure}" for count in connections for figure in ("p50", "p99"))]
    return head, with_reasons(rows, reasons, len(head))


def stream_table(results, reasons):
    rows = []
    for name, rounds in results.items():
        whole, all_of_them = (sum(each[field] for each in rounds) for field in ("whole", "streams"))
        rows.append([name, *(middle([each[field] for each in rounds], "{:,.2f}") for field in ("first_p50_ms", "first_p99_ms")),
                     middle([each["events_per_second"] for each in rounds]), f"{whole} of {all_of_them}"])  # fmt: skip
    head = ["gateway", f"first event, ms: p50 of {streams_alone}", "p99", f"events/s, {streams_together} at once", "whole"]
    return head, with_reasons(rows, reasons, len(head))


def slot_table(results, reasons):
    """`results`: name → {"one_slot": how, "rounds": outcomes}."""
    rows = []
    for name, found in results.items():
        rounds = found["rounds"]
        shares = []
        for priority in priorities:
            answered, asked = (sum(each["answered_of"][priority][place] for each in rounds) for place in (0, 1))
            shares.append(f"{answered / asked:.0%}" if asked else "–")
        wrong, pairs = (sum(each[field] for each in rounds) for field in ("inversions", "pairs"))
        statuses = {}
        for each in rounds:
            for status, count in each["refused"].items():
                statuses[status] = statuses.get(status, 0) + count
        told = ", ".join(f"{status}: {count / len(rounds):.0f}" for status, count in sorted(statuses.items()))
        waits = [middle([each["wait_p50_ms"][priority] for each in rounds]) for priority in (priorities[0], priorities[-1])]
        refused = middle([sum(each["refused"].values()) for each in rounds])
        rows.append([name, found["one_slot"], middle([each["answered"] for each in rounds]), " ".join(shares),
                     refused + (f" ({told})" if told else ""), middle([each["at_once"] for each in rounds]),
                     middle([each["inversions"] for each in rounds]), f"{wrong / pairs:.1%}" if pairs else "nobody waited",
                     *waits])  # fmt: skip
    head = [f"one slot, {requests} requests, calls of {call_seconds * 1000:.0f} ms", "told by", "answered",
            "of priority " + " ".join(map(str, priorities)), "refused (status: in a round)", "at once", "inversions",
            "of pairs", f"wait p50, ms: priority {priorities[0]}", f"priority {priorities[-1]}"]  # fmt: skip
    return head, with_reasons(rows, reasons, len(head))
