"""Runs programs made with Google Benchmark, and gathers what they print."""
import json
import subprocess

from harness import report


def measure(program, rounds, only="."):
    """Each benchmark's figures: {name: {figure: [one for each round]}}. Rounds are interleaved."""
    done = subprocess.run(
        [program, "--benchmark_format=json", f"--benchmark_filter={only}", f"--benchmark_repetitions={rounds}",
         "--benchmark_enable_random_interleaving=true"], capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{done.stderr}")
    gathered = {}
    for one in json.loads(done.stdout)["benchmarks"]:
        if one.get("error_occurred"):
            raise RuntimeError(f"{one['name']}: {one['error_message']}")
        if one["run_type"] != "iteration":
            continue
        figures = gathered.setdefault(one["run_name"], {})
        for key in ("items_per_second", "bytes_per_second", "bytes_per_ticket", "waiting"):
            if key in one:
                figures.setdefault(key, []).append(one[key])
        if "/process_time" in one["run_name"]:  # of all threads, for each item
            share = one["cpu_time"] / one["real_time"]
            figures.setdefault("processor_ns", []).append(share * 1e9 / one["items_per_second"])
    return gathered


def nanoseconds(figures):
    """Of one item: the median, and the median distance from it."""
    return report.median_and_mad([1e9 / each for each in figures["items_per_second"]])


def shown(time_ns):
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if time_ns >= size:
            return f"{time_ns / size:.2f} {unit}"
    return f"{time_ns:.1f} ns"
