#include "http/front_pages.hpp"

#include "http/admin_pages.hpp"
#include "http/models_page.hpp"
#include "http/request_head.hpp"

namespace vorrang::http {

namespace {

/// LiteLLM gives every model this date.
constexpr std::int64_t models_created_s = 1677610602;

reply json_reply(std::string body, std::uint16_t status = 200) {
  reply answer;
  answer.status = status;
  answer.fields.add("content-type", "application/json");
  answer.body = std::move(body);
  return answer;
}

reply readiness_reply(const front_tables& tables, const gateway_state& state) {
  readiness_facts facts;
  facts.draining = state.draining;
  facts.redis_reachable = state.redis_reachable;
  facts.redis_required =
      tables.settings->gateway.redis_unavailable == config::redis_unavailable_mode::hold;
  facts.version = tables.facts.version;
  return json_reply(readiness_text(facts), is_ready(facts) ? 200 : 503);
}

} // namespace

reply page_reply(const front_tables& tables, const route_match& match, const request_head& head,
                 const visitor& who, const gateway_state& state, const error_facts& facts) {
  const auto& all = *tables.settings;
  const auto form =
      head.fields.has("anthropic-version") ? models_form::anthropic : models_form::openai;
  const auto error = [&](our_error code, std::string message = {}) {
    auto told = facts;
    if (form == models_form::anthropic)
      told.form = error_form::anthropic;
    return error_reply({code, std::move(message), {}}, told);
  };
  switch (match.to) {
  case route::home:
    return json_reply("{\"name\":\"vorrang\",\"status\":\"ok\"}");
  case route::liveliness:
    return json_reply(liveliness_page());
  case route::readiness:
    return readiness_reply(tables, state);
  case route::health:
    return json_reply(health_page(all, state.queues.get(), state.findings.get(), who.key));
  case route::backlog:
    return json_reply("{\"in_flight_requests\":" + std::to_string(state.requests_in_flight) + "}");
  case route::event_logging:
    return json_reply("{\"status\":\"ok\"}");
  case route::models:
    return json_reply(models_page(all, form, models_created_s, who.key));
  case route::model: {
    auto page = model_page(all, match.model, form, models_created_s, who.key);
    if (!page)
      return error(our_error::unknown_model_page,
                   "The model " + match.model +
                       " does not exist. There are: " + tables.names_for(who));
    return json_reply(std::move(*page));
  }
  case route::model_info:
    return json_reply(model_info_page(all, who.key));
  case route::model_group_info:
    return json_reply(model_group_info_page(all, who.key));
  case route::stored_response:
    return error(our_error::stored_response);
  default:
    return error(our_error::unknown_path);
  }
}

} // namespace vorrang::http
