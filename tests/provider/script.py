"""Scripts: what a provider answers, as JSON.

    {
      "answer": {"text": "hello"},
      "script": [
        {"status": 429, "headers": {"retry-after": "1"}, "repeat": 2},
        {"fault": "reset-mid-body"},
        {"text": "one two three", "interval_s": 0.1},
        {"status": 503, "headers": {"retry-after": {"date_in_s": 2}}, "body": {"error": {"message": "busy"}}}
      ]
    }

`script` is used up first, one entry for each call; `answer` stands for every call after it. The
fields of an entry are the arguments of Reply, but for `hold`, which nobody would release; `fault` is
one of faults.NAMES, whose arguments the other fields replace; `repeat` is a number of calls. In
`events` a list of two texts or of a text and an object is an event with a name.
"""

import inspect
import json

from provider import faults
from provider.reply import Reply, http_date_in

FIELDS = set(inspect.signature(Reply).parameters) - {"hold"}


class ScriptError(ValueError):
    """The script is wrong; the message says where."""


def read_script(text):
    """(the replies used up first, the reply to every call after them)."""
    try:
        document = json.loads(text)
    except ValueError as reason:
        raise ScriptError(f"the script is no JSON: {reason}") from None
    if not isinstance(document, dict) or set(document) - {"answer", "script"}:
        raise ScriptError("a script is an object with `answer` and `script`, and nothing else")
    entries = document.get("script", [])
    if not isinstance(entries, list):
        raise ScriptError("script: must be a list")
    replies = []
    for number, entry in enumerate(entries):
        where = f"script[{number}]"
        repeat = entry.get("repeat", 1) if isinstance(entry, dict) else 1
        if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= 1_000_000:
            raise ScriptError(f"{where}.repeat: must be a number from 1 to 1000000")
        replies += [read_reply(entry, where, {"repeat"})] * repeat
    return replies, read_reply(document.get("answer", {}), "answer")


def read_reply(entry, where, others=frozenset()):
    if not isinstance(entry, dict):
        raise ScriptError(f"{where}: must be an object")
    unknown = sorted(set(entry) - FIELDS - {"fault"} - others)
    if unknown:
        raise ScriptError(f"{where}: unknown {', '.join(unknown)}; there are {', '.join(sorted(FIELDS))}, fault")
    arguments = {name: value for name, value in entry.items() if name in FIELDS}
    if "headers" in arguments:
        arguments["headers"] = read_headers(arguments["headers"], f"{where}.headers")
    if isinstance(arguments.get("body"), str):
        arguments["body"] = arguments["body"].encode()
    fault = entry.get("fault")
    if fault is not None and fault not in faults.NAMES:
        raise ScriptError(f"{where}.fault: there are {', '.join(faults.NAMES)}")
    try:
        return faults.named(fault, **arguments) if fault is not None else Reply(**arguments)
    except ValueError as reason:
        raise ScriptError(f"{where}: {reason}") from None


def read_headers(value, where):
    """An object, or a list of pairs where one name comes twice."""
    pairs = list(value.items()) if isinstance(value, dict) else value
    headers = []
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ScriptError(f"{where}: must be an object, or a list of pairs")
        name, content = pair
        if isinstance(content, dict) and set(content) == {"date_in_s"}:
            content = http_date_in(content["date_in_s"])
        elif not isinstance(content, str):
            raise ScriptError(f'{where}.{name}: must be text, or {{"date_in_s": seconds}}')
        headers.append((name, content))
    return headers
