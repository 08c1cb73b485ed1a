"""A collector of traces: takes what is exported by OTLP/HTTP in JSON, and answers as it is told."""

import gzip
import http.server
import json
import threading


class Collector:
    """Takes what is exported. `answers`: statuses used up first, one for each request."""

    def __init__(self, answers=(), tls=None, hangs=False):
        self.answers = list(answers)
        self.requests = []
        self._changed = threading.Condition()
        self._hang = threading.Event()
        own = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hangs:
                    own._hang.wait(60)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                with own._changed:
                    own.requests.append((self.path, dict(self.headers.items()), body))
                    status = own.answers.pop(0) if own.answers else 200
                    own._changed.notify_all()
                answer = b"{}"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except OSError:  # nobody waits for it any more
                    pass

            def log_message(self, *_arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        self._hang.set()
        self._server.shutdown()
        self._server.server_close()

    def spans(self, count, timeout_s=15):
        """All spans, once so many are there."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._spans()) >= count, timeout_s):
                raise AssertionError(f"{len(self._spans())} spans, not {count}: {self.requests}")
            return self._spans()

    def _spans(self):
        found = []
        for _, _, body in self.requests:
            for resource in json.loads(body)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    found += [Span(each) for each in scope["spans"]]
        return found


class Span:
    def __init__(self, document):
        self.document = document
        self.name = document["name"]
        self.id = document["spanId"]
        self.trace = document["traceId"]
        self.parent = document.get("parentSpanId")
        self.begins = int(document["startTimeUnixNano"])
        self.ends = int(document["endTimeUnixNano"])
        self.failed = document.get("status", {}).get("code") == 2
        self.values = {
            each["key"]: each["value"].get("stringValue", int(each["value"].get("intValue", 0)))
            for each in document["attributes"]
        }

    @property
    def ms(self):
        return (self.ends - self.begins) / 1e6

    def __repr__(self):
        return f"<{self.name} {self.values}>"


def exporting(collector, **more):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20", **more}
