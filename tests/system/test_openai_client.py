"""OpenAI's library for Python: chat and responses, sync and async, and the beta page's example."""

import unittest

from client_cases import ClientCases
from library import python_command
from provider import Reply


class OpenAIClient(ClientCases, unittest.TestCase):
    ways = ("sync", "async", "responses")
    ways_that_leave = ("async", "responses")
    ways_for_errors = ("async", "responses")

    @staticmethod
    def command():
        return python_command("openai_python.py")

    def test_the_headers_of_answers(self):
        with self.scene() as scene:
            headers = scene.ask("sync", priority=0)["headers"]
            self.assertEqual(headers["x-vorrang-priority"], "0")
            self.assertEqual(headers["x-litellm-request-prioritization-used"], "True")
            self.assertEqual(scene.provider.calls[0].header("authorization"), "Bearer k")

    def test_priorities_overtake(self):
        """The beta page's example, with more than one request."""
        with self.scene(Reply(delay_s=0.1)) as scene:
            scene.occupy()
            scene.send("at-once", prompt="50 2 30 1")
            scene.gateway.wait_until_waiting(4)
            scene.free()
            self.assertEqual(scene.driver.result()["texts"], ["hello"] * 4)
            self.assertEqual([call.prompt for call in scene.other_calls()], ["1", "2", "30", "50"])

    def test_other_calls(self):
        with self.scene() as scene:
            result = scene.ask("other")
            self.assertEqual(result["models"], ["m", "mock"])
            self.assertEqual(result["text"], "hello")
            self.assertEqual(result["vector"], [0.5, -0.25, 0.125])


if __name__ == "__main__":
    unittest.main()
