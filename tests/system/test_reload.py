"""Reading the configuration again, while everything goes on (spec §8, last paragraph)."""

import os
import threading
import time
import unittest

import client
from gateway import Gateway, wait_until
from provider import Provider, Reply, error
from test_instances import Instances


def model(base, name="m", upstream="upstream-model", key="sk-upstream", limits="", id=""):
    info = f"\n    model_info: {{id: {id}}}" if id else ""
    return f"""
  - model_name: {name}
    litellm_params:
      model: openai/{upstream}
      api_base: {base}
      api_key: {key}
      {limits}{info}"""


def config(*models, rest=""):
    return "model_list:" + "".join(models) + f"""
router_settings:
  timeout: 60
  num_retries: 0
{rest}
"""


class Load:
    """Clients that ask one after the other over kept connections, until they are told to stop."""

    def __init__(self, gateway, clients=4):
        self.gateway = gateway
        self.answers = 0
        self.wrong = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self):
        try:
            connection = self.gateway.connect()
            while not self._ended.is_set():
                connection.chat(client.chat_body("load"))
                response = connection.read_response()
                if response.status != 200:
                    self.wrong.append(response)
                    return
                self.answers += 1
            connection.close()
        except Exception as error:  # a connection that was lost is what the test looks for
            self.wrong.append(error)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for_more(self, count=20):
        goal = self.answers + count
        wait_until(lambda: self.answers >= goal or self.wrong, what="the load stands still")


