// What becomes of one request, for the access log and for traces.
#pragma once

#include "http/access_log.hpp"
#include "http/attempt.hpp"
#include "http/otlp_json.hpp"
#include "http/request_head.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::http {

class trace_exporter;
class call;

/// Where journals go; either may be null. Outlives them.
struct journal_readers {
  access_log* access = nullptr;
  trace_exporter* traces = nullptr;
  bool is_tls = false;
  explicit operator bool() const noexcept { return access != nullptr || traces != nullptr; }
};

/// Made for a request only where somebody reads it, told what happens to it, and handed on by its
/// destructor. Belongs to one thread; but for that, passive.
class request_journal {
public:
  /// `head` null: it was refused before it had one. `client` is its address, `bytes_before` what
  /// went to it before this request.
  request_journal(const journal_readers& readers, trace_ids& ids, const std::string& client,
                  const request_head* head, std::uint64_t bytes_before, time_point now);
  /// The request is over.
  ~request_journal();
  request_journal(const request_journal&) = delete;
  request_journal& operator=(const request_journal&) = delete;

  // What it is.
  void body_came(std::uint64_t bytes, std::string_view model);
  void accepted(const call& as);

  // Its ticket.
  void waits(time_point now);
  void granted(const grant& given, time_point now);
  void ended(const ending& how, time_point now);

  // An attempt.
  /// `traceparent` of its request upstream; empty: as the client sent it.
  std::string attempt_begins(const grant& given, time_point now);
  /// A `tracestate` may go with it: what came was valid.
  bool keeps_tracestate() const noexcept { return parent_.has_value(); }
  void attempt_goes_to(const call& as);
  void upstream_answered(unsigned status) noexcept { attempt_status_ = status; }
  void upstream_failed(transport_error error) noexcept { attempt_error_ = error; }
  void attempt_ends(const outcome& result, time_point now);

  // Its answer.
  /// The last upstream's answer begins to go to the client.
  void relay_begins(time_point now);
  /// The head of an answer goes out.
  void answered(const reply& answer, time_point now);
  /// An error of ours that came after the head.
  void failed(std::string_view error) noexcept { record_.error = error; }
  /// Bytes to the client that the kernel has taken, since the connection began.
  void bytes_went(std::uint64_t bytes) noexcept { record_.bytes_out = bytes - bytes_before_; }

private:
  /// More are not kept: a request may be tried again for hours.
  static constexpr std::size_t spans_max = 128;

  span_record* open_span(std::string name, span_kind kind, time_point now);
  void close_wait(time_point now);
  void hand_on(time_point now);
  void finish_server_span(time_point now);

  journal_readers readers_;
  trace_ids& ids_;
  access_record record_;
  std::uint64_t bytes_before_;
  time_point began_;
  bool is_answered_ = false;

  // The trace.
  std::unique_ptr<request_trace> trace_; ///< null: not sampled, or not on
  std::optional<trace_parent> parent_;
  std::string unsampled_parent_; ///< for those after us, where they are not to sample either
  std::optional<std::size_t> wait_, attempt_, relay_;
  std::size_t left_out_ = 0;
  unsigned attempt_status_ = 0;
  std::optional<transport_error> attempt_error_;
};

} // namespace vorrang::http
