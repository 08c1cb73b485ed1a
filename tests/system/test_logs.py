"""The log and the access log: what they tell, what they never tell, and that no reader of theirs can hold
a request up."""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import client
from gateway import Gateway, binary_path, clean_environment, free_port, run_binary, wait_until
from provider import Provider, Reply, completion, error

MODELS = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: key-upstream}}
    model_info: {{id: first}}
router_settings:
  timeout: 5
  num_retries: 2
  allowed_fails: 0
  cooldown_time: 1
"""

MOCK = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hello}
    model_info: {id: mock}
"""

FIELDS = (
    "time request_id client method path status model group deployment priority wait_ms attempts reason "
    "bytes_in bytes_out first_byte_ms total_ms error"
).split()


def access_lines(text):
    """The lines of an access log as text, each as a dict."""
    found = []
    for line in text.splitlines():
        if line.startswith("time="):
            found.append(dict(re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)', line)))
    return found


class AccessLog(unittest.TestCase):
    def test_a_request_is_one_line(self):
        with Provider() as provider, Gateway(
            MODELS.format(base=provider.base), ["--access-log", "-"]
        ) as gateway:
            provider.script = [Reply(500, error())]
            response = gateway.chat("hello", priority=3)
            self.assertEqual(response.status, 200)
            wait_until(lambda: access_lines(gateway.output))
            (line,) = access_lines(gateway.output)
        self.assertEqual(list(line), FIELDS)
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$")
        self.assertEqual(line["request_id"], response.header("x-vorrang-request-id"))
        self.assertRegex(line["client"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(line["wait_ms"], response.header("x-vorrang-wait-ms"))
        self.assertEqual(line["attempts"], response.header("x-vorrang-attempts"))
        self.assertEqual(line["reason"], response.header("x-vorrang-granted-by"))
        told = {name: line[name] for name in ("method", "path", "status", "model", "group", "deployment", "priority")}
        self.assertEqual(
            told,
            {
                "method": "POST",
                "path": "/v1/chat/completions",
                "status": "200",
                "model": "m",
                "group": "m",
                "deployment": "first",
                "priority": "3",
            },
        )
        self.assertGreater(int(line["bytes_out"]), len(response.body))
        self.assertGreater(int(line["bytes_in"]), 20)
        self.assertGreaterEqual(int(line["total_ms"]), int(line["first_byte_ms"]))
        self.assertEqual(line["error"], "-")

    def test_the_fields_are_documented(self):
        path = pathlib.Path(__file__).resolve().parents[2] / "docs" / "logging.md"
        section = path.read_text(encoding="utf-8").partition("## The access log")[2].partition("## Traces")[0]
        self.assertEqual([name for name in FIELDS if f"`{name}`" not in section], [])

    def test_as_json(self):
        with Gateway(MOCK + "unknown_key: 1\n", ["--access-log", "--log-format", "json"]) as gateway:
            gateway.chat()
            gateway.chat(model="nobody")
            gateway.call("GET", "/v1/models?key=in-the-query")
            wait_until(lambda: gateway.output.count('"request_id"') >= 3)
            lines = [json.loads(line) for line in gateway.output.splitlines() if '"request_id"' in line]
            output = gateway.output
        # Each is written when its request is over, which its client may hear a little earlier.
        good, unknown, page = sorted(lines, key=lambda line: (line["method"] != "POST", line["status"]))
        self.assertEqual([list(line) for line in lines], [FIELDS] * 3)
        self.assertEqual((good["status"], good["deployment"], good["attempts"]), (200, "mock", 1))
        self.assertEqual((unknown["status"], unknown["error"], unknown["group"]), (400, "unknown-model", None))
        self.assertEqual((page["status"], page["path"], page["wait_ms"]), (200, "/v1/models", None))
        self.assertNotIn("in-the-query", output)
        log = [line for line in output.splitlines() if not line.startswith("RUNNING")]
        self.assertTrue(all({"time", "level"} <= set(json.loads(line)) or "status" in line for line in log))
        self.assertTrue(any("config.yaml:" in json.loads(line).get("message", "") for line in log))

    def test_who_goes_and_what_is_refused(self):
        with Provider(Reply(hold=True)) as provider, Gateway(
            MODELS.format(base=provider.base), ["--access-log", "-"]
        ) as gateway:
            gone = gateway.send_chat()
            provider.wait_for_calls(1)
            gone.reset()
            wait_until(lambda: access_lines(gateway.output))  # so that it is the first
            with gateway.connect() as connection:
                connection.send(b"GET / HTTP/1.1\r\nno field\r\n\r\n")
                connection.read_response()
            wait_until(lambda: len(access_lines(gateway.output)) == 2)
            hung_up, refused = access_lines(gateway.output)
        self.assertEqual((hung_up["status"], hung_up["error"], hung_up["first_byte_ms"]), ("499", "hung-up", "-"))
        self.assertEqual((refused["status"], refused["error"], refused["method"]), ("400", "bad-head", "-"))

    def test_streams(self):
        with Provider(Reply(events=["one", "two"], then="half-close")) as provider, Gateway(
            MODELS.format(base=provider.base), ["--access-log", "-"]
        ) as gateway:
            gateway.chat(stream=True)
            wait_until(lambda: access_lines(gateway.output))
            (line,) = access_lines(gateway.output)
        self.assertEqual((line["status"], line["error"]), ("200", "broken-stream"))

    def test_nobody_can_write_lines_of_their_own(self):
        forged = "x\ntime=now status=200\r\x1b[2Jy\u2028z"
        with Gateway(MOCK, ["--access-log", "-", "--log-level", "debug"]) as gateway:
            gateway.chat(model=forged)
            gateway.call("GET", "/" + urllib.parse.quote(forged.replace("\n", "").replace("\r", "").replace("\x1b", "")))
            gateway.chat(headers={"x-litellm-call-id": "a b"})
            gateway.chat(model="m" * 100_000)
            wait_until(lambda: len(access_lines(gateway.output)) == 4)
            output = gateway.output
        self.assertNotIn("\x1b", output)
        self.assertNotIn("\u2028", output)
        self.assertNotIn("\ntime=now", output)
        self.assertTrue(all(len(line) < 2000 for line in output.splitlines()))

    def test_a_file_is_opened_again_at_a_reload(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "access.log")
            with Gateway(MOCK, ["--access-log", path]) as gateway:
                gateway.chat()
                wait_until(lambda: os.path.getsize(path))
                os.rename(path, path + ".1")
                gateway.hang_up()
                gateway.chat()
                wait_until(lambda: os.path.exists(path) and os.path.getsize(path))
                os.rename(path, path + ".2")
                gateway.reload(gateway.config)
                gateway.chat()
                wait_until(lambda: os.path.exists(path) and os.path.getsize(path))
            for name in (path, path + ".1", path + ".2"):
                with open(name, encoding="ascii") as file:
                    self.assertEqual(len(access_lines(file.read())), 1, name)

    def test_a_file_that_cannot_be_opened(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "config.yaml")
            with open(config, "w", encoding="ascii") as file:
                file.write(MOCK)
            status, _, told = run_binary("--config", config, "--access-log", "/nowhere/access.log")
        self.assertEqual(status, 1)
        self.assertIn("--access-log: cannot open /nowhere/access.log: No such file or directory", told)

    def test_a_full_disk_is_told(self):
        with Gateway(MOCK, ["--access-log", "/dev/full"]) as gateway:
            self.assertEqual(gateway.chat().status, 200)
            wait_until(lambda: "lines of the access log were left out" in gateway.output)
            self.assertRegex(
                gateway.admin_get("/metrics").body.decode(), r'vorrang_log_lines_lost_total{log="access"} [1-9]'
            )


class SlowReaders(unittest.TestCase):
    def test_a_reader_that_stands_still_holds_nobody_up(self):
        """Nobody reads stdout or stderr: both pipes are full after some hundred requests."""
        port, admin_port = free_port(), free_port()
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "config.yaml")
            with open(config, "w", encoding="ascii") as file:
                file.write(MOCK + f"vorrang_settings:\n  admin_port: {admin_port}\n")
            arguments = ["--config", config, "--port", str(port), "--access-log", "-", "--log-level", "debug"]
            process = subprocess.Popen(
                [binary_path(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=clean_environment(),
            )
            try:
                self.assertIn(b"RUNNING", process.stdout.readline())
                slowest = 0.0
                with client.Connection(port) as connection:
                    for _ in range(1500):
                        before = time.monotonic()
                        connection.chat(client.chat_body())
                        self.assertEqual(connection.read_response().status, 200)
                        slowest = max(slowest, time.monotonic() - before)
                self.assertLess(slowest, 2.0)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(15), 0)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
                process.stderr.close()


    def test_a_fifo_that_nobody_empties_holds_no_reload_and_no_end_up(self):
        for how in ("reload", "hang up"):
            with self.subTest(how), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "access")
                os.mkfifo(path)
                reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    with Gateway(MOCK, ["--access-log", path]) as gateway:
                        with gateway.connect() as connection:
                            for _ in range(2000):
                                connection.request("GET", "/health/liveliness")
                                self.assertEqual(connection.read_response().status, 200)
                        if how == "hang up":
                            gateway.hang_up()
                        gateway.reload(gateway.config)
                        before = time.monotonic()
                        gateway.stop()
                        self.assertLess(time.monotonic() - before, 8)
                finally:
                    os.close(reader)

    def test_a_fifo_without_a_reader_holds_no_start_up(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "access")
            os.mkfifo(path)
            with Gateway(MOCK, ["--access-log", path]) as gateway:
                gateway.chat()
                with open(path, encoding="ascii") as late:
                    self.assertEqual(len(access_lines(late.readline())), 1)


class Secrets(unittest.TestCase):
    """Everything that must not be in a log is marked, everything is logged, and no mark is found."""

    def test_no_key_no_prompt_no_answer(self):
        marks = {
            name: f"m4rk{name}"
            for name in (
                "masterkey",
                "clientkey",
                "wrongkey",
                "upstreamkey",
                "headervalue",
                "cookie",
                "prompt",
                "system",
                "answer",
                "streamed",
                "upstreamerror",
                "brokenjson",
                "nohttp",
                "toolname",
                "query",
                "metadata",
            )
        }
        config = f"""
        model_list:
          - model_name: m
            litellm_params:
              model: openai/x
              api_base: "{{base}}"
              api_key: {marks["upstreamkey"]}
              extra_headers: {{{{x-secret: {marks["headervalue"]}}}}}
        general_settings:
          master_key: {marks["masterkey"]}
        vorrang_settings:
          keys: [{{{{key: {marks["clientkey"]}, name: someone}}}}]
        router_settings:
          timeout: 3
          num_retries: 1
          cooldown_time: 0
        """
        # The text forms of Gateway's `config` are dedented there.
        script = [
            Reply(body=completion(marks["answer"])),
            Reply(events=[marks["streamed"], "[DONE]"]),
            Reply(400, error(marks["upstreamerror"], marks["upstreamerror"])),
            Reply(401, error(marks["upstreamerror"])),
            Reply(500, error(marks["upstreamerror"])),
            Reply(500, {"detail": marks["upstreamerror"]}),
            Reply(body=('{"choices": "' + marks["brokenjson"]).encode()),
            Reply(body=('{"choices": "' + marks["brokenjson"]).encode()),
            Reply(then="raw", body=f"220 {marks['nohttp']}\r\n\r\n".encode()),
            Reply(then="raw", body=f"HTTP/1.1 200 OK\r\n{marks['nohttp']}\r\n\r\n".encode()),
            Reply(then="cut", text=marks["answer"]),
            Reply(then="cut", text=marks["answer"]),
            Reply(302, b"", {"Location": f"/{marks['upstreamerror']}"}),
            Reply(302, b"", {"Location": f"/{marks['upstreamerror']}"}),
            Reply(events=[b"data: {\"x\": " + marks["brokenjson"].encode() + b"\n\n"]),
            Reply(events=[b"data: {\"x\": " + marks["brokenjson"].encode() + b"\n\n"]),
        ]
        body = client.chat_body(marks["prompt"], "m", tools=[{"name": marks["toolname"]}], user=marks["metadata"])
        body["messages"].insert(0, {"role": "system", "content": marks["system"]})
        key = {"Authorization": f"Bearer {marks['masterkey']}", "Cookie": marks["cookie"]}
        with Provider() as provider:
            text = "\n".join(line[8:] for line in config.splitlines()).format(base=provider.base)
            for log_format in ("text", "json"):
                provider.script = list(script)
                arguments = ["--log-level", "debug", "--access-log", "-", "--log-format", log_format]
                with Gateway(text, arguments) as gateway:
                    for stream in (False, True, False, False, False, False, False, False, False, True):
                        gateway.post({**body, "stream": stream}, key, f"/v1/chat/completions?key={marks['query']}")
                    gateway.post(body, {"Authorization": f"Bearer {marks['wrongkey']}"})
                    gateway.post(body, {"x-api-key": marks["clientkey"]})
                    gateway.post(('{"model": "m", "messages": "' + marks["prompt"]).encode(), key)
                    gateway.post({**body, "priority": marks["prompt"]}, key)
                    gateway.post({**body, "api_key": marks["clientkey"]}, key)
                    gateway.call("GET", f"/v1/models?api_key={marks['query']}", None, key)
                    gateway.hang_up()
                    wait_until(lambda: gateway.output.count("path") >= 16)
                output = gateway.output
                self.assertIn("granted", output)
                self.assertEqual([], sorted(self.found(marks, output)))

    @staticmethod
    def found(marks, output):
        for name, mark in marks.items():
            forms = {mark, mark[::-1], urllib.parse.quote(mark), mark.encode().hex()}
            for padding in range(3):  # wherever it stands in what was encoded
                encoded = base64.b64encode(b"x" * padding + mark.encode()).decode()
                forms.add(encoded[4 if padding else 0 : -4])
            if any(form.lower() in output.lower() for form in forms):
                yield name


class Levels(unittest.TestCase):
    def test_a_cooldown_is_told_when_it_begins_and_ends(self):
        config = MODELS.replace("cooldown_time: 1", "cooldown_time: 3").replace("num_retries: 2", "num_retries: 0")
        with Provider(Reply(500, error())) as provider, Gateway(config.format(base=provider.base)) as gateway:
            gateway.chat()
            wait_until(lambda: "deployment is back" in gateway.output)
            output = gateway.output
        self.assertRegex(output, r" info deployment cools down group=m deployment=first for_ms=\d+ status=500\n")
        self.assertRegex(output, r" warning every deployment of the group cools down: its requests wait group=m\n")
        self.assertRegex(output, r" info deployment is back group=m deployment=first\n")

    def test_a_refused_key_is_an_error(self):
        with Provider(Reply(401, error("no"))) as provider, Gateway(MODELS.format(base=provider.base)) as gateway:
            response = gateway.chat()
            wait_until(lambda: "refuses" in gateway.output)
            output = gateway.output
        identity = response.header("x-vorrang-request-id")
        self.assertIn(
            f" error the upstream refuses the gateway's key (status 401) request_id={identity} group=m deployment=first\n",
            output,
        )

    def test_answers_that_break_off_or_do_not_come_are_told(self):
        config = MODELS.replace("api_key: key-upstream", "api_key: key-upstream, timeout: 0.3, stream_timeout: 0.3")
        told = {
            Reply(then="cut", text="words that are cut"): r"127\.0\.0\.1:\d+ broke off its answer",
            Reply(hold=True): r"the upstream did not answer, or go on, in time \(timeout, stream_timeout\)",
        }
        for reply, words in told.items():
            for stream in (False, True):
                with Provider(reply) as provider, Gateway(config.format(base=provider.base)) as gateway:
                    response = gateway.chat(stream=stream, timeout=2)
                    wait_until(lambda: re.search(words, gateway.output), what=lambda: gateway.output)
                    line = re.search(f" warning {words} (.*)\n", gateway.output).group(1)
                    provider.release()
                self.assertIn(f"request_id={response.header('x-vorrang-request-id')} ", line)
                self.assertIn("deployment=first", line)

    def test_the_same_failure_is_told_once(self):
        config = MODELS.format(base=f"http://127.0.0.1:{free_port()}/v1").replace("timeout: 5", "timeout: 1")
        with Gateway(config) as gateway:
            first = gateway.chat()
            for _ in range(20):
                gateway.chat(timeout=0.05)
            output = gateway.output
        lines = [line for line in output.splitlines() if "cannot connect" in line]
        self.assertEqual(len([line for line in lines if "more like it" not in line]), 1, output)
        self.assertIn(f"request_id={first.header('x-vorrang-request-id')} deployment=first", lines[0])
        # What was left out is told at the end.
        self.assertRegex(gateway.output, r"cannot connect to 127\.0\.0\.1:\d+ \(and \d+ more like it\)")

    def test_lines_of_a_request_have_its_id(self):
        with Gateway(MOCK, ["--log-level", "debug"]) as gateway:
            response = gateway.chat(headers={"x-litellm-call-id": "call-17"})
            self.assertEqual(response.header("x-vorrang-request-id"), "call-17")
            wait_until(lambda: "attempt over" in gateway.output)
            lines = [line for line in gateway.output.splitlines() if " debug " in line]
        self.assertTrue(all("request_id=call-17" in line for line in lines), lines)


class CommandLine(unittest.TestCase):
    def test_wrong_format(self):
        status, _, told = run_binary("--config", "x", "--log-format", "xml")
        self.assertEqual(status, 1)
        self.assertIn("--log-format: expected text or json", told)


if __name__ == "__main__":
    unittest.main()
