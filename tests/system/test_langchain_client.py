"""LangChain's ChatOpenAI."""

import unittest

from client_cases import ClientCases
from library import python_command


class LangChainClient(ClientCases, unittest.TestCase):
    @staticmethod
    def command():
        return python_command("langchain_python.py")


if __name__ == "__main__":
    unittest.main()
