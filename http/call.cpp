#include "http/call.hpp"

#include "http/call_plan.hpp"
#include "http/json_walk.hpp"
#include "http/mock_answer.hpp"
#include "http/model_restamp.hpp"
#include "http/upstream_head.hpp"
#include "http/upstream_verdict.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace vorrang::http {

namespace {

/// The text that each `*` stands for in the group of the grant: the request's own, or that of the
/// fallback that led there.
const std::vector<std::string>& matched_text(const call_plan& plan, group_index group) {
  if (group != plan.target.group && plan.target.group < plan.settings().groups.size()) {
    const auto& asked = plan.settings().groups[plan.target.group];
    for (const auto* list : {&plan.own_fallbacks, &asked.fallbacks, &asked.context_window_fallbacks,
                             &asked.content_policy_fallbacks})
      for (const auto& fallback : *list)
        if (fallback.group == group)
          return fallback.matched;
  }
  return plan.target.matched;
}

/// Without these a request is another one; they are never dropped.
bool may_be_dropped(std::string_view field) {
  static constexpr std::array<std::string_view, 7> kept = {
      "model", "messages", "prompt", "input", "stream", "store", "previous_response_id"};
  return std::find(kept.begin(), kept.end(), field) == kept.end();
}

/// The `id` at the top of a response, which must be a valid object.
std::string id_of_response(std::string_view body) {
  std::string id;
  each_member(body.substr(body.find('{')), [&](std::string_view key, std::string_view value) {
    if (string_is(key, "id") && kind_of(value) == json_kind::string)
      id = unescaped(value);
  });
  return id;
}

} // namespace

call::call(std::unique_ptr<call_plan> plan) : plan_(std::move(plan)) {}
call::~call() = default;

const ask& call::wanted() const noexcept {
  return plan_->wanted;
}

time_point call::began() const noexcept {
  return plan_->wanted.deadline - plan_->terms.time_limit;
}

bool call::needs_ticket() const noexcept {
  return plan_->needs_ticket;
}

grant call::ungated_grant(time_point now) const {
  grant given;
  given.group = plan_->wanted.group;
  given.deployment = plan_->wanted.pinned;
  given.at = now;
  return given;
}

bool call::stream_client() const noexcept {
  return plan_->inspected.stream;
}

std::optional<duration> call::keep_alive_interval() const noexcept {
  if (!plan_->inspected.stream || !plan_->terms.keep_alive)
    return std::nullopt;
  return *plan_->terms.keep_alive;
}

const std::string& call::request_id() const noexcept {
  return plan_->request_id;
}

call::told_facts call::facts() const {
  const auto& plan = *plan_;
  told_facts told;
  told.model = plan.model;
  const auto group = plan.has_grant ? plan.given.group : plan.target.group;
  if (group < plan.settings().groups.size())
    told.group = plan.settings().groups[group].name;
  if (!plan.deployment)
    return told;
  told.deployment = plan.deployment->id;
  told.provider = plan.deployment->provider;
  told.upstream_model = plan.upstream_model;
  if (const auto* address = plan.tables->deployments[plan.place].address;
      address && !plan.is_mock) {
    told.host = address->host;
    told.port = address->port;
  }
  return told;
}

void call::set_traceparent(std::string value, bool keep_tracestate) {
  plan_->trace.reset();
  if (!value.empty())
    plan_->trace = std::make_unique<trace_fields>(trace_fields{std::move(value), keep_tracestate});
}

std::variant<mock_attempt, upstream_request> call::attempt(const grant& given, time_point now) {
  auto& plan = *plan_;
  plan.use_newest_tables();
  plan.given = given;
  plan.has_grant = true;
  plan.sent_again = false;
  plan.deadline_passed = plan.timed_out = false;
  plan.what_came.clear();
  plan.good = {};
  plan.deployment = find_deployment(plan.settings(), given.group, given.deployment);
  if (!plan.deployment)
    return upstream_request{};
  plan.place = plan.settings().groups[given.group].deployments[given.deployment];
  std::tie(plan.until, plan.until_is_the_deadline) = plan.limit(now);

  plan.relay.reset();
  const auto& mock = plan.own_mock ? plan.own_mock : plan.deployment->mock;
  plan.is_mock = mock.has_value();
  if (mock) {
    plan.make_relay();
    return plan.render_mock(*mock, now);
  }
  plan.upstream_model =
      config::upstream_model_for(*plan.deployment, matched_text(plan, given.group));
  return plan.render();
}

std::string call::deployment_id() const {
  return plan_->deployment ? plan_->deployment->id : std::string();
}

head_verdict call::look_at_head(const answer_head& head) const {
  if (foreign_coding(head.fields))
    return head_verdict::no_use;
  const bool good = head.status >= 200 && head.status < 300;
  return good && plan_->inspected.stream && head.is_event_stream() ? head_verdict::stream
                                                                   : head_verdict::read_whole;
}

