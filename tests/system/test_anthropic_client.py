"""Anthropic's library for Python on /v1/messages: sync and async, whole and streamed."""

import unittest

from client_cases import ClientCases
from library import python_command
from provider import Reply


class AnthropicClient(ClientCases, unittest.TestCase):
    upstream = "anthropic/claude-upstream"
    path = "/v1/messages"

    @staticmethod
    def command():
        return python_command("anthropic_python.py")

    def test_what_goes_upstream(self):
        with self.scene() as scene:
            scene.ask("sync")
            call = scene.provider.calls[0]
            self.assertEqual(call.target, "/v1/messages")
            self.assertEqual((call.header("x-api-key"), call.header("authorization")), ("k", None))
            version = scene.tap.arrivals[0].headers["anthropic-version"]
            self.assertEqual(call.header("anthropic-version"), version)
            self.assertEqual(call.json["model"], "claude-upstream")

    def test_count_tokens(self):
        """No ticket and no limit: it is answered while the only slot is taken."""
        with self.scene() as scene:
            scene.occupy()
            scene.provider.script = [Reply(body={"input_tokens": 42})]
            self.assertEqual(scene.ask("count")["tokens"], 42)
            self.assertEqual(scene.other_calls()[0].target, "/v1/messages/count_tokens")
            self.assertEqual(scene.ask("count", model="mock")["tokens"], 1, "estimated")


if __name__ == "__main__":
    unittest.main()
