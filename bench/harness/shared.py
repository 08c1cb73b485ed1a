"""What a queue costs that several instances share in one Redis: engines in processes of their own."""
import json
import re
import statistics
import subprocess
import sys
import time

from harness import report

sys.path.insert(0, str(report.root / "tests"))
from shared.redis_server import RedisServer  # noqa: E402

grants_min = 20_000
added_ms_max = 0.3
bytes_max = 400
waiting_many = 100_000
seconds = 4
rounds = 3


def cpu_of(server):
    told = server.call("INFO", "cpu")
    return sum(float(part) for part in re.findall(r"used_cpu_(?:user|sys):([\d.]+)", told))


def memory_of(server):
    return int(re.search(r"used_memory:(\d+)", server.call("INFO", "memory")).group(1))


def load(program, server, instances, groups, at_once, pause_ms, waiting=0):
    """(grants, p50 and p99 in ms, Redis' seconds) of all instances together."""
    where = server.path if server else "-"
    running = [
        subprocess.Popen([str(program), where, str(groups), str(at_once), str(pause_ms), str(seconds),
                          str(waiting if number == 0 else 0)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for number in range(instances)
    ]  # fmt: skip
    try:
        for each in running:
            if each.stdout.readline() != "ready\n":
                raise RuntimeError("an instance did not start")
        before = cpu_of(server) if server else 0
        for each in running:
            each.stdin.write("\n")
            each.stdin.flush()
        told = [json.loads(each.stdout.readline()) for each in running]
        used = cpu_of(server) - before if server else 0
    finally:
        for each in running:
            each.terminate()
            each.wait()
    grants = sum(each["grants"] for each in told)
    # Of all grants: each instance says as many of its values as every other, so they weigh what it has granted.
    waits = sorted((value, each["grants"]) for each in told for value in each["quantiles"])
    return {"grants": grants, "p50_ms": reached_by(waits, 0.5) / 1000, "p99_ms": reached_by(waits, 0.99) / 1000,
            "redis_us": used * 1e6 / max(grants, 1)}  # fmt: skip


def reached_by(waits, share):
    """The value that `share` of the (value, weight)s do not exceed."""
    left = share * sum(weight for _, weight in waits)
    for value, weight in waits:
        left -= weight
        if left <= 0:
            return value
    return waits[-1][0]


def memory_a_ticket(program):
    """Redis' bytes for each of 100 000 tickets that wait."""
    with RedisServer() as server:
        before = memory_of(server)
        process = subprocess.Popen([str(program), server.path, "1", "1", "0", "1", str(waiting_many)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("an instance did not start")
            end = time.monotonic() + 60
            while server.call("ZCARD", "vorrang:{g0}:line:waiting") < waiting_many:
                if time.monotonic() > end:
                    raise RuntimeError("they do not all stand in line")
                time.sleep(0.05)
            return (memory_of(server) - before) / waiting_many
        finally:
            process.kill()
            process.wait()


def median_of(results, field):
    return statistics.median(each[field] for each in results)


def run(options):
    program = options.gateway.parent / "bench" / "vorrang_bench_shared"
    facts = report.circumstances(options.gateway.parent)
    facts["redis"] = report.output_of("redis-cli", "--version")
    facts["load"] = f"{rounds} rounds of {seconds} s in turns; Redis and all instances on this machine"
    report.print_circumstances("shared", facts, "./dev bench shared")
    cases = {
        "alone": (None, 1, 1, 1, 1),
        "1 instance, 1 ms between": (True, 1, 1, 1, 1),
        "4 instances, 4 ms between": (True, 4, 1, 1, 4),
        "1 instance, 256 at once": (True, 1, 1, 256, 0),
        "4 instances, 64 at once each": (True, 4, 1, 64, 0),
        "4 instances, 64 at once each, 8 groups": (True, 4, 8, 64, 0),
        "4 instances, 64 at once each, 100,000 wait": (True, 4, 1, 64, 0, waiting_many),
    }
    results = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (shares, *how) in cases.items():
            if not shares:
                results[name].append(load(program, None, *how))
                continue
            with RedisServer() as server:
                results[name].append(load(program, server, *how))
    ticket = memory_a_ticket(program)
    rows = []
    for name, found in results.items():
        rate = median_of(found, "grants") / seconds
        p50 = median_of(found, "p50_ms")
        aim = verdict = ""
        if "between" in name:
            added = p50 - median_of(results["alone"], "p50_ms")
            aim = f"≤ {added_ms_max} ms more than alone"
            verdict = report.reached(added, added_ms_max, at_least=False)
        elif name == "4 instances, 64 at once each":
            aim, verdict = f"≥ {grants_min:,}/s", report.reached(rate, grants_min)
        rows.append([name, f"{rate:,.0f}", f"{p50:.2f} ms", f"{median_of(found, 'p99_ms'):.2f} ms",
                     f"{median_of(found, 'redis_us'):.0f} µs", aim, verdict])  # fmt: skip
    report.print_table(["from ticket to grant", "grants/s", "p50", "p99", "Redis for a grant", "aim", ""], rows)
    print(f"\nRedis' memory for a waiting ticket, of {waiting_many:,}: {ticket:.0f} bytes "
          f"(≤ {bytes_max}: {report.reached(ticket, bytes_max, at_least=False)}).")  # fmt: skip
    report.save(options.results, "shared", facts, {"cases": results, "bytes_a_ticket": ticket})