judgement call::judge(answer_head head, std::string body,
                      std::chrono::system_clock::time_point wall) {
  auto& plan = *plan_;
  const auto status = static_cast<std::uint16_t>(head.status);
  const bool is_2xx = status >= 200 && status < 300;
  if (const auto coding = foreign_coding(head.fields)) {
    auto what_came = "the upstream sent a body in Content-Encoding " + std::string(*coding) +
                     ", which nobody asked for";
    if (is_2xx)
      return judge(transport_error::not_http, std::move(what_came));
    body = std::move(what_came); // its status stands, its words cannot be read
  }
  if (is_2xx) {
    auto stamped = restamp_model(body, plan.model);
    if (!stamped.is_object)
      return judge(transport_error::not_http, what_came_for_json(status, body));
    if (!stamped.error_only) {
      if (plan.wanted.api == endpoint::responses)
        plan.remember_response(id_of_response(body));
      return plan.keep_good(head, std::move(stamped), wall);
    }
  }

  return judge_error(std::move(head), std::move(body), wall);
}

/// An answer with an error, whatever its status.
judgement call::judge_error(answer_head head, std::string body,
                            std::chrono::system_clock::time_point wall) {
  auto& plan = *plan_;
  auto error = read_upstream_error(body);
  auto status = static_cast<std::uint16_t>(head.status);
  if (status < 300)
    status = status_of(error);
  judgement result;
  if (plan.learns_from(status, error)) {
    result.again = std::make_unique<upstream_request>(plan.render());
    return result;
  }
  result.result = classify_answer(status, head.fields, error, wall);
  plan.last = kept_answer{status, std::move(head.fields), std::move(body), std::move(error.message),
                          plan.settings().groups[plan.given.group].name};
  return result;
}

judgement call_plan::keep_good(const answer_head& came, restamped&& stamped,
                               std::chrono::system_clock::time_point wall) {
  judgement result;
  good.status = static_cast<std::uint16_t>(came.status);
  result.result = classify_answer(good.status, came.fields, {}, wall);
  result.good = true;
  result.result.tokens =
      stamped.usage.total_tokens ? stamped.usage.total_tokens : tokens_of_prompt();
  if (is_mock)
    for (std::size_t i = 0; i < came.fields.size(); ++i)
      good.fields.add(came.fields[i].name, came.fields[i].value);
  else
    add_upstream_fields(good.fields, came.fields);
  good.body = std::move(stamped.text);
  return result;
}

judgement call::judge(transport_error error, std::string what_came) {
  judgement result;
  result.result = classify_error(error);
  if (result.result.sent)
    result.result.tokens = plan_->tokens_of_prompt();
  plan_->what_came = std::move(what_came);
  plan_->timed_out = error == transport_error::timed_out;
  plan_->deadline_passed = error == transport_error::deadline;
  result.over = plan_->deadline_passed;
  return result;
}

stream_relay& call::relay() {
  return *plan_->relay;
}

judgement call::judge_stream(std::optional<transport_error> error, bool client_gone,
                             std::string what_came) {
  auto& plan = *plan_;
  const bool begun = plan.relay && plan.relay->begun();
  if (!begun && plan.relay && !plan.relay->first_error().empty()) {
    answer_head head;
    head.status = 200;
    return judge_error(std::move(head), std::string(plan.relay->first_error()),
                       std::chrono::system_clock::now());
  }
  if (plan.relay && !plan.relay->fault().empty())
    what_came = plan.relay->fault();
  if (!begun && error)
    return judge(*error, std::move(what_came));
  if (!begun && !client_gone)
    return judge(transport_error::not_http, "the upstream sent a stream without any event");
  plan.what_came = std::move(what_came);
  judgement result;
  result.result.status = 200;
  if (!begun && client_gone) {
    result.result.kind = outcome_kind::cancelled;
    result.over = true;
    return result;
  }
  // Once something was passed on no other attempt is possible, so a stream that breaks later is
  // no failure that the engine could act on: what was used is charged.
  result.result.kind = outcome_kind::success;
  result.good = true;
  if (!plan.relay)
    return result;
  plan.remember_response(plan.relay->response_id());
  result.result.tokens = plan.relay->reported_tokens();
  if (plan.is_mock)
    result.result.tokens = mock_prompt_tokens + mock_completion_tokens;
  else if (!result.result.tokens && plan.wanted.token_estimate != 0)
    result.result.tokens = plan.wanted.prompt_estimate + plan.relay->deltas();
  return result;
}

std::optional<std::uint64_t> call_plan::tokens_of_prompt() const {
  return wanted.token_estimate != 0 ? std::optional<std::uint64_t>(wanted.prompt_estimate)
                                    : std::nullopt;
}

