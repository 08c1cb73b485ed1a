// What the client of a call is told.

#include "http/call.hpp"
#include "http/call_plan.hpp"
#include "http/json_string.hpp"

#include <algorithm>

namespace vorrang::http {

namespace {

using std::chrono::milliseconds;

milliseconds in_ms(duration length) {
  return std::chrono::duration_cast<milliseconds>(length);
}

gateway_facts facts_of_request(const call_plan& plan) {
  gateway_facts told;
  told.request_id = plan.request_id;
  told.priority = plan.terms.priority;
  told.client_set_priority = plan.terms.client_set_priority;
  told.queue_path = plan.route.queue_path;
  told.model_group = plan.settings().groups[plan.target.group].name;
  return told;
}

void add_grant(gateway_facts& told, const call_plan& plan) {
  if (!plan.has_grant || !plan.needs_ticket)
    return;
  const auto& given = plan.given;
  told.waited = in_ms(given.waited);
  told.granted_by = to_string(given.reason);
  told.attempts = given.attempt;
  told.retries = given.retries;
  told.fallbacks = given.fallbacks;
  told.priority = given.priority;
  if (plan.deployment)
    told.model_id = plan.deployment->id;
  if (given.group < plan.settings().groups.size())
    told.model_group = plan.settings().groups[given.group].name;
}

void write(reply& answer, const call_plan& plan, const gateway_facts& told) {
  add_gateway_fields(answer.fields, told);
  if (plan.tables->keys.has_keys())
    add_browser_fields(answer.fields);
}

/// A comment must stay on its line.
std::string on_one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return line;
}

/// JSON text on one line: between its tokens a line's end is a blank like any other.
std::string as_data(std::string_view json) {
  return "data: " + on_one_line(json) + "\n\n";
}

/// Empty, so that the error's own sentence is told, if nobody knows what came.
std::string no_usable_answer(const std::string& what_came) {
  return what_came.empty() ? std::string() : "No usable answer: " + what_came;
}

/// The error event of `/v1/responses` has its facts at the top. Client libraries raise an exception
/// only if there is an `error` as well (openai-python and openai-node look for nothing else).
std::string response_error(std::string_view body) {
  const auto error = read_upstream_error(body);
  return "{\"type\":\"error\",\"sequence_number\":0,\"code\":" + json_quoted(error.code) +
         ",\"message\":" + json_quoted(error.message) +
         ",\"param\":" + (error.param.empty() ? "null" : json_quoted(error.param)) + "," +
         std::string(body.substr(body.find('{') + 1));
}

bool tells_of_keys(std::uint16_t status) {
  return status == 401 || status == 403;
}

} // namespace

void call_plan::tell(reply& answer) const {
  auto told = facts_of_request(*this);
  add_grant(told, *this);
  write(answer, *this, told);
}

void call_plan::tell(reply& answer, const ending& end) const {
  auto told = facts_of_request(*this);
  add_grant(told, *this);
  told.waited = in_ms(end.waited);
  told.attempts = end.attempts;
  told.retries = end.retries;
  told.fallbacks = end.fallbacks;
  told.priority = end.priority;
  write(answer, *this, told);
}

reply call_plan::last_words() const {
  if (timed_out)
    return error_reply({our_error::upstream_too_slow, {}, {}}, facts());
  if (!last)
    return error_reply({our_error::bad_upstream, no_usable_answer(what_came), {}}, facts());
  if (tells_of_keys(last->status))
    return credentials_reply(last->status, last->group, facts());
  if (last->status < 400)
    return error_reply({our_error::bad_upstream,
                        "The upstream answered with status " + std::to_string(last->status) +
                            "; an API does not redirect: check api_base",
                        {}},
                       facts());
  reply answer;
  answer.status = last->status;
  answer.fields.add("content-type", "application/json");
  add_upstream_fields(answer.fields, last->fields, passed_on::error);
  answer.body = upstream_error_body(last->status, last->body, facts());
  return answer;
}

std::string call_plan::names_there_are() const {
  // The call goes on by its own tables, which its last attempt points into.
  const auto* newest = tables->memory->newest.load(std::memory_order_acquire);
  const auto& in_force = newest != nullptr ? *newest : *tables;
  const auto who = in_force.keys.check(client_fields);
  return who.error ? std::string() : ". There are: " + in_force.names_for(who);
}

reply call::good_reply() {
  auto answer = std::move(plan_->good);
  plan_->tell(answer);
  return answer;
}

