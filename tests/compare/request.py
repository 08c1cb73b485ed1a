"""What is sent to both gateways, and what the provider behind them does meanwhile."""

import dataclasses

from provider import Reply


@dataclasses.dataclass
class Request:
    """One request, or several that say one thing together.

    name     for the table and the list of wanted differences
    body     a dict becomes JSON, bytes and text go out as they are
    headers  beside the master key's; a value of None takes one away
    script   Replies of the provider, one for each call
    answer   its Reply to every call after them
    repeat   sent so often, one after the other; only what all of them showed is compared (a choice at
             random among deployments shows itself in many)
    burst    bodies that are sent at once, each on a connection of its own, instead of `body`
    timed    the whole seconds that it took are compared too
    only     fields of the observation that are compared (patterns), where the rest is left to chance
    pause_s  before it is sent (a cooldown has to be over)
    """

    name: str
    body: object = None
    path: str = "/v1/chat/completions"
    method: str = "POST"
    headers: dict = dataclasses.field(default_factory=dict)
    script: tuple = ()
    answer: Reply | None = None
    repeat: int = 1
    burst: tuple = ()
    timed: bool = False
    only: tuple = ()
    pause_s: float = 0.0
    timeout_s: float = 40.0


def chat(name, model, *, words="hello", path="/v1/chat/completions", of_request=(), **fields):
    """A chat request; `of_request` are fields of Request, the rest is the body's."""
    body = {"model": model, "messages": [{"role": "user", "content": words}], **fields}
    return Request(name, body, path, **dict(of_request))


def get(name, path, **more):
    return Request(name, None, path, "GET", **more)
