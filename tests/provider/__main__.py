"""python3 tests/provider [--port N] [--script FILE.json] [--tls FOLDER]

Runs until SIGINT or SIGTERM, and prints one line of JSON for each call that is over.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from provider import Provider  # noqa: E402
from provider.certificates import Authority  # noqa: E402
from provider.script import ScriptError, read_script  # noqa: E402


def main():
    parser = argparse.ArgumentParser(prog="provider", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    parser.add_argument("--script", type=pathlib.Path, help="what it answers (default: as the API would)")
    parser.add_argument("--tls", type=pathlib.Path, metavar="FOLDER", help="https, with a certificate made in there")
    parser.add_argument(
        "--certificate", choices=("good", "expired", "foreign"), default="good", help="which one (default: good)"
    )
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started it does")
    options = parser.parse_args()
    script, answer = [], None
    if options.script:
        try:
            script, answer = read_script(options.script.read_text(encoding="utf-8"))
        except (OSError, ScriptError) as reason:
            parser.error(str(reason))

    tls = None
    if options.tls:
        authority = Authority(options.tls)
        tls = {"good": authority.server, "expired": authority.expired, "foreign": authority.foreign}[options.certificate]()
        print(f"CA {authority.certificate}", flush=True)
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    start = time.monotonic()
    provider = Provider(answer, options.port, tls)
    provider.script = script
    provider.on_finished = lambda call: print(json.dumps(call.record(start)), flush=True)
    parent = os.getppid()
    try:
        with provider:
            print(f"RUNNING on {provider.root}", flush=True)
            while not ended.wait(0.5 if options.with_parent else None):
                if os.getppid() != parent:
                    break
    except OSError as reason:
        print(f"provider: cannot listen on 127.0.0.1:{options.port}: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