reply call::last_reply() {
  auto answer =
      plan_->deadline_passed
          ? error_reply({our_error::timed_out_calling, "Request timed out", {}}, plan_->facts())
          : plan_->last_words();
  plan_->tell(answer);
  return answer;
}

reply call::end_reply(const ending& end) {
  auto& plan = *plan_;
  auto facts = plan.facts();
  if (end.retry_after)
    facts.retry_after = in_ms(*end.retry_after);
  const auto ours = [&](our_error code, std::string message = {}) {
    return error_reply({code, std::move(message), {}}, facts);
  };
  const auto followed_by_last = [&](std::string sentence) {
    if (plan.last && !plan.last->message.empty() && !tells_of_keys(plan.last->status))
      sentence += ". The upstream's last answer: " + plan.last->message;
    return sentence;
  };
  plan.timed_out = end.timed_out;

  reply answer;
  switch (end.code) {
  case end_code::timed_out:
    answer = ours(our_error::timed_out_waiting,
                  followed_by_last("Request timed out while polling queue"));
    break;
  case end_code::queue_full:
    answer = ours(our_error::queue_full);
    break;
  case end_code::rate_limited_beyond_deadline:
    answer = ours(our_error::rate_limited,
                  followed_by_last("Every deployment of group " +
                                   plan.settings().groups[plan.target.group].name +
                                   " is rate limited until after the request's deadline; try "
                                   "again after Retry-After"));
    break;
  case end_code::attempts_exhausted:
  case end_code::rejected:
    answer = plan.last_words();
    break;
  case end_code::no_deployment:
    answer = plan.last ? plan.last_words() : ours(our_error::no_deployment);
    break;
  case end_code::unknown_group:
    // Its group was there when it came, and a reload has removed it.
    answer = ours(our_error::unknown_model,
                  "Invalid model name passed in model=" + plan.model + plan.names_there_are());
    break;
  case end_code::cancelled_by_operator:
    answer = ours(our_error::cancelled_by_operator, "Cancelled by the operator");
    break;
  case end_code::draining:
    answer = ours(our_error::draining);
    break;
  case end_code::all_cooling_down:
    answer = plan.last ? plan.last_words() : ours(our_error::all_cooling_down);
    break;
  case end_code::cancelled:
    answer = ours(our_error::internal);
    break;
  }
  plan.tell(answer, end);
  return answer;
}

reply call::stream_head(const answer_head* head) const {
  reply answer;
  if (head) {
    answer.status = static_cast<std::uint16_t>(head->status);
    add_upstream_fields(answer.fields, head->fields);
  } else {
    answer.fields.add("content-type", "text/event-stream");
  }
  answer.fields.add("cache-control", "no-cache");
  // nginx holds back what it thinks a page.
  answer.fields.add("x-accel-buffering", "no");
  plan_->tell(answer);
  return answer;
}

std::string call::waiting_text(std::uint32_t position) const {
  if (plan_->route.is_anthropic())
    return "event: ping\ndata: {\"type\": \"ping\"}\n\n";
  return position == 0 ? ": waiting\n\n"
                       : ": waiting position=" + std::to_string(position) + "\n\n";
}

std::string call::early_text() const {
  if (!plan_->has_grant)
    return {};
  const auto& given = plan_->given;
  std::string text = ": granted-by=";
  text += to_string(given.reason);
  text += " wait-ms=" + std::to_string(in_ms(given.waited).count());
  text += " attempts=" + std::to_string(given.attempt);
  if (plan_->deployment)
    text += " model-id=" + on_one_line(plan_->deployment->id);
  return text + "\n\n";
}

std::string call::as_events(const reply& answer) const {
  if (answer.status < 400) {
    auto text = as_data(answer.body);
    if (plan_->wanted.api == endpoint::chat || plan_->wanted.api == endpoint::completions)
      text += "data: [DONE]\n\n";
    return text;
  }
  if (plan_->wanted.api == endpoint::responses)
    return "event: error\n" + as_data(response_error(answer.body));
  if (plan_->route.is_anthropic())
    return "event: error\n" + as_data(answer.body);
  return as_data(answer.body);
}

std::string call::broken_stream_text(transport_error error) const {
  const auto code = error == transport_error::timed_out || error == transport_error::deadline
                        ? our_error::upstream_too_slow
                        : our_error::bad_upstream;
  std::string words = "The upstream's stream broke off";
  if (!plan_->what_came.empty())
    words += ": " + plan_->what_came;
  auto answer = error_reply({code, std::move(words), {}}, plan_->facts());
  return as_events(answer);
}

} // namespace vorrang::http
