"""What streams.py found, as rows with their aims."""
import statistics

from harness import paced, report
from harness.waiting_tables import at_most

stream_kb_max = 64
tls_kb_max = 40
freed_seconds_max = 1
# Of the events of most streams, read within `paced.within_ms` of when they were due.
within_share_min = 0.99


def crowd_rows(results, count):
    """What those of an event a second cost."""
    plain, tls = results["plain"], results["tls"]
    missing = next((each for each in (plain, tls) if "not_measured" in each), {})
    more = missing or {"more_kb": tls["resident_kb_each"] - plain["resident_kb_each"]}
    rows = report.rows_of(plain, [
        (f"resident memory, each of {count:,}", lambda each: f"{each['resident_kb_each']:.1f} KB", f"≤ {stream_kb_max} KB",
         at_most("resident_kb_each", stream_kb_max)),
    ]) + report.rows_of(more, [
        ("more where the upstream speaks TLS", lambda each: f"{each['more_kb']:.1f} KB", f"≤ {tls_kb_max} KB",
         at_most("more_kb", tls_kb_max)),
    ])  # fmt: skip

    def freed(each):
        return max(each["all_freed_after_s"], each["no_call_runs_after_s"])

    for name in ("plain", "tls"):
        rows += report.rows_of(results[name], [
            (f"{name}: ran at once", lambda each: str(each["running"]), f"{count:,}",
             lambda each: "reached" if each["running"] == count else "missed"),
            (f"{name}: all clients gone, everything is free after",
             lambda each: f"{freed(each):.2f} s (closing took {each['clients_took_to_close_s']:.2f} s)",
             f"≤ {freed_seconds_max} s", lambda each: report.reached(freed(each), freed_seconds_max, at_least=False)),
            (f"{name}: streams read to their end; failed", lambda each: f"{each['whole']}; {each['failed']}",
             f"{count:,}; 0", lambda each: "reached" if each["whole"] == count and not each["failed"] else "missed"),
        ])  # fmt: skip
    return rows


def middle(found, *path):
    """The median over the rounds; None if it is none in one of them (an event that never came)."""
    values = []
    for each in found["rounds"]:
        for key in path:
            each = each[key]
        values.append(each)
    return None if None in values else statistics.median(values)


def ms(us):
    return "never" if us is None else f"{us / 1000:.2f}"


def us(value):
    return "–" if value is None else f"{value:.1f}"


def paced_row(name, count, found):
    lost = sum(each["late"]["lost"] for each in found["rounds"])
    broken = sum(int(count) - each["whole"] for each in found["rounds"])
    return [f"{int(count):,}", name, f"{middle(found, 'events_a_second'):,.0f}",
            *(ms(middle(found, "late", each)) for each in ("p50", "p99", "p999")), f"{middle(found, 'within'):.2%}",
            "–" if name == paced.nobody else us(middle(found, "between_us")), us(middle(found, "load_us")),
            ms(middle(found, "load_late", "p99")), f"{middle(found, 'idle'):.0%}", f"{lost:,}; {broken:,}",
            len(found["rounds"])]  # fmt: skip


paced_head = ["streams", "through", "events/s read", "late p50, ms", "p99", "p99.9", f"within {paced.within_ms} ms",
              "its processor, µs an event", "the load's", "the load itself late, p99", "machine idle",
              "events lost; streams broken", "rounds"]  # fmt: skip


def paced_table(results):
    """One row for each number of streams and each that was in between."""
    rows = []
    for count in next(iter(results.values()), {}):
        for name, by_count in results.items():
            found = by_count[count]
            if "not_measured" in found:
                reason = f"NOT measured: {found['not_measured'][:120]}"
                rows.append([f"{int(count):,}", name, reason, *[""] * (len(paced_head) - 3)])
            else:
                rows.append(paced_row(name, count, found))
    return rows


def reaches(results, name):
    """The most streams of which enough events were read in time, and None without any."""
    good = [int(count) for count, found in results[name].items()
            if "not_measured" not in found and middle(found, "within") >= within_share_min]  # fmt: skip
    return max(good, default=None)


def paced_rows(results):
    """The aim, and how far each gets: the machine's own limit stands beside the gateway's."""
    most = max(results["vorrang"], key=int)
    what = f"{int(most):,} streams of {paced.rate} events a second each: read within {paced.within_ms} ms"
    rows = report.rows_of(results["vorrang"][most], [
        (what, lambda each: f"{middle(each, 'within'):.2%}", f"≥ {within_share_min:.0%}",
         lambda each: report.reached(middle(each, "within"), within_share_min)),
    ])  # fmt: skip
    ours, theirs = results["vorrang"][most], results["nginx"][most]
    both = next((each for each in (ours, theirs) if "not_measured" in each), None)
    rows += report.rows_of(both or {"ours": middle(ours, "between_us"), "nginx": middle(theirs, "between_us")}, [
        ("… processor for an event, beside nginx's", lambda each: f"{us(each['ours'])} and {us(each['nginx'])} µs", "", None),
    ])  # fmt: skip
    for name in results:
        measured = any("not_measured" not in each for each in results[name].values())
        most_of = reaches(results, name)
        shown = f"{most_of:,} streams" if most_of else "none of these" if measured else "NOT measured"
        rows.append([f"… {name}: {within_share_min:.0%} of the events are in time up to", shown, "", ""])
    return rows
