"""The tests' own upstream does what it is told: otherwise nothing that it records proves anything."""

import time
import unittest

import client
from provider import Provider, Reply


class ProviderItself(unittest.TestCase):
    def ask(self, connection, prompt="hello"):
        connection.chat(client.chat_body(prompt))

    def test_it_answers_and_records(self):
        with Provider() as provider, client.Connection(provider.port) as connection:
            for number in range(3):
                self.ask(connection, f"number {number}")
                self.assertEqual(connection.read_response().text, "hello")
            self.assertEqual([c.prompt for c in provider.calls], ["number 0", "number 1", "number 2"])
            self.assertEqual(provider.connections_total, 1)
            self.assertEqual(provider.calls[0].header("content-type"), "application/json")

    def test_scripted_answers_come_first(self):
        with Provider(Reply(status=201)) as provider, client.Connection(provider.port) as connection:
            provider.script = [Reply(429, {"error": {}}, {"Retry-After": "3"})]
            self.ask(connection)
            first = connection.read_response()
            self.ask(connection)
            self.assertEqual((first.status, first.header("retry-after")), (429, "3"))
            self.assertEqual(connection.read_response().status, 201)

    def test_it_holds_until_released_and_counts_what_runs(self):
        with Provider(Reply(hold=True)) as provider:
            with client.Connection(provider.port) as a, client.Connection(provider.port) as b:
                self.ask(a)
                self.ask(b)
                provider.wait_for_calls(2)
                self.assertEqual((provider.running, provider.running_max), (2, 2))
                provider.release()
                self.assertEqual([r.status for r in client.gather([a, b])], [200, 200])
                provider.wait_until(lambda: provider._running == 0)

    def test_it_sees_who_hangs_up(self):
        for end in ("close", "reset"):
            with Provider(Reply(hold=True)) as provider:
                connection = client.Connection(provider.port)
                self.ask(connection)
                call = provider.wait_for_calls(1)
                before = time.monotonic()
                getattr(connection, end)()
                provider.wait_until(lambda call=call: call.closed_at is not None)
                self.assertGreaterEqual(call.closed_at, before)
                self.assertIsNone(call.finished_at)

    def test_it_breaks_off(self):
        for then in ("reset", "close", "cut"):
            with Provider(Reply(then=then)) as provider, client.Connection(provider.port) as connection:
                self.ask(connection)
                with self.assertRaises(client.ConnectionEnded):
                    connection.read_response()

    def test_chunked_both_ways(self):
        reply = Reply(headers={"Transfer-Encoding": "chunked"})
        with Provider(reply) as provider, client.Connection(provider.port) as connection:
            connection.send(
                b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"
            )
            self.assertEqual(connection.read_response().text, "hello")
            self.assertEqual(provider.calls[0].body, b"abcd")


if __name__ == "__main__":
    unittest.main()
