"""OpenTelemetry's own definition of what is exported, as its package for Python has it."""

import subprocess
import unittest

import library
from collector import Collector, exporting
from gateway import Gateway
from provider import Provider, Reply, error

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

MODELS = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, cooldown_time: 0}}
router_settings:
  num_retries: 1
"""


class Reader(unittest.TestCase):
    def test_what_is_sent_is_an_export_request(self):
        command = library.python_command("otlp_python.py")
        with Collector() as collector, Provider() as provider, Gateway(
            MODELS.format(base=provider.base), environment=exporting(collector)
        ) as gateway:
            provider.script = [Reply(429, error(), {"retry-after-ms": "10"})]
            gateway.chat("hello", headers={"traceparent": PARENT, "tracestate": "a=1"})
            collector.spans(6)
            body = collector.requests[0][2]
        read = subprocess.run(command, input=body, capture_output=True, timeout=60, check=False)
        self.assertEqual(read.returncode, 0, read.stderr.decode())
        kinds = ("SERVER", "INTERNAL", "CLIENT", "INTERNAL", "CLIENT", "INTERNAL")
        self.assertEqual(read.stdout.decode().split(), [f"{PARENT[3:35]}:{kind}" for kind in kinds])


if __name__ == "__main__":
    unittest.main()
