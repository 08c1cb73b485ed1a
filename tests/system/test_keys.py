"""Who is let in, as whom, with what priority; and what a browser may do."""

import socket
import unittest

import client
from gateway import Gateway

MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: openai/x, mock_response: hi}
  - model_name: secret-model
    litellm_params: {model: openai/x, mock_response: hi, api_key: sk-never-shown-upstream}
"""
KEYS = MODELS + """
general_settings:
  master_key: sk-master
router_settings:
  default_priority: 40
vorrang_settings:
  min_priority: -10
  keys:
    - {key: sk-batch, name: batch, default_priority: 500, best_priority: 100}
    - {key: sk-narrow, name: narrow, models: [m]}
    - {key: sk-plain, name: plain}
"""


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = Gateway(KEYS, ["--host", "127.0.0.1"]).start()

    @classmethod
    def tearDownClass(cls):
        cls.gateway.__exit__(None, None, None)

    def priority_of(self, key, headers=None, **fields):
        response = self.gateway.chat(headers={**bearer(key), **(headers or {})}, **fields)
        self.assertEqual(response.status, 200, response)
        return response.header("x-vorrang-priority")

    def test_no_key_or_a_wrong_one(self):
        wrong = [
            None,
            {"Authorization": "Bearer sk-wrong"},
            {"Authorization": "Bearer "},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic sk-master"},
            {"Authorization": "sk-master-and-more"},
            {"Authorization": "Bearer sk-maste"},
            {"Authorization": "Bearer SK-MASTER"},
            {"x-api-key": ""},
        ]
        for headers in wrong:
            for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/health")):
                with self.subTest(headers=headers, path=path):
                    body = client.chat_body() if method == "POST" else None
                    response = self.gateway.call(method, path, body, headers)
                    self.assertEqual(response.status, 401)
                    self.assertEqual(response.error["type"], "authentication_error")
                    self.assertEqual(response.error["code"], "401")
                    for key in ("sk-wrong", "sk-master", "sk-maste"):
                        self.assertNotIn(key, response.error["message"], "a key is told")

    def test_health_of_what_a_key_may_use(self):
        def models(key):
            page = self.gateway.call("GET", "/health", headers=bearer(key)).json
            return sorted(e["model_name"] for e in page["healthy_endpoints"] + page["unhealthy_endpoints"])

        self.assertEqual(models("sk-narrow"), ["m"])
        self.assertEqual(models("sk-plain"), ["m", "secret-model"])
        for key, status in (("sk-narrow", 403), ("sk-plain", 200), ("sk-master", 200)):
            with self.subTest(key):
                response = self.gateway.call("GET", "/health?probe=true", headers=bearer(key))
                self.assertEqual(response.status, status)

    def test_every_header_that_clients_use(self):
        for name in (
            "x-litellm-api-key",
            "api-key",
            "x-api-key",
            "x-goog-api-key",
            "Ocp-Apim-Subscription-Key",
        ):
            with self.subTest(name):
                self.assertEqual(self.gateway.chat(headers={name: "sk-master"}).status, 200)
        for scheme in ("Bearer", "bearer", "BEARER"):
            self.assertEqual(self.gateway.chat(headers={"Authorization": f"{scheme} sk-master"}).status, 200)

    def test_the_first_header_present_decides(self):
        order = ["x-litellm-api-key", "Authorization", "api-key", "x-api-key", "x-goog-api-key", "Ocp-Apim-Subscription-Key"]

        def value(name, key):
            return f"Bearer {key}" if name == "Authorization" else key

        for first, second in zip(order, order[1:]):
            with self.subTest(f"{first} before {second}"):
                for right_first in (True, False):
                    keys = ("sk-master", "sk-wrong") if right_first else ("sk-wrong", "sk-master")
                    # In the other order on the wire, so that position does not help.
                    headers = {second: value(second, keys[1]), first: value(first, keys[0])}
                    self.assertEqual(self.gateway.chat(headers=headers).status, 200 if right_first else 401)

    def test_priorities_of_keys(self):
        self.assertEqual(self.priority_of("sk-master"), "40")
        self.assertEqual(self.priority_of("sk-plain"), "40")
        self.assertEqual(self.priority_of("sk-batch"), "500")
        self.assertEqual(self.priority_of("sk-batch", priority=0), "100")
        self.assertEqual(self.priority_of("sk-batch", priority=99), "100")
        self.assertEqual(self.priority_of("sk-batch", priority=101), "101")
        self.assertEqual(self.priority_of("sk-batch", {"x-vorrang-priority": "-3"}), "100")
        self.assertEqual(self.priority_of("sk-plain", priority=0), "0")
        self.assertEqual(self.priority_of("sk-plain", priority=-10), "-10")
        self.assertEqual(self.priority_of("sk-plain", priority=-11), "-10")
        self.assertEqual(self.priority_of("sk-master", priority=-2000000000), "-10")

    def test_models_of_a_key(self):
        self.assertEqual(self.gateway.chat(headers=bearer("sk-narrow")).status, 200)
        response = self.gateway.chat(model="secret-model", headers=bearer("sk-narrow"))
        self.assertEqual((response.status, response.error["type"]), (403, "permission_error"))
        self.assertEqual(response.error["code"], "403")
        self.assertEqual(self.gateway.chat(model="secret-model", headers=bearer("sk-plain")).status, 200)

    def test_what_needs_no_key(self):
        for path in ("/", "/health/liveliness", "/health/liveness", "/health/readiness"):
            with self.subTest(path):
                self.assertEqual(self.gateway.call("GET", path).status, 200)

    def test_any_content_type_is_read_with_a_key(self):
        body = '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        for kind in ("text/plain", "application/x-www-form-urlencoded", None):
            with self.subTest(kind):
                response = self.gateway.post(body, {**bearer("sk-master"), "Content-Type": kind})
                self.assertEqual(response.status, 200)

    def test_no_secret_is_shown(self):
        for path in ("/v1/models", "/v1/model/info", "/model/info", "/model_group/info", "/health"):
            with self.subTest(path):
                response = self.gateway.call("GET", path, headers=bearer("sk-master"))
                self.assertEqual(response.status, 200)
                for secret in ("sk-never-shown-upstream", "sk-master", "sk-batch"):
                    self.assertNotIn(secret, response.body.decode())
        self.assertNotIn("sk-never", self.gateway.output)
        self.assertNotIn("sk-master", self.gateway.output)

    # Browsers -------------------------------------------------------------------------------

    def test_preflight_needs_no_key(self):
        headers = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-anything",
        }
        response = self.gateway.call("OPTIONS", "/v1/chat/completions", headers=headers)
        self.assertIn(response.status, (200, 204))
        self.assertEqual(response.header("access-control-allow-origin"), "*")
        self.assertEqual(response.header("access-control-max-age"), "600")
        allowed = {part.strip().lower() for part in response.header("access-control-allow-headers").split(",")}
        self.assertLessEqual({"authorization", "content-type", "x-anything"}, allowed)
        self.assertIn("POST", response.header("access-control-allow-methods"))
        self.assertIsNone(response.header("access-control-allow-credentials"))

    def test_every_answer_may_be_read_by_a_page(self):
        origin = {"Origin": "https://app.example"}
        answers = {
            200: self.gateway.chat(headers={**origin, **bearer("sk-master")}),
            400: self.gateway.chat(model="unknown", headers={**origin, **bearer("sk-master")}),
            401: self.gateway.chat(headers=origin),
            404: self.gateway.call("GET", "/nonsense", headers={**origin, **bearer("sk-master")}),
        }
        for status, response in answers.items():
            with self.subTest(status):
                self.assertEqual(response.status, status)
                self.assertEqual(response.header("access-control-allow-origin"), "*")
                exposed = response.header("access-control-expose-headers").lower()
                for name in ("x-vorrang-priority", "x-vorrang-wait-ms", "retry-after", "x-litellm-model-id"):
                    self.assertIn(name, exposed)
                self.assertIn("x-ratelimit-", exposed)
                self.assertIsNone(response.header("access-control-allow-credentials"))


class KeysFromTheEnvironment(unittest.TestCase):
    def test_master_key(self):
        for name in ("LITELLM_MASTER_KEY", "VORRANG_MASTER_KEY"):
            with self.subTest(name), Gateway(MODELS, environment={name: "sk-env"}) as gateway:
                self.assertEqual(gateway.chat().status, 401)
                self.assertEqual(gateway.chat(headers=bearer("sk-env")).status, 200)

    def test_os_environ_reference(self):
        text = MODELS + "general_settings:\n  master_key: os.environ/MY_KEY\n"
        with Gateway(text, environment={"MY_KEY": "sk-from-there"}) as gateway:
            self.assertEqual(gateway.chat().status, 401)
            self.assertEqual(gateway.chat(headers=bearer("sk-from-there")).status, 200)


class WithoutKeys(unittest.TestCase):
    def test_who_may_come_in(self):
        with Gateway(MODELS) as gateway:
            self.assertEqual(gateway.host, "127.0.0.1", "without a key it must not listen elsewhere")
            name = socket.gethostname()
            welcome = [
                "localhost",
                "LocalHost",
                f"localhost:{gateway.port}",
                "127.0.0.1",
                f"127.0.0.1:{gateway.port}",
                "0.0.0.0",
                "[::]",
                "[::1]:4000",
                name,
            ]
            for host in welcome:
                with self.subTest(host=host):
                    self.assertEqual(gateway.chat(headers={"Host": host}).status, 200)
            foreign = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4000", "203.0.113.9"]
            for host in foreign:
                with self.subTest(host=host):
                    response = gateway.chat(headers={"Host": host})
                    self.assertEqual((response.status, response.error["type"]), (403, "permission_error"))
            for origin in ("https://evil.example", "null", "http://localhost:3000"):
                with self.subTest(origin=origin):
                    response = gateway.chat(headers={"Origin": origin})
                    self.assertEqual((response.status, response.error["type"]), (403, "permission_error"))
                    self.assertNotEqual(response.header("access-control-allow-origin"), "*")
            preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            response = gateway.call("OPTIONS", "/v1/chat/completions", headers=preflight)
            self.assertNotEqual(response.header("access-control-allow-origin"), "*")
            # Any key, or none: both are let in.
            self.assertEqual(gateway.chat(headers=bearer("sk-anything")).status, 200)

    def test_it_listens_where_it_is_told(self):
        with Gateway(MODELS, ["--host", "0.0.0.0"]) as gateway:
            self.assertEqual(gateway.host, "0.0.0.0")
            self.assertEqual(gateway.chat().status, 200)
        with Gateway(MODELS + "general_settings:\n  master_key: sk-m\n") as gateway:
            self.assertEqual(gateway.host, "0.0.0.0")


if __name__ == "__main__":
    unittest.main()
