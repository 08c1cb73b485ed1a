#include "http/front.hpp"

#include "http/admin_pages.hpp"
#include "http/call_plan.hpp"
#include "http/front_pages.hpp"
#include "http/mock_answer.hpp"
#include "http/upstream_head.hpp"

#include <algorithm>
#include <limits>

namespace vorrang::http {

namespace {

/// Azure's are dates with a word.
constexpr std::size_t api_version_bytes_max = 64;

error_facts facts_for(const route_match& match, std::string_view id) {
  error_facts facts;
  facts.form = match.is_anthropic() ? error_form::anthropic : error_form::openai;
  facts.request_id = id;
  facts.allow = match.allowed;
  return facts;
}

endpoint endpoint_of(body_api api) {
  switch (api) {
  case body_api::chat:
    return endpoint::chat;
  case body_api::completions:
    return endpoint::completions;
  case body_api::embeddings:
    return endpoint::embeddings;
  case body_api::responses:
    return endpoint::responses;
  case body_api::messages:
    return endpoint::messages;
  }
  return endpoint::chat;
}

/// One of those that a deployment speaks; which does not matter to a probe.
endpoint any_of(std::uint8_t spoken) {
  return static_cast<endpoint>(spoken & -spoken);
}

std::string_view path_name(endpoint api) {
  switch (api) {
  case endpoint::chat:
    return "/v1/chat/completions";
  case endpoint::completions:
    return "/v1/completions";
  case endpoint::embeddings:
    return "/v1/embeddings";
  case endpoint::responses:
    return "/v1/responses";
  case endpoint::messages:
    return "/v1/messages";
  }
  return "";
}

/// `application/json`, with or without parameters.
bool is_json(std::string_view content_type) {
  return equal_ignoring_case(trimmed(content_type.substr(0, content_type.find(';'))),
                             "application/json");
}

std::string id_of(const front_tables& tables, const request_head& head) {
  const auto own = id_from_client(head.fields);
  return own.empty() ? tables.new_id() : std::string(own);
}

void tell_id(reply& answer, std::string_view id) {
  gateway_facts told;
  told.request_id = id;
  add_gateway_fields(answer.fields, told);
}

/// What every answer that is no call's tells.
void tell(reply& answer, const front_tables& tables, std::string_view id) {
  tell_id(answer, id);
  if (tables.keys.has_keys())
    add_browser_fields(answer.fields);
}

fault judge(const front_tables& tables, const request_head& head, const route_match& match) {
  if (!tables.keys.has_keys()) {
    if (auto foreign = check_without_keys(head.fields, tables.facts.names))
      return foreign;
  }
  if (match.preflight)
    return {};
  if (!match.is_open()) {
    const auto who = tables.keys.check(head.fields);
    if (who.error)
      return who.error;
    if (who.key && !who.key->models.empty() && front::wants_probe(head))
      return {
          our_error::model_not_allowed,
          "?probe=true asks every upstream, and this key may use some models only: leave it out, "
          "or take the master key",
          {}};
  }
  if (match.to == route::unknown)
    return {our_error::unknown_path, {}, {}};
  if (match.wrong_method)
    return {our_error::wrong_method, {}, {}};
  if (head.framing == body_framing::none)
    return {};
  const auto coding = head.fields.find("content-encoding");
  if (coding && !equal_ignoring_case(*coding, "identity") && !coding->empty())
    return {our_error::content_encoding, {}, {}};
  if (head.framing == body_framing::length &&
      head.content_length > tables.settings->gateway.max_request_size_bytes)
    return {our_error::body_too_large, {}, {}};
  // A page of a browser may post texts and forms anywhere without asking first, JSON not.
  if (!tables.keys.has_keys() && !is_json(head.fields.value_or("content-type", {})))
    return {our_error::content_type, {}, {}};
  return {};
}

/// What a name means to this visitor; `param` is where it stands in the body.
fault resolve(const front_tables& tables, const visitor& who, const std::string& name,
              const std::string& param, config::target& target) {
  if (!who.may_use(name))
    return {our_error::model_not_allowed,
            "This key may not use the model " + name + ". It may use: " + tables.names_for(who),
            param};
  auto found = config::resolve(*tables.settings, name);
  if (!found)
    return {our_error::unknown_model,
            "Invalid model name passed in " + param + "=" + name +
                ". There are: " + tables.names_for(who),
            param};
  target = std::move(*found);
  return {};
}

/// The fallbacks that the request itself names.
fault find_fallbacks(const front_tables& tables, const visitor& who, call_plan& plan) {
  for (const auto& each : plan.inspected.fallbacks) {
    if (!each.from.empty() && each.from != "*" && each.from != plan.model)
      continue;
    if (auto wrong = resolve(tables, who, each.to, "fallbacks", plan.own_fallbacks.emplace_back()))
      return wrong;
  }
  plan.wanted.fallbacks = fallbacks_of(plan.own_fallbacks, *tables.settings, plan.target.group);
  return {};
}

/// Which model is asked for, and whether this visitor may have it.
fault find_model(const front_tables& tables, const visitor& who, call_plan& plan) {
  const auto& all = *tables.settings;
  plan.model = plan.route.model.empty() ? plan.inspected.model.value_or("") : plan.route.model;
  if (auto wrong = resolve(tables, who, plan.model, "model", plan.target))
    return wrong;
  const auto& group = all.groups[plan.target.group];
  if (group.unservable || group.deployments.empty())
    return {our_error::group_not_served, group.unservable.value_or(std::string()), "model"};
  return {};
}

/// The ask, once the model is known.
fault fill_ask(const front_tables& tables, time_point now, call_plan& plan) {
  auto& wanted = plan.wanted;
  auto needs = tables.groups[plan.target.group];
  for (const auto& fallback : wanted.fallbacks) {
    needs.token_estimate |= tables.groups[fallback.group].token_estimate;
    needs.prompt_estimate |= tables.groups[fallback.group].prompt_estimate;
  }
  wanted.group = static_cast<group_index>(plan.target.group);
  wanted.api = endpoint_of(plan.route.api());
  auto spoken = needs.endpoints;
  if (plan.target.deployment) {
    wanted.pinned = place_in_group(*tables.settings, plan.target.group, *plan.target.deployment);
    spoken = tables.deployments[*plan.target.deployment].endpoints;
  }
  const auto bit = static_cast<std::uint8_t>(wanted.api);
  if ((spoken & bit) == 0 && plan.route.to != route::count_tokens)
    return {our_error::endpoint_not_spoken,
            "No deployment of group " + tables.settings->groups[plan.target.group].name +
                " speaks " + std::string(path_name(wanted.api)) +
                "; use another model, or name the endpoint in model_info.supported_endpoints",
            "model"};
  if (plan.inspected.previous_response_id && wanted.pinned == no_index)
    if (const auto owner = tables.memory->responses.find(*plan.inspected.previous_response_id))
      if (!tables.settings->deployments[*owner].retired)
        wanted.pinned = place_in_group(*tables.settings, plan.target.group, *owner);
  wanted.priority = plan.terms.priority;
  wanted.deadline = now + plan.terms.time_limit;
  wanted.tags = plan.terms.tags;
  wanted.may_fall_back = !plan.inspected.disable_fallbacks;
  wanted.num_retries = plan.terms.num_retries;
  wanted.bytes = plan.body.size();
  if (needs.token_estimate || needs.prompt_estimate) {
    wanted.prompt_estimate = prompt_estimate(plan.inspected.text);
    if (needs.token_estimate)
      wanted.token_estimate = token_estimate(plan.inspected, plan.route.api(), needs.answer_tokens);
  }
  return {};
}

/// The mock that a request's own body asks for, if it may.
std::optional<config::mock> mock_of_request(const front_tables& tables,
                                            const inspected_body& body) {
  if (!tables.settings->gateway.dangerously_allow_mock_testing_request_params)
    return std::nullopt;
  auto mock = body.mock_response ? mock_from_text(*body.mock_response) : std::nullopt;
  if (body.mock_timeout && !mock)
    mock.emplace();
  if (mock) {
    mock->timeout = body.mock_timeout;
    mock->delay = body.mock_delay.value_or(std::chrono::milliseconds(0));
  }
  return mock;
}

/// A request's own error mock ends it at once: no retry, no cooldown, no ticket.
std::optional<reply> error_of_request(const call_plan& plan) {
  const auto& mock = plan.own_mock;
  if (!mock)
    return std::nullopt;
  if (mock->timeout)
    return error_reply({our_error::timed_out_calling, "Request timed out", {}}, plan.facts());
  if (mock->outcome == config::mock_outcome::answer)
    return std::nullopt;
  mock_request asked;
  asked.api = plan.route.api();
  asked.model = plan.model;
  auto answer = mock_answer(*mock, asked);
  answer.body = upstream_error_body(answer.status, answer.body, plan.facts());
  return answer;
}

/// Tokens are counted by an upstream that can, without a ticket; absent: the plan is ready for it.
std::optional<reply> estimate_of_tokens(call_plan& plan) {
  const auto& all = plan.settings();
  const auto& group = all.groups[plan.target.group];
  for (std::size_t i = 0; i < group.deployments.size(); ++i) {
    const auto place = group.deployments[i];
    if (all.deployments[place].retired ||
        (plan.target.deployment && *plan.target.deployment != place))
      continue;
    const auto speaks =
        plan.tables->deployments[place].endpoints & static_cast<std::uint8_t>(endpoint::messages);
    if (speaks != 0 && !all.deployments[place].mock) {
      plan.wanted.pinned = static_cast<deployment_index>(i);
      plan.needs_ticket = false;
      plan.inspected.stream = false;
      return std::nullopt;
    }
  }
  const auto tokens = prompt_estimate(plan.inspected.text);
  reply answer;
  answer.fields.add("content-type", "application/json");
  answer.body = "{\"input_tokens\":" + std::to_string(tokens) + "}";
  return answer;
}

} // namespace

struct front::state {
  const front_tables& tables() const noexcept { return *current.load(std::memory_order_acquire); }

