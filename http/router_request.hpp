// From a program's words to a call, and back.
#pragma once

#include "http/front.hpp"
#include "http/router.hpp"

#include <memory>
#include <string>
#include <variant>

namespace vorrang::http {

/// The path whose rules a request goes by.
enum class completion_kind : std::uint8_t { chat, text };

/// The request's body as JSON, or the error that says what cannot be one.
std::variant<std::string, reply> render_body(const completion_request& from, completion_kind kind,
                                             const front& rules);

/// As front::begin(), for a body of ours.
std::variant<reply, std::unique_ptr<call>> begin_completion(const front& rules, time_point now,
                                                            completion_kind kind, std::string body,
                                                            const gateway_state& state);

/// A client's answer as a program's result. `facts` gets the headers.
completion_result to_result(reply answer, completion_facts facts);

/// An error of ours, in the form of any other.
completion_result to_error(std::uint16_t status, std::string message, completion_facts facts);

} // namespace vorrang::http
