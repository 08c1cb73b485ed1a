"""An upstream that does what it is told: answers in the shapes of OpenAI's and Anthropic's APIs, or
breaks off, stalls and lies in every way that a real one has been seen to.

In Python (with `tests/` on the path):

    from provider import Provider, Reply, faults

    with Provider() as provider:                       # a free port of 127.0.0.1
        provider.script = [Reply(429, error(), {"Retry-After": "1"}), faults.named("html-page")]
        ...                                            # talk to provider.base
        provider.calls[0].header("authorization")      # what came, when, on which connection

From the command line: `python3 tests/provider --port 8000 --script FILE.json` (see script.py).
"""

from provider.call import Call
from provider.reply import Reply, http_date_in
from provider.server import DEFAULT_TIMEOUT_S, Provider
from provider.shapes import completion, error

__all__ = ["Call", "DEFAULT_TIMEOUT_S", "Provider", "Reply", "completion", "error", "http_date_in"]
