#include "http/request_journal.hpp"

#include "http/call.hpp"
#include "http/error_reply.hpp"
#include "http/loop_metrics.hpp"
#include "http/routes.hpp"
#include "http/trace_exporter.hpp"
#include "http/upstream_head.hpp"

namespace vorrang::http {

namespace {

using std::chrono::steady_clock;

/// nginx's number for a client that went before its answer began.
constexpr unsigned status_client_gone = 499;

std::string_view name_of(http_method method) {
  switch (method) {
  case http_method::get:
    return "GET";
  case http_method::head:
    return "HEAD";
  case http_method::post:
    return "POST";
  case http_method::put:
    return "PUT";
  case http_method::patch:
    return "PATCH";
  case http_method::delete_:
    return "DELETE";
  case http_method::options:
    return "OPTIONS";
  case http_method::other:
    break;
  }
  return "_OTHER"; // as the semantic conventions of HTTP call it
}

/// The path that stands for all forms of it; few values.
std::string route_of(const route_match& match) {
  std::string route = "/v1";
  route += path_of(match.api());
  if (match.to == route::count_tokens)
    route += "/count_tokens";
  return route;
}

/// What is longer goes on upstream, but each span of a batch would have it.
constexpr std::size_t state_bytes_max = 4096;

/// All of them, in their order, as one list (W3C Trace Context, 3.3); empty if it is too long.
std::string tracestate_of(const head_fields& fields) {
  std::string state;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string_view value = fields[i].value;
    if (value.empty() || !fields.is_named(i, "tracestate"))
      continue;
    if (!state.empty())
      state += ',';
    state += value;
    if (state.size() > state_bytes_max)
      return {};
  }
  return state;
}

std::string_view operation_of(body_api api) {
  switch (api) {
  case body_api::completions:
    return "text_completion";
  case body_api::embeddings:
    return "embeddings";
  case body_api::chat:
  case body_api::responses:
  case body_api::messages:
    break;
  }
  return "chat";
}

std::int64_t in_ms(duration length) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
}

void add(span_record* to, std::string_view name, std::string_view text) {
  if (to != nullptr && !text.empty())
    to->attributes.push_back({name, std::string(text.substr(0, log_value_bytes_max))});
}

template <class Number, class = std::enable_if_t<std::is_integral_v<Number>>>
void add(span_record* to, std::string_view name, Number number) {
  if (to != nullptr)
    to->attributes.push_back({name, static_cast<std::int64_t>(number)});
}

std::string_view name_of(transport_error error) {
  return error == transport_error::not_sent
             ? std::string_view("not-sent")
             : upstream_error_labels[static_cast<std::size_t>(error) - 1];
}

} // namespace

request_journal::request_journal(const journal_readers& readers, trace_ids& ids,
                                 const std::string& client, const request_head* head,
                                 std::uint64_t bytes_before, time_point now)
    : readers_(readers), ids_(ids), bytes_before_(bytes_before), began_(now) {
  record_.client = client;
  if (head == nullptr)
    return;
  record_.method = name_of(head->method);
  record_.path = head->path;
  if (readers_.traces == nullptr)
    return;
  const auto match = find_route(head->method, head->path);
  if (!match.is_relayed() || match.wrong_method)
    return; // health checks and lists are no story
  if (head->fields.count("traceparent") == 1)
    parent_ = read_traceparent(*head->fields.find("traceparent"));
  const trace_id id = parent_ ? parent_->trace : ids_.trace();
  if (!readers_.traces->sampler().takes(parent_, id)) {
    if (!parent_ || parent_->sampled)
      unsampled_parent_ = traceparent_text({id, ids_.span(), false});
    return;
  }
  trace_ = std::make_unique<request_trace>();
  trace_->id = id;
  if (parent_)
    trace_->state = tracestate_of(head->fields);
  trace_->zero =
      std::chrono::system_clock::now().time_since_epoch() - steady_clock::now().time_since_epoch();
  const std::string route = route_of(match);
  span_record* server =
      open_span(std::string(record_.method) + " " + route, span_kind::server, now);
  server->parent = parent_ ? parent_->span : 0;
  add(server, "http.request.method", record_.method);
  add(server, "http.route", route);
  add(server, "url.path", record_.path);
  add(server, "url.scheme", readers_.is_tls ? "https" : "http");
  add(server, "client.address", std::string_view(client).substr(0, client.rfind(':')));
  add(server, "gen_ai.operation.name", operation_of(match.api()));
}

request_journal::~request_journal() {
  hand_on(steady_clock::now());
}

/// The server's span is the first, and the others' parent. Null: not kept.
span_record* request_journal::open_span(std::string name, span_kind kind, time_point now) {
  if (!trace_)
    return nullptr;
  if (trace_->spans.size() == spans_max) {
    ++left_out_;
    return nullptr;
  }
  const std::uint64_t parent = trace_->spans.empty() ? 0 : trace_->spans.front().id;
  span_record& made = trace_->spans.emplace_back();
  made.name = std::move(name);
  made.kind = kind;
  made.id = ids_.span();
  made.parent = parent;
  made.begins = made.ends = now;
  return &made;
}

void request_journal::body_came(std::uint64_t bytes, std::string_view model) {
  record_.bytes_in = bytes;
  record_.model = model.substr(0, log_value_bytes_max + 1); // so that it is seen to be cut
}

