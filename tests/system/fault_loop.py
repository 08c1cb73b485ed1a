"""One exchange with a provider, played again and again, each time with the next event failing, and
everything that has to hold afterwards.

That a ticket ends once has no counter. A second end, or none, would leave what is looked for here: an
answer too many on the client's connection, which serves on; a slot too many or too few; an rpm unit
without a byte sent, or none with one.
"""

import itertools
import json

import client
from failing_socket import KINDS
from gateway import wait_until
from provider import Reply

CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 1, order: 1{params}}}
    model_info: {{id: first}}
{more}
router_settings:
  timeout: 20
  num_retries: {retries}
  disable_cooldowns: true
"""
SECOND = """
  - model_name: m
    litellm_params: {{model: openai/x, api_base: "{base}", api_key: k, max_parallel_requests: 1, order: 2{params}}}
    model_info: {{id: second}}
"""
COUNTED = ", rpm: 900000"  # not for the limit: it makes the gateway count

WORDS = "one two three four five"
AT_ONCE_S = 0.5
STALE_S = 0.1  # a kept connection that dies later than this was not stale
EVENTS_MAX = 500
SPARE_PLAYS = 10
HANDSHAKE_WRITES = 2  # of TLS 1.3, before the first of the request


def config(first, second=None, params=COUNTED):
    """Of the second provider's deployment only what fails at the first hears."""
    more = SECOND.format(base=second.base, params=params) if second is not None else ""
    return CONFIG.format(base=first.base, params=params, more=more, retries=0 if second is None else 1)


class Exchange:
    """
    reply          arguments of the Reply
    stream         whether the client asks for one
    prompt_size    in bytes
    send_buffer    of the socket in bytes; a small one makes several writes of a large request
    kept           the connection has served a request before
    stale_at       0, or the event at which that connection fails; then those of the next one do
    dropped        the provider closes it afterwards
    may_end_early  an end of the connection too early is one like any other
    """

    def __init__(
        self,
        reply=None,
        stream=False,
        prompt_size=0,
        send_buffer=0,
        kept=False,
        stale_at=0,
        dropped=False,
        may_end_early=False,
    ):
        self.reply = {"text": WORDS, **(reply or {})}
        self.stream = stream
        self.prompt_size = prompt_size
        self.send_buffer = send_buffer
        self.kept = kept
        self.stale_at = stale_at
        self.dropped = dropped
        self.may_end_early = may_end_early


class Story:
    """What happened to one request, as far as it was over when its answer was there."""

    def __init__(self, failing, kind, response, sent_at):
        self.failed = failing.failed
        self.kind = kind
        self.before = failing.events_before
        self.bytes_written = failing.bytes_written
        self.response = response
        self.took_s = response.received_at - sent_at
        self.calls = []  # for each provider, those that came

    @property
    def all_calls(self):
        return [call for calls in self.calls for call in calls]


