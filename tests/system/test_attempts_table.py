"""What an upstream does, and what follows from it: the rules of attempts, one after the other, each played
by the scripted provider and looked at from all sides. Every test begins with the rule it plays.

    outcome of an attempt              tried again     a retry  its place  cools              told
    429                                yes             no       original   at once            408, in the end
    429 insufficient_quota …           elsewhere once  no       -          at once            its own
    429 Request too large …            no              -        -          never              its own
    408, 409, 5xx                      num_retries     yes      original   allowed_fails      its own
    503 with Retry-After               num_retries     yes      original   at once            its own
    refused, reset, cut, no HTTP       num_retries     yes      original   allowed_fails      502
    an attempt's timeout               num_retries     yes      original   allowed_fails      504
    400, 413, 422                      no              -        -          never              its own
    401, 403, 404                      elsewhere once  no       -          at once            its own
    the deadline, a client that left   no              -        -          never              408, nothing

Every fault by its name (test_faults.py), answers that are none (test_lies.py), fallbacks, probes
(test_upstream.py) and streams that break after their first byte (test_streams.py) are looked at elsewhere.
"""

import copy
import time
import unittest

import client
from gateway import Gateway, free_port, wait_until
from provider import Provider, Reply, error, http_date_in

COOLDOWN_S = 30
LATE_S = 0.4  # how much later than due something may come

# Three groups, so that one question does not answer another: in `tried` and `placed` nothing cools, in
# `placed` there is one slot, in `cooled` there is no retry and one failure is allowed.
ALONE = """
model_list:
  - model_name: tried
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, cooldown_time: 0, num_retries: 1{params}}}
  - model_name: placed
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, cooldown_time: 0, max_parallel_requests: 1{params}}}
  - model_name: cooled
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, num_retries: 0{params}}}
router_settings:
  timeout: 20
  allowed_fails: 1
  cooldown_time: 30
"""

PAIR = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{first}", api_key: k, order: 1{params}}}
    model_info: {{id: first}}
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{second}", api_key: k, order: 2{params}}}
    model_info: {{id: second}}
router_settings:
  timeout: {timeout}
  num_retries: {retries}
"""

ONE = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k{params}}}
router_settings:
  timeout: 20
{router}
"""

AT_ONCE, AFTER_ALLOWED_FAILS, NEVER = "at once", "after allowed_fails", "never"

