"""Reads an ExportTraceServiceRequest in JSON from its input, and prints trace and kind of each span.

OTLP writes ids in hexadecimal, where protobuf's own form of JSON has base64.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

document = json.load(sys.stdin)
for resource in document["resourceSpans"]:
    for scope in resource["scopeSpans"]:
        for span in scope["spans"]:
            for name in ("traceId", "spanId", "parentSpanId"):
                if name in span:
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
request = json_format.ParseDict(document, ExportTraceServiceRequest())
for resource in request.resource_spans:
    assert resource.resource.attributes, "no resource"
    for scope in resource.scope_spans:
        for span in scope.spans:
            assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
            assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
            print(f"{span.trace_id.hex()}:{Span.SpanKind.Name(span.kind).removeprefix('SPAN_KIND_')}")