class Loop:
    """One gateway, one connection of a client to it, one exchange.

    first   the provider whose connections fail
    second  None, or one that answers after a failure
    """

    def __init__(self, case, exchange, gateway, failing, first, second=None):
        self.case = case
        self.exchange = exchange
        self.gateway = gateway
        self.failing = failing
        self.first = first
        self.providers = [first] if second is None else [first, second]
        self.connection = gateway.connect()
        self.played = 0
        self.event_count = 0
        failing.arm(first.port, 0, KINDS[0])
        self.ask_plainly("begin")  # what is made once is there now
        self.leave_nothing_open()
        self.descriptors = gateway.descriptor_count()

    def run(self, kind, wanted=frozenset()):
        """Every event fails once in this way; the names of those that did have to hold the wanted."""
        names, at, spare = set(), 1, SPARE_PLAYS
        while (failed := self.try_to_play(at, kind)) is not None or not wanted <= names:
            if failed is not None:
                names.add(failed)
                at += 1
                assert at < EVENTS_MAX, self.failing.events
            else:
                # It had fewer events than the one before, whose pieces came one by one.
                self.case.assertGreater(spare, 0, f"{wanted - names} did not fail")
                at, spare = self.event_count, spare - 1
        return names

    def try_to_play(self, at, kind):
        try:
            return self.play(at, kind)
        except Exception as reason:
            reason.add_note(f"{kind} at event {at}: {self.failing.failed} of {self.failing.events}")
            raise

    def play(self, at, kind):
        """The exchange once. Returns the name of the event that failed, None if there are not so many."""
        exchange, failing, case = self.exchange, self.failing, self.case
        self.played += 1
        if exchange.kept:
            self.ask_plainly("before")
        for provider in self.providers:
            provider.answer = Reply(**exchange.reply)
        calls_before = [len(provider.calls) for provider in self.providers]
        units_before = self.units()
        first, again = (exchange.stale_at, at) if exchange.stale_at else (at, 0)
        failing.arm(self.first.port, first, kind, exchange.send_buffer, again)
        prompt = f"number {self.played} ".ljust(exchange.prompt_size, "x")
        self.connection.chat(client.chat_body(prompt, stream=exchange.stream))
        story = Story(failing, kind, self.connection.read_response(), self.connection.sent_at)
        if exchange.dropped:
            self.leave_nothing_open()
        wait_until(self.is_quiet, 5, "a ticket or a slot is left")
        failing.disarm()
        self.event_count = len(failing.events)
        for provider in self.providers:
            provider.wait_until(lambda p=provider: p.running == 0, 5, "the end of the calls")
        story.calls = [provider.calls[before:] for provider, before in zip(self.providers, calls_before)]

        case.assertEqual(self.connection.buffer, b"", "something came behind the answer")
        self.compare(story, self.judge(story.response))
        units = [after - before for before, after in zip(units_before, self.units())]
        if units:
            case.assertEqual(units, [int(self.has_sent(story)), *map(len, story.calls[1:])])
        self.ask_plainly("after")
        self.leave_nothing_open()
        return failing.failed

    # What the client has -------------------------------------------------------------------------

    def judge(self, response):
        """Whether the answer is what the provider said. If it is not it must say so, in the API's form."""
        case, expected = self.case, self.exchange.reply
        if response.header("content-type") == "text/event-stream":
            case.assertEqual((response.status, self.exchange.stream), (200, True))
            return self.judge_stream(response.events, expected["text"])
        if response.status == 502:
            self.assert_told(response.error)
            return False
        case.assertEqual((response.status, self.exchange.stream), (expected.get("status", 200), False))
        if response.status == 200:
            case.assertEqual(response.text, expected["text"])
        else:
            case.assertEqual(response.json, expected["body"])
        return True

    def judge_stream(self, events, text):
        """Part of it may have been passed on: then its last event is the error, and it has no end."""
        if "[DONE]" in events:
            last = events.index("[DONE]")
            self.case.assertEqual(self.text_of(events[:last]), text)
            self.case.assertEqual(events[last + 1 :], [])
            return True
        self.assert_told(json.loads(events[-1])["error"])
        self.case.assertGreater(len(events), 1, "an error alone has a status")
        so_far = self.text_of(events[:-1])
        self.case.assertTrue(text.startswith(so_far), so_far)
        return False

    @staticmethod
    def text_of(events):
        choices = [choice for event in events for choice in json.loads(event)["choices"]]
        return "".join(choice["delta"].get("content", "") for choice in choices)

    def assert_told(self, told):
        self.case.assertEqual((told["type"], told["code"], told["param"]), ("server_error", "502", None))
        self.case.assertTrue(told["message"])

    # Whether that is right -----------------------------------------------------------------------

    def compare(self, story, is_good):
        case, response = self.case, story.response
        expected = self.expected(story)
        if expected is not None:
            case.assertEqual(is_good, expected, response)
        tried_twice = len(self.providers) == 2 and bool(story.calls[1])
        if is_good or len(self.providers) == 1:
            case.assertEqual(response.header("x-litellm-attempted-retries"), str(int(tried_twice)))
        if is_good:
            case.assertEqual(response.header("x-litellm-model-id"), "second" if tried_twice else "first")
            case.assertIsNotNone(story.all_calls[-1].finished_at)
        if not self.has_sent(story):
            case.assertEqual(story.calls[0], [])
        # A stale connection may have carried the request to a provider that was not heard any more.
        case.assertLessEqual(len(story.calls[0]), 2 if self.exchange.kept else 1)

    def expected(self, story):
        """Whether the answer must be good; None: either."""
        failed, exchange = story.failed, self.exchange
        if failed in (None, "close", "shutdown"):
            return True
        if failed in ("socket", "watch"):
            return True  # a descriptor that cannot be had is waited for
        # Before a word of the answer; not so with TLS, where a handshake was read.
        was_silent = "read" not in story.before
        if exchange.kept and not exchange.stale_at and was_silent:
            return True if story.took_s < STALE_S else None
        if len(self.providers) == 2:
            return True if not exchange.stream or was_silent else None
        if exchange.stream and failed == "read":
            return None  # its last event tells
        if exchange.may_end_early and story.kind == "end" and failed == "read":
            return None
        if self.first.tls and failed == "write" and story.calls[0]:
            return None  # it may have been the farewell
        return False

    def has_sent(self, story):
        """Whether a byte of the request went to the first provider."""
        if not self.first.tls:
            return story.bytes_written > 0
        handshake = 0 if self.exchange.kept else HANDSHAKE_WRITES
        return bool(story.calls[0]) or story.before.count("write") > handshake

    # What is left --------------------------------------------------------------------------------

    def ask_plainly(self, prompt):
        """A request that nothing happens to is answered at once."""
        for provider in self.providers:
            provider.answer = lambda call: Reply(text=f"answer to {call.prompt}")
        self.connection.chat(client.chat_body(prompt))
        response = self.connection.read_response(5)
        self.case.assertEqual((response.status, response.text), (200, f"answer to {prompt}"))
        self.case.assertEqual(response.header("x-litellm-model-id"), "first")
        self.case.assertEqual(response.header("x-vorrang-attempts"), "1")
        self.case.assertLess(response.received_at - self.connection.sent_at, AT_ONCE_S)

    def leave_nothing_open(self):
        """Idle connections end when the provider ends them; then there must be none."""
        for provider in self.providers:
            provider.drop_idle_connections()
        wait_until(lambda: self.failing.open == 0, 5, "a connection stays open")

    def is_quiet(self):
        page = self.gateway.queue().document
        return page["waiting"] == 0 and not any(each["in_flight"] for each in page["deployments"])

    def units(self):
        windows = [each["rpm"] for each in self.gateway.queue().document["deployments"]]
        return [each["used"] for each in windows if each["limit"] is not None]

    def finish(self):
        """After all of it: one slot, no more and no less; no descriptor, no connection."""
        case, first = self.case, self.first
        first.answer = Reply(hold=True)
        number = len(first.calls)
        begun = []
        for prompt in ("one", "two") if len(self.providers) == 1 else ("one",):
            begun.append(self.gateway.send_chat(prompt))
            first.wait_for_calls(number + 1)
        if len(begun) == 2:
            self.gateway.wait_until_waiting(1)
            case.assertEqual(len(first.calls), number + 1, "there is more than one slot")
        for place in range(len(begun)):
            first.release(first.wait_for_calls(number + 1 + place))
        for connection in begun:
            case.assertEqual(connection.read_response().status, 200)
            connection.close()
        self.leave_nothing_open()
        wait_until(
            lambda: self.gateway.descriptor_count() <= self.descriptors,
            5,
            lambda: f"{self.gateway.descriptor_count()} descriptors, {self.descriptors} at the beginning",
        )
        for provider in self.providers:
            case.assertEqual(self.gateway.connections_to(provider.port), [])
        case.assertEqual(self.gateway.queue().document["inversions"], 0)
        # Of all faults played this one alone is the operator's to mend.
        case.assertNotRegex(self.gateway.output, r"(?m)^\S+ error (?!no file descriptor left for a connection)")
        self.connection.close()
