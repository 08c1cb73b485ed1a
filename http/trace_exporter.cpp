#include "http/trace_exporter.hpp"

#include "http/log.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <httplib.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

namespace vorrang::http {

namespace {

using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;

/// A batch that the collector does not take is tried again for so long.
constexpr std::chrono::seconds retried_for(60);
constexpr milliseconds back_off_first(1000);
constexpr milliseconds back_off_max(16'000);
constexpr milliseconds retry_after_max(30'000);
/// Its thread ends within that, once its connection is cut.
constexpr milliseconds last_timeout(500);

/// As the specification of OTLP/HTTP says.
bool may_be_tried_again(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

/// `partialSuccess.rejectedSpans` of an answer, a number as a text or as a number.
std::uint64_t rejected_spans(const std::string& body) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  const nlohmann::json::json_pointer place("/partialSuccess/rejectedSpans");
  if (!answer.is_object() || !answer.contains(place))
    return 0;
  const auto& told = answer[place];
  if (told.is_number_unsigned())
    return told.get<std::uint64_t>();
  return told.is_string() ? std::strtoull(told.get_ref<const std::string&>().c_str(), nullptr, 10)
                          : 0;
}

std::size_t spans_of(const std::vector<std::unique_ptr<request_trace>>& batch) {
  std::size_t count = 0;
  for (const auto& each : batch)
    count += each->spans.size();
  return count;
}

} // namespace

struct trace_exporter::parts : std::enable_shared_from_this<trace_exporter::parts> {
  parts(trace_settings its_settings, std::string its_version)
      : settings(std::move(its_settings)), version(std::move(its_version)), client(settings.base),
        random(std::random_device()()) {
    client.set_connection_timeout(settings.timeout);
    client.set_read_timeout(settings.timeout);
    client.set_write_timeout(settings.timeout);
    client.set_keep_alive(true);
    client.set_tcp_nodelay(true);
    client.set_compress(settings.gzip);
    client.set_socket_options([this](socket_t fresh) { remember(fresh); });
    if (!settings.ca_file.empty())
      client.set_ca_cert_path(settings.ca_file);
    for (const auto& [name, value] : settings.headers)
      headers.emplace(name, value);
  }

  ~parts() {
    if (connection >= 0)
      ::close(connection);
  }

  using batch = std::vector<std::unique_ptr<request_trace>>;

  /// Keeps a descriptor of our own for a connection that the client is about to make:
  /// httplib::Client::stop() (0.11) waits for the lock that a handshake is made under, up to the
  /// whole timeout.
  void remember(socket_t fresh) {
    const std::lock_guard guard(mutex);
    if (connection >= 0)
      ::close(connection);
    connection = ::fcntl(fresh, F_DUPFD_CLOEXEC, 0);
  }

  /// Ends whatever hangs in its connection. With `mutex` held.
  void cut() const {
    if (connection >= 0)
      ::shutdown(connection, SHUT_RDWR);
  }

  void run() {
    for (;;) {
      batch next = wait_for_batch();
      if (next.empty())
        break;
      const std::size_t count = spans_of(next);
      try {
        send(next, count);
      } catch (const std::exception& thrown) {
        give_up(count, describe(thrown));
      }
    }
    const std::lock_guard guard(mutex);
    is_over = true;
    changed.notify_all();
  }

  /// Empty: it is over.
  batch wait_for_batch() {
    std::unique_lock guard(mutex);
    changed.wait(guard, [this] { return is_ended || !waiting.empty(); });
    // The first that waits waits no longer than that.
    changed.wait_for(guard, settings.delay,
                     [this] { return is_ended || spans_waiting >= settings.batch_spans_max; });
    batch taken;
    for (std::size_t spans = 0; !waiting.empty(); waiting.pop_front()) {
      spans += waiting.front()->spans.size();
      if (!taken.empty() && spans > settings.batch_spans_max)
        break;
      spans_waiting -= waiting.front()->spans.size();
      taken.push_back(std::move(waiting.front()));
    }
    return taken;
  }

  void send(const batch& next, std::size_t count) {
    const std::string body = otlp_json(settings.resource, version, next);
    const auto until = steady::now() + retried_for;
    for (milliseconds back_off = back_off_first;; back_off = std::min(back_off * 2, back_off_max)) {
      const auto answer = client.Post(settings.path, headers, body, "application/json");
      if (answer && answer->status / 100 == 2)
        return taken(count, rejected_spans(answer->body));
      const std::string why = answer ? "status " + std::to_string(answer->status)
                                     : "no answer (" + httplib::to_string(answer.error()) + ")";
      if (answer && !may_be_tried_again(answer->status))
        return give_up(count, why);
      milliseconds pause(std::uniform_int_distribution<milliseconds::rep>(
          back_off.count() / 2, back_off.count())(random));
      if (answer) {
        const auto asked =
            std::strtoull(answer->get_header_value("Retry-After").c_str(), nullptr, 10);
        if (asked > 0)
          pause =
              std::min(milliseconds(std::min<std::uint64_t>(asked, 3600) * 1000), retry_after_max);
      }
      tell(why);
      if (steady::now() + pause > until || !rest(pause))
        return give_up(count, why);
    }
  }

  /// False: there is no time left.
  bool rest(milliseconds pause) {
    std::unique_lock guard(mutex);
    return !changed.wait_for(guard, pause, [this] { return is_ended; });
  }

  void taken(std::size_t count, std::uint64_t rejected) {
    rejected = std::min<std::uint64_t>(rejected, count);
    exported += count - rejected;
    dropped += rejected;
    if (rejected > 0)
      log_bounded(log_cause::traces, "rejected",
                  "the collector at " + settings.base + " has rejected " +
                      std::to_string(rejected) + " spans");
    if (std::exchange(is_failing, false))
      log_line(log_level::info, "traces are exported again");
  }

  void tell(const std::string& why) {
    is_failing = true;
    log_bounded(log_cause::traces, "failed",
                "traces cannot be exported to " + settings.base + ": " + why);
  }

  void give_up(std::size_t count, const std::string& why) {
    dropped += count;
    tell(why + "; spans are left out");
  }

  const trace_settings settings;
  const std::string version;
  httplib::Client client; // its thread's
  httplib::Headers headers;
  std::minstd_rand random;
  bool is_failing = false; // its thread's

  std::atomic<std::uint64_t> exported = 0;
  std::atomic<std::uint64_t> dropped = 0;

  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  std::deque<std::unique_ptr<request_trace>> waiting;
  std::size_t spans_waiting = 0;
  bool is_ended = false;
  bool is_over = false;
  int connection = -1; ///< the newest, or one that is over; negative: none
  std::thread thread;
};

trace_exporter::trace_exporter(trace_settings settings, std::string version)
    : parts_(std::make_shared<parts>(std::move(settings), std::move(version))) {
  parts_->thread = std::thread([own = parts_] { own->run(); });
}

trace_exporter::~trace_exporter() {
  stop(duration::zero());
}

const trace_sampler& trace_exporter::sampler() const noexcept {
  return parts_->settings.sampler;
}

void trace_exporter::take(std::unique_ptr<request_trace> done) {
  parts& own = *parts_;
  const std::size_t count = done->spans.size();
  std::unique_lock guard(own.mutex);
  if (own.is_ended || own.spans_waiting + count > own.settings.spans_max) {
    guard.unlock();
    own.dropped += count;
    log_bounded(log_cause::traces, "full", "spans are left out: too many wait for the collector");
    return;
  }
  const bool was_empty = own.waiting.empty();
  own.spans_waiting += count;
  own.waiting.push_back(std::move(done));
  const bool is_batch = own.spans_waiting >= own.settings.batch_spans_max;
  guard.unlock();
  if (was_empty || is_batch)
    own.changed.notify_all();
}

bool trace_exporter::stop(duration patience) {
  parts& own = *parts_;
  if (!own.thread.joinable())
    return true;
  {
    std::unique_lock guard(own.mutex);
    own.is_ended = true;
    own.changed.notify_all();
    if (!own.changed.wait_for(guard, patience, [&own] { return own.is_over; })) {
      own.dropped += own.spans_waiting;
      own.spans_waiting = 0;
      own.waiting.clear();
      own.cut();
      if (!own.changed.wait_for(guard, last_timeout, [&own] { return own.is_over; })) {
        guard.unlock();
        own.thread.detach();
        return false;
      }
    }
  }
  own.thread.join();
  return true;
}

std::uint64_t trace_exporter::spans_exported() const noexcept {
  return parts_->exported;
}

std::uint64_t trace_exporter::spans_dropped() const noexcept {
  return parts_->dropped;
}

} // namespace vorrang::http
