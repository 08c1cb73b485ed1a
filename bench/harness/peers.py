"""nginx, HAProxy, SMG, LiteLLM, Portkey and Vorrang before one upstream: speed, streams, and one slot that
many want. Who cannot be installed or started has the reason in the tables."""
import contextlib
import http.client
import sys
import tempfile
import time
from pathlib import Path

from harness import installed, peers_contention, peers_load, proxies, report
from harness.peers_setups import all_peers, slots_many, upstream_text
from harness.peers_tables import base, latency_table, slot_table, speed_table, stream_table
from harness.processes import ask, free_ports, server
from provider import Provider

troubles = (OSError, RuntimeError, AssertionError, TimeoutError, http.client.HTTPException)


def in_words(reason):
    return str(reason) or type(reason).__name__


def install(options):
    """(those that are there, name → version, name → why not)."""
    there, versions, missing = [], {}, {}
    for peer in all_peers(options):
        try:
            versions[peer.name] = peer.install()
            there.append(peer)
        except troubles as reason:
            missing[peer.name] = f"not installed: {in_words(reason)}"
            print(f"{peer.name}: {missing[peer.name]}", file=sys.stderr)
    return there, versions, missing


def start(stack, peer, folder, upstream, slots):
    """(process, port) of one that answers a chat request."""
    own = folder / f"{peer.name.replace(', ', '-').replace(' ', '-')}-{upstream}"
    own.mkdir()
    port = free_ports(1)[0]
    log = own / "log.txt"
    process = stack.enter_context(server(peer.command(own, port, upstream, slots), [port], log, peer.environment(),
                                         peer.start_seconds))  # fmt: skip
    end, told = time.monotonic() + peer.start_seconds, None
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            told = ask(port, "POST", proxies.path, proxies.question, peer.headers(upstream))
            if told[0] == 200:
                return process, port
        time.sleep(0.2)
    raise RuntimeError(f"{peer.name} answers {told}, and says {log.read_text(errors='replace')[-300:]!r}")


@contextlib.contextmanager
def started(peers, folder, upstream_of, slots=None):
    """(name → (peer, process, port), name → why not). `upstream_of` says a peer's port of the upstream."""
    with contextlib.ExitStack() as stack:
        running, failed = {}, {}
        for peer in peers:
            with contextlib.ExitStack() as own:
                try:
                    running[peer.name] = (peer, *start(own, peer, folder, upstream_of(peer), slots))
                    stack.enter_context(own.pop_all())
                except troubles as reason:
                    failed[peer.name] = f"not started: {in_words(reason)}"
                    print(f"{peer.name}: {failed[peer.name]}", file=sys.stderr)
        yield running, failed


def in_turns(rounds, names, measure, failed):
    """`measure(name, turn)` of each in each round, another one first each time. One that fails is left out from
    then on, with the reason."""
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            if name not in failed:
                try:
                    measure(name, turn)
                except troubles as reason:
                    failed[name] = f"failed: {in_words(reason)}"
                    print(f"{name}: {failed[name]}", file=sys.stderr)


def measure_speed(peers, folder, options):
    (upstream,) = free_ports(1)
    own = folder / "speed"
    own.mkdir()
    command = proxies.nginx(own, "upstream", options.threads, upstream_text(upstream))
    with server(command, [upstream], own / "log.txt"), started(peers, own, lambda _peer: upstream) as (running, failed):
        ports, pids, scripts, results = {base: upstream}, {base: None}, {}, {}
        for name, (_peer, process, port) in running.items():
            ports[name], pids[name] = port, process.pid

        def note_memory(name, when):
            with contextlib.suppress(OSError):  # it has ended, which its load will tell
                results[name]["memory_mb"][when] = peers_load.resident_mb(pids[name])

        for name in ports:
            scripts[name] = own / f"{name.replace(' ', '-')}.lua"
            scripts[name].write_text(peers_load.script(running[name][0].headers(upstream) if name in running else {}))
            results[name] = {"load": {count: [] for count in peers_load.connections}}
            if name in running:
                results[name]["memory_mb"] = {}
                note_memory(name, "idle")

        def one(name, count, seconds):
            return peers_load.speed(pids[name], scripts[name], ports[name], upstream, options.threads, count, seconds)

        def measure(name, turn):
            for count in peers_load.connections:
                if turn == 0:
                    one(name, count, min(1, options.seconds))  # pools fill, pages are touched
                results[name]["load"][count].append(one(name, count, options.seconds))

        in_turns(options.rounds, list(ports), measure, failed)
        for name in running:
            note_memory(name, "after")
    return {name: found for name, found in results.items() if name not in failed}, failed


def measure_streams(peers, folder, options):
    (upstream,) = free_ports(1)
    own = folder / "streams"
    own.mkdir()
    command = [sys.executable, str(Path(__file__).resolve().parent / "peers_upstream.py"), str(upstream)]
    with server(command, [upstream], own / "log.txt"), started(peers, own, lambda _peer: upstream) as (running, failed):
        targets = {base: (upstream, {})}
        targets |= {name: (port, peer.headers(upstream)) for name, (peer, _process, port) in running.items()}
        results = {name: [] for name in targets}

        def measure(name, _turn):
            found = peers_load.streams(*targets[name])
            if not found["whole"]:
                raise RuntimeError("no stream came whole")
            results[name].append(found)

        in_turns(options.rounds, list(targets), measure, failed)
    return {name: found for name, found in results.items() if name not in failed}, failed


def measure_slot(peers, folder, options):
    own = folder / "slot"
    own.mkdir()
    variants = [each for peer in peers for each in peer.variants()]
    with contextlib.ExitStack() as stack:
        # Each has its own upstream: what one leaves behind is not in another's way.
        providers = {each.name: stack.enter_context(Provider(peers_contention.answer)) for each in variants}
        running, failed = stack.enter_context(started(variants, own, lambda peer: providers[peer.name].port, 1))
        results = {name: {"one_slot": peer.one_slot, "rounds": []} for name, (peer, _process, _port) in running.items()}

        def measure(name, turn):
            peer, _process, port = running[name]
            results[name]["rounds"].append(peers_contention.burst(peer, port, providers[name], turn))

        in_turns(options.rounds, list(running), measure, failed)
    return {name: found for name, found in results.items() if name not in failed}, failed


def run(options):
    facts = report.circumstances(options.gateway.parent)
    there, versions, missing = install(options)
    facts |= versions
    facts["load"] = (f"{options.rounds} rounds in turns, wrk {options.seconds:g} s each, {options.threads} thread(s) for "
                     f"each program, upstream of {slots_many} slots; seed {peers_contention.seed} + round")  # fmt: skip
    report.print_circumstances("peers", facts, "./dev bench peers")
    results = {}
    with tempfile.TemporaryDirectory(prefix="vorrang-bench-") as name:
        for what, measure in (("speed", measure_speed), ("streams", measure_streams), ("slot", measure_slot)):
            found, failed = measure(there, Path(name), options)
            results[what] = {"found": found, "missing": {**missing, **failed}}
    for what, tables in (("speed", (speed_table, latency_table)), ("streams", (stream_table,)), ("slot", (slot_table,))):
        for table in tables:
            report.print_table(*table(results[what]["found"], results[what]["missing"]))
            print()
    report.save(options.results, "peers", facts, results)
    installed.draw("peers", options.results / "peers.json")
