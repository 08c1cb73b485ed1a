"""Servers on free loopback ports, stopped by the process that started them."""
import contextlib
import http.client
import os
import socket
import subprocess
import time
from pathlib import Path


def free_ports(count):
    """Ports that were free a moment ago; all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def ask(port, method, path, body=None, headers=()):
    """Status and body of one request; ConnectionError and the like if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listens(port, process, seconds):
    """Waits until something does; False if the process ends before, or takes longer."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def server(command, ports, log, environment=None, seconds=20):
    """Runs a command until the block ends; begins once something listens on each port, which may take that long."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, env=environment)
    try:
        for port in ports:
            if not listens(port, process, seconds):
                raise RuntimeError(f"{command[0]} does not serve port {port}:\n"
                                   + log.read_text(errors="replace")[-2000:])
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid):
    """The process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def processor_times(pid):
    """(seconds of its own code, seconds of the kernel for it), with all below it."""
    own = system = 0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        own += int(fields[11])
        system += int(fields[12])
    return own / os.sysconf("SC_CLK_TCK"), system / os.sysconf("SC_CLK_TCK")