class Reload(unittest.TestCase):
    def setUp(self):
        self.provider = self.enterContext(Provider())
        self.base = self.provider.base

    def gateway(self, *models, rest="", arguments=()):
        return self.enterContext(Gateway(config(*models, rest=rest), arguments))

    def test_under_load_nothing_is_lost(self):
        gateway = self.gateway(model(self.base, limits="max_parallel_requests: 3"))
        with Load(gateway) as load:
            for number in range(12):
                more = model(self.base, key=f"sk-{number}") if number % 3 == 0 else ""
                gateway.rewrite(config(
                    model(self.base, limits=f"max_parallel_requests: {1 + number % 4}"),
                    more,
                    model(self.base, name=f"other-{number % 2}"),
                ))  # fmt: skip
                if number % 2:
                    gateway.hang_up()
                else:
                    self.assertEqual(gateway.post_reload().status, 200)
                load.wait_for_more()
        self.assertEqual(load.wrong, [])
        self.assertEqual(gateway.output.count("reloaded; "), 12)
        gateway.wait_until_waiting(0)

    def test_a_lowered_rpm_keeps_what_was_used(self):
        gateway = self.gateway(model(self.base, limits="rpm: 5"))
        for _ in range(3):
            self.assertEqual(gateway.chat().status, 200)
        gateway.reload(config(model(self.base, limits="rpm: 3")))
        self.assertEqual(gateway.chat(timeout=0.3).status, 408)
        gateway.reload(config(model(self.base, limits="rpm: 4")))
        self.assertEqual(gateway.chat(timeout=0.3).status, 200)
        self.assertEqual(gateway.chat(timeout=0.3).status, 408)
        self.assertEqual(gateway.queue().document["deployments"][0]["rpm"], {"used": 4, "limit": 4})

    def test_a_limit_that_is_new_counts_the_last_minute(self):
        gateway = self.gateway(model(self.base))
        for _ in range(3):
            self.assertEqual(gateway.chat().status, 200)
        gateway.reload(config(model(self.base, limits="rpm: 4")))
        self.assertEqual(gateway.chat(timeout=0.3).status, 200)
        self.assertEqual(gateway.chat(timeout=0.3).status, 408)

    def test_fewer_slots_than_are_in_use_bind_new_calls(self):
        gateway = self.gateway(model(self.base, limits="max_parallel_requests: 2"))
        self.provider.script = [Reply(hold=True), Reply(hold=True)]
        running = [gateway.send_chat("a"), gateway.send_chat("b")]
        self.provider.wait_for_calls(2)
        gateway.reload(config(model(self.base, limits="max_parallel_requests: 1")))
        waits = gateway.send_chat("c")
        gateway.wait_until_waiting(1)
        self.provider.release(self.provider.calls[0])
        first = running[0 if self.provider.calls[0].prompt == "a" else 1]
        self.assertEqual(first.read_response().status, 200)
        self.assertEqual(gateway.chat("d", timeout=0.3, priority=0).status, 408)
        self.provider.release()
        self.assertEqual([each.status for each in client.gather([waits], 20)], [200])
        self.assertEqual(len(self.provider.calls), 3)

    def test_more_slots_are_granted_at_once(self):
        gateway = self.gateway(model(self.base, limits="max_parallel_requests: 1"))
        self.provider.script = [Reply(hold=True)]
        blocker = gateway.send_chat("blocker")
        self.provider.wait_for_calls(1)
        waits = gateway.send_chat("waits")
        gateway.wait_until_waiting(1)
        gateway.reload(config(model(self.base, limits="max_parallel_requests: 2")))
        self.assertEqual(waits.read_response().status, 200)
        self.provider.release()
        self.assertEqual(blocker.read_response().status, 200)

    def test_who_waits_may_go_to_a_deployment_that_is_new(self):
        gateway = self.gateway(model(self.base, limits="max_parallel_requests: 0"))
        waits = gateway.send_chat("waits")
        gateway.wait_until_waiting(1)
        gateway.reload(config(
            model(self.base, limits="max_parallel_requests: 0"),
            model(self.base, upstream="another", key="sk-new", id="new"),
        ))  # fmt: skip
        response = waits.read_response()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.header("x-litellm-model-id"), "new")
        self.assertEqual(self.provider.calls[0].json["model"], "another")
        self.assertEqual(self.provider.calls[0].header("authorization"), "Bearer sk-new")

    def test_a_removed_deployment_finishes_its_stream_and_takes_nothing(self):
        events = [{"choices": [{"delta": {"content": f"{n}"}}]} for n in range(8)] + ["[DONE]"]
        self.provider.script = [Reply(events=events, interval_s=0.1)]
        gateway = self.gateway(model(self.base, id="old"))
        stream = gateway.send_chat("stream", stream=True)
        self.provider.wait_for_calls(1)
        wait_until(lambda: b"data:" in self.received(stream), what="no event yet")
        gateway.reload(config(model(self.base, upstream="another", id="new")))
        shown = {each["id"]: each for each in gateway.queue().document["deployments"]}
        self.assertTrue(shown["old"]["retired"])
        self.assertEqual(shown["old"]["in_flight"], 1)
        for _ in range(5):
            self.assertEqual(gateway.chat().header("x-litellm-model-id"), "new")
        response = stream.read_response()
        self.assertEqual(len(response.events), 9)
        wait_until(lambda: len(gateway.queue().document["deployments"]) == 1, what="the old one is still shown")
        self.assertEqual(gateway.chat(model="old").status, 400)
        info = gateway.call("GET", "/v1/model/info").json["data"]
        self.assertEqual([each["model_info"]["id"] for each in info], ["new"])

    def received(self, connection):
        """What has come so far; looks without waiting long."""
        connection.socket.settimeout(5)
        connection.receive_more()
        return connection.buffer

    def test_waiters_of_a_removed_group_get_the_unknown_model_400(self):
        gateway = self.gateway(model(self.base, limits="max_parallel_requests: 0"), model(self.base, name="stays"))
        waits = [gateway.send_chat("waits"), gateway.send_chat("streams", stream=True)]
        gateway.wait_until_waiting(2)
        gateway.reload(config(model(self.base, name="stays")))
        for response in client.gather(waits, 20):
            self.assertEqual(response.status, 400, response)
            self.assertEqual(response.error["type"], "invalid_request_error")
            self.assertEqual(response.error["message"], "Invalid model name passed in model=m. There are: stays")
        self.assertEqual(gateway.chat().status, 400)
        self.assertEqual(gateway.admin_get("/queue/m").status, 404)
        names = [each["id"] for each in gateway.call("GET", "/v1/models").json["data"]]
        self.assertEqual(names, ["stays"])
        self.assertEqual(self.provider.calls, [])
        # It comes back.
        gateway.reload(config(model(self.base), model(self.base, name="stays")))
        self.assertEqual(gateway.chat().status, 200)

    def test_a_new_group_alias_and_address(self):
        other = self.enterContext(Provider())
        gateway = self.gateway(model(self.base, id="one"))
        self.assertEqual(gateway.chat(model="n").status, 400)
        self.assertEqual(gateway.chat().status, 200)
        rest = "  model_group_alias: {also: n}\n"
        gateway.reload(config(model(other.base, id="one"), model(self.base, name="n"), rest=rest))
        self.assertEqual(gateway.chat(model="n").status, 200)
        self.assertEqual(gateway.chat(model="also").status, 200)
        self.assertEqual((len(self.provider.calls), len(other.calls)), (3, 0))
        self.assertEqual(gateway.chat().status, 200)
        self.assertEqual((len(self.provider.calls), len(other.calls)), (3, 1))

    def test_keys_come_and_go(self):
        def keys(*names):
            listed = ", ".join(f"{{key: sk-{name}}}" for name in names)
            return f"general_settings:\n  master_key: sk-master\nvorrang_settings:\n  keys: [{listed}]\n"

        def status(key):
            return gateway.chat(headers={"Authorization": f"Bearer sk-{key}"}).status

        gateway = self.gateway(model(self.base), rest=keys("a"), arguments=["--host", "127.0.0.1"])
        self.assertEqual([status("a"), status("b")], [200, 401])
        gateway.reload(config(model(self.base), rest=keys("b")))
        self.assertEqual([status("a"), status("b"), status("master")], [401, 200, 200])
        # The last one does not go: everybody would be let in.
        gateway.rewrite(config(model(self.base)))
        refused = gateway.post_reload()
        self.assertEqual(refused.status, 400)
        self.assertIn("without a restart", refused.error["message"])
        self.assertEqual([gateway.chat().status, status("b")], [401, 200])

    def test_the_first_key_holds_at_once_where_it_listens(self):
        gateway = self.gateway(model(self.base))
        self.assertEqual(gateway.chat().status, 200)
        warnings = gateway.reload(config(model(self.base), rest="general_settings: {master_key: sk-first}\n"))
        self.assertEqual(len(warnings), 1)
        self.assertIn("stays so until a restart", warnings[0])
        self.assertEqual(gateway.chat().status, 401)
        self.assertEqual(gateway.chat(headers={"Authorization": "Bearer sk-first"}).status, 200)
        # It is no news any more.
        self.assertEqual(gateway.reload(gateway.config), [])

    def test_who_comes_back_from_an_attempt_to_a_group_that_is_gone(self):
        gateway = self.gateway(model(self.base, id="one"), model(self.base, name="stays"))
        self.provider.script = [Reply(status=429, headers={"Retry-After": "30"}, body=error())]
        waits = gateway.send_chat(timeout=50)
        self.provider.wait_for_calls(1)
        gateway.wait_until_waiting(1)
        gateway.reload(config(model(self.base, name="stays")))
        response = waits.read_response()
        self.assertEqual(response.status, 400)
        self.assertEqual(response.error["message"], "Invalid model name passed in model=m. There are: stays")
        self.assertEqual(response.header("x-litellm-model-id"), "one")
        self.assertEqual(response.header("x-vorrang-attempts"), "1")

    def test_hundreds_of_reloads_leave_nothing_behind(self):
        def text(number):
            return config(model(self.base, id="d", limits=f"rpm: {100_000 + number % 2}"))

        def thread_count():
            return len(os.listdir(f"/proc/{gateway.process.pid}/task"))

        gateway = self.gateway(model(self.base, id="d"))
        with Load(gateway, 1) as load:
            load.wait_for_more(5)
            at_first = gateway.resident_bytes()
            for number in range(50):
                gateway.reload(text(number))
            memory, threads, descriptors = gateway.resident_bytes(), thread_count(), gateway.descriptor_count()
            for number in range(300):
                gateway.reload(text(number))
            self.assertEqual(thread_count(), threads)
            self.assertLess(gateway.descriptor_count(), descriptors + 8)  # connections come and go
            # Each thread of the admin port that has read a file keeps what room that took.
            self.assertLess(memory - at_first, 16 << 20)
            self.assertLess(gateway.resident_bytes() - memory, 6 << 20)
        self.assertEqual(load.wrong, [])

    def test_what_is_new_each_time_costs_no_more_each_time(self):
        def text(number):
            return config(model(self.base, key=f"sk-{number}"), model(self.base, name=f"group-{number}"))

        gateway = self.gateway(model(self.base))
        steps = []
        for number in range(160):
            gateway.reload(text(number))
            if number % 40 == 39:
                steps.append(gateway.resident_bytes())
        # Arrays that were copied for each reload would take 20 MB by now, and more with each.
        self.assertLess(steps[3] - steps[0], 12 << 20, steps)

    def test_a_bad_file_changes_nothing_and_says_where(self):
        gateway = self.gateway(model(self.base))
        gateway.rewrite(config(model(self.base, name="n"), rest="  cooldown_time: soon\n"))
        refused = gateway.post_reload()
        self.assertEqual(refused.status, 400)
        self.assertEqual(refused.error["type"], "invalid_request_error")
        line = next(n for n, text in enumerate(gateway.config.split("\n"), 1) if "soon" in text)
        place = f"config.yaml:{line}:"
        self.assertEqual(len(refused.json["errors"]), 1)
        self.assertIn(place, refused.json["errors"][0])
        self.assertIn("router_settings.cooldown_time", refused.json["errors"][0])
        gateway.hang_up()
        wait_until(lambda: gateway.output.count("reload: nothing has changed") == 2, what="not logged twice")
        self.assertIn(place, gateway.output)
        self.assertEqual([gateway.chat().status, gateway.chat(model="n").status], [200, 400])

    def test_what_needs_a_restart_is_named(self):
        gateway = self.gateway(model(self.base))
        rest = "vorrang_settings:\n  redis_namespace: other\n  max_queue_size: 0\n"
        warnings = gateway.reload(config(model(self.base, limits="rpm: 0"), rest=rest))
        self.assertEqual(len(warnings), 1)
        self.assertIn("vorrang_settings.redis_namespace cannot be changed without a restart", warnings[0])
        wait_until(lambda: warnings[0] in gateway.output, what="the warning is not logged")
        self.assertEqual(gateway.chat().status, 429)  # the size of the queue was taken over

    def test_who_may_ask_for_it(self):
        gateway = self.gateway(model(self.base))
        self.assertEqual(gateway.post_reload({"Content-Type": "text/plain"}).status, 403)
        self.assertEqual(gateway.post_reload({"Origin": "http://evil.example"}).status, 403)
        self.assertEqual(gateway.admin_get("/reload").status, 405)
        self.assertEqual(gateway.post_reload().json, {"status": "ok", "warnings": []})
        # As curl -X POST does it: no body, and no length of one.
        with client.Connection(gateway.admin_port) as connection:
            connection.send(
                b"POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\r\n"
            )
            self.assertEqual(connection.read_response(3).status, 200)
        line = "model groups: 0 added, 0 changed, 0 removed; deployments: 0 added, 0 changed, 0 removed"
        wait_until(lambda: line in gateway.output, what="no such line in the log")


