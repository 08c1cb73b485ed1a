"""What an attempt is charged to tpm, however it ends (spec §2, "tpm")."""

import unittest

from gateway import Gateway, wait_until
from provider import Provider, Reply, shapes

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, tpm: 100000}}
router_settings: {{timeout: 10, num_retries: 0, disable_cooldowns: true}}
"""
PROMPT = "x" * 400
ESTIMATE = 100  # a quarter of its bytes
WITHOUT_USAGE = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Ha"}}]}


class Tokens(unittest.TestCase):
    def charged(self, reply, **fields):
        """What stands in the window after one request."""
        with Provider(reply) as provider, Gateway(CONFIG.format(base=provider.base)) as gateway:
            gateway.chat(PROMPT, **fields)
            deployment = lambda: gateway.admin_get("/queue/m").json["deployments"][0]
            wait_until(lambda: deployment()["in_flight"] == 0)
            return deployment()["tpm"]["used"]

    def test_however_it_ends(self):
        cases = {
            "reported": (Reply(body={**WITHOUT_USAGE, "usage": {"total_tokens": 7}}), {}, 7),
            "not reported": (Reply(body=WITHOUT_USAGE), {}, ESTIMATE),
            "reported as nothing": (Reply(body={**WITHOUT_USAGE, "usage": None}), {}, ESTIMATE),
            "refused": (Reply(400, shapes.error("no")), {}, 0),
            "failed": (Reply(500, shapes.error("no")), {}, 0),
            "reset": (Reply(then="reset"), {}, ESTIMATE),
            "cut off": (Reply(then="cut"), {}, ESTIMATE),
            "no answer in time": (Reply(then="hang"), {"timeout": 0.3}, ESTIMATE),
        }
        for name, (reply, fields, tokens) in cases.items():
            with self.subTest(name):
                self.assertEqual(self.charged(reply, **fields), tokens)


if __name__ == "__main__":
    unittest.main()
