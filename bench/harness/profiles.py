"""Where the processor's time goes: `perf` on the gateway and on the engine's grants, as tables and flame graphs."""
import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import peers_load, proxies, report
from harness.processes import free_ports, server
from harness.profiles_rooms import colour_of, place_of
from harness.profiles_stacks import Frame, collapsed, is_whole, itself, read_samples

frequency = 997  # samples a second of processor time; prime, so that it keeps in step with nothing
# Of the stack, copied with each sample and unwound afterwards: Debian's libraries keep no frame pointers.
stack_bytes = 16384
warm_up_seconds = 1
streams_at_once = 200
events_a_stream = 500
picture_bytes_max = 400_000
share_shown_min = 0.005
functions_shown = 15
lost_line = re.compile(r"PERF_RECORD_LOST\w*\D+(\d+)")
subjects = {
    "http": "the gateway, {connections} connections with small chat requests",
    "streams": f"the gateway, {streams_at_once} streams at once, an event in each write",
    "engine_batches": "grants by messages, in batches of 64",
    "engine_one_by_one": "grants by messages, one by one",
}


# perf -----------------------------------------------------------------------------------------


not_permitted = ("perf may not record here: it takes root (in a container also the right to perf_event_open), or a "
                 "kernel.perf_event_paranoid of 1 or less")  # fmt: skip


def event_to_sample():
    """The processor's cycles, or where a container or virtual machine counts none, the kernel's own clock."""
    paranoid = Path("/proc/sys/kernel/perf_event_paranoid")
    if not paranoid.exists():
        raise RuntimeError("this kernel has no perf events")
    if os.geteuid() != 0 and int(paranoid.read_text()) > 1:
        raise RuntimeError(not_permitted)  # perf would leave out the kernel without a word
    counted = subprocess.run([proxies.tool("perf"), "stat", "-x", ",", "-e", "cycles", "true"],
                             capture_output=True, text=True, check=False)  # fmt: skip
    has_cycles = counted.returncode == 0 and counted.stderr.partition(",")[0].strip().isdigit()
    return "cycles" if has_cycles else "cpu-clock"


def record(file, event, what):
    """`what`: the end of perf's command line."""
    command = [proxies.tool("perf"), "record", "-e", event, "-F", str(frequency), "--call-graph", f"dwarf,{stack_bytes}",
               "-m", "4M", "-o", str(file), *what]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not file.exists():
        raise RuntimeError(f"{not_permitted}:\n" + (done.stderr or done.stdout)[-2000:])


def record_process(file, event, pid, seconds):
    record(file, event, ["-p", str(pid), "--", "sleep", f"{seconds:g}"])


def samples_of(file):
    """Stacks of all samples, and how many got lost."""
    script = [proxies.tool("perf"), "script", "-i", str(file), "--no-inline", "--show-lost-events", "-F", "comm,ip,sym,dso"]
    lost = 0

    def lines(pipe):
        nonlocal lost
        for line in pipe:
            if found := lost_line.search(line):
                lost += int(found.group(1))
            yield line

    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        # perf leaves long names of C++ as they are.
        read = stack.enter_context(subprocess.Popen(["c++filt", "-r"], stdin=raw.stdout, stdout=subprocess.PIPE, text=True,
                                                    errors="replace"))  # fmt: skip
        raw.stdout.close()
        samples = list(read_samples(lines(read.stdout)))
    if raw.returncode != 0 or not samples:
        raise RuntimeError(f"perf script ended with {raw.returncode} and {len(samples)} samples")
    return samples, lost


# What is recorded -----------------------------------------------------------------------------


@contextlib.contextmanager
def gateway(options, folder, upstream, command):
    """(its process, its port), before an upstream that `command` starts."""
    (port,) = free_ports(1)
    with server(command, [upstream], folder / "upstream.log"):
        with server(proxies.vorrang(folder, port, upstream, options), [port], folder / "gateway.log") as process:
            yield process, port


def record_http(options, folder, file, event):
    (upstream,) = free_ports(1)
    script = folder / "chat.lua"
    script.write_text(proxies.lua % proxies.question)
    command = proxies.nginx(folder, "upstream", options.threads, proxies.upstream_inside % (upstream, proxies.answer))
    with gateway(options, folder, upstream, command) as (process, port), ThreadPoolExecutor(1) as other:
        proxies.load(script, (port, process), options, warm_up_seconds)
        running = other.submit(proxies.load, script, (port, process), options, options.seconds + 1)
        record_process(file, event, process.pid, options.seconds)
        return f"{running.result()['per_second']:,.0f} requests/s"


async def stream_for(port, over):
    """Streams one after the other until it is over: (whole ones, those that were not, events)."""
    whole = broken = events = 0
    while not over.is_set():
        read = await peers_load.read_stream(port, {}, events_a_stream)
        whole, broken = whole + bool(read), broken + (not read)
        events += read[1] if read else 0
    return whole, broken, events


async def stream_all(port, over):
    begun = asyncio.get_running_loop().time()
    results = await asyncio.gather(*(stream_for(port, over) for _ in range(streams_at_once)))
    took = asyncio.get_running_loop().time() - begun
    whole, broken, events = (sum(each) for each in zip(*results))
    if broken:
        raise RuntimeError(f"{broken} of {whole + broken} streams did not come whole")
    return events / took


def record_streams(options, folder, file, event):
    (upstream,) = free_ports(1)
    command = [sys.executable, str(report.root / "bench" / "harness" / "peers_upstream.py"), str(upstream)]
    over = threading.Event()
    with gateway(options, folder, upstream, command) as (process, port), ThreadPoolExecutor(1) as other:
        running = other.submit(asyncio.run, stream_all(port, over))
        try:
            over.wait(warm_up_seconds)
            record_process(file, event, process.pid, options.seconds)
        finally:
            over.set()
        return f"{running.result():,.0f} events/s"


