"""How soon a slot that gets free has its next request, with a long line behind it, and what of that is the harness."""
import contextlib
import json
import select
import subprocess

from harness.crowd import clients, config, request, until, waiting_now
from harness.processes import free_ports, listens, server

waiting_min = 10_000  # all the time
handovers = 2_000
warm = 100
hold_ms = 3  # between two: whoever is in between sleeps again, as between the calls of a model
answer_seconds_max = 60


def waiting_of(options):
    """With a smaller `--waiting`, a trial, as many as that."""
    return min(waiting_min, options.waiting)


def crowd_of(options):
    """The clients: as many are left at the end as have to wait, and one has the slot."""
    return waiting_of(options) + handovers + warm + 1


@contextlib.contextmanager
def upstream(program, port, log, *more):
    """The upstream with one slot; it holds the first request until it is told to begin."""
    with open(log, "wb") as errors:
        process = subprocess.Popen([str(program), str(port), str(handovers), str(warm), str(hold_ms), *more],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)  # fmt: skip
    try:
        if not listens(port, process, 20):
            raise RuntimeError("the upstream does not listen: " + log.read_text()[-500:])
        yield process
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # it ends
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def begin(process, log):
    """What it counted."""
    process.stdin.write(b"\n")
    process.stdin.flush()
    ready, _, _ = select.select([process.stdout], [], [], answer_seconds_max)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise RuntimeError("the upstream says nothing: " + log.read_text()[-500:])
    return json.loads(line)


def without_gateway(options, folder):
    (port,) = free_ports(1)
    log = folder / "direct.log"
    with upstream(options.handover_bench, port, log, "direct") as process:
        return begin(process, log)


def through_gateway(options, folder):
    upstream_port, port, admin = free_ports(3)
    file = folder / "handover.yaml"
    file.write_text(config % (upstream_port, admin, crowd_of(options)))
    command = [str(options.gateway), "--config", str(file), "--port", str(port), "--log-level", "warning"]
    log = folder / "handover.log"
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(upstream(options.handover_bench, upstream_port, log))
        stack.enter_context(server(command, [port, admin], folder / "handover-gateway.log"))
        # They read nothing: what is measured is not to share the processors with what is not.
        crowd = clients(port, [request()] * crowd_of(options))
        until(lambda: waiting_now(admin) == len(crowd) - 1, 60, f"{len(crowd) - 1} waiting")
        found = begin(process, log)
        found["waiting_at_the_end"] = waiting_now(admin)
        for each in crowd:
            each.close()
    return found


def measure(options, folder):
    return {"waiting": waiting_of(options), "hold_ms": hold_ms, "direct": without_gateway(options, folder),
            "through": through_gateway(options, folder)}  # fmt: skip
