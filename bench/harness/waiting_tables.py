"""What waiting.py found, as rows with their aims."""
from harness import report

core_share_max = 0.01
resident_kb_max = 8
resident_tls_kb_max = 40
freed_seconds_max = 1
handover_ms_max = 1


def at_most(field, limit):
    return lambda found: report.reached(found[field], limit, at_least=False)


def crowd_rows(found, count, over, kb_max):
    """Of those that wait in plain or over TLS."""
    def freed(each):
        return f"{each['line_empty_after_s']:.2f} s (closing took {each['clients_took_to_close_s']:.2f} s)"

    def memory(each):
        return "%.1f, %.1f, %.1f MB" % tuple(each[f"resident_mb_{when}"] for when in ("before", "waiting", "after"))

    return report.rows_of(found, [
        (f"{over}: resident memory, each of {count:,} (600 B of body)",
         lambda each: f"{each['resident_kb_each']:.2f} KB", f"≤ {kb_max} KB", at_most("resident_kb_each", kb_max)),
        (f"{over}: processor while they wait", lambda each: f"{each['core_share']:.2%} of a core",
         f"< {core_share_max:.0%}", at_most("core_share", core_share_max)),
        (f"{over}: all have their place after", lambda each: f"{each['parked_after_s']:.2f} s", "", None),
        (f"{over}: all clients gone: the line is empty after", freed, "", None),
        (f"{over}: … and every descriptor is back after", lambda each: f"{each['all_freed_after_s']:.2f} s",
         f"≤ {freed_seconds_max} s", at_most("all_freed_after_s", freed_seconds_max)),
        (f"{over}: resident memory before, with them, after", memory, "", None),
    ])  # fmt: skip


def order_rows(found, count):
    return report.rows_of(found, [
        (f"then {count:,} with a priority each, one slot: all answered after",
         lambda each: f"{each['let_through_s']:.2f} s", "", None),
        ("of them failed; in the order of their priorities",
         lambda each: f"{each['failed']}; {'yes' if each['in_order'] else 'NO'}", "0; yes",
         lambda each: "reached" if each["in_order"] and not each["failed"] else "missed"),
    ])  # fmt: skip


def shown_ms(us):
    """A time that a percentile is, or that it never came."""
    return "never" if us is None else f"{us / 1000:.3f}"


def percentiles(us):
    return " · ".join(shown_ms(us[each]) for each in ("p50", "p99", "p999")) + " ms"


def in_time(found):
    """Only with as many in line as the row says, up to the last handover."""
    p99 = found["through"]["us"]["p99"]
    if found["through"]["waiting_at_the_end"] < found["waiting"]:
        return f"NOT measured: {found['through']['waiting_at_the_end']:,} waited at the end"
    if p99 is None:
        return "missed"
    return report.reached(p99 / 1000, handover_ms_max, at_least=False)


def handover_rows(found):
    waiting = f"{found['waiting']:,}" if "waiting" in found else "the line"
    return report.rows_of(found, [
        (f"handover, {waiting} wait: from an answer to the next request, p50 · p99 · p99.9",
         lambda each: f"{percentiles(each['through']['us'])} of {each['through']['us']['count']:,}",
         f"p99 ≤ {handover_ms_max} ms", in_time),
        ("… the same exchange with nobody in between: the harness itself",
         lambda each: f"{percentiles(each['direct']['us'])} of {each['direct']['us']['count']:,}", "", None),
        ("… requests that came while the slot was taken", lambda each: f"{each['through']['beyond']}", "0",
         lambda each: "reached" if each["through"]["beyond"] == 0 else "missed"),
    ])  # fmt: skip


def rows(results, count):
    return (crowd_rows(results["plain"], count, "plain", resident_kb_max)
            + crowd_rows(results["tls"], count, "TLS", resident_tls_kb_max)
            + order_rows(results["plain"], count) + handover_rows(results["handover"]))  # fmt: skip
