// The state of a call. Private to call.cpp, call_replies.cpp and the front.
#pragma once

#include "http/answer_headers.hpp"
#include "http/call_terms.hpp"
#include "http/error_reply.hpp"
#include "http/front_tables.hpp"
#include "http/model_restamp.hpp"
#include "http/routes.hpp"
#include "http/upstream_head.hpp"

namespace vorrang::http {

/// The last upstream's words, kept in case no better ones come.
struct kept_answer {
  std::uint16_t status = 0;
  head_fields fields;
  std::string body;
  std::string message;
  std::string group; ///< whose deployment said it
};

struct call_plan {
  std::shared_ptr<const front_tables> tables;

  // The request.
  route_match route;
  head_fields client_fields;
  std::string body;
  inspected_body inspected;
  std::string model;       ///< as asked for
  std::string api_version; ///< `?api-version=`, for azure; else empty
  config::target target;
  std::vector<config::target> own_fallbacks; ///< in place of the group's
  call_terms terms;
  ask wanted;
  bool needs_ticket = true;
  std::string request_id;
  std::unique_ptr<trace_fields> trace;  ///< of the next attempt; null: as the client sent it
  std::optional<config::mock> own_mock; ///< from the request's body, where that is allowed

  // The attempt.
  grant given;
  bool has_grant = false;
  std::size_t place = 0; ///< of the deployment in settings->deployments
  const config::deployment* deployment = nullptr;
  bool is_mock = false;
  bool sent_again = false;
  learned_fields::refused known; ///< left out of the request
  std::string upstream_model;
  std::string head;
  rewritten_body rewritten;
  std::unique_ptr<stream_relay> relay;

  // What came of it.
  std::optional<kept_answer> last;
  reply good;
  std::string what_came; ///< instead of an answer, in the last attempt
  bool deadline_passed = false;
  bool timed_out = false;

  const config::settings& settings() const { return *tables->settings; }

  /// What begins now goes by what a reload has brought meanwhile; places are the same.
  void use_newest_tables() {
    const auto* newest = tables->memory->newest.load(std::memory_order_acquire);
    if (newest != nullptr && newest != tables.get())
      tables = newest->shared_from_this();
  }
  /// `. There are: a, b`, as far as the client's key may use them: by the newest tables.
  std::string names_there_are() const;

  error_facts facts() const {
    error_facts told;
    told.form = route.is_anthropic() ? error_form::anthropic : error_form::openai;
    told.request_id = request_id;
    return told;
  }

  /// Adds what every answer tells: the gateway's fields, and a browser's.
  void tell(reply& answer) const;
  /// The same once the engine has said how it ended.
  void tell(reply& answer, const ending& end) const;

  /// What an attempt has used at least that told no usage; absent where nobody counts.
  std::optional<std::uint64_t> tokens_of_prompt() const;
  /// A good answer, made ready for the client.
  judgement keep_good(const answer_head& came, restamped&& stamped,
                      std::chrono::system_clock::time_point wall);
  /// Notes which deployment made this response, for those that refer to it.
  void remember_response(const std::string& id) const;
  /// Writes `head` and `rewritten` for the deployment of the attempt.
  upstream_request render();
  /// What a stream of the attempt goes through, if the client wants one.
  void make_relay();
  /// Notes what the deployment is known to refuse from now on. Whether the request is to be sent
  /// once more without it.
  bool learns_from(std::uint16_t status, const upstream_error& error);
  mock_attempt render_mock(const config::mock& mock, time_point now) const;
  /// When the attempt is over, and whether that is the request's own deadline.
  std::pair<time_point, bool> limit(time_point now) const;
  /// The answer for the client from `last`, or 502 or 504.
  reply last_words() const;

  time_point until = never;
  bool until_is_the_deadline = true;
};

} // namespace vorrang::http
