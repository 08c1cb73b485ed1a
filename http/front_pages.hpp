// Answers of the front that need neither body nor engine.
#pragma once

#include "http/error_reply.hpp"
#include "http/front_tables.hpp"
#include "http/routes.hpp"

namespace vorrang::http {

/// The answer to a route that is not relayed (models, health, home, event logging), without the
/// fields that every answer gets. An error is in OpenAI's form, or the route's.
reply page_reply(const front_tables& tables, const route_match& match, const request_head& head,
                 const visitor& who, const gateway_state& state, const error_facts& facts);

} // namespace vorrang::http