class Shared(Instances):
    """Two instances with one line, of which one reads its configuration again."""

    def config(self, gateway, old, new):
        assert old in gateway.config
        return gateway.config.replace(old, new)

    def test_lower_limits_of_one_hold_for_both(self):
        first, second = self.gateway(limits="rpm: 5"), self.gateway(limits="rpm: 5")
        for gateway in (first, second):
            self.assertEqual(gateway.chat().status, 200)
        first.reload(self.config(first, "rpm: 5", "rpm: 3"))
        self.assertEqual(first.chat().status, 200)
        self.assertEqual(first.chat(timeout=0.5).status, 408)
        self.assertEqual(second.chat(timeout=0.5).status, 408)
        first.reload(self.config(first, "rpm: 3", "rpm: 5"))
        self.assertEqual(second.chat(timeout=5).status, 200)
        self.assertEqual(first.chat(timeout=5).status, 200)
        self.assertEqual(second.chat(timeout=0.5).status, 408)
        self.assertEqual(len(self.provider.calls), 5)

    def test_a_limit_that_is_new_counts_what_both_have_used(self):
        first, second = self.gateway(limits="timeout: 30"), self.gateway(limits="timeout: 30")
        for gateway in (first, second) * 2:
            self.assertEqual(gateway.chat().status, 200)
        first.reload(self.config(first, "timeout: 30", "rpm: 5"))
        self.assertEqual(first.chat(timeout=5).status, 200)
        self.assertEqual(first.chat(timeout=0.3).status, 408)
        self.assertEqual(second.chat(timeout=0.3).status, 408)
        second.reload(self.config(second, "timeout: 30", "rpm: 6"))
        self.assertEqual(second.chat(timeout=0.3).status, 408)
        first.reload(self.config(first, "rpm: 5", "rpm: 6"))
        self.assertEqual(second.chat(timeout=5).status, 200)
        self.assertEqual(first.chat(timeout=0.3).status, 408)
        self.assertEqual(len(self.provider.calls), 6)

    def test_one_has_a_deployment_no_more(self):
        first, second = self.gateway(limits="max_parallel_requests: 1"), self.gateway(limits="max_parallel_requests: 1")
        blocker = self.block(first)
        waits = [first.send_chat("first"), second.send_chat("second")]
        self.wait_until_in_line(2)
        text = self.config(first, "id: d1", "id: d2").replace("upstream-model", "another")
        first.reload(text)
        # Its own goes to the new one; the other's waits for the one that is still its own.
        self.assertEqual(client.gather(waits[:1], 20)[0].header("x-litellm-model-id"), "d2")
        self.wait_until_in_line(1)
        self.provider.release()
        self.assertEqual(blocker.read_response().header("x-litellm-model-id"), "d1")
        self.assertEqual(client.gather(waits[1:], 20)[0].header("x-litellm-model-id"), "d1")
        for _ in range(5):
            self.assertEqual(first.chat().header("x-litellm-model-id"), "d2")
            self.assertEqual(second.chat().header("x-litellm-model-id"), "d1")


del Instances  # its own tests are in its own file

if __name__ == "__main__":
    unittest.main()
