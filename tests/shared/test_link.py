"""The link to Redis with real threads and a real server that goes away and comes back; for the sanitizers.

    python3 tests/shared/test_link.py PROGRAM
"""

import json
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from redis_server import RedisServer  # noqa: E402

program = None
SECONDS = 5


class Link(unittest.TestCase):
    def test_two_instances_and_a_server_that_is_killed(self):
        with RedisServer() as server:
            process = subprocess.Popen([program, server.path, str(SECONDS)], stdout=subprocess.PIPE, text=True)
            try:
                time.sleep(1)
                server.kill()
                time.sleep(0.2)
                server.start()
                output, _ = process.communicate(timeout=60)
            finally:
                process.kill()
                process.wait()
            self.assertEqual(process.returncode, 0, "what a sanitizer found stands above")
            told = json.loads(output)
            self.assertGreater(told["granted"], 50)
            self.assertEqual(told["at_once_max"], 2, "both slots, and no third")


if __name__ == "__main__":
    program = sys.argv.pop(1)
    unittest.main()
