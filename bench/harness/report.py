"""Where and with what it was measured, medians, and tables with the aim beside each figure."""
import json
import os
import platform
import statistics
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
busy_max = 0.2  # cores, that others may have while it is measured


def output_of(*command):
    """The first line of what a command prints, or `unknown`."""
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else "unknown"


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    """The commit that is measured. Benches draw pictures into docs, which are no change of what is measured."""
    changed = "" if output_of("git", "status", "--porcelain", "-uno", "--", ":!docs") == "unknown" else " with changes"
    return output_of("git", "rev-parse", "--short=12", "HEAD") + changed


def compiler(build):
    """The compiler and flags of a build folder, from CMake's cache."""
    found = {}
    cache = build / "CMakeCache.txt"
    if cache.exists():
        for line in cache.read_text().splitlines():
            key, _, value = line.partition("=")
            found[key.partition(":")[0]] = value
    kind = found.get("CMAKE_BUILD_TYPE", "")
    flags = found.get(f"CMAKE_CXX_FLAGS_{kind.upper()}", "")
    sanitizers = found.get("VORRANG_SANITIZE", "")
    name = output_of(found.get("CMAKE_CXX_COMPILER", "c++"), "--version")
    return " ".join(part for part in (name, kind, flags, sanitizers) if part)


def processor_ticks():
    """Of all processors since the machine's start: user, nice, system, idle, iowait, irq, softirq, steal."""
    return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


class StolenTime:
    """What the host of a virtual machine gave to others, though this one had work: cores on average. One or two
    hundredths are enough to make the late ones of a quiet machine later (docs/performance.md)."""

    def __init__(self):
        self.begin()

    def begin(self):
        self.before, self.began = processor_ticks()[7], time.monotonic()

    def cores(self):
        return (processor_ticks()[7] - self.before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - self.began)


stolen = StolenTime()  # since a bench has told its circumstances


def cores_busy(seconds=1):
    """How many cores the machine keeps busy just now, with whatever else runs. Not the load average, which for
    minutes remembers the bench before this one."""

    def worked():
        spent = processor_ticks()
        return sum(spent) - spent[3] - spent[4]  # without idle and iowait

    before, began = worked(), time.monotonic()
    time.sleep(seconds)
    return (worked() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


def circumstances(build):
    stolen.begin()
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": release.get("PRETTY_NAME", "").strip('"') + ", Linux " + platform.release(),
        "compiler": compiler(build),
        "commit": commit(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "busy before": "%.2f cores" % cores_busy(),
    }


def median_and_mad(values):
    """The median, and the median of the distances from it."""
    middle = statistics.median(values)
    return middle, statistics.median(abs(value - middle) for value in values)


def reached(value, aim, at_least=True):
    """`reached`, or by how much it was missed."""
    if value >= aim if at_least else value <= aim:
        return "reached"
    return f"missed: {value / aim:.2f} of it" if at_least else f"missed: {value / aim:.2f} times it"


def tried(measure):
    """What `measure` found; if it fails, the reason, so that the rest is still measured and the rows say NOT."""
    try:
        return measure()
    except (OSError, RuntimeError, AssertionError, ValueError, subprocess.SubprocessError) as error:
        return {"not_measured": " ".join(str(error).split()) or type(error).__name__}


def rows_of(found, rows):
    """Cells of (words, what to show, aim, verdict), the second and the last asked of what was found."""
    if "not_measured" in found:
        reason = f"NOT measured: {found['not_measured'][:120]}"
        return [[words, reason, aim, "NOT measured" if verdict else ""] for words, _, aim, verdict in rows]
    return [[words, show(found), aim, verdict(found) if verdict else ""] for words, show, aim, verdict in rows]


def complain(results):
    """Raises if anything in there was not measured, once all else has been printed and saved."""
    missing = [name for name, found in results.items() if "not_measured" in found]
    if missing:
        raise RuntimeError("not measured: " + ", ".join(f"{name} ({results[name]['not_measured']})" for name in missing))


def print_circumstances(name, facts, command):
    print(f"\n{name}: {command}")
    for key, value in facts.items():
        print(f"  {key}: {value}")
    if float(facts.get("busy before", "0").split()[0]) > busy_max:
        print("  NOT QUIET: something else runs on this machine; do not quote these figures")
    print()


def print_table(head, rows):
    """In Markdown, with aligned columns, so that it can be pasted into docs/performance.md."""
    cells = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for number, row in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def save(folder, name, facts, results):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    facts["stolen meanwhile"] = f"{stolen.cores():.3f} cores"
    print(f"\nstolen by the host meanwhile: {facts['stolen meanwhile']}")
    path.write_text(json.dumps({"circumstances": facts, "results": results}, indent=2) + "\n")
    try:
        shown = path.relative_to(root)
    except ValueError:
        shown = path
    print(f"\nall figures: {shown}")
