"""The operator's commands: queue, bump, cancel, why, reload, check, init, against a real gateway; `top` on a
pseudo-terminal; the manual and the shells' completion."""

import codecs
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import client
from gateway import Gateway, binary_path, clean_environment, run_binary, wait_until
from provider import Provider, Reply

try:
    import pyte
except ImportError:
    sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, for an interpreter that is not
    try:
        import pyte
    except ImportError:
        pyte = None

NAMES = ["top", "queue", "bump", "cancel", "why", "reload", "check", "init"]
ROOT = pathlib.Path(__file__).resolve().parents[2]

ONE = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 1}}
    model_info: {{id: one}}
  - model_name: family/n
    litellm_params: {{model: openai/x, mock_response: hi}}
    model_info: {{id: two}}
"""

RPM = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi, rpm: 1}
    model_info: {id: one}
"""

FALLBACK = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k}}
    model_info: {{id: one}}
  - model_name: n
    litellm_params: {{model: openai/x, mock_response: hi}}
    model_info: {{id: two}}
router_settings:
  num_retries: 0
  disable_cooldowns: true
  fallbacks: [{{m: [n]}}]
"""


def url_of(gateway):
    return f"http://127.0.0.1:{gateway.admin_port}"


def ask(gateway, *arguments, environment=None):
    """A command about this gateway: (exit status, standard output, standard error)."""
    variables = {"VORRANG_ADMIN_URL": url_of(gateway), "LC_ALL": "C.UTF-8", **(environment or {})}
    return run_binary(*arguments, environment=variables)


class Line:
    """A gateway with one slot that is taken, and some who wait for it."""

    def __init__(self, waiting=3):
        self.waiting = waiting

    def __enter__(self):
        self.provider = Provider(Reply(hold=True))
        self.provider.__enter__()
        self.gateway = Gateway(ONE.format(base=self.provider.base))
        self.gateway.__enter__()
        self.running = self.gateway.send_chat("running", headers={"x-litellm-call-id": "the-first"})
        self.call = self.provider.wait_for_calls(1)
        self.waiters = []
        for place in range(self.waiting):
            headers = {"x-litellm-call-id": f"waiter/{place}"}
            self.waiters.append(self.gateway.send_chat(f"{place}", priority=10 * place, headers=headers))
            self.gateway.wait_until_waiting(place + 1)
        return self

    def __exit__(self, *exception):
        for connection in [self.running, *self.waiters]:
            connection.close()
        self.gateway.__exit__(*exception)
        self.provider.__exit__(*exception)

    @property
    def tickets(self):
        return [ticket["id"] for ticket in self.gateway.queue().tickets]

    def finish(self):
        """Answers the one that runs; returns its response."""
        self.provider.release(self.call)
        return self.running.read_response()


class Commands(unittest.TestCase):
    def ask(self, gateway, *arguments, status=0, **more):
        came, out, err = ask(gateway, *arguments, **more)
        self.assertEqual(came, status, out + err)
        self.assertNotIn("\033", out + err, "colour is for terminals")
        return out if status == 0 else err

    def test_queue(self):
        with Line() as line:
            text = self.ask(line.gateway, "queue", "m")
            self.assertRegex(text, r"^m: 3 wait, the longest for ")
            self.assertRegex(text, r"(?m)^one +full +1 of 1 ")
            rows = re.findall(r"(?m)^ *(\d+) +(\d+) +(\d{12,}) .* {2}(for a free slot|behind \d others?)$", text)
            self.assertEqual([row[:3] for row in rows], [(str(n + 1), str(10 * n), t) for n, t in enumerate(line.tickets)])
            self.assertEqual([row[3] for row in rows], ["for a free slot", "behind 1 other", "behind 2 others"])
            page = json.loads(self.ask(line.gateway, "queue", "m", "--json"))
            self.assertEqual([ticket["id"] for ticket in page["tickets"]], line.tickets)

            text = self.ask(line.gateway, "queue")
            self.assertIn("\nfamily/n: nobody waits\n", text)
            text = self.ask(line.gateway, "queue", "m", "--limit", "1", "--offset", "1")
            self.assertNotIn(line.tickets[0], text)
            self.assertIn(line.tickets[1], text)
            self.assertIn("1 more: --offset 2", text)
            self.assertIn("family/n", self.ask(line.gateway, "queue", "family/n"), "a slash in a name")

    def test_errors_say_what_to_do(self):
        with Line(1) as line:
            self.assertIn("There is no model x", self.ask(line.gateway, "queue", "x", status=1))
            for command in (["bump", "nosuch", "1", "3"], ["cancel", "nosuch", "1"], ["bump", "a/nosuch", "the-first", "3"]):
                self.assertIn(f"There is no model {command[1]}", self.ask(line.gateway, *command, status=1))
            self.assertIn("No ticket of this id", self.ask(line.gateway, "bump", "m", "5", "1", status=1))
            self.assertIn("Nothing is remembered", self.ask(line.gateway, "bump", "m", "absent", "1", status=1))
            self.assertIn("Nothing is remembered", self.ask(line.gateway, "why", "absent", status=1))
            self.assertIn("--help", self.ask(line.gateway, "bump", "m", "1", status=2))
            err = self.ask(line.gateway, "queue", "a\033[2Jb", status=1)
            self.assertIn("a?[2Jb", err)
            # The data port is none of an operator's.
            status, out, err = run_binary("queue", "--url", f"http://127.0.0.1:{line.gateway.port}")
            self.assertEqual((status, out), (1, ""))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            status, out, err = run_binary("reload", "--url", f"http://127.0.0.1:{nobody.getsockname()[1]}")
            self.assertEqual((status, out), (1, ""))
            self.assertRegex(err, "cannot reach .*--url")

    def test_another_program_at_the_port(self):
        with Provider(Reply(body=b"hello", headers=[("Content-Type", "text/plain")])) as provider:
            status, out, err = run_binary("queue", "--url", provider.base.removesuffix("/v1"))
            self.assertEqual((status, out), (1, ""))
            self.assertIn("another program", err)

    def test_another_program_that_agrees_to_everything(self):
        for body in (b"", b"hello", b"<html></html>", b"null", b"[]", b"{}", b'"ok"', b'{"status": "yes"}'):
            with Provider(Reply(body=body)) as provider:
                url = provider.base.removesuffix("/v1")
                for command in (["bump", "m", "1", "1"], ["cancel", "m", "1"], ["cancel", "m", "a"], ["reload"],
                                ["why", "1"], ["queue"], ["queue", "--json"], ["why", "1", "--json"]):
                    with self.subTest(command=command, body=body):
                        status, out, err = run_binary(*command, "--url", url)
                        self.assertEqual((status, out), (1, ""))
                        self.assertIn("another program", err)

    def test_output_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory(prefix="vorrang-system-") as directory, Line(1) as line:
            path = os.path.join(directory, "config.yaml")
            self.assertEqual(run_binary("init", path)[0], 0)
            variables = clean_environment(VORRANG_ADMIN_URL=url_of(line.gateway))
            commands = ["queue", "queue --json", "why the-first", "reload", "check " + path, "queue --help", "--help",
                        "--version", "--check-config --config " + path]
            for command in commands:
                for target in (">/dev/full", ">&-"):
                    with self.subTest(command=command, target=target):
                        done = subprocess.run(["/bin/sh", "-c", f'"$0" {command} {target}', binary_path()],
                                              capture_output=True, text=True, env=variables, timeout=30)
                        self.assertEqual((done.returncode, done.stdout), (1, ""))
                        self.assertIn("could not be written in full", done.stderr)

    def test_bump_and_cancel(self):
        with Line() as line:
            first, second, third = line.tickets
            self.assertIn("has priority -5 now", self.ask(line.gateway, "bump", "m", third, "-5"))
            self.assertEqual(line.tickets, [third, first, second])
            # By the id that its client has.
            self.ask(line.gateway, "bump", "m", "waiter/1", "-9")
            self.assertEqual(line.tickets, [second, third, first])
            self.assertIn("its client gets 503", self.ask(line.gateway, "cancel", "m", first))
            response = line.waiters[0].read_response()
            self.assertEqual((response.status, response.error["message"]), (503, "Cancelled by the operator"))
            self.ask(line.gateway, "cancel", "m", "waiter/2")
            self.assertEqual(line.waiters[2].read_response().status, 503)
            self.assertEqual(line.tickets, [second])
            for ended in (first, "waiter/0"):
                self.assertRegex(self.ask(line.gateway, "cancel", "m", ended, status=1), "No ticket .*is over")
            granted = json.loads(self.ask(line.gateway, "why", "the-first", "--json"))["ticket"]
            for command in (["bump", "m", "the-first", "1"], ["cancel", "m", "the-first"],
                            ["bump", "m", str(granted), "1"], ["cancel", "m", str(granted)]):
                self.assertIn("holds a grant: it is being answered", self.ask(line.gateway, *command, status=1))
            for method, body in (("PATCH", {"priority": 1}), ("DELETE", None)):
                answer = client.call(line.gateway.admin_port, method, f"/queue/m/{granted}", body,
                                     headers={"Content-Type": "application/json"})
                self.assertEqual(answer.status, 409)
            story = json.loads(self.ask(line.gateway, "why", "waiter/1", "--json"))
            self.assertEqual([(event["what"], event["priority"]) for event in story["events"]],
                             [("arrived", 10), ("moved", -9)])
            self.assertEqual(story["waits"]["priority"], -9)
            story = json.loads(self.ask(line.gateway, "why", "waiter/0", "--json"))
            self.assertEqual([event["what"] for event in story["events"]], ["arrived", "over"])
            self.assertEqual(story["events"][-1]["how"], "cancelled-by-operator")
            line.provider.release(line.call)

    def test_why_one_waits(self):
        with Line() as line:
            text = self.ask(line.gateway, "why", "waiter/2")
            self.assertIn(f"Request waiter/2, ticket {line.tickets[2]}: waits\n", text)
            self.assertRegex(text, r"came with priority 20 into the line of m\n")
            self.assertRegex(text, r"at position 3 of 3 \(2 before it\), until its deadline in 9 min")
            self.assertIn("a better ticket waits", text)
            self.assertRegex(text, r"(?m)^one +1 of 1 parallel requests are running$")
            self.assertIn("(it is next)", self.ask(line.gateway, "why", line.tickets[0]))
            self.assertRegex(self.ask(line.gateway, "why", "the-first"), r"is being answered\n(.*\n)+The attempt has run for ")
            self.assertEqual(line.finish().status, 200)
            line.provider.wait_for_calls(2)
            text = self.ask(line.gateway, "why", "the-first")
            self.assertIn("the-first, ticket ", text)
            self.assertRegex(text, r": over\n.*came .*\n.*granted attempt 1 at one, which had room.*\n"
                                   r".*attempt at one: 200, after .*\n.*answered with 200\n$")

    def test_why_a_ticket_whose_number_is_another_ones_id(self):
        with Line(2) as line:
            first, second = line.tickets
            impostor = line.gateway.send_chat("x", priority=90, headers={"x-litellm-call-id": first})
            line.gateway.wait_until_waiting(3)
            text = self.ask(line.gateway, "why", first)
            self.assertIn(f"Request {first}: waits\n1 request had this ticket's number for an id", text)
            self.assertRegex(text, r"came with priority 0 into")
            self.assertIn("(it is next)", text)
            unknown = line.gateway.send_chat("x", priority=91, headers={"x-litellm-call-id": "99"})
            line.gateway.wait_until_waiting(4)
            self.assertIn("No ticket of this number", self.ask(line.gateway, "why", "99"))
            impostor.close()
            unknown.close()

    def test_why_the_window_is_full(self):
        with Gateway(RPM) as gateway:
            self.assertEqual(gateway.chat().status, 200)
            waiter = gateway.send_chat(headers={"x-litellm-call-id": "w"})
            gateway.wait_until_waiting(1)
            text = self.ask(gateway, "why", "w")
            self.assertRegex(text, r"(?m)^one +1 of 1 requests a minute are used; the next unit is back in 59\.\d s$")
            self.assertIn("it is next, and every deployment that it could go to is full", text)
            waiter.close()
            gateway.wait_until_waiting(0)
            wait_until(lambda: "hung up" in self.ask(gateway, "why", "w"))

    def test_why_attempts_fail(self):
        with Provider(Reply(status=500, body=b"{}")) as provider:
            with Gateway(FALLBACK.format(base=provider.base)) as gateway:
                response = gateway.chat()
                self.assertEqual(response.status, 200)
                request = response.header("x-vorrang-request-id")
                story = json.loads(self.ask(gateway, "why", request, "--json"))
                self.assertEqual((story["state"], story["is_complete"]), ("over", True))
                told = [{k: e.get(k) for k in ("what", "model", "deployment", "status", "result")} for e in story["events"]]
                self.assertEqual([e["what"] for e in told],
                                 ["arrived", "granted", "attempt", "fallback", "granted", "attempt", "over"])
                self.assertEqual((told[2]["status"], told[2]["result"], told[2]["deployment"]), (500, "failed", "one"))
                self.assertEqual((told[3]["model"], told[5]["deployment"]), ("n", "two"))
                text = self.ask(gateway, "why", request)
                self.assertIn("attempt at one: 500, failed, after ", text)
                self.assertIn("fell back into the line of n", text)

    def test_why_after_a_429_and_without_a_connection(self):
        retry = [("Retry-After", "1")]
        with Provider() as provider:
            provider.script = [Reply(status=429, body=b"{}", headers=retry)]
            with Gateway(ONE.format(base=provider.base)) as gateway:
                response = gateway.chat()
                self.assertEqual(response.status, 200)
                text = self.ask(gateway, "why", response.header("x-vorrang-request-id"))
                self.assertIn("attempt at one: 429, rate limited, Retry-After 1.0 s", text)
                self.assertIn("granted attempt 2 at one", text)
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            base = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
            with Gateway(ONE.format(base=base) + "router_settings: {num_retries: 0}\n") as gateway:
                response = gateway.chat()
                self.assertEqual(response.status, 502)
                text = self.ask(gateway, "why", response.header("x-vorrang-request-id"))
                self.assertIn("attempt at one: no connection", text)
                self.assertIn("no attempt was left: its client got 502", text)

    def test_why_a_stream_broke_off(self):
        with Provider() as provider, Gateway(ONE.format(base=provider.base)) as gateway:
            for ending in ("cut", "half-close"):
                with self.subTest(ending):
                    provider.answer = Reply(text="a b c d", then=ending)
                    request = gateway.chat(stream=True).header("x-vorrang-request-id")
                    story = json.loads(self.ask(gateway, "why", request, "--json"))
                    self.assertEqual((story["events"][-2]["error"], story["events"][-1]["is_cut"]), ("broken", True))
                    self.assertRegex(self.ask(gateway, "why", request),
                                     r"attempt at one: 200, then the stream broke off, after .*\n.*answered with 200, but not to the end")

    def test_why_a_stream_was_silent(self):
        with Provider(Reply(text="a b c d", then="half-hang")) as provider:
            with Gateway(ONE.format(base=provider.base) + "router_settings: {stream_timeout: 0.3}\n") as gateway:
                response = gateway.chat(stream=True)
                text = self.ask(gateway, "why", response.header("x-vorrang-request-id"))
                self.assertRegex(text, r"attempt at one: 200, then the stream was silent for too long, after .*\n.*but not to the end")

    def test_why_the_client_of_a_stream_left(self):
        """Before the end, or after the last event, which is the end for it."""
        chunk = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
        for events, told in (([chunk, chunk, chunk, chunk], "its client hung up: its client got 200 and a part of the answer\n"),
                             ([chunk, "[DONE]", ": more", ": more"], "answered with 200\n")):
            with Provider(Reply(events=events, then="half-hang")) as provider, Gateway(ONE.format(base=provider.base)) as gateway:
                connection = gateway.send_chat(stream=True, headers={"x-litellm-call-id": "leaver"})
                while (b"[DONE]" if "[DONE]" in events else b"data: ") not in connection.buffer:
                    self.assertTrue(connection.receive_more())
                connection.close()
                wait_until(lambda: told in self.ask(gateway, "why", "leaver"), 5, lambda: self.ask(gateway, "why", "leaver"))

    def test_reload(self):
        with Gateway(RPM) as gateway:
            self.assertIn("holds now", self.ask(gateway, "reload"))
            gateway.rewrite(RPM.replace("rpm: 1", "rpm: 2") + "router_settings: {tiemout: 3}\n")
            status, out, err = ask(gateway, "reload")
            self.assertEqual(status, 0)
            self.assertRegex(err, r"config\.yaml:\d+:\d+: .*tiemout")
            gateway.rewrite(RPM.replace("rpm: 1", "rpm: many"))
            status, out, err = ask(gateway, "reload")
            self.assertEqual((status, out), (2, ""))
            self.assertRegex(err, r"nothing has changed\n.*config\.yaml:4:\d+: .*rpm")

    def test_an_admin_port_with_a_key(self):
        config = RPM + "general_settings: {master_key: sk-operator}\nvorrang_settings:\n  admin_host: 0.0.0.0\n"
        with Gateway(config) as gateway:
            err = self.ask(gateway, "queue", status=1)
            self.assertIn("VORRANG_MASTER_KEY", err)
            for name in ("VORRANG_MASTER_KEY", "LITELLM_MASTER_KEY"):
                self.ask(gateway, "queue", environment={name: "sk-operator"})
                self.ask(gateway, "reload", environment={name: "sk-operator"})
            err = self.ask(gateway, "queue", status=1, environment={"VORRANG_MASTER_KEY": "sk-other"})
            self.assertNotIn("sk-other", err)
            self.assertIn("than that of VORRANG_MASTER_KEY: set VORRANG_MASTER_KEY to", err)
            # What counts is named, though the other would be right.
            both = {"LITELLM_MASTER_KEY": "sk-other", "VORRANG_MASTER_KEY": "sk-operator"}
            err = self.ask(gateway, "queue", status=1, environment=both)
            self.assertIn("than that of LITELLM_MASTER_KEY: set LITELLM_MASTER_KEY to", err)
            self.assertNotIn("VORRANG_MASTER_KEY", err)

    def test_names_of_others_do_nothing_to_a_terminal(self):
        """Model names come from a file here, ids from clients: both could hold what a terminal obeys."""
        config = RPM.replace("model_name: m", r'model_name: "a\u009bb\u202ec"')
        with Gateway(config) as gateway:
            out = self.ask(gateway, "queue")
            self.assertIn("a?b?c: nobody waits", out)
            screen = on_terminal(["queue", "--json"], url_of(gateway))
            self.assertNotIn("\033", screen.raw)
            self.assertNotIn("\u009b", screen.raw)
            self.assertIn("\\u009b", screen.raw)
            self.assertEqual(json.loads(screen.raw)["queues"][0]["model"], "a\u009bb\u202ec")

    def test_colour_on_a_terminal_only(self):
        with Gateway(RPM) as gateway:
            self.assertIn("\033[1m", on_terminal(["queue"], url_of(gateway)).raw)
            self.assertNotIn("\033", on_terminal(["queue"], url_of(gateway), NO_COLOR="1").raw)
            self.assertNotIn("\033", on_terminal(["queue"], url_of(gateway), TERM="dumb").raw)


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="vorrang-system-")
        self.addCleanup(self.directory.cleanup)

    def path(self, name):
        return os.path.join(self.directory.name, name)

    def test_init_and_check(self):
        path = self.path("config.yaml")
        status, out, err = run_binary("init", path)
        self.assertEqual((status, err), (0, ""))
        self.assertIn(f"vorrang check {path}", out)
        status, out, err = run_binary("check", path)
        self.assertEqual((status, err), (0, ""), out)
        self.assertIn("demo", out)
        self.assertEqual((status, out, err), run_binary("--check-config", "--config", path))
        self.assertEqual(run_binary("check", environment={"CONFIG_FILE_PATH": path})[0], 0)
        status, out, err = run_binary("init", path)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("--force", err)
        with open(path, "w", encoding="utf-8") as file:
            file.write("router_settings: {timeout: [1]}\n")
        status, out, err = run_binary("check", path)
        self.assertEqual(status, 2)
        self.assertRegex(out + err, r"config\.yaml:1:\d+: .*timeout")
        self.assertEqual(run_binary("init", path, "--force")[0], 0)
        self.assertEqual(run_binary("check", path)[0], 0)
        self.assertEqual(run_binary("check", self.path("absent.yaml"))[0], 2)
        self.assertEqual(run_binary("init", self.path("absent/config.yaml"))[0], 1)

    def test_check_shows_names_as_the_other_commands_do(self):
        odd = r"\u202e\u2028\u009b\u200b"
        path = self.path("config.yaml")
        for config in (
            f'model_list:\n  - model_name: "aé{odd}b"\n    litellm_params: {{model: "openai/a{odd}b", mock_response: hi}}\n'
            f'    model_info: {{id: "a{odd}b"}}\nrouter_settings: {{"a{odd}b": 1}}\n',
            f'router_settings: {{timeout: "a{odd}b", fallbacks: [{{"a{odd}b": ["a{odd}b"]}}]}}\n',
        ):
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            for locale in ("C.UTF-8", "C"):
                _, out, _ = run_binary("check", path, environment={"LC_ALL": locale})
                self.assertIn("????b", out)
                self.assertNotRegex(out, "[\u202e\u2028\u009b\u200b]")
                self.assertIn("aé????b" if "é" in config else "a????b", out)
        status, _, err = run_binary("--config", path)
        self.assertEqual(status, 2)
        self.assertIn("a????b", err)
        self.assertNotRegex(err, "[\u202e\u2028\u009b\u200b]")

    def test_what_init_writes_serves(self):
        path = self.path("config.yaml")
        run_binary("init", path)
        with open(path, encoding="utf-8") as file:
            text = re.sub(r" *admin_port: 4001\n", "", file.read())
        with Gateway(text) as gateway:
            self.assertEqual(gateway.chat(model="demo").status, 200)


class Terminal:
    """A program on a pseudo-terminal, and what that shows."""

    def __init__(self, arguments, rows=24, columns=80, **environment):
        self.screen = pyte.Screen(columns, rows) if pyte else None
        self.stream = pyte.Stream(self.screen) if pyte else None
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.raw = ""
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        variables = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
        self.process = subprocess.Popen(
            [binary_path(), *arguments], stdin=slave, stdout=slave, stderr=slave,
            env=clean_environment(**variables), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if self.screen:
            self.screen.resize(rows, columns)

    def read(self, timeout_s=0.05):
        if select.select([self.master], [], [], timeout_s)[0]:
            text = self.decoder.decode(os.read(self.master, 65536))
            self.raw += text
            if self.stream:
                self.stream.feed(text)

    def press(self, keys):
        os.write(self.master, keys.encode())

    @property
    def text(self):
        return "\n".join(self.screen.display)

    def wait_for(self, pattern, timeout_s=10):
        end = time.monotonic() + timeout_s
        while not re.search(pattern, self.text):
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} does not appear:\n{self.text}")
            self.read()

    def wait(self, timeout_s=10):
        """The exit status; what was written until then is read."""
        end = time.monotonic() + timeout_s
        while self.process.poll() is None:
            self.read(0.02)
            if time.monotonic() > end:
                raise AssertionError(f"still running:\n{self.raw[-2000:]}")
        for _ in range(20):
            self.read(0)
        return self.process.returncode

    def chosen(self):
        """Text of the lines in reverse, without the title."""
        lines = range(1, self.screen.lines)
        return [self.screen.display[y].split() for y in lines if self.screen.buffer[y][0].reverse]

    def is_as_before(self):
        """Settings of the line discipline, the cursor, and the screen that was there before."""
        return (
            termios.tcgetattr(self.slave) == self.before
            and self.raw.rstrip().endswith(("\033[?1049l\033[23;0;0t\r\033[?1l\033>", "\033[?1l\033>"))
            and self.raw.rfind("\033[?25h") < len(self.raw)
            and self.raw.rfind("\033[?1049l") > self.raw.rfind("\033[?1049h")
        )


def on_terminal(arguments, url, **environment):
    """Runs a command on a terminal to its end."""
    terminal = Terminal(arguments, VORRANG_ADMIN_URL=url, **environment)
    with terminal:
        status = terminal.wait()
        assert status == 0, terminal.raw
    return terminal


@unittest.skipIf(pyte is None and not os.environ.get("CI"), "needs pyte (Debian: python3-pyte)")
class Top(unittest.TestCase):
    def top(self, gateway, **more):
        return Terminal(["top", "--url", url_of(gateway)], **more)

    def test_shows_the_line_and_follows_it(self):
        with Line() as line, self.top(line.gateway) as top:
            top.wait_for(r"2 models, 3 waiting")
            top.wait_for(r"one +full +1 of 1 ")
            for ticket in line.tickets:
                self.assertIn(ticket, top.text)
            self.assertEqual([words[2] for words in top.chosen() if words[-1] == "slot"], [line.tickets[0]])
            self.assertEqual(len(top.screen.display[0]), 80)
            top.press("j")
            top.wait_for("q quit")
            wait_until(lambda: top.read() or any(line.tickets[1] in words for words in top.chosen()), 5)
            top.press("\t")
            top.wait_for(r"two +healthy")
            top.press("\033[Z")
            top.wait_for(r"one +full")
            top.press("?")
            top.wait_for("Shift-Tab")
            top.press("xq")
            self.assertEqual(top.wait(), 0)
            self.assertTrue(top.is_as_before(), repr(top.raw[-200:]))

    def test_moves_and_cancels_after_asking(self):
        with Line() as line, self.top(line.gateway) as top:
            first, second, third = line.tickets
            top.wait_for("3 waiting")
            top.wait_for(first)
            top.press("\033OB\033OB")  # down, as a terminal in application mode says it
            wait_until(lambda: top.read() or any(third in words for words in top.chosen()), 5)
            top.press("b-5\r")
            top.wait_for(f"Give ticket {third} priority -5\\? y/n")
            self.assertEqual(line.tickets, [first, second, third], "it asks first")
            top.press("y")
            top.wait_for(f"Ticket {third} has priority -5 now")
            self.assertEqual(line.tickets, [third, first, second])
            top.press("c")
            top.wait_for(f"Cancel ticket {third}\\?")
            top.press("n")
            top.wait_for("q quit")
            self.assertEqual(line.tickets, [third, first, second])
            top.press("cy")
            top.wait_for(f"Ticket {third} is cancelled")
            self.assertEqual(line.waiters[2].read_response().status, 503)
            top.press("q")
            self.assertEqual(top.wait(), 0)

    def test_all_that_was_confirmed_is_done(self):
        """Also by who types faster than the gateway answers, and quits at once."""
        with Line() as line, self.top(line.gateway) as top:
            first, second, third = line.tickets
            top.wait_for(third)
            top.press("cyjcyq")
            self.assertEqual(top.wait(), 0)
            self.assertEqual([line.waiters[n].read_response().status for n in (0, 1)], [503, 503])
            self.assertEqual(line.tickets, [third])
            self.assertIn(f"Ticket {second} is cancelled", top.raw.rpartition("\033[?1049l")[2], "said after the screen")

    def test_every_end_restores_the_terminal(self):
        with Gateway(RPM) as gateway:
            for number in (signal.SIGTERM, signal.SIGHUP):
                with self.subTest(number), self.top(gateway) as top:
                    top.wait_for("1 model, 0 waiting")
                    top.process.send_signal(number)
                    self.assertEqual(top.wait(), -number)
                    self.assertTrue(top.is_as_before(), repr(top.raw[-200:]))
            with self.top(gateway) as top:
                top.wait_for("1 model, 0 waiting")
                top.press("\003")  # Ctrl-C
                self.assertEqual(top.wait(), 0)
                self.assertTrue(top.is_as_before(), repr(top.raw[-200:]))

    def test_another_size(self):
        with Gateway(RPM) as gateway, self.top(gateway) as top:
            top.wait_for("1 model, 0 waiting")
            top.resize(12, 60)
            wait_until(lambda: top.read() or "? help" in top.screen.display[11], 5, lambda: top.text)
            top.resize(5, 20)
            top.wait_for("Too small")
            top.resize(40, 120)
            top.wait_for(r"0 waiting  \d\d:\d\d:\d\d")
            wait_until(lambda: top.read() or "q quit" in top.screen.display[39], 5, lambda: top.text)
            top.press("q")
            self.assertEqual(top.wait(), 0)

    def test_a_gateway_that_goes_and_comes(self):
        # Lines that come and go are scrolled: pyte knows no such command for more than one, as xterm has.
        with Line(1) as line, self.top(line.gateway, TERM="linux") as top:
            top.wait_for("1 waiting")
            os.kill(line.gateway.process.pid, signal.SIGSTOP)
            try:
                top.wait_for("OLD: no answer from", 10)
                self.assertRegex(top.text, r"one +full", "what was there stays")
            finally:
                os.kill(line.gateway.process.pid, signal.SIGCONT)
            end = time.monotonic() + 10
            while "OLD" in top.text and time.monotonic() < end:
                top.read()
            self.assertNotIn("OLD", top.text)
            top.press("q")
            self.assertEqual(top.wait(), 0)

    def test_without_a_screen(self):
        for term in ("dumb", "no-such-terminal", ""):
            with Terminal(["top"], TERM=term) as terminal:
                self.assertEqual(terminal.wait(), 1)
                self.assertIn("cannot move its cursor", terminal.raw)
                self.assertNotIn("\033", terminal.raw)
        status, out, err = run_binary("top")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("vorrang queue", err)

    def test_what_a_name_holds_is_not_obeyed(self):
        config = RPM.replace("model_name: m", r'model_name: "a\u009bb\u202ec"')
        with Gateway(config) as gateway, self.top(gateway, NO_COLOR="1") as top:
            top.wait_for(r"a\?b\?c")
            top.press("q")
            self.assertEqual(top.wait(), 0)
            self.assertNotIn("\u009b", top.raw)
            self.assertNotRegex(top.raw, r"\033\[3[0-9]m", "NO_COLOR")


class Manual(unittest.TestCase):
    """What --help says is in the manual and in the shells' completion, and those hold nothing else."""

    @classmethod
    def setUpClass(cls):
        cls.commands = ["", *NAMES]
        cls.flags = {}
        for command in cls.commands:
            _, out, _ = run_binary(*filter(None, [command]), "--help")
            first_words = re.findall(r"(?m)^  (-\S+)", out)
            cls.flags[command] = {flag for word in first_words for flag in word.split(",")}

    def test_all_commands(self):
        status, out, err = run_binary("queu")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("there is no command queu: see vorrang --help", err)
        _, out, _ = run_binary("--help")
        for command in self.commands:
            self.assertIn("--help", self.flags[command])
            self.assertIn(command, out.split("Commands")[1])
        self.assertIn("--ssl_keyfile_path", self.flags[""])
        self.assertEqual(self.flags["queue"], {"-h", "--help", "--json", "--limit", "--offset", "--url"})

    def test_the_manual_has_every_flag(self):
        text = (ROOT / "deploy/man/vorrang.1").read_text(encoding="utf-8")
        said = set()
        for line in text.splitlines():
            if line.startswith(".") or "Fl " in line:
                said |= {"-" + flag for flag in re.findall(r"\bFl (-?[\w-]+)", line)}
        wanted = set().union(*self.flags.values())
        self.assertEqual(wanted - said, set())
        self.assertEqual(said - wanted, set(), "flags that there are not")
        for command in self.commands[1:]:
            self.assertIn(f".Cm {command}", text)
        for variable in ("VORRANG_ADMIN_URL", "VORRANG_MASTER_KEY", "NO_COLOR"):
            self.assertIn(variable, text)

    def test_the_manual_is_well_formed(self):
        path = str(ROOT / "deploy/man/vorrang.1")
        if shutil.which("man"):
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
                                  capture_output=True, text=True, env=clean_environment(MANWIDTH="80", LC_ALL="C.UTF-8"))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        if shutil.which("mandoc"):
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_bash_completes_every_flag(self):
        script = ROOT / "deploy/completion/vorrang.bash"
        for command in self.commands:
            words = ["vorrang", *filter(None, [command]), "-"]
            program = (f'source {script}; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; '
                       'PATH=; _vorrang; printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
            self.assertEqual(done.stderr, "")
            self.assertEqual(set(done.stdout.split()) | {"-h"}, self.flags[command] | {"-h"}, command)
        program = f'source {script}; COMP_WORDS=(vorrang ""); COMP_CWORD=1; _vorrang; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
        self.assertEqual(set(self.commands[1:]) - set(done.stdout.split()), set())

    def test_zsh_and_fish_have_every_flag(self):
        zsh = (ROOT / "deploy/completion/_vorrang").read_text(encoding="utf-8")
        fish = (ROOT / "deploy/completion/vorrang.fish").read_text(encoding="utf-8")
        for command in self.commands:
            for flag in self.flags[command]:
                self.assertRegex(zsh, rf"(?<![\w-]){flag}(?![\w-])")
                option = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                self.assertRegex(fish, rf"{option}(?![\w-])")
            self.assertIn(f"-a {command}", fish if command else "-a ")
        for shell, name, check in (("zsh", "_vorrang", ["-n"]), ("fish", "vorrang.fish", ["-n"])):
            if shutil.which(shell):
                done = subprocess.run([shell, *check, str(ROOT / "deploy/completion" / name)], capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
