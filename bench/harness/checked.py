"""Order, limits and exactly-once while the gateway is at its peak: who sends and answers as fast as it goes also
writes down what it sees, and the checker of the system tests reads that."""
import sys
import tempfile
import time
from pathlib import Path

from harness import report
from harness.processes import free_ports, server

sys.path.insert(0, str(report.root / "tests" / "system"))
import speed_history  # noqa: E402
import speed_load  # noqa: E402

# Connections, and when providers answer: once all their slots are taken (most grants can be told apart), or at once (as
# fast as the gateway goes).
loads = ((64, "when-full"), (512, "when-full"), (64, "at-once"), (512, "at-once"))
rounds = 2
share_of_seconds = 0.8  # of one round, of --seconds: with what is done between them, all takes less than a minute
decisions_min = 1000


def play(options, folder, connections, pace, is_checked, seed):
    """One round at a fresh gateway: (what the load says of itself, the checker or None, seconds it took)."""
    port, admin_port, *ports = free_ports(2 + len(speed_load.SLOTS))
    file = folder / "checked.yaml"
    file.write_text(f"{speed_load.config(ports)}vorrang_settings:\n  admin_port: {admin_port}\n")
    command = [str(options.gateway), "--config", str(file), "--port", str(port), "--threads", str(options.threads),
               "--log-level", "warning"]  # fmt: skip
    record = folder / "record.csv" if is_checked else None
    with server(command, [port, admin_port], folder / "gateway.log"):
        told = speed_load.play(options.checked_bench, port, admin_port, ports, options.seconds * share_of_seconds,
                               connections, seed, record, pace)  # fmt: skip
    if not is_checked:
        return told, None, 0.0
    begun = time.monotonic()
    checker = speed_load.check(record)
    return told, checker, time.monotonic() - begun


def measure(options, folder, connections, pace):
    found = {"checked": [], "unchecked": [], "counts": [], "broken": [], "gaps_s": []}
    for turn in range(rounds):
        for is_checked in ((True, False), (False, True))[turn % 2]:
            told, checker, took = play(options, folder, connections, pace, is_checked, options.seed + turn)
            found["checked" if is_checked else "unchecked"].append(told)
            if checker is not None:
                found["counts"].append({**checker.counts(), "checking took, s": round(took, 2)})
                found["gaps_s"] += checker.gaps_s
                found["broken"] += checker.broken
                if checker.broken:
                    print(speed_load.story(checker), file=sys.stderr)
    gaps = sorted(found.pop("gaps_s"))
    found["gap_ms"] = {name: 1000 * speed_history.at_share(gaps, share)
                       for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))} if gaps else None  # fmt: skip
    return found


def total(found, name):
    return sum(each[name] for each in found["counts"])


def rate(told):
    return report.median_and_mad([each["per_second"] for each in told])[0]


def print_results(results):
    head = ["checked at peak", *(f"{connections} connections, {pace.replace('-', ' ')}" for connections, pace in results)]
    columns = list(results.values())
    rows = [["requests/s", *(f"{rate(found['checked']):,.0f}" for found in columns)],
            ["… not looked at, not recorded", *(f"{rate(found['unchecked']):,.0f}" for found in columns)]]  # fmt: skip
    rows += [[title, *(f"{total(found, name):,}" for found in columns)] for title, name in (
        ("requests", "requests"), ("calls", "calls"), ("hung up", "left"),
        ("grants compared with who surely waited, pairs", "pairs"),
        ("grants seen to go before another as they must", "decisions"),
        ("looks at the line", "looks"), ("windows of rpm", "windows"))]  # fmt: skip
    rows += [[f"a slot is free while somebody waits, {name}",
              *("–" if found["gap_ms"] is None else f"{found['gap_ms'][name]:.2f} ms" for found in columns)]
             for name in ("p50", "p99", "max")]  # fmt: skip
    rows += [["called after the client had gone; of them surely granted after that",
              *(f"{total(found, 'called after left')}; {total(found, 'granted after left')}" for found in columns)],
             ["**violations** (aim: 0)", *(f"{len(found['broken'])}" for found in columns)]]  # fmt: skip
    report.print_table(head, rows)


def run(options):
    facts = report.circumstances(options.gateway.parent)
    facts["load"] = (f"{rounds} rounds of {options.seconds * share_of_seconds:g} s each, checked and not, in turns; clients "
                     f"and providers one thread, the gateway {options.threads}; {speed_load.SLOTS}, rpm {speed_load.RPM}; providers answer "
                     "when all their slots are taken, or at once")
    facts["seed"] = options.seed
    report.print_circumstances("checked", facts, f"./dev bench checked --seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        results = {each: measure(options, Path(name), *each) for each in loads}
    print_results(results)
    report.save(options.results, "checked", facts, {f"{connections} {pace}": found for (connections, pace), found in results.items()})
    broken = sum(len(found["broken"]) for found in results.values())
    if broken:
        raise AssertionError(f"{broken} times a rule is broken")
    if any(total(found, "decisions") < decisions_min for found in results.values()):
        raise AssertionError("hardly anything waited where it was seen: nothing was checked")
