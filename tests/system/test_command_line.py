"""The command line, signals and draining."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import client
from gateway import Gateway, binary_path, clean_environment, free_port, run_binary, wait_until
from provider import Provider, Reply

GOOD = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi, api_key: sk-very-secret-upstream}
general_settings:
  master_key: sk-very-secret-master
"""

BARE = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
"""

BAD = """model_list:
  - model_name: m
    litellm_params:
      model: openai/x
      mock_response: hi
      rpm: many
router_settings:
  routing_strategy: fastest-first
  timeout: [1]
  redis_host; os.environ/REDIS_HOST
"""

BAD_VALUES = """model_list:
  - model_name: m
    litellm_params:
      model: openai/x
      mock_response: hi
      rpm: many
router_settings:
  routing_strategy: fastest-first
  timeout: [1]
general_settings:
  max_request_size_mb: -3
"""

RELAY = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/upstream-model, api_base: "{base}", api_key: k, max_parallel_requests: 1}}
vorrang_settings:
  drain_timeout: {drain}
"""


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="vorrang-system-")
        self.addCleanup(self.directory.cleanup)

    def file(self, text, name="config.yaml"):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_a_stray_word_starts_no_gateway(self):
        path = self.file(GOOD + "vorrang_settings: {admin_port: 0}\n")
        said = "first, before its options: see vorrang --help"
        for arguments, environment, words in (
            (["queu"], {"CONFIG_FILE_PATH": path}, "there is no command queu: see vorrang --help"),
            (["--config", path, "queue"], {}, said),
            (["--config", path, ""], {}, said),
            (["--url", "http://127.0.0.1:1", "queue"], {}, said),
            (["a\033[2Jb"], {}, "there is no command a?[2Jb"),
        ):
            with self.subTest(arguments):
                status, out, err = run_binary(*arguments, "--port", str(free_port()), environment=environment)
                self.assertEqual((status, out), (2, ""))
                self.assertIn(words, err)

    def test_flags_that_mean_nothing_are_named_by_a_check(self):
        status, out, err = run_binary("--config", self.file(GOOD), "--check-config", "--prot", "80")
        self.assertEqual(status, 0, out + err)
        self.assertIn("--prot is ignored: it means nothing here", err)

    def test_version(self):
        status, out, err = run_binary("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^\S*[Vv]?orrang\S* .*\d+\.\d+\.\d+")

    def test_help(self):
        status, out, err = run_binary("--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("--config", "--host", "--port", "--threads", "--log-level", "--check-config", "--version"):
            self.assertIn(option, out)

    def test_check_config_good(self):
        status, out, err = run_binary("--config", self.file(GOOD), "--check-config")
        self.assertEqual(status, 0, out + err)
        self.assertIn("m", out)
        self.assertNotIn("very-secret", out + err)

    def test_check_config_bad(self):
        status, out, err = run_binary("--config", self.file(BAD_VALUES), "--check-config")
        self.assertEqual(status, 2, out + err)
        text = out + err
        for line, key in ((6, "rpm"), (8, "routing_strategy"), (9, "timeout"), (11, "max_request_size_mb")):
            self.assertRegex(text, rf"config\.yaml:{line}:\d+: .*{key}", f"all errors at once:\n{text}")
        for strategy in ("simple-shuffle", "usage-based-routing-v2", "least-busy", "latency-based-routing"):
            self.assertIn(strategy, text)

    def test_a_bad_file_does_not_start(self):
        status, out, err = run_binary("--config", self.file(BAD_VALUES), "--port", str(free_port()))
        self.assertEqual(status, 2, out + err)
        self.assertRegex(out + err, r"config\.yaml:6:\d+: ")
        self.assertNotIn("RUNNING", out + err)

    def test_the_beta_pages_typo(self):
        environment = {"REDIS_HOST": "redis.example"}
        status, out, err = run_binary("--config", self.file(BAD), "--check-config", environment=environment)
        self.assertEqual(status, 2, out + err)
        reports = re.findall(r"config\.yaml:10:\d+: .*", out + err)
        self.assertEqual(len(reports), 1, f"one mistake, one report:\n{out + err}")
        self.assertIn("redis_host", reports[0])
        self.assertRegex(reports[0], "colon|':'|`:`", "it is the missing colon that is missed")

    def test_a_missing_file(self):
        status, out, err = run_binary("--config", os.path.join(self.directory.name, "absent.yaml"))
        self.assertIn(status, (1, 2))
        self.assertIn("absent.yaml", out + err)

    def test_port_taken(self):
        for reuse in (False, True):
            with self.subTest(reuse=reuse), socket.socket() as holder:
                if reuse:
                    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                holder.bind(("127.0.0.1", 0))
                holder.listen()
                port = holder.getsockname()[1]
                text = GOOD + "vorrang_settings: {admin_port: 0}\n"
                status, out, err = run_binary(
                    "--config", self.file(text), "--host", "127.0.0.1", "--port", str(port)
                )
                self.assertEqual(status, 1, out + err)
                self.assertIn(str(port), out + err)
                self.assertNotIn("RUNNING", out + err)

    def test_port_taken_by_another_gateway(self):
        with Gateway(GOOD) as gateway:
            text = GOOD + "vorrang_settings: {admin_port: 0}\n"
            status, out, err = run_binary("--config", self.file(text), "--port", str(gateway.port))
            self.assertEqual(status, 1, out + err)
            self.assertIn(str(gateway.port), out + err)

    def test_admin_port_taken(self):
        with Gateway(GOOD) as gateway:
            text = GOOD + "vorrang_settings: {admin_port: %d}\n" % gateway.admin_port
            status, out, err = run_binary("--config", self.file(text), "--port", str(free_port()))
            self.assertEqual(status, 1, out + err)
            self.assertIn(str(gateway.admin_port), out + err)

    def test_variables_and_litellms_flags(self):
        path = self.file(GOOD + "vorrang_settings: {admin_port: 0}\n")
        port = free_port()
        for arguments, environment in (
            (["-c", path, "--port", str(port), "--num_workers", "1", "--detailed_debug"], {}),
            ([], {"CONFIG_FILE_PATH": path, "HOST": "127.0.0.1", "PORT": str(port), "NUM_WORKERS": "1"}),
            (["--config", path, "--port", str(port), "--telemetry", "False", "--run_gunicorn"], {}),
        ):
            with self.subTest(arguments=arguments):
                process = subprocess.Popen(
                    [binary_path(), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=clean_environment(**environment),
                )
                try:
                    wait_until(lambda: self.answers(port) or process.poll() is not None, 10)
                    self.assertIsNone(process.poll(), f"ended with {process.returncode}")
                    process.send_signal(signal.SIGINT)
                    self.assertEqual(process.wait(10), 0)
                finally:
                    if process.poll() is None:
                        process.kill()
                        process.wait()

    def test_request_timeout(self):
        """The deadline; where the router has one of its own, that of an attempt."""
        with Gateway(BARE.replace("hi}", "hi, rpm: 0}"), ["--request_timeout", "0.2"]) as gateway:
            self.assertEqual(gateway.chat().status, 408)
        text = BARE.replace("hi}", "hi, mock_delay: 30}") + "router_settings: {timeout: 60, num_retries: 0}\n"
        with Gateway(text, ["--request_timeout", "0.2"]) as gateway:
            self.assertEqual(gateway.chat().status, 504)

    def test_log_level(self):
        for arguments, environment, is_debug in (
            ([], {}, False),
            (["--debug"], {}, True),
            (["--log-level", "DEBUG"], {}, True),
            ([], {"LITELLM_LOG": "DEBUG"}, True),
            (["--log-level", "warning"], {"LITELLM_LOG": "DEBUG"}, False),
        ):
            with self.subTest(arguments, **environment):
                with Gateway(BARE, arguments, environment) as gateway:
                    self.assertEqual(gateway.chat().status, 200)
                self.assertEqual("attempt over" in gateway.output, is_debug)

    @staticmethod
    def answers(port):
        try:
            return client.call(port, "GET", "/health/liveliness", timeout_s=2).status == 200
        except (OSError, AssertionError):
            return False


class Draining(unittest.TestCase):
    def refused(self, gateway):
        try:
            with gateway.connect(2) as connection:
                connection.request("GET", "/health/liveliness")
                return connection.read_response(2).status == 503
        except (OSError, AssertionError):
            return True

    def test_nothing_to_do_stops_at_once(self):
        """Connections without a request are nothing to wait for."""
        sent = {"nothing": b"", "a request before": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "half a head": b"GET / HT"}
        for number in (signal.SIGTERM, signal.SIGINT):
            for name, data in sent.items():
                with self.subTest(f"{name}, signal {number}"), Gateway(GOOD) as gateway:
                    with gateway.connect() as connection:
                        if data:
                            connection.send(data)
                        if data.endswith(b"\r\n\r\n"):
                            connection.read_response()
                        time.sleep(0.05)  # nothing tells that half a head has been read
                        before = time.monotonic()
                        gateway.terminate(number)
                        self.assertEqual(gateway.wait(20), 0)
                        self.assertLess(time.monotonic() - before, 3)

    def test_running_and_waiting_requests_go_on(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(RELAY.format(base=provider.base, drain=15)) as gateway:
                running = gateway.send_chat("running")
                call = provider.wait_for_calls(1)
                waiting = gateway.send_chat("waiting")
                gateway.wait_until_waiting(1)
                gateway.terminate()
                wait_until(lambda: self.refused(gateway), 5, "new connections are still served")
                self.assertIsNone(gateway.process.poll())
                provider.release(call)
                self.assertEqual(running.read_response().status, 200)
                call = provider.wait_for_calls(2)
                self.assertEqual(call.prompt, "waiting")
                provider.release(call)
                self.assertEqual(waiting.read_response().status, 200)
                before = time.monotonic()
                self.assertEqual(gateway.wait(10), 0)
                self.assertLess(time.monotonic() - before, 3, "nothing was left to wait for")

    def test_waiters_get_503_at_the_drain_timeout(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(RELAY.format(base=provider.base, drain=1)) as gateway:
                running = gateway.send_chat("running")
                provider.wait_for_calls(1)
                waiters = [gateway.send_chat(f"{n}", priority=n) for n in range(10)]
                streamed = gateway.send_chat("streamed", stream=True)
                gateway.wait_until_waiting(11)
                gateway.terminate()
                signalled_at = time.monotonic()
                for response in client.gather(waiters + [streamed], 10):
                    self.assertEqual((response.status, response.error["type"]), (503, "server_error"))
                    self.assertEqual(response.error["code"], "503")
                    self.assertTrue(1 <= int(response.header("retry-after")) <= 60)
                    self.assertAlmostEqual(response.received_at - signalled_at, 1, delta=0.3)
                self.assertEqual(gateway.wait(10), 0)
                self.assertEqual(len(provider.calls), 1)
                running.close()

    def test_a_second_signal_ends_at_once(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(RELAY.format(base=provider.base, drain=30)) as gateway:
                connections = [gateway.send_chat(f"{n}") for n in range(5)]
                call = provider.wait_for_calls(1)
                gateway.wait_until_waiting(4)
                gateway.terminate()
                wait_until(lambda: self.refused(gateway), 5, "not draining")
                self.assertIsNone(gateway.process.poll())
                before = time.monotonic()
                gateway.terminate()
                status = gateway.wait(10)
                print(f"[second signal: status {status} after {time.monotonic() - before:.3f} s] ", end="", flush=True)
                self.assertLess(time.monotonic() - before, 2)
                self.assertIn(status, (0, 1, -signal.SIGTERM, 128 + signal.SIGTERM))
                provider.wait_until(lambda: call.closed_at is not None, what="upstream call closed")
                for connection in connections:
                    connection.close()

    def test_readiness_says_that_it_drains(self):
        with Provider(Reply(hold=True)) as provider:
            with Gateway(RELAY.format(base=provider.base, drain=15)) as gateway:
                running = gateway.send_chat("running")
                call = provider.wait_for_calls(1)
                self.assertEqual(gateway.admin_get("/health/readiness").status, 200)
                gateway.terminate()
                wait_until(lambda: self.refused(gateway), 5, "new connections are still served")
                self.assertNotEqual(gateway.admin_get("/health/readiness").status, 200)
                self.assertEqual(gateway.admin_get("/health/liveliness").status, 200)
                provider.release(call)
                self.assertEqual(running.read_response().status, 200)
                self.assertEqual(gateway.wait(10), 0)

    def test_a_stop_at_any_moment_is_clean(self):
        """Parked, relaying, streaming, reading a body, idle, pipelined: then the signal, many times."""
        extra = "  - model_name: mock\n    litellm_params: {{model: openai/x, mock_response: hi, mock_delay: 0.01}}\n"
        text = RELAY.replace("vorrang_settings:", extra + "vorrang_settings:")
        for pause_ms in (0, 1, 3, 10, 30, 100):
            with self.subTest(pause_ms), Provider(Reply(delay_s=0.02)) as provider:
                with Gateway(text.format(base=provider.base, drain=0)) as gateway:
                    connections = [gateway.send_chat(f"{n}", priority=n % 3) for n in range(30)]
                    connections += [gateway.send_chat(model="mock", stream=n % 2 == 0) for n in range(30)]
                    half = gateway.connect()
                    half.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
                    leavers = [gateway.send_chat("leaver") for _ in range(10)]
                    for leaver in leavers:
                        leaver.close()
                    time.sleep(pause_ms / 1000)
                    gateway.terminate()
                    self.assertEqual(gateway.wait(10), 0, gateway.output[-3000:])
                    for connection in connections + [half]:
                        connection.close()


if __name__ == "__main__":
    unittest.main()
