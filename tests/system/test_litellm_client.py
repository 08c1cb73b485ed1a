"""LiteLLM's own `completion` and `acompletion`, with `api_base` and `priority`."""

import unittest

from client_cases import ClientCases
from library import python_command


class LiteLLMClient(ClientCases, unittest.TestCase):
    @staticmethod
    def command():
        return python_command("litellm_python.py")


if __name__ == "__main__":
    unittest.main()