void call_plan::remember_response(const std::string& id) const {
  tables->memory->responses.add(id, place);
}

std::pair<time_point, bool> call_plan::limit(time_point now) const {
  auto own = deployment->timeout ? deployment->timeout : settings().router.attempt_timeout;
  if (inspected.stream && terms.between_chunks)
    own = std::min(own.value_or(*terms.between_chunks), *terms.between_chunks);
  if (own && now + *own < wanted.deadline)
    return {now + *own, false};
  return {wanted.deadline, true};
}

/// Whether the upstream refused a field without which the same request may be taken.
bool call_plan::learns_from(std::uint16_t status, const upstream_error& error) {
  if (is_mock || !deployment)
    return false;
  if (rewritten.usage_added && refuses_stream_usage(status, error)) {
    tables->learned.add_stream_usage(place);
    return true;
  }
  const auto is_asked = [&](const json_member& member) {
    return string_is(member.key.of(body), error.param);
  };
  const auto is_left_out = [&](const std::vector<std::string>& fields) {
    return std::find(fields.begin(), fields.end(), error.param) != fields.end();
  };
  if (status != 400 || !deployment->drop_params || sent_again ||
      !is_unsupported_field_error(error) || !may_be_dropped(error.param) ||
      std::none_of(inspected.members.begin(), inspected.members.end(), is_asked) ||
      is_left_out(known.drop) || is_left_out(deployment->additional_drop_params) ||
      (known.rename_max_tokens && error.param == "max_tokens"))
    return false;
  sent_again = true;
  tables->learned.add(place, error.param);
  return true;
}

void call_plan::make_relay() {
  if (!inspected.stream)
    return;
  relay_rules rules;
  rules.api = wanted.api;
  rules.model = model;
  rules.withhold_usage = !is_mock && rewritten.usage_added;
  relay = std::make_unique<stream_relay>(std::move(rules));
}

upstream_request call_plan::render() {
  const auto& prepared = tables->deployments[place];
  known = tables->learned.of(place);
  upstream_request request;
  request.deployment = deployment;
  request.request_id = request_id;
  request.until = until;
  request.until_is_the_deadline = until_is_the_deadline;
  const auto& between =
      deployment->stream_timeout ? deployment->stream_timeout : settings().router.stream_timeout;
  request.between_chunks = between ? duration(*between) : duration(terms.time_limit);
  if (terms.between_chunks)
    request.between_chunks = std::min<duration>(request.between_chunks, *terms.between_chunks);
  if (!prepared.address)
    return request;

  rewrite_plan changes;
  changes.model = upstream_model;
  changes.api = route.api();
  if (route.to != route::count_tokens) {
    // What is counted is the prompt; fields of an answer are refused there.
    changes.defaults = &prepared.defaults;
    changes.extra_body = &prepared.extra_body;
  }
  changes.drop = &deployment->additional_drop_params;
  changes.drop_also = &known.drop;
  changes.rename_max_tokens = known.rename_max_tokens;
  changes.add_stream_usage =
      prepared.adds_stream_usage && !known.stream_usage && inspected.stream &&
      (changes.api == body_api::chat || changes.api == body_api::completions);
  rewritten = rewrite_body(body, inspected, changes);
  make_relay();

  const auto path =
      route.to == route::count_tokens ? "/messages/count_tokens" : path_of(changes.api);
  const auto url =
      upstream_target(*deployment, *prepared.address, path, upstream_model, api_version);
  head = render_upstream_head(*deployment, *prepared.address, url, client_fields, rewritten.size,
                              settings().gateway.forward_client_headers_to_llm_api, trace.get());
  request.address = prepared.address;
  request.head = head;
  request.body = rewritten.slices;
  return request;
}

mock_attempt call_plan::render_mock(const config::mock& mock, time_point now) const {
  mock_attempt answer;
  answer.delay = mock.delay;
  answer.never_answers = mock.timeout;
  answer.until = until;
  answer.until_is_the_deadline = until_is_the_deadline;
  const auto id = tables->new_id();
  mock_request asked;
  asked.api = route.api();
  asked.model = model;
  asked.n = inspected.n;
  asked.inputs = asked.api == body_api::embeddings ? count_inputs(body, inspected) : 1;
  asked.include_usage = inspected.client_asked_usage;
  asked.id = id;
  asked.created_s = tables->time_of_day_s(now);
  if (inspected.stream)
    answer.events = mock_events(mock, asked);
  if (answer.events.empty()) {
    auto whole = mock_answer(mock, asked);
    answer.head.status = whole.status;
    answer.head.fields = make_fields(to_pairs(whole.fields));
    answer.body = std::move(whole.body);
  }
  return answer;
}

} // namespace vorrang::http
