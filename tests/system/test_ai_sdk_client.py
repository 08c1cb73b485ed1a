"""Vercel's AI SDK, with its providers for OpenAI (chat, responses) and for what is compatible.

It knows nothing of `x-should-retry`, so that a 408 is asked for again as often as `maxRetries` says
(once in this driver, twice by default), and so is an error that comes first in a stream of OpenAI's.
"""

import unittest

from client_cases import ClientCases
from library import node_command


class AISDKClient(ClientCases, unittest.TestCase):
    ways = ("chat", "responses", "compatible")
    ways_that_leave = ("compatible",)
    ways_for_errors = ("chat", "responses", "compatible")
    ways_for_retries = ("compatible",)
    ways_that_tell_their_timeout = ()
    requests_for = {**ClientCases.requests_for, 408: 2}
    ways_that_ask_again_after_the_headers = ("chat", "responses")

    @staticmethod
    def command():
        return node_command("ai_sdk.mjs")


if __name__ == "__main__":
    unittest.main()
