"""Reads a dashboard from standard input into Grafana's own model of one (its foundation SDK, made from
the schemas of Grafana itself) and prints what the model does not keep: fields it does not know, values
it changes. Run by test_grafana.py with the Python that has the SDK."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()  # the options of each kind of panel, the queries of Prometheus


def lost(written, kept, path=""):
    if isinstance(written, dict) and isinstance(kept, dict):
        for name, value in written.items():
            if name not in kept:
                yield f"{path}/{name}"
            else:
                yield from lost(value, kept[name], f"{path}/{name}")
    elif isinstance(written, list) and isinstance(kept, list) and len(written) == len(kept):
        for index, (one, other) in enumerate(zip(written, kept)):
            yield from lost(one, other, f"{path}/{index}")
    elif written != kept:
        yield f"{path}: {written!r} became {kept!r}"


board = json.load(sys.stdin)
json.dump(list(lost(board, json.loads(JSONEncoder().encode(Dashboard.from_json(board))))), sys.stdout)