def engine_command(options, batch):
    return [str(options.engine_bench), f"--benchmark_filter=^grants/batch:{batch}/waiting:0/",
            f"--benchmark_min_time={options.seconds:g}"]  # fmt: skip


def record_engine(batch):
    def recorded(options, _folder, file, event):
        record(file, event, ["--", *engine_command(options, batch)])
        return ""

    return recorded


recorders = {"http": record_http, "streams": record_streams, "engine_batches": record_engine(64),
             "engine_one_by_one": record_engine(1)}  # fmt: skip


# What becomes of it ---------------------------------------------------------------------------


def profile_of(samples, lost, made):
    """What the tables show of one subject."""
    places = Counter(place_of(stack) for stack in samples)
    own = itself(samples)
    return {"samples": len(samples), "lost": lost, "made": made,
            "whole": sum(is_whole(stack) for stack in samples) / len(samples),
            "places": {side: {what: count / len(samples) for (where, what), count in places.items() if where == side}
                       for side in ("kernel", "user")},
            "functions": [{"name": frame.name, "file": "kernel" if frame.is_kernel else frame.file,
                           "share": count / len(samples)} for frame, count in own.most_common(functions_shown)]}  # fmt: skip


def percent(share):
    return f"{100 * share:.1f} %" if share else ""


def place_rows(profiles, side):
    """Rows of the places of one side, the largest first; the small ones together."""
    names = sorted({what for each in profiles.values() for what in each["places"][side]},
                   key=lambda what: -sum(each["places"][side].get(what, 0) for each in profiles.values()))  # fmt: skip
    rows, small = [], Counter()
    for what in names:
        shares = {name: each["places"][side].get(what, 0) for name, each in profiles.items()}
        if max(shares.values()) >= share_shown_min:
            rows.append([what, *(percent(share) for share in shares.values())])
        else:
            small.update(shares)
    if small:
        rows.append([f"what is below {percent(share_shown_min)} everywhere", *(percent(small[name]) for name in profiles)])
    return rows


def print_profiles(profiles):
    report.print_table(["", *profiles], [
        ["made meanwhile", *(each["made"] for each in profiles.values())],
        ["samples", *(f"{each['samples']:,}" for each in profiles.values())],
        ["… lost", *(f"{each['lost']:,}" for each in profiles.values())],
        ["… with a whole stack", *(percent(each["whole"]) for each in profiles.values())],
        ["in user code", *(percent(sum(each["places"]["user"].values())) for each in profiles.values())],
        ["in the kernel", *(percent(sum(each["places"]["kernel"].values())) for each in profiles.values())],
    ])  # fmt: skip
    print()
    report.print_table(["in user code, of all samples", *profiles], place_rows(profiles, "user"))
    print()
    report.print_table(["in the kernel, by system call", *profiles], place_rows(profiles, "kernel"))
    for name, each in profiles.items():
        print()
        report.print_table([f"{name}: the function itself", "of all samples", "in"], [
            [f"`{function['name']}`", percent(function["share"]), function["file"]]
            for function in each["functions"]
        ])  # fmt: skip


def flamegraph():
    """Brendan Gregg's script, which Debian ships with a profiler of Perl programs."""
    script = Path("/usr/share/perl5/Devel/NYTProf/flamegraph.pl")
    if not script.exists():
        raise RuntimeError("flamegraph.pl is not installed; ./dev bench installs it (libdevel-nytprof-perl)")
    return ["perl", str(script)]


def palette(samples):
    """The file by which flamegraph colours names."""
    frames = {frame.name: frame for stack in samples for frame in stack if "->" not in frame.name}
    frames[""] = Frame("", "", False)  # all together
    return "".join(f"{name}->{colour_of(frame)}\n" for name, frame in sorted(frames.items()))


def draw(samples, title, picture):
    """Frames that are too narrow are left out, until the picture is small enough to be kept."""
    stacks = "\n".join(collapsed(samples)) + "\n"
    for narrowest in (0.3, 0.5, 1, 2, 4, 8):
        with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as folder:
            (Path(folder) / "palette.map").write_text(palette(samples))
            done = subprocess.run([*flamegraph(), "--title", title, "--countname", "samples", "--width", "1200", "--minwidth",
                                   str(narrowest), "--cp"],
                                  input=stacks, cwd=folder, capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode != 0 or "<svg" not in done.stdout:
            raise RuntimeError(f"flamegraph failed:\n{done.stderr[-2000:]}")
        if len(done.stdout.encode()) <= picture_bytes_max:
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_text(done.stdout)
            return
    raise RuntimeError(f"{picture.name} does not get small enough")


def run(options):
    facts = report.circumstances(options.gateway.parent)
    event = event_to_sample()
    facts["perf"] = report.output_of(proxies.tool("perf"), "--version")
    facts["recorded"] = f"{event}, {frequency} samples a second, for {options.seconds:g} s each"
    facts["command"] = "./dev bench profile"
    report.print_circumstances("profile", facts, facts["command"])
    profiles = {}
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        for subject, what in subjects.items():
            folder = Path(name) / subject
            folder.mkdir()
            file = folder / "perf.data"
            made = recorders[subject](options, folder, file, event)
            samples, lost = samples_of(file)
            shutil.rmtree(folder)
            profiles[subject] = profile_of(samples, lost, made)
            title = f"{facts['command']} ({what.format(connections=options.connections)})"
            draw(samples, title, report.root / "docs" / "performance" / f"{subject}.svg")
    print_profiles(profiles)
    report.save(options.results, "profile", facts, profiles)
    print("the pictures: docs/performance/")
