#include "http/live_feed.hpp"

#include <algorithm>

namespace vorrang::http {

live_feed::live_feed(look take) : take_(std::move(take)), thread_([this] { run(); }) {}

live_feed::~live_feed() {
  end();
}

void live_feed::run() {
  using clock = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  auto due = clock::now();
  auto earliest = due;
  for (;;) {
    changed_.wait(lock, [&] { return ended_ || !viewed_.empty(); });
    changed_.wait_until(lock, due, [&] { return ended_ || hurries_ || viewed_.empty(); });
    changed_.wait_until(lock, earliest, [&] { return ended_ || viewed_.empty(); });
    if (ended_)
      return;
    if (viewed_.empty())
      continue;
    hurries_ = false;
    const auto began = clock::now();
    const std::set<std::string> models(viewed_.begin(), viewed_.end());
    lock.unlock();
    auto made = std::make_shared<live_moment>();
    made->texts = take_(models);
    lock.lock();
    made->number = ++looks_;
    last_ = std::move(made);
    changed_.notify_all();
    earliest = clock::now() + spacing;
    due = std::max(began + period, earliest);
  }
}

live_feed::viewer::~viewer() {
  const std::lock_guard guard(feed_.mutex_);
  feed_.viewed_.erase(feed_.viewed_.find(model_));
  if (feed_.viewed_.empty())
    feed_.last_.reset();
  feed_.changed_.notify_all();
}

std::string live_feed::viewer::next() {
  std::unique_lock lock(feed_.mutex_);
  const auto is_new = [&] {
    return feed_.last_ && feed_.last_->number > seen_ && feed_.last_->texts.count(model_) > 0;
  };
  feed_.changed_.wait_for(lock, 3 * period, [&] { return feed_.ended_ || is_new(); });
  if (feed_.ended_ || !is_new())
    return {};
  seen_ = feed_.last_->number;
  return feed_.last_->texts.at(model_);
}

std::unique_ptr<live_feed::viewer> live_feed::join(const std::string& model) {
  const std::lock_guard guard(mutex_);
  if (ended_ || viewed_.size() >= viewers_max)
    return nullptr;
  auto made = std::make_unique<viewer>(*this, model);
  viewed_.insert(model);
  hurries_ = hurries_ || !last_ || last_->texts.count(model) == 0;
  changed_.notify_all();
  return made;
}

void live_feed::hurry() {
  const std::lock_guard guard(mutex_);
  hurries_ = true;
  changed_.notify_all();
}

void live_feed::end() {
  {
    const std::lock_guard guard(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable())
    thread_.join();
}

bool live_feed::has_ended() const {
  const std::lock_guard guard(mutex_);
  return ended_;
}

std::size_t live_feed::viewers_count() const {
  const std::lock_guard guard(mutex_);
  return viewed_.size();
}

std::uint64_t live_feed::looks_count() const {
  const std::lock_guard guard(mutex_);
  return looks_;
}

} // namespace vorrang::http