NO_ANSWER = {
    "a reset": Reply(then="reset"),
    "an end": Reply(then="close"),
    "no HTTP": Reply(then="raw", body=b"220 mail.example ESMTP\r\n\r\n"),
    "an unknown coding": Reply(then="raw", body=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxxxx"),
    "half a head": Reply(then="raw", body=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a body": Reply(then="cut"),
}


def one(provider, params="", router=""):
    return ONE.format(base=provider.base, params=params, router=router)


def deployment_of(gateway, group="m", place=0):
    return gateway.queue(group).document["deployments"][place]


class Case(unittest.TestCase):
    def assert_told(self, response, status, told, retries):
        """told: words of a message of ours, or the body of the upstream's."""
        self.assertEqual(response.status, status, response)
        if isinstance(told, dict):
            self.assertEqual(response.json, told)
        else:
            self.assertIn(told, response.error["message"])
            self.assertEqual(response.error["code"], str(status))
            self.assertNotIn(b"sk-upstream", response.body)
        self.assertEqual(response.header("x-litellm-attempted-retries"), str(retries))

    def assert_pause(self, calls, number, nominal_s, jitter=0.25):
        pause = calls[number + 1].arrived_at - calls[number].arrived_at
        self.assertTrue(nominal_s * (1 - jitter) - 0.02 < pause < nominal_s + LATE_S, f"pause {number}: {pause} s")


class Alone(Case):
    """One deployment, which does the same each time."""

    def check(self, reply, is_retried, cools, status=None, words=None, back_off_s=0.5, params="", base=None):
        """
        is_retried     whether it is tried again after a failure, and has its old place until then
        cools          one of AT_ONCE, AFTER_ALLOWED_FAILS, NEVER
        status, words  what the client is told in the end; else it is the upstream's own status and body
        """
        status, told = status or reply.status, words or reply.body
        with Provider(reply) as provider:
            with Gateway(ALONE.format(base=base or provider.base, params=params)) as gateway:
                response = gateway.chat(model="tried")
                self.assert_told(response, status, told, int(is_retried))
                if base is None:
                    self.assertEqual(len(provider.calls), 1 + is_retried)
                if provider.calls[1:]:
                    self.assert_pause(provider.calls, 0, back_off_s)
                self.assert_cools(gateway, status, told, cools)
                if base is None:
                    self.assert_place(gateway, provider, reply, is_retried)

    def assert_cools(self, gateway, status, told, cools):
        for failures in (1, 2):
            self.assert_told(gateway.chat(model="cooled"), status, told, 0)
            is_due = cools == AT_ONCE or (cools == AFTER_ALLOWED_FAILS and failures == 2)
            self.assertEqual(deployment_of(gateway, "cooled")["cooling"], is_due, f"after {failures}")
            if is_due:
                break

    def assert_place(self, gateway, provider, reply, returns):
        """It fails while two equals wait behind it. The first of them may pass it during its back-off,
        and holds the slot until that is over; then its old place is before the other."""
        before = len(provider.calls)
        failing = copy.copy(reply)
        failing.hold = failing.then != "hang"
        provider.answer = Reply(hold=True)
        provider.script = [failing]
        connections = []
        for number, prompt in enumerate(("first", "second", "third")):
            connections.append(gateway.send_chat(prompt, model="placed"))
            provider.wait_for_calls(before + 1)
            gateway.wait_until_waiting(number, "placed")
        provider.release(provider.calls[before])
        order = ["first", "second", "first", "third"] if returns else ["first", "second", "third"]
        provider.wait_for_calls(before + 2)
        if returns:
            wait_until(lambda: self.why_the_best_waits(gateway) == "all-full", what="the back-off is not over")
        for number in range(1, len(order)):
            provider.release(provider.wait_for_calls(before + 1 + number))
        responses = client.gather(connections)
        self.assertEqual([call.prompt for call in provider.calls[before:]], order)
        self.assertEqual([r.status for r in responses[1:]], [200, 200])
        self.assertEqual(responses[0].status == 200, returns)
        self.assertEqual(responses[0].header("x-vorrang-attempts"), "2" if returns else "1")
        provider.answer = reply

    @staticmethod
    def why_the_best_waits(gateway):
        tickets = gateway.queue("placed").tickets
        return tickets[0]["why"] if tickets else None

    def test_408_409_and_5xx(self):
        """Other retryable failures (408, 409, 5xx …; all before the first byte) also return it to its
        original place, at most `num_retries` times. When no attempt is left the last upstream answer goes
        to the client with its own status and body (5xx too). A deployment cools after more than
        `allowed_fails` other failures."""
        for status in (408, 409, 500, 502, 503, 504, 529):
            with self.subTest(status):
                reply = Reply(status, error("last words", "a_code", "a_type", "a_param"))
                self.check(reply, True, AFTER_ALLOWED_FAILS)

    def test_num_retries_is_two_and_back_off_doubles(self):
        """At most `num_retries` times (default 2). Back-off: 0.5 s doubling to 8 s with jitter, whatever the
        cooldown settings."""
        with Provider(Reply(500, error("last words"))) as provider:
            with Gateway(one(provider, ", cooldown_time: 0")) as gateway:
                self.assert_told(gateway.chat(), 500, error("last words"), 2)
                self.assertEqual(len(provider.calls), 3)
                self.assert_pause(provider.calls, 0, 0.5)
                self.assert_pause(provider.calls, 1, 1.0)

    def test_503_with_retry_after(self):
        """A deployment cools for the upstream's `Retry-After` after … a 503 with `Retry-After`. After a
        retryable failure the ticket is not eligible for that deployment for its `Retry-After`."""
        reply = Reply(503, error("busy"), {"Retry-After": "1"})
        self.check(reply, True, AT_ONCE, back_off_s=1.0)

    def test_connection_refused(self):
        """Other retryable failures (… connection refused or reset …): 502 only if there was no HTTP answer."""
        base = f"http://127.0.0.1:{free_port()}/v1"
        self.check(Reply(), True, AFTER_ALLOWED_FAILS, 502, "The upstream could not be reached", base=base)

    def test_no_http_answer(self):
        """The same of what begins and is none: a reset, an end, another protocol, half of one."""
        for name, reply in NO_ANSWER.items():
            with self.subTest(name):
                self.check(reply, True, AFTER_ALLOWED_FAILS, 502, "No usable answer: ")

    def test_an_attempts_timeout(self):
        """A deployment's `timeout` bounds one attempt (a retryable failure; 504 when retries are spent)."""
        words = "The upstream did not answer in time"
        params = ", timeout: 0.8"
        self.check(Reply(then="hang"), True, AFTER_ALLOWED_FAILS, 504, words, back_off_s=1.3, params=params)

    def test_400_413_and_422(self):
        """400, 413, 422 are not retried. Not a deployment's failure: … 400, 413, 422."""
        for status in (400, 413, 422):
            with self.subTest(status):
                reply = Reply(status, error("wrong input", "a_code", "invalid_request_error", "a_param"))
                self.check(reply, False, NEVER)

    def test_429_of_one_too_large(self):
        """A 429 … whose message begins `Request too large` [is treated] as 413."""
        reply = Reply(429, error("Request too large for x"))
        self.check(reply, False, NEVER)

    def test_401_403_and_404(self):
        """401, 403, 404 are tried once on each other eligible deployment and do not count as retries. A
        deployment cools … after a 429, 401, 403, 404."""
        refused = "the upstream refused the gateway's credentials for group "
        for status, words in ((401, refused), (403, refused), (404, None)):
            with self.subTest(status):
                self.check(Reply(status, error("no such model, key sk-upstream")), False, AT_ONCE, words=words)

    def test_429_without_money(self):
        """A 429 with code or type `insufficient_quota` or `billing_hard_limit_reached` is treated as 403."""
        for code in ("insufficient_quota", "billing_hard_limit_reached"):
            for place in ({"code": code}, {"kind": code}):
                with self.subTest(**place):
                    self.check(Reply(429, error("no money", **place)), False, AT_ONCE)

    def test_429(self):
        """"Keeps retrying until the timeout occurs": an upstream 429 sends the ticket back to its
        *original* place and does not count as a retry. A deployment cools … after a 429."""
        reply = Reply(429, error("slow down"))
        with Provider() as provider, Gateway(ALONE.format(base=provider.base, params="")) as gateway:
            provider.script = [copy.copy(reply) for _ in range(3)]  # more than retries are allowed
            response = gateway.chat(model="tried")
            self.assertEqual((response.status, response.header("x-vorrang-attempts")), (200, "4"))
            self.assertEqual(response.header("x-litellm-attempted-retries"), "0")
            for number, nominal_s in enumerate((0.5, 1.0, 2.0)):
                self.assert_pause(provider.calls, number, nominal_s)
            self.assert_place(gateway, provider, reply, True)
            provider.answer = reply
            self.assert_late(gateway.chat(model="cooled", timeout=0.3))
            self.assertTrue(deployment_of(gateway, "cooled")["cooling"])

    def assert_late(self, response):
        """Past the deadline while waiting: 408, message `Request timed out while polling queue`, followed
        by the last upstream message if there was one."""
        self.assertEqual((response.status, response.error["type"]), (408, "timeout_error"), response)
        self.assertRegex(response.error["message"], "^Request timed out while polling queue.*slow down")
        self.assertEqual(response.header("x-should-retry"), "false")

    def test_429_with_retry_after(self):
        """A deployment cools for the upstream's `Retry-After`: nobody passes it there meanwhile; then the
        best goes, and a ticket that was sent back is before its equals."""
        with Provider() as provider, Gateway(one(provider, ", max_parallel_requests: 1")) as gateway:
            provider.script = [Reply(429, error("slow down"), {"Retry-After": "1"}, hold=True)]
            connections = [gateway.send_chat("first", priority=5)]
            call = provider.wait_for_calls(1)
            for number, (prompt, priority) in enumerate((("equal", 5), ("worse", 6), ("better", 4))):
                connections.append(gateway.send_chat(prompt, priority=priority))
                gateway.wait_until_waiting(number + 1)
            provider.release(call)
            responses = client.gather(connections)
            self.assertEqual([r.status for r in responses], [200] * 4)
            self.assertEqual([c.prompt for c in provider.calls], ["first", "better", "first", "equal", "worse"])
            pause = provider.calls[1].arrived_at - call.finished_at
            self.assertTrue(0.95 < pause < 1.3, pause)
            self.assertEqual(responses[0].header("x-litellm-attempted-retries"), "0")
            self.assertEqual(responses[0].header("x-vorrang-attempts"), "2")

    def test_429_with_a_date(self):
        """After a 429 … the ticket is not eligible for that deployment for its `Retry-After`."""
        with Provider() as provider, Gateway(one(provider)) as gateway:
            provider.script = [Reply(429, error(), {"Retry-After": http_date_in(2)})]
            self.assertEqual(gateway.chat().status, 200)
            pause = provider.calls[1].arrived_at - provider.calls[0].finished_at
            self.assertTrue(0.9 < pause < 2.4, pause)  # dates have whole seconds

    def test_429_beyond_the_deadline(self):
        """Group a has failed for good when … each is under a `Retry-After` that ends after the deadline
        (without a fallback: 429 at once, with that `Retry-After`)."""
        reply = Reply(429, error("come back later"), {"Retry-After": "50"})
        with Provider(reply) as provider, Gateway(one(provider)) as gateway:
            begun = time.monotonic()
            response = gateway.chat()
            self.assert_told(response, 429, "The upstream's last answer: come back later", 0)
            self.assertEqual(response.error["type"], "rate_limit_error")
            self.assertTrue(45 <= int(response.header("retry-after")) <= 51)
            second = gateway.chat()
            self.assertEqual((second.status, second.error["type"]), (429, "rate_limit_error"))
            self.assertTrue(1 <= int(second.header("retry-after")) <= 60)
            self.assertLess(time.monotonic() - begun, 1)
            self.assertEqual(len(provider.calls), 1, "a deployment under Retry-After was asked")

    def test_the_deadline_in_the_call(self):
        """During the call: 408 `Request timed out`. Not a deployment's failure: the request's own deadline."""
        with Provider(Reply(then="hang")) as provider:
            with Gateway(ALONE.format(base=provider.base, params="")) as gateway:
                for _ in range(3):
                    self.assert_told(gateway.chat(model="cooled", timeout=0.2), 408, "Request timed out", 0)
                self.assertFalse(deployment_of(gateway, "cooled")["cooling"])
                self.assertEqual(len(provider.calls), 3)

    def test_a_client_that_left(self):
        """Not a deployment's failure: … a client's … cancel."""
        with Provider(Reply(hold=True)) as provider:
            with Gateway(ALONE.format(base=provider.base, params="")) as gateway:
                for number in range(3):
                    connection = gateway.send_chat(model="cooled")
                    call = provider.wait_for_calls(number + 1)
                    connection.close()
                    provider.wait_until(lambda call=call: call.closed_at is not None, what="the call's end")
                wait_until(lambda: deployment_of(gateway, "cooled")["in_flight"] == 0)
                self.assertFalse(deployment_of(gateway, "cooled")["cooling"])
                self.assertEqual(len(provider.calls), 3)


class Pair(Case):
    """Two deployments, of which the second is asked when the first cannot."""

    def play(self, first, second, retries=2, timeout=20, params=", cooldown_time: 0"):
        with Provider(first) as one, Provider(second) as other:
            bases = {"first": one.base, "second": other.base}
            with Gateway(PAIR.format(**bases, retries=retries, timeout=timeout, params=params)) as gateway:
                begun = time.monotonic()
                response = gateway.chat()
                return response, (len(one.calls), len(other.calls)), time.monotonic() - begun

    def test_elsewhere_once(self):
        """401, 403, 404 are tried once on each other eligible deployment and do not count as retries."""
        refusals = [Reply(status, error(f"words of {status}")) for status in (401, 403, 404)]
        for refusal in [*refusals, Reply(429, error("no money", "insufficient_quota"))]:
            with self.subTest(refusal.status):
                response, calls, _ = self.play(refusal, Reply())
                self.assertEqual((response.status, calls), (200, (1, 1)))
                self.assertEqual(response.header("x-litellm-model-id"), "second")
                self.assertEqual(response.header("x-litellm-attempted-retries"), "0")
                last = error("the last words")
                response, calls, _ = self.play(refusal, Reply(404, last))
                self.assert_told(response, 404, last, 0)
                self.assertEqual(calls, (1, 1))

    def test_an_untried_one_comes_first(self):
        """After a 429 or a retryable failure the ticket is not eligible for that deployment … So an untried
        healthy deployment comes first."""
        for name, reply in {"500": Reply(500, error()), "429": Reply(429, error()), **NO_ANSWER}.items():
            with self.subTest(name):
                response, calls, took_s = self.play(reply, Reply())
                self.assertEqual((response.status, calls), (200, (1, 1)))
                self.assertEqual(response.header("x-litellm-attempted-retries"), "0" if name == "429" else "1")
                self.assertLess(took_s, 0.35, "it waited for the back-off")

    def test_429_three_times_while_others_are_answered(self):
        """A ticket that gets 429 three times from deployments that answered other requests in between fails
        with that 429."""

        refusal = error("not this one")

        def answer(call):
            is_poison = call.prompt == "poison"
            return Reply(429, refusal, {"retry-after-ms": "100"}) if is_poison else Reply()

        with Provider(answer) as provider, Gateway(one(provider, ", cooldown_time: 0")) as gateway:
            poison = gateway.send_chat("poison")
            for number in range(1, 3):
                wait_until(lambda n=number: self.poisoned(provider) == n)
                self.assertEqual(gateway.chat("good").status, 200)
            self.assert_told(poison.read_response(), 429, refusal, 0)
            self.assertEqual(self.poisoned(provider), 3)

    @staticmethod
    def poisoned(provider):
        return sum(call.prompt == "poison" for call in provider.calls)

    def test_the_last_answer(self):
        """When no attempt is left the last upstream answer goes to the client with its own status and body
        (5xx too); 502 only if there was no HTTP answer, 504 for an attempt's `timeout`."""
        own = error("own words")
        spoken, silent, slow = Reply(503, own), Reply(then="reset"), Reply(then="hang")
        cases = {
            "an answer, then none": (spoken, silent, 503, own),
            "none, then an answer": (silent, spoken, 503, own),
            "none at all": (silent, silent, 502, "No usable answer"),
            "an answer, then a timeout": (spoken, slow, 504, "did not answer in time"),
            "a timeout, then an answer": (slow, spoken, 503, own),
        }
        for name, (first, second, status, told) in cases.items():
            with self.subTest(name):
                response, calls, _ = self.play(first, second, retries=1, params=", cooldown_time: 0, timeout: 0.3")
                self.assert_told(response, status, told, 1)
                self.assertEqual(calls, (1, 1))


class Cooldowns(Case):
    """How long, and from when."""

    def cooled_s(self, reply, router="", requests=1):
        """Seconds that the deployment still cools after so many requests at once; None: it does not."""
        with Provider(reply) as provider:
            with Gateway(one(provider, router="  num_retries: 0\n" + router)) as gateway:
                for _ in range(requests):
                    gateway.chat(timeout=0.2)
                left_ms = deployment_of(gateway)["cooldown_ends_in_ms"]
                return None if left_ms is None else left_ms / 1000

    def test_how_long(self):
        """A deployment cools for the upstream's `Retry-After` (seconds or HTTP date, also `retry-after-ms`; 0
        or past = absent; cut at 3600 s), else `cooldown_time` (default 5 s)."""
        cases = {
            "seconds": ({"Retry-After": "40"}, 40),
            "a date": ({"Retry-After": http_date_in(41)}, 40.5),
            "milliseconds": ({"retry-after-ms": "7500"}, 7.5),
            "0": ({"Retry-After": "0"}, 5),
            "the past": ({"Retry-After": http_date_in(-60)}, 5),
            "too long": ({"Retry-After": "90000"}, 3600),
            "none": ({}, 5),
        }
        for name, (headers, expected_s) in cases.items():
            with self.subTest(name):
                self.assertAlmostEqual(self.cooled_s(Reply(429, error(), headers)), expected_s - 0.3, delta=0.8)

    def test_allowed_fails_is_three(self):
        """After more than `allowed_fails` (default 3) other failures in a sliding minute."""
        self.assertIsNone(self.cooled_s(Reply(500, error()), requests=3))
        self.assertAlmostEqual(self.cooled_s(Reply(500, error()), requests=4), 5, delta=0.5)

    def test_off(self):
        """`cooldown_time: 0` or `disable_cooldowns: true` turn it off."""
        for router in ("  cooldown_time: 0\n", "  disable_cooldowns: true\n"):
            for reply in (Reply(500, error()), Reply(401, error())):
                with self.subTest(router=router, status=reply.status):
                    self.assertIsNone(self.cooled_s(reply, router=router, requests=5))

    def test_the_end_never_moves_nearer(self):
        """The end never moves nearer. Results of attempts granted before the cooldown began may lengthen it by
        their `Retry-After`, but count as no failure and do not end it."""
        replies = [Reply(429, error(), {"Retry-After": after}, hold=True) for after in ("30", "6", "50")]
        replies.append(Reply(hold=True))
        with Provider() as provider, Gateway(one(provider)) as gateway:
            provider.script = replies
            connections = []
            for number in range(4):
                connections.append(gateway.send_chat(f"{number}"))
                provider.wait_for_calls(number + 1)
            for number, expected_s in enumerate((30, 30, 50, 50)):
                provider.release(provider.calls[number])
                wait_until(lambda n=number: deployment_of(gateway)["in_flight"] == 3 - n)
                left_s = deployment_of(gateway)["cooldown_ends_in_ms"] / 1000
                self.assertAlmostEqual(left_s, expected_s, delta=0.5)
            self.assertEqual(connections[3].read_response().status, 200)


if __name__ == "__main__":
    unittest.main()
