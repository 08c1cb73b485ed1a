#include "health_model.hpp"

#include <algorithm>
#include <utility>

namespace vorrang::history {

namespace {

constexpr duration sliding_minute = std::chrono::seconds(60);
constexpr std::size_t worlds_max = 48;

bool triggers_at_once(const outcome& result) {
  return result.kind == outcome_kind::rate_limited ||
         (result.kind == outcome_kind::rejected &&
          (result.status == 401 || result.status == 403 || result.status == 404)) ||
         (result.status == 503 && effective_retry_after(result));
}

bool is_failure(const outcome& result) {
  return result.kind == outcome_kind::failed || triggers_at_once(result);
}

} // namespace

std::optional<duration> effective_retry_after(const outcome& result) {
  if (!result.retry_after || *result.retry_after <= duration::zero())
    return std::nullopt;
  return std::min<duration>(*result.retry_after, std::chrono::seconds(3600));
}

health_model::health_model(const group_settings& group, const deployment_settings& deployment)
    : cooldown_time_(deployment.cooldown_time.value_or(group.cooldown_time)),
      first_spacing_(group.probe_spacing),
      allowed_fails_(deployment.allowed_fails.value_or(group.allowed_fails)), worlds_(1) {}

void health_model::set(std::vector<health_world> next) {
  worlds_.clear();
  for (auto& world : next)
    if (std::find(worlds_.begin(), worlds_.end(), world) == worlds_.end())
      worlds_.push_back(std::move(world));
  if (worlds_.size() > worlds_max)
    lost_ = true;
  if (lost_)
    worlds_.assign(1, health_world{});
}

void health_model::each(const std::function<void(health_world, std::vector<health_world>&)>& step) {
  if (lost_)
    return;
  std::vector<health_world> next;
  for (auto& world : worlds_)
    step(std::move(world), next);
  set(std::move(next));
}

void health_model::tick(time_point now) {
  bool changed = false;
  for (auto& world : worlds_) {
    if (!world.cooling || world.end > now)
      continue;
    world.cooling = false;
    world.limit = 1;
    world.limit_from_serial = serial_ + 1;
    world.success_since_end = false;
    changed = true;
  }
  if (changed && worlds_.size() > 1)
    set(std::move(worlds_));
}

bool health_model::world_allows(const health_world& world, time_point now, bool probe,
                                const std::vector<std::uint64_t>& in_flight_serials) const {
  if (probe)
    return world.cooling && !world.unauthorised && world.retry_after_end <= now && !world.probe &&
           now >= world.probe_from;
  if (world.cooling)
    return false;
  if (!world.limit)
    return true;
  // reading: attempts from before the cooldown may or may not fill the re-opened place.
  const auto running = std::count_if(in_flight_serials.begin(), in_flight_serials.end(),
                                     [&](auto s) { return s >= world.limit_from_serial; });
  return static_cast<std::uint64_t>(running) < *world.limit;
}

bool health_model::allows(time_point now, bool probe,
                          const std::vector<std::uint64_t>& in_flight_serials) const {
  return lost_ || std::any_of(worlds_.begin(), worlds_.end(), [&](const auto& world) {
           return world_allows(world, now, probe, in_flight_serials);
         });
}

bool health_model::granted(time_point now, const health_attempt& attempt,
                           const std::vector<std::uint64_t>& in_flight_serials) {
  if (!allows(now, attempt.probe, in_flight_serials))
    return false;
  each([&](health_world world, auto& out) {
    if (!world_allows(world, now, attempt.probe, in_flight_serials))
      return;
    if (attempt.probe) {
      world.probe = attempt.id;
      world.probe_granted = now;
    }
    out.push_back(std::move(world));
  });
  serial_ = attempt.serial;
  return true;
}

void health_model::head(time_point now, const health_attempt& attempt) {
  each([&](health_world world, auto& out) { success(std::move(world), now, attempt, true, out); });
}

void health_model::settled(time_point now, const health_attempt& attempt, const outcome& result) {
  each([&](health_world world, auto& out) {
    const bool was_probe = world.probe == attempt.id;
    if (result.kind == outcome_kind::success) {
      success(std::move(world), now, attempt, false, out);
    } else if (is_failure(result)) {
      failure(std::move(world), now, attempt, result, out);
    } else {
      // No verdict (cancelled, not sent, 400 …). reading: the next probe may follow at once or
      // after the next spacing.
      if (was_probe) {
        world.probe.reset();
        world.probe_from = now;
        world.spacing_by = std::min(2 * world.spacing_by, cooldown_time_);
        world.probe_by = now + world.spacing_by;
      }
      std::erase(world.heads, attempt.id);
      out.push_back(std::move(world));
    }
  });
}

void health_model::begin_cooldown(health_world& world, time_point now,
                                  const outcome& result) const {
  const auto retry_after = effective_retry_after(result);
  const auto new_end = now + retry_after.value_or(cooldown_time_);
  const bool anew = world.cooling;
  world.end = anew ? std::max(world.end, new_end) : new_end;
  if (!anew) {
    world.retry_after_end = time_point{};
    world.unauthorised = false;
    world.probe_owed = true;
    world.spacing_from = std::min(first_spacing_, cooldown_time_);
    world.spacing_by = world.spacing_from;
    // reading: the first probe at once, or after the first spacing.
    world.probe_from = now;
    world.probe_by = now + world.spacing_by;
    world.probe.reset();
  }
  world.cooling = true;
  world.ever_cooled = true;
  world.began_serial = serial_ + 1;
  world.limit.reset();
  world.success_since_end = false;
  if (retry_after) {
    world.retry_after_end = std::max(world.retry_after_end, now + *retry_after);
    world.probe_owed = false;
  }
  if (result.kind == outcome_kind::rejected) {
    world.unauthorised = true;
    world.probe_owed = false;
  }
  // reading: "cools for failures" may or may not include a 429 without Retry-After.
  if (result.kind == outcome_kind::rate_limited)
    world.probe_owed = false;
}

void health_model::ordinary_failure(health_world world, time_point now, const outcome& result,
                                    std::vector<health_world>& out) const {
  if (cooldown_time_ == duration::zero()) {
    out.push_back(std::move(world));
    return;
  }
  std::erase_if(world.failures, [&](auto at) { return now - at >= sliding_minute; });
  if (triggers_at_once(result)) {
    if (result.status == 503) {
      // reading: a 503 with Retry-After may count among the other failures too.
      auto counted = world;
      counted.failures.push_back(now);
      begin_cooldown(counted, now, result);
      out.push_back(std::move(counted));
    }
    begin_cooldown(world, now, result);
    out.push_back(std::move(world));
    return;
  }
  world.failures.push_back(now);
  if (world.failures.size() > allowed_fails_)
    begin_cooldown(world, now, result);
  out.push_back(std::move(world));
}

void health_model::failure(health_world world, time_point now, const health_attempt& attempt,
                           const outcome& result, std::vector<health_world>& out) const {
  std::erase(world.heads, attempt.id);
  const bool stale = attempt.serial < world.began_serial;
  const bool was_probe = world.probe == attempt.id;
  if (was_probe)
    world.probe.reset();

  if (stale && world.cooling) {
    const auto retry_after = effective_retry_after(result);
    if (!retry_after) {
      out.push_back(std::move(world));
      return;
    }
    // reading: a Retry-After lengthens for certain with a 429 or 503; with others it may.
    if (result.status != 503 && result.kind != outcome_kind::rate_limited)
      out.push_back(world);
    world.end = std::max(world.end, now + *retry_after);
    // reading: no probe while it runs; or none at all in this cooldown.
    world.retry_after_end = std::max(world.retry_after_end, now + *retry_after);
    world.probe_owed = false;
    out.push_back(std::move(world));
    return;
  }
  if (stale) {
    // reading: after the cooldown such a result may count or not.
    out.push_back(world);
    ordinary_failure(std::move(world), now, result, out);
    return;
  }
  if (was_probe) {
    if (cooldown_time_ == duration::zero()) {
      out.push_back(std::move(world));
      return;
    }
    if (!world.cooling) // reading: the cooldown ended meanwhile: an ordinary failure, or anew.
      ordinary_failure(world, now, result, out);
    const auto granted = world.probe_granted;
    // reading: a failed probe may count among the failures of the minute.
    for (bool counted : {false, true}) {
      auto next = world;
      if (counted) {
        std::erase_if(next.failures, [&](auto at) { return now - at >= sliding_minute; });
        next.failures.push_back(now);
      }
      const auto from = next.spacing_from;
      const auto by = std::min(2 * next.spacing_by, cooldown_time_);
      const bool was_cooling = next.cooling;
      begin_cooldown(next, now, result);
      if (was_cooling) {
        // reading: spacing is counted from the grant or from the failure of the last probe, and
        // the first is polling_interval or twice that.
        next.probe_from = granted + from;
        next.probe_by = now + by;
        next.spacing_from = std::min(2 * from, cooldown_time_);
        next.spacing_by = by;
      }
      out.push_back(std::move(next));
    }
    return;
  }
  ordinary_failure(std::move(world), now, result, out);
}

void health_model::ordinary_success(health_world world, std::vector<health_world>& out) const {
  if (world.ever_cooled && !world.success_since_end) {
    world.failures.clear();
  } else if (world.limit && !world.failures.empty()) {
    // reading: "cleared by a success after a cooldown" may mean each one while re-opening.
    auto cleared = world;
    cleared.failures.clear();
    cleared.limit = *cleared.limit * 2;
    cleared.success_now = true;
    out.push_back(std::move(cleared));
  }
  if (world.limit)
    world.limit = *world.limit * 2;
  world.success_since_end = true;
  world.success_now = true;
  out.push_back(std::move(world));
}

void health_model::success(health_world world, time_point now, const health_attempt& attempt,
                           bool at_head, std::vector<health_world>& out) const {
  const auto counted = std::find(world.heads.begin(), world.heads.end(), attempt.id);
  if (counted != world.heads.end()) {
    if (!at_head)
      world.heads.erase(counted);
    out.push_back(std::move(world));
    return;
  }
  const bool stale = attempt.serial < world.began_serial;
  const bool was_probe = world.probe == attempt.id;
  if (was_probe)
    world.probe.reset();
  if (at_head)
    world.heads.push_back(attempt.id);
  if (was_probe && world.cooling && !stale) {
    world.cooling = false;
    world.failures.clear();
    world.limit_from_serial = serial_ + 1;
    // reading: the probe is the success before the first grant, or the first grant's success.
    world.limit = 1;
    world.success_since_end = false;
    auto later = world; // … or its end is that first success
    std::erase(later.heads, attempt.id);
    out.push_back(std::move(later));
    out.push_back(world);
    world.success_since_end = true;
    out.push_back(world);
    world.limit = 2;
    out.push_back(std::move(world));
    return;
  }
  if (world.cooling) { // stale: does not end it
    out.push_back(std::move(world));
    return;
  }
  if (stale) // reading: after the cooldown it may count as a success or not.
    out.push_back(world);
  if (at_head) { // reading: a success at the head, or when the attempt is over.
    auto later = world;
    std::erase(later.heads, attempt.id);
    out.push_back(std::move(later));
  }
  (void)now;
  ordinary_success(std::move(world), out);
}

bool health_model::surely_open(std::uint64_t in_flight) const {
  return !lost_ && std::all_of(worlds_.begin(), worlds_.end(), [&](const auto& world) {
    return !world.cooling && (!world.limit || in_flight < *world.limit);
  });
}

bool health_model::surely_cooling() const {
  return !lost_ &&
         std::all_of(worlds_.begin(), worlds_.end(), [](const auto& w) { return w.cooling; });
}

bool health_model::maybe_cooling() const {
  return lost_ ||
         std::any_of(worlds_.begin(), worlds_.end(), [](const auto& w) { return w.cooling; });
}

bool health_model::maybe_open() const {
  return lost_ ||
         std::any_of(worlds_.begin(), worlds_.end(), [](const auto& w) { return !w.cooling; });
}

bool health_model::surely_owes_probe(time_point now) const {
  return !lost_ && std::all_of(worlds_.begin(), worlds_.end(), [&](const auto& world) {
    return world.cooling && world.probe_owed && !world.probe && now >= world.probe_by;
  });
}

bool health_model::surely_limited_beyond(time_point deadline) const {
  return !lost_ && std::all_of(worlds_.begin(), worlds_.end(), [&](const auto& world) {
    return world.cooling && world.retry_after_end > deadline;
  });
}

bool health_model::maybe_limited_beyond(time_point deadline) const {
  return lost_ || std::any_of(worlds_.begin(), worlds_.end(), [&](const auto& world) {
           return world.cooling && world.retry_after_end != time_point{} && world.end >= deadline;
         });
}

time_point health_model::latest_end() const {
  auto end = worlds_.front().end;
  for (const auto& world : worlds_)
    end = std::max(end, world.end);
  return end;
}

time_point health_model::earliest_end() const {
  auto end = worlds_.front().end;
  for (const auto& world : worlds_)
    end = std::min(end, world.end);
  return end;
}

bool health_model::refute_open(std::uint64_t in_flight) {
  if (lost_)
    return true;
  if (surely_open(in_flight))
    return false;
  std::erase_if(worlds_, [&](const auto& world) {
    return !world.cooling && (!world.limit || in_flight < *world.limit);
  });
  return true;
}

bool health_model::refute_owed_probe(time_point now) {
  if (lost_)
    return true;
  if (surely_owes_probe(now))
    return false;
  std::erase_if(worlds_, [&](const auto& world) {
    return world.cooling && world.probe_owed && !world.probe && now >= world.probe_by;
  });
  return true;
}

void health_model::quiet(bool surely_waits, bool maybe_waits,
                         const std::vector<std::uint64_t>& in_flight_serials) {
  if (std::none_of(worlds_.begin(), worlds_.end(),
                   [](const auto& w) { return w.limit && w.success_since_end; })) {
    for (auto& world : worlds_)
      world.success_now = false;
    return;
  }
  each([&](health_world world, auto& out) {
    // Those from before the cooldown surely hold nobody back: at most, they may.
    const auto since =
        std::count_if(in_flight_serials.begin(), in_flight_serials.end(),
                      [&](auto serial) { return serial >= world.limit_from_serial; });
    const bool holds =
        surely_waits && world.limit && static_cast<std::uint64_t>(since) >= *world.limit;
    const bool just_now = std::exchange(world.success_now, false);
    if (!world.limit || !world.success_since_end || holds) {
      out.push_back(std::move(world));
      return;
    }
    // After a success that leaves nobody waiting it is over. reading: so it may be when those who
    // wait are held back by something else, or left the line later.
    if (maybe_waits || !just_now)
      out.push_back(world);
    world.limit.reset();
    out.push_back(std::move(world));
  });
}

void health_model::maybe_reopened() {
  if (std::none_of(worlds_.begin(), worlds_.end(),
                   [](const auto& w) { return w.limit && w.success_since_end; }))
    return;
  each([&](health_world world, auto& out) {
    out.push_back(world);
    // reading: those who wait may be held back by something else (tokens, old attempts).
    if (world.success_since_end)
      world.limit.reset();
    out.push_back(std::move(world));
  });
}

time_point health_model::next_change(time_point now) const {
  auto next = never;
  for (const auto& world : worlds_) {
    if (!world.cooling)
      continue;
    for (auto at : {world.end, world.probe_by, world.retry_after_end})
      if (at > now)
        next = std::min(next, at);
  }
  return next;
}

} // namespace vorrang::history
