"""curl, as the README uses it: whole, streamed, refused, told to retry, and interrupted."""

import json
import shutil
import signal
import subprocess
import unittest

import client
from client_cases import KEY, ClientCases


class Curl:
    """Speaks like a driver of clients/, with a process for each call."""

    def __init__(self):
        self._request = None
        self._process = None

    def send(self, **request):
        path = "/v1/chat/completions"
        fields = {"priority": request["priority"], "stream": request["stream"]}
        body = json.dumps(client.chat_body(request["prompt"], request["model"], **fields))
        command = ["curl", "--silent", "--show-error", "--no-buffer", "--write-out", "\n%{http_code}"]
        if request["way"] == "retry":
            command += ["--retry", "1"]  # what curl counts as passing: 408, 429, 500, 502, 503, 504
        command += ["-H", "Content-Type: application/json", "-H", f"Authorization: Bearer {request['key']}"]
        self._request = request
        self._process = subprocess.Popen(
            [*command, "--data-binary", "@-", request["base"] + path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._process.stdin.write(body.encode())
        self._process.stdin.close()
        self._process.stdin = None

    def leave(self):
        self._process.send_signal(signal.SIGINT)

    def result(self):
        output, errors = self._process.communicate(timeout=30)
        if self._process.returncode == -signal.SIGINT:
            return {"left": True}
        if self._process.returncode != 0:
            return {"error": "curl", "status": None, "message": errors.decode()}
        text, _, status = output.decode().rpartition("\n")
        if status != "200":
            return {"error": "status", "status": int(status), "message": text.rpartition("\n{")[2]}
        return self._of_stream(text) if self._request["stream"] else self._of_whole(text)

    @staticmethod
    def _of_whole(text):
        # With --retry the refusals stand before the answer.
        document = json.loads(text[text.rindex('{"id"') :])
        return {
            "text": document["choices"][0]["message"]["content"],
            "model": document["model"],
            "usage": document["usage"]["total_tokens"],
        }

    @staticmethod
    def _of_stream(text):
        data = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        chunks = [json.loads(each) for each in data if each != "[DONE]"]
        for chunk in chunks:
            if "error" in chunk:
                return {"error": "event", "status": None, "message": chunk["error"]["message"]}
        pieces = [c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"]]
        return {"text": "".join(pieces), "model": chunks[0]["model"], "usage": None}

    def close(self):
        pass


@unittest.skipIf(shutil.which("curl") is None, "curl is missing")
class CurlClient(ClientCases, unittest.TestCase):
    ways = ways_that_leave = ways_for_errors = ("plain",)
    ways_for_retries = ("retry",)
    ways_that_tell_their_timeout = ()
    # It takes every 408 for one that passes: --retry is for those who say that they want it.
    requests_for = {**ClientCases.requests_for, 408: 2}
    usage_of_streams = None  # it asked for none

    @classmethod
    def setUpClass(cls):
        cls.driver = Curl()

    def test_models(self):
        with self.scene() as scene:
            done = subprocess.run(
                ["curl", "-sS", "-H", f"Authorization: Bearer {KEY}", scene.tap.base + "/v1/models"],
                capture_output=True,
                timeout=20,
            )
            self.assertEqual([model["id"] for model in json.loads(done.stdout)["data"]], ["m", "mock"])


if __name__ == "__main__":
    unittest.main()