void request_journal::accepted(const call& as) {
  const auto facts = as.facts();
  record_.request_id = as.request_id();
  record_.model = facts.model.substr(0, log_value_bytes_max + 1);
  record_.group = facts.group;
  record_.priority = as.wanted().priority;
  if (!trace_)
    return;
  span_record* server = &trace_->spans.front();
  add(server, "gen_ai.request.model", facts.model);
  add(server, "vorrang.request_id", record_.request_id);
}

void request_journal::waits(time_point now) {
  if (open_span("wait", span_kind::internal, now) != nullptr)
    wait_ = trace_->spans.size() - 1;
}

void request_journal::close_wait(time_point now) {
  if (!wait_)
    return;
  span_record& span = trace_->spans[*wait_];
  span.ends = now;
  add(&span, "vorrang.group", record_.group);
  wait_.reset();
}

void request_journal::granted(const grant& given, time_point now) {
  record_.waited = given.waited;
  record_.attempts = given.attempt;
  record_.reason = to_string(given.reason);
  record_.priority = given.priority;
  close_wait(now);
}

void request_journal::ended(const ending& how, time_point now) {
  record_.waited = how.waited;
  record_.attempts = how.attempts;
  record_.priority = how.priority;
  if (wait_)
    trace_->spans[*wait_].failed = true;
  close_wait(now);
}

std::string request_journal::attempt_begins(const grant& given, time_point now) {
  attempt_status_ = 0;
  attempt_error_.reset();
  relay_.reset(); // of an attempt that failed after all
  span_record* span = open_span("attempt", span_kind::client, now);
  if (span == nullptr) {
    if (!trace_)
      return unsampled_parent_;
    return traceparent_text({trace_->id, trace_->spans.front().id, true});
  }
  attempt_ = trace_->spans.size() - 1;
  add(span, "vorrang.attempt", given.attempt);
  add(span, "vorrang.granted_by", to_string(given.reason));
  return traceparent_text({trace_->id, span->id, true});
}

void request_journal::attempt_goes_to(const call& as) {
  const auto facts = as.facts();
  record_.group = facts.group;
  record_.deployment = facts.deployment;
  if (!attempt_)
    return;
  span_record* span = &trace_->spans[*attempt_];
  add(span, "vorrang.group", facts.group);
  add(span, "vorrang.deployment", facts.deployment);
  add(span, "gen_ai.provider.name", facts.provider);
  add(span, "gen_ai.request.model", facts.upstream_model);
  add(span, "http.request.method", "POST");
  if (!facts.host.empty()) {
    add(span, "server.address", facts.host);
    add(span, "server.port", facts.port);
  }
}

void request_journal::attempt_ends(const outcome& result, time_point now) {
  if (!attempt_)
    return;
  span_record* span = &trace_->spans[*attempt_];
  attempt_.reset();
  span->ends = now;
  if (attempt_status_ != 0)
    add(span, "http.response.status_code", attempt_status_);
  if (result.tokens)
    add(span, "vorrang.tokens", *result.tokens);
  if (result.kind == outcome_kind::success && !attempt_error_)
    return;
  span->failed = result.kind != outcome_kind::cancelled;
  if (attempt_error_)
    add(span, "error.type", name_of(*attempt_error_));
  else if (result.kind == outcome_kind::cancelled)
    add(span, "error.type", "cancelled");
  else if (result.kind == outcome_kind::not_sent)
    add(span, "error.type", "not-sent");
  else if (attempt_status_ >= 400)
    add(span, "error.type", std::to_string(attempt_status_));
  else
    add(span, "error.type", "not-http");
}

void request_journal::relay_begins(time_point now) {
  if (!relay_ && open_span("relay", span_kind::internal, now) != nullptr)
    relay_ = trace_->spans.size() - 1;
}

void request_journal::answered(const reply& answer, time_point now) {
  is_answered_ = true;
  record_.status = answer.status;
  record_.first_byte = now - began_;
  if (record_.request_id.empty())
    record_.request_id = find_field(answer.fields, "x-vorrang-request-id");
  if (answer.why != our_error::none)
    record_.error = name_of(answer.why);
}

void request_journal::finish_server_span(time_point now) {
  close_wait(now);
  if (attempt_) { // its client went
    outcome cut;
    attempt_ends(cut, now);
  }
  if (relay_)
    trace_->spans[*relay_].ends = now;
  span_record* server = &trace_->spans.front();
  server->ends = now;
  add(server, "http.response.status_code", record_.status);
  add(server, "vorrang.group", record_.group);
  add(server, "vorrang.deployment", record_.deployment);
  if (record_.priority)
    add(server, "vorrang.priority", *record_.priority);
  if (record_.waited)
    add(server, "vorrang.wait_ms", in_ms(*record_.waited));
  add(server, "vorrang.granted_by", record_.reason);
  add(server, "vorrang.attempts", record_.attempts);
  if (left_out_ > 0)
    add(server, "vorrang.spans_left_out", left_out_);
  // A 4xx is the client's error, and none of a server's span.
  server->failed = record_.status >= 500 || record_.error == "broken-stream";
  if (!record_.error.empty())
    add(server, "error.type", record_.error);
  else if (server->failed)
    add(server, "error.type", std::to_string(record_.status));
}

void request_journal::hand_on(time_point now) {
  if (!is_answered_) {
    record_.status = status_client_gone;
    record_.error = "hung-up";
  }
  record_.total = now - began_;
  if (trace_) {
    finish_server_span(now);
    readers_.traces->take(std::move(trace_));
  }
  if (readers_.access != nullptr)
    readers_.access->write(record_);
}

} // namespace vorrang::http