  /// Those that somebody may look at; the last one is the newest.
  std::vector<std::shared_ptr<const front_tables>> kept;
  /// For requests that begin. A plain pointer: a shared one that changes would cost each of them
  /// more than all else that a reload asks for.
  std::atomic<const front_tables*> current{nullptr};
};

front::front(std::shared_ptr<const config::settings> settings, machine_facts facts)
    : state_(std::make_unique<state>()) {
  auto& kept = state_->kept;
  kept.push_back(std::make_shared<const front_tables>(std::move(settings), std::move(facts)));
  kept.back()->memory->newest.store(kept.back().get(), std::memory_order_release);
  begin_reload();
}

front::~front() {
  // Its calls go on by what they hold.
  state_->kept.back()->memory->newest.store(nullptr, std::memory_order_release);
}

void front::prepare_reload(std::shared_ptr<const config::settings> settings) {
  auto& kept = state_->kept;
  const auto* before = kept.back().get();
  kept.push_back(std::make_shared<const front_tables>(std::move(settings), before->facts, before));
  before->memory->newest.store(kept.back().get(), std::memory_order_release);
}

void front::begin_reload() {
  state_->current.store(state_->kept.back().get(), std::memory_order_release);
}

void front::end_reload() {
  auto& kept = state_->kept;
  kept.erase(kept.begin(), kept.end() - 1);
}

std::uint64_t front::body_bytes_max() const noexcept {
  return settings().gateway.max_request_size_bytes;
}

const config::settings& front::settings() const noexcept {
  return *state_->tables().settings;
}

std::optional<reply> front::judge_head(const request_head& head) const {
  const auto& tables = state_->tables();
  const auto match = find_route(head.method, head.path);
  const auto wrong = judge(tables, head, match);
  if (!wrong)
    return std::nullopt;
  const auto id = id_of(tables, head);
  auto answer = error_reply(wrong, facts_for(match, id));
  answer.close |= head.framing != body_framing::none;
  tell(answer, tables, id);
  return answer;
}

std::variant<reply, std::unique_ptr<call>> front::begin(time_point now, request_head head,
                                                        std::string body, inspected_body inspected,
                                                        const gateway_state& gateway) const {
  const auto& tables = state_->tables();
  auto match = find_route(head.method, head.path);
  auto id = id_of(tables, head);
  const auto answered = [&](reply answer) {
    tell(answer, tables, id);
    return answer;
  };
  if (match.preflight) {
    reply allowed;
    if (tables.keys.has_keys()) {
      // It has a browser's fields of its own.
      allowed = preflight_reply(head.fields.value_or("access-control-request-headers", {}),
                                match.allowed);
    } else {
      allowed.status = 204;
      allowed.fields.add("allow", std::string(match.allowed));
    }
    tell_id(allowed, id);
    return allowed;
  }
  const auto who = match.is_open() ? visitor{} : tables.keys.check(head.fields);
  const auto facts = facts_for(match, id);
  // judge_head() has let it in, by the keys of before a reload.
  if (who.error)
    return answered(error_reply(who.error, facts));
  if (!match.is_relayed())
    return answered(page_reply(tables, match, head, who, gateway, facts));
  if (gateway.draining) {
    auto answer = answered(error_reply({our_error::draining, {}, {}}, facts));
    answer.close = true;
    return answer;
  }

  auto plan = std::make_unique<call_plan>();
  plan->tables = tables.shared_from_this();
  plan->route = std::move(match);
  plan->request_id = id;
  plan->api_version = query_value(head.query, "api-version").substr(0, api_version_bytes_max);
  plan->body = std::move(body);
  plan->inspected = std::move(inspected);
  if (plan->route.to == route::embeddings)
    plan->inspected.stream = false; // there is nothing to stream, whatever the body says
  auto wrong = std::move(plan->inspected.fault);
  if (!wrong)
    wrong = missing_field(plan->inspected, plan->route.api(), !plan->route.model.empty());
  if (!wrong)
    wrong = find_model(tables, who, *plan);
  if (!wrong)
    wrong = find_fallbacks(tables, who, *plan);
  if (!wrong) {
    auto read = read_terms(plan->inspected, head.fields, who, *tables.settings,
                           tables.groups[plan->target.group].stream_keepalive);
    plan->terms = std::move(read.terms);
    wrong = std::move(read.wrong);
  }
  if (!wrong)
    wrong = fill_ask(tables, now, *plan);
  if (wrong)
    return answered(error_reply(wrong, facts));

  plan->own_mock = mock_of_request(tables, plan->inspected);
  auto at_once = error_of_request(*plan);
  if (!at_once && plan->route.to == route::count_tokens)
    at_once = estimate_of_tokens(*plan);
  if (at_once) {
    plan->tell(*at_once);
    return std::move(*at_once);
  }
  plan->client_fields = std::move(head.fields);
  return std::unique_ptr<call>(new call(std::move(plan)));
}

bool front::wants_probe(const request_head& head) {
  if (!asks_for_probe(query_value(head.query, "probe")))
    return false;
  const auto match = find_route(head.method, head.path);
  return match.to == route::health && !match.wrong_method && !match.preflight;
}

probe_plan front::plan_probe(std::size_t place, time_point until) const {
  const auto& tables = state_->tables();
  const auto& known = tables.deployments[place];
  const auto& deployment = tables.settings->deployments[place];
  probe_plan plan;
  plan.deployment = &deployment;
  plan.keeps = tables.shared_from_this();
  if (deployment.retired) {
    plan.not_asked = "removed by a reload, not asked";
    return plan;
  }
  if (!known.address) {
    plan.not_asked = deployment.mock ? "a mock, not asked" : "not asked: its api_base is no URL";
    return plan;
  }
  plan.address = known.address;
  plan.head = render_models_head(deployment, *known.address);
  plan.wanted.group = static_cast<group_index>(deployment.group);
  plan.wanted.pinned = place_in_group(*tables.settings, deployment.group, place);
  plan.wanted.api = any_of(known.endpoints);
  plan.wanted.priority = std::numeric_limits<std::int32_t>::max();
  plan.wanted.deadline = until;
  plan.wanted.may_fall_back = false;
  plan.wanted.now_or_never = true;
  return plan;
}

reply front::refuse(const fault& why, const request_head* head) const {
  const auto& tables = state_->tables();
  const auto match = head ? find_route(head->method, head->path) : route_match{};
  const auto id = head ? id_of(tables, *head) : tables.new_id();
  auto answer = error_reply(why, facts_for(match, id));
  answer.close |= closes_connection(why.code);
  tell(answer, tables, id);
  return answer;
}

} // namespace vorrang::http
