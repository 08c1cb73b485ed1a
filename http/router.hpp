// LiteLLM's Router in your own program: calls with a priority, queued, granted, made and settled.
//
//     vorrang::router_options options;
//     options.model_list = {{"gpt-3.5-turbo", {"gpt-3.5-turbo"}}};
//     options.timeout = 2;
//     auto made = vorrang::router::make(options);
//     if (!made.value) { … made.problems …; }
//     vorrang::completion_request request;
//     request.model = "gpt-3.5-turbo";
//     request.messages = {{"user", "Hey!"}};
//     request.priority = 0;
//     vorrang::completion_result result = made.value->acompletion(request).get();
//
// Plain C++17. For Asio's awaitables: http/router_asio.hpp.
#pragma once

#include "http/router_options.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vorrang {

struct chat_message {
  std::string role{};
  std::string content{};
};

/// One call. What the API knows beyond these members goes into `more_json`.
struct completion_request {
  /// A group, an alias, or a deployment's id.
  std::string model{};
  /// For acompletion().
  std::vector<chat_message> messages{};
  /// A JSON array instead of `messages`: parts, images, tool calls.
  std::string messages_json{};
  /// For atext_completion().
  std::string prompt{};
  /// Lower goes first. Absent: the router's `default_priority`, 255.
  std::optional<std::int32_t> priority{};
  /// Seconds, > 0; shortens the router's own `timeout`, never lengthens it.
  std::optional<double> timeout{};
  /// A JSON object: `temperature`, `max_tokens`, `tools` …
  std::string more_json{};
  /// The answer comes in pieces, through `on_chunk`.
  bool stream = false;
  /// Each chunk of a stream: the JSON text of one event, without `[DONE]`; the view holds during
  /// the call. Runs on a thread of the router and must not block; if it throws, the call ends as
  /// cancelled.
  std::function<void(std::string_view chunk)> on_chunk{};
};

/// What is known of a call when it is over.
struct completion_facts {
  /// The deployment of the last attempt; empty if there was none.
  std::string model_id;
  /// From taking its ticket (a moment after the call) to its last grant, or to its end without one.
  std::chrono::nanoseconds waited{};
  /// Attempts in all, those that counted as retries, and groups that were fallen back to.
  std::uint32_t attempts = 0, retries = 0, fallbacks = 0;
  /// As a gateway's client would get them: `x-vorrang-*`, `x-litellm-*`, `retry-after` …
  std::vector<std::pair<std::string, std::string>> headers;
};

/// An answer.
struct completion {
  /// 2xx.
  std::uint16_t status = 200;
  /// The answer as JSON; empty for a stream, whose chunks are all there is.
  std::string body;
  completion_facts facts;

  /// The text of the first choice; empty if the body has none.
  std::string text() const;
};

/// Why there is no answer, with the status and body that a gateway would have answered with.
struct completion_error {
  /// 408 past the deadline; 429 from the upstream, or a full queue; 400 for what is wrong with the
  /// request; 499 cancelled by its owner; 502 and 504 for a broken or slow upstream, also in the
  /// midst of a stream; 503 while the router ends.
  std::uint16_t status = 500;
  /// E.g. `Request timed out while polling queue`.
  std::string message;
  /// `{"error": {…}}`, as OpenAI's.
  std::string body;
  completion_facts facts;
};

using completion_result = std::variant<completion, completion_error>;

/// Whether it is an answer.
inline bool succeeded(const completion_result& result) noexcept {
  return std::holds_alternative<completion>(result);
}

class router;

/// A router, or why there is none.
struct made_router {
  std::unique_ptr<router> value;
  /// One sentence each; empty if there is a value.
  std::vector<std::string> problems;
  /// What has no effect, or another than LiteLLM's.
  std::vector<std::string> warnings;
};

/// What came of other arguments.
struct router_reload {
  /// One sentence each; not empty: nothing has changed.
  std::vector<std::string> problems;
  /// What has no effect, another than LiteLLM's, or stays as it was.
  std::vector<std::string> warnings;
};

/// Queues, limits, retries, cooldowns and fallbacks as the gateway has them, without a port. Every
/// call takes a ticket, waits for its grant, is made (a mock's answer needs no network), and is
/// settled, whatever happens. All members but the destructor may be called from any thread.
class router {
public:
  /// Names a call for cancel(); never 0.
  using call_number = std::uint64_t;
  using finish = std::function<void(completion_result)>;

  static made_router make(const router_options& options);

  /// Calls that are open end with 503 before it returns. Not from a callback.
  ~router();
  router(const router&) = delete;
  router& operator=(const router&) = delete;

  /// A chat completion. The result is always set.
  std::future<completion_result> acompletion(completion_request request);
  /// `done` runs once, on a thread of the router, never inside this call. It must not block.
  call_number acompletion(completion_request request, finish done);

  /// A text completion, of `prompt`.
  std::future<completion_result> atext_completion(completion_request request);
  call_number atext_completion(completion_request request, finish done);

  /// The owner does not want it any more: it leaves the line, or the upstream's connection is
  /// closed, and it ends with 499. Does nothing if it is over.
  void cancel(call_number number);

  /// Other arguments from now on: all of them, what is left out has its default. Groups are the
  /// same by their names, deployments by group and id: what both have keeps its line, windows,
  /// cooldown and calls. Limits that are lower bind new grants only. A deployment that is gone
  /// finishes its calls and takes none; calls that wait for a group that is gone end with 400. What
  /// is gone keeps its place (its index in settings()), without a name. With a problem nothing has
  /// changed. Redis and `threads` stay as they were. Returns when it is in force; reloads of
  /// several threads go one after the other. From a callback it is a problem.
  router_reload reload(const router_options& options);

  /// What the arguments were understood to mean. Holds until the next reload().
  const config::settings& settings() const noexcept;

private:
  struct parts; // CAF and Asio stay out of this header
  explicit router(std::unique_ptr<parts> made);

  std::unique_ptr<parts> parts_;
};

} // namespace vorrang
