"""OpenAI's library for Node."""

import unittest

from client_cases import ClientCases
from library import node_command


class OpenAINodeClient(ClientCases, unittest.TestCase):
    ways = ways_that_leave = ways_for_errors = ways_for_retries = ways_that_tell_their_timeout = ("chat",)

    @staticmethod
    def command():
        return node_command("openai_node.mjs")


if __name__ == "__main__":
    unittest.main()
