#include "http/line_writer.hpp"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>

namespace vorrang::http {

namespace {

/// Gathered while more lines wait.
constexpr std::size_t gathered_bytes_max = 64 * 1024;
/// One whose reader is slow looks so often whether there is another file to write to.
constexpr int look_again_ms = 100;

spdlog::level::level_enum translated(log_level level) {
  switch (level) {
  case log_level::debug:
    return spdlog::level::debug;
  case log_level::info:
    return spdlog::level::info;
  case log_level::warning:
    return spdlog::level::warn;
  case log_level::error:
    break;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::details::thread_pool> make_pool() {
  return std::make_shared<spdlog::details::thread_pool>(line_writer::lines_max, 1);
}

/// Waits for nobody. A FIFO is opened for reading too, which needs no reader (fifo(7)): one that
/// comes later, or goes and comes again, finds what the pipe holds.
int open_file(const std::string& file, std::string& trouble) {
  struct stat found {};
  const bool is_fifo = ::stat(file.c_str(), &found) == 0 && S_ISFIFO(found.st_mode);
  constexpr int flags = O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int opened = -1;
  if (is_fifo)
    opened = ::open(file.c_str(), O_RDWR | flags);
  if (opened < 0)
    opened = ::open(file.c_str(), O_WRONLY | O_CREAT | flags, 0640);
  if (opened < 0)
    trouble = is_fifo && errno == ENXIO
                  ? "nobody reads this FIFO: start its reader first, or let the gateway's user "
                    "read it too"
                  : std::strerror(errno);
  return opened;
}

/// Writes to a descriptor, several lines at once where several wait. Called by the writer's thread.
class descriptor_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
  descriptor_sink(int descriptor, bool is_ours) : descriptor_(descriptor), is_ours_(is_ours) {}
  ~descriptor_sink() override {
    if (!is_ours_)
      return;
    ::close(descriptor_);
    if (next_ >= 0)
      ::close(next_);
  }

  /// Asked after each line.
  std::function<bool()> more_waits;

  /// Lines go to `fresh`, which is ours, from the next write on. From any thread; waits for no
  /// write.
  void turn_to(int fresh) {
    if (const int unused = next_.exchange(fresh); unused >= 0)
      ::close(unused);
    if (mutex_.try_lock()) { // else the writer's thread is here, and sees to it
      take_next();
      mutex_.unlock();
    }
  }

  std::uint64_t lost() const noexcept { return lost_; }
  std::uint64_t handled() const noexcept { return handled_; }

  /// How often it was told to flush.
  std::uint64_t flushes() {
    const std::lock_guard guard(flushed_mutex_);
    return flushes_;
  }
  bool await_flush(std::uint64_t beyond, duration patience) {
    std::unique_lock guard(flushed_mutex_);
    return flushed_.wait_for(guard, patience, [&] { return flushes_ > beyond; });
  }

private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (std::exchange(is_torn_, false))
      gathered_.push_back('\n'); // what stands there of a line is none
    formatter_->format(message, gathered_);
    ++gathered_lines_;
    if (gathered_.size() >= gathered_bytes_max || !more_waits || !more_waits())
      write_out();
  }

  void flush_() override {
    write_out();
    const std::lock_guard guard(flushed_mutex_);
    ++flushes_;
    flushed_.notify_all();
  }

  void write_out() {
    std::size_t at = 0;
    for (;;) {
      if (take_next()) { // a line that was begun is written to it as a whole
        while (at > 0 && gathered_.data()[at - 1] != '\n')
          --at;
        if (at == 0 && gathered_.size() > 0 && gathered_.data()[0] == '\n')
          at = 1; // meant for the other file
      }
      if (at == gathered_.size())
        break;
      const ssize_t done = ::write(descriptor_, gathered_.data() + at, gathered_.size() - at);
      if (done >= 0) {
        at += static_cast<std::size_t>(done);
      } else if (errno == EAGAIN) { // a file of ours, or a terminal that somebody has made so
        pollfd ready{descriptor_, POLLOUT, 0};
        ::poll(&ready, 1, look_again_ms);
      } else if (errno != EINTR) {
        lost_ += gathered_lines_;
        is_torn_ = at > 0 ? gathered_.data()[at - 1] != '\n' : gathered_.data()[0] == '\n';
        break;
      }
    }
    handled_ += std::exchange(gathered_lines_, 0);
    gathered_.clear();
  }

  /// Whether there was another file to turn to. With `mutex_` held.
  bool take_next() {
    const int fresh = next_.exchange(-1);
    if (fresh < 0)
      return false;
    ::close(std::exchange(descriptor_, fresh));
    is_torn_ = false;
    return true;
  }

  int descriptor_;
  const bool is_ours_;
  std::atomic<int> next_ = -1; ///< to be turned to; negative: none
  spdlog::memory_buf_t gathered_;
  std::uint64_t gathered_lines_ = 0;
  bool is_torn_ = false; ///< the last write ended in the middle of a line
  std::atomic<std::uint64_t> lost_ = 0;
  std::atomic<std::uint64_t> handled_ = 0;
  std::mutex flushed_mutex_;
  std::condition_variable flushed_;
  std::uint64_t flushes_ = 0;
};

} // namespace

struct line_writer::parts {
  std::string file;      ///< empty: a descriptor that is not ours
  struct stat opened {}; ///< what was opened last
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<descriptor_sink> sink;
  std::shared_ptr<spdlog::async_logger> logger;
  std::atomic<std::uint64_t> said = 0;
  bool is_drained = false;
};

line_writer::line_writer(int descriptor, const std::string& pattern)
    : parts_(std::make_unique<parts>()) {
  start(descriptor, pattern);
}

line_writer::line_writer(const std::string& file, const std::string& pattern)
    : parts_(std::make_unique<parts>()) {
  parts_->file = file;
  std::string why;
  const int descriptor = open_file(file, why);
  if (descriptor < 0) {
    trouble_ = "cannot open " + file + ": " + why;
    return;
  }
  ::fstat(descriptor, &parts_->opened);
  start(descriptor, pattern);
}

void line_writer::start(int descriptor, const std::string& pattern) {
  parts& own = *parts_;
  own.pool = make_pool();
  own.sink = std::make_shared<descriptor_sink>(descriptor, !own.file.empty());
  own.sink->set_pattern(pattern);
  own.sink->more_waits = [pool = own.pool.get()] {
    return pool->queue_size() > 0;
  };
  own.logger = std::make_shared<spdlog::async_logger>(
      "vorrang", own.sink, own.pool, spdlog::async_overflow_policy::overrun_oldest);
  own.logger->set_level(spdlog::level::trace);
}

line_writer::~line_writer() {
  parts& own = *parts_;
  if (!own.pool)
    return;
  if (!own.is_drained) {
    // Its thread may hang in a write for ever: nobody waits for it, and what it uses stays.
    static_cast<void>(parts_.release());
    return;
  }
  own.logger.reset();
  own.pool.reset();
}

void line_writer::write(log_level level, std::string_view line) {
  if (!parts_->logger)
    return;
  parts_->said.fetch_add(1, std::memory_order_relaxed);
  parts_->logger->log(translated(level), spdlog::string_view_t(line.data(), line.size()));
}

std::string line_writer::reopen() {
  parts& own = *parts_;
  if (own.file.empty() || !own.sink)
    return {};
  std::string why;
  const int fresh = open_file(own.file, why);
  if (fresh < 0)
    return "cannot open " + own.file + " again: " + why;
  struct stat found {};
  ::fstat(fresh, &found);
  if (found.st_dev == own.opened.st_dev && found.st_ino == own.opened.st_ino) {
    ::close(fresh); // nobody has moved it
    return {};
  }
  own.opened = found;
  own.sink->turn_to(fresh);
  return {};
}

bool line_writer::drain(duration patience) {
  parts& own = *parts_;
  if (!own.logger)
    return true;
  const std::uint64_t before = own.sink->flushes();
  own.logger->flush();
  own.is_drained = own.sink->await_flush(before, patience);
  return own.is_drained;
}

void line_writer::await_from_signal(int ms) const noexcept {
  const parts& own = *parts_;
  for (; own.sink && ms > 0 && own.sink->handled() < own.said; --ms) {
    ::poll(nullptr, 0, 1); // a pause: of what waits, this may be called by a signal's handler
  }
}

std::uint64_t line_writer::said() const noexcept {
  return parts_->said.load(std::memory_order_relaxed);
}

std::uint64_t line_writer::lost() const {
  const parts& own = *parts_;
  return own.pool ? own.pool->overrun_counter() + own.sink->lost() : 0;
}

} // namespace vorrang::http
