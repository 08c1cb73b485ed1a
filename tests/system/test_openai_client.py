"""OpenAI's own Python client, as the beta page uses it. It is installed into a virtual environment.

Without a network the test is skipped, visibly; where CI is set that counts as a failure.
"""

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
import venv

from gateway import Gateway
from provider import Provider, Reply

REQUIREMENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openai_client.txt")
INSTALL_TIMEOUT_S = 240

CONFIG = """
model_list:
  - model_name: gpt-3.5-turbo-fake-model
    litellm_params: {{model: openai/upstream-model, api_base: "{base}", api_key: k, max_parallel_requests: 1}}
  - model_name: mock
    litellm_params: {{model: openai/x, mock_response: "Hello world"}}
  - model_name: full
    litellm_params: {{model: openai/x, mock_response: "never", rpm: 0}}
general_settings:
  master_key: sk-1234
router_settings:
  timeout: {timeout}
"""

START = """
import json, sys, time
import openai
client = openai.OpenAI(api_key="sk-1234", base_url="http://127.0.0.1:PORT/v1")
"""


def python_with_client():
    """Path of an interpreter that has the client, made once and kept; raises SkipTest without network."""
    directory = os.path.join(os.environ["VORRANG_SYSTEM_WORK"], "openai-client")
    python = os.path.join(directory, "bin", "python")
    marker = os.path.join(directory, "installed.txt")  # what is in there; written last
    with open(REQUIREMENTS, encoding="ascii") as file:
        wanted = f"{sys.version}\n{file.read()}"
    if os.path.exists(marker):
        with open(marker, encoding="ascii") as file:
            if file.read() == wanted:
                return python
    try:
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS],
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except (subprocess.SubprocessError, OSError) as reason:
        detail = getattr(reason, "stderr", None) or str(reason)
        message = f"the client cannot be installed: {str(detail).strip()[-300:]}"
        if os.environ.get("CI"):
            raise AssertionError(message) from None
        raise unittest.SkipTest(message) from None
    with open(marker, "w", encoding="ascii") as file:
        file.write(wanted)
    return python


class OpenAIClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.python = python_with_client()

    def run_client(self, gateway, code):
        """Runs the code with `client` ready; what it prints is read as one JSON document."""
        source = START.replace("PORT", str(gateway.port)) + textwrap.dedent(code)
        with tempfile.TemporaryDirectory(prefix="vorrang-system-") as directory:
            path = os.path.join(directory, "client.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(source)
            environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
            environment["NO_PROXY"] = "127.0.0.1"
            done = subprocess.run(
                [self.python, path], capture_output=True, text=True, timeout=60, env=environment
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_the_beta_pages_example(self):
        with Provider() as provider, Gateway(CONFIG.format(base=provider.base, timeout=20)) as gateway:
            answer = self.run_client(
                gateway,
                """
                raw = client.chat.completions.with_raw_response.create(
                    model="gpt-3.5-turbo-fake-model",
                    messages=[{"role": "user", "content": "this is a test request, write a short poem"}],
                    extra_body={"priority": 0},
                )
                response = raw.parse()
                print(json.dumps([response.choices[0].message.content, response.model, dict(raw.headers)]))
                """,
            )
            self.assertEqual(answer[:2], ["hello", "gpt-3.5-turbo-fake-model"])
            headers = {name.lower(): value for name, value in answer[2].items()}
            self.assertEqual(headers["x-vorrang-priority"], "0")
            self.assertEqual(headers["x-litellm-request-prioritization-used"], "True")
            self.assertNotIn("priority", provider.calls[0].json)
            self.assertEqual(provider.calls[0].header("authorization"), "Bearer k")
            self.assertFalse([n for n, _ in provider.calls[0].headers if n.lower().startswith("x-stainless")])

    def test_priorities_overtake(self):
        with Provider(Reply(delay_s=0.3)) as provider:
            with Gateway(CONFIG.format(base=provider.base, timeout=30)) as gateway:
                self.run_client(
                    gateway,
                    """
                    import asyncio
                    asynchronous = openai.AsyncOpenAI(api_key="sk-1234", base_url=str(client.base_url))
                    async def ask(priority, pause):
                        await asyncio.sleep(pause)
                        return await asynchronous.chat.completions.create(
                            model="gpt-3.5-turbo-fake-model",
                            messages=[{"role": "user", "content": f"{priority}"}],
                            extra_body={"priority": priority})
                    async def main():
                        await asyncio.gather(ask(0, 0), *[ask(p, 0.1) for p in (50, 2, 30, 1)])
                    asyncio.run(main())
                    print(1)
                    """,
                )
                self.assertEqual([call.prompt for call in provider.calls], ["0", "1", "2", "30", "50"])

    def test_streaming_from_a_mock(self):
        with Gateway(CONFIG.format(base="http://127.0.0.1:1/v1", timeout=20)) as gateway:
            pieces = self.run_client(
                gateway,
                """
                stream = client.chat.completions.create(
                    model="mock", messages=[{"role": "user", "content": "x"}], stream=True,
                    stream_options={"include_usage": True}, extra_body={"priority": 5})
                pieces, usage = [], None
                for chunk in stream:
                    if chunk.usage: usage = chunk.usage.total_tokens
                    pieces += [c.delta.content for c in chunk.choices if c.delta.content]
                print(json.dumps([pieces, usage]))
                """,
            )
            self.assertEqual(pieces, [["Hel", "lo ", "wor", "ld"], 30])

    def test_408_is_seen_once_and_not_retried(self):
        with Gateway(CONFIG.format(base="http://127.0.0.1:1/v1", timeout=1)) as gateway:
            name, status, message, seconds, code = self.run_client(
                gateway,
                """
                before = time.monotonic()
                try:
                    client.chat.completions.create(
                        model="full", messages=[{"role": "user", "content": "x"}], extra_body={"priority": 0})
                    print(json.dumps(["no error", 0, "", 0, ""]))
                except openai.APIStatusError as error:
                    print(json.dumps([type(error).__name__, error.status_code, error.message,
                                      time.monotonic() - before, error.code]))
                """,
            )
            self.assertEqual((status, code), (408, "408"), name)
            self.assertIn("Request timed out while polling queue", message)
            self.assertLess(seconds, 1.5, "the client sent it again")

    def test_other_calls(self):
        with Gateway(CONFIG.format(base="http://127.0.0.1:1/v1", timeout=20)) as gateway:
            models, text, vector, wrong = self.run_client(
                gateway,
                """
                models = sorted(model.id for model in client.models.list())
                text = client.completions.create(model="mock", prompt="x", extra_body={"priority": 1}).choices[0].text
                vector = client.embeddings.create(model="mock", input="x").data[0].embedding
                try:
                    openai.OpenAI(api_key="sk-wrong", base_url=client.base_url).models.list()
                    wrong = "let in"
                except openai.AuthenticationError as error:
                    wrong = error.status_code
                print(json.dumps([models, text, vector, wrong]))
                """,
            )
            self.assertEqual(models, ["full", "gpt-3.5-turbo-fake-model", "mock"])
            self.assertEqual(text, "Hello world")
            self.assertTrue(vector and all(isinstance(number, float) for number in vector))
            self.assertEqual(wrong, 401)


if __name__ == "__main__":
    unittest.main()
