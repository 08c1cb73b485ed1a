#include "http/router.hpp"

#include "actors/engine_actors.hpp"
#include "actors/from_config.hpp"
#include "config/merge_reload.hpp"
#include "config/settings.hpp"
#include "http/caf_scheduler.hpp"
#include "http/log.hpp"
#include "http/loop_desk.hpp"
#include "http/loop_pool.hpp"
#include "http/router_loop.hpp"
#include "http/router_request.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <shared_mutex>

namespace vorrang {

using namespace http;

namespace {

/// As many loops as a number of a call can name.
constexpr std::size_t threads_max = 64;

/// The program is trusted: keys are for those who come over a network.
std::shared_ptr<const config::settings>
without_keys(const std::shared_ptr<const config::settings>& from) {
  if (!from->gateway.has_keys())
    return from;
  auto open = std::make_shared<config::settings>(*from);
  open->gateway.master_key.reset();
  open->gateway.keys.clear();
  return open;
}

machine_facts facts_of_process() {
  std::random_device random;
  machine_facts facts;
  facts.id_seed = (std::uint64_t{random()} << 32) | random();
  return facts;
}

/// A program's callback must not take the loop down, nor what else it was delivering.
template <class Call>
bool survives(Call call) {
  try {
    call();
    return true;
  } catch (const std::exception& thrown) {
    log_bounded(log_cause::handler_exception, describe(thrown),
                "a callback threw: " + describe(thrown));
  } catch (...) {
    log_bounded(log_cause::handler_exception, "unknown", "a callback threw");
  }
  return false;
}

} // namespace

struct router::parts {
  parts(const std::shared_ptr<const config::settings>& its_settings, std::size_t threads)
      : rules(without_keys(its_settings), facts_of_process()),
        bytes(rules.settings().gateway.max_queue_bytes), pool(threads) {
    use_loops(config, pool);
    system = std::make_unique<caf::actor_system>(config);
    engine = spawn_engine(*system, to_engine_settings(rules.settings()));
    loops.resize(pool.size());
    on_each_loop([this](std::size_t index, const std::function<void()>& done) {
      loop& runs = pool.at(index);
      loops[index] = std::make_unique<router_loop>(
          runs, std::make_unique<loop_desk>(runs, *system, engine,
                                            static_cast<std::uint16_t>(index + 1)));
      done();
    });
  }

  ~parts() {
    on_each_loop(
        [this](std::size_t index, const std::function<void()>& done) { loops[index]->end(done); });
    stop_engine(engine);
    engine.reset();
    system.reset(); // awaits the actors, then stops the loops
    loops.clear();
  }

  /// Runs `work` for each loop, on its thread, and waits until each has called `done`.
  template <class Work>
  void on_each_loop(Work work) {
    // Shared: a loop may still be inside set_value() when nobody waits any more.
    const auto ready = std::make_shared<std::vector<std::promise<void>>>(pool.size());
    for (std::size_t index = 0; index < pool.size(); ++index)
      pool.at(index).post(
          [work, ready, index] { work(index, [ready, index] { (*ready)[index].set_value(); }); });
    for (auto& each : *ready)
      each.get_future().wait();
  }

  void wait_for_loops() {
    on_each_loop([](std::size_t, const std::function<void()>& done) { done(); });
  }

  call_number begin(completion_kind kind, completion_request request, finish done);
  std::variant<reply, router_order> accept(completion_kind kind, completion_request& request);
  router_reload reload(const router_options& options);
  /// Under `reloading`.
  void go_over(std::shared_ptr<const config::settings> fresh, const directory_ptr& next);

  front rules;
  /// Callers look at the rules on threads of their own: a reload lets them finish. Whoever wants to
  /// look passes `turn`, so that a reload is not kept waiting by ever others.
  std::mutex turn;
  std::shared_mutex looking;
  byte_budget bytes;
  loop_pool pool;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  directory_ptr engine; ///< after the constructor: under `reloading`
  std::mutex reloading;
  std::vector<std::unique_ptr<router_loop>> loops;
  std::atomic<call_number> last_number{0};
};

/// On the caller's thread, so that many callers share the work of reading.
std::variant<reply, router_order> router::parts::accept(completion_kind kind,
                                                        completion_request& request) {
  std::unique_lock passes(turn);
  const std::shared_lock looks(looking);
  passes.unlock();
  auto body = render_body(request, kind, rules);
  if (auto* refused = std::get_if<reply>(&body))
    return std::move(*refused);
  router_order order;
  order.claim = std::make_unique<byte_claim>(bytes);
  auto& text = std::get<std::string>(body);
  if (!order.claim->grow(text.size()))
    return rules.refuse({our_error::queue_bytes_full, {}, {}}, nullptr);
  gateway_state state;
  auto begun =
      begin_completion(rules, std::chrono::steady_clock::now(), kind, std::move(text), state);
  if (auto* refused = std::get_if<reply>(&begun))
    return std::move(*refused);
  order.what = std::move(std::get<std::unique_ptr<call>>(begun));
  if (request.on_chunk)
    order.on_chunk = [told = std::move(request.on_chunk)](std::string_view chunk) {
      return survives([&] { told(chunk); });
    };
  return order;
}

router::call_number router::parts::begin(completion_kind kind, completion_request request,
                                         finish done) {
  const call_number number = ++last_number;
  router_loop& home = *loops[number % loops.size()];
  auto tell = [told = std::move(done)](completion_result result) {
    survives([&] {
      if (told)
        told(std::move(result));
    });
  };
  auto accepted = accept(kind, request);
  if (auto* refused = std::get_if<reply>(&accepted)) {
    auto result = std::make_shared<completion_result>(to_result(std::move(*refused), {}));
    home.runs_on().post([tell, result] { tell(std::move(*result)); });
    return number;
  }
  auto order = std::make_shared<router_order>(std::move(std::get<router_order>(accepted)));
  order->done = std::move(tell);
  home.runs_on().post([&home, number, order] { home.take(number, std::move(*order)); });
  return number;
}

router_reload router::parts::reload(const router_options& options) {
  router_reload told;
  for (std::size_t index = 0; index < pool.size(); ++index)
    if (&pool.at(index) == loop::current()) { // it would wait for itself
      told.problems.emplace_back("reload() was called from a callback of the router");
      return told;
    }
  auto understood = understand(options);
  told.problems = std::move(understood.problems);
  told.warnings = std::move(understood.warnings);
  if (!understood.settings)
    return told;
  const std::lock_guard guard(reloading);
  auto merged = config::merge_reload(rules.settings(), *without_keys(understood.settings));
  told.problems = std::move(merged.errors);
  told.warnings.insert(told.warnings.end(), merged.warnings.begin(), merged.warnings.end());
  if (!told.problems.empty())
    return told;
  auto fresh = std::make_shared<const config::settings>(std::move(merged.settings));
  auto wanted = to_engine_settings(*fresh);
  wanted.seed = engine->settings.seed;
  wanted.shared = engine->settings.shared;
  if (const auto next = extend_engine(*system, engine, std::move(wanted)))
    go_over(std::move(fresh), next);
  else
    told.problems.emplace_back("too many model groups since the start");
  return told;
}

/// Whoever may hear of something new knows it before anybody speaks of it, as in gateway::reload().
void router::parts::go_over(std::shared_ptr<const config::settings> fresh,
                            const directory_ptr& next) {
  on_each_loop([this, next](std::size_t index, const std::function<void()>& done) {
    static_cast<loop_desk&>(loops[index]->gate()).follow(next);
    done();
  });
  rules.prepare_reload(std::move(fresh));
  wait_for_loops(); // calls that were made before this one are offered by now
  begin_reload(std::exchange(engine, next), next);
  rules.begin_reload();
  {
    const std::lock_guard nobody_more(turn);
    const std::unique_lock all_have_looked(looking);
  }
  wait_for_loops(); // nobody looks at what was before any more
  rules.end_reload();
}

namespace {

/// The result as a future. A callback that is never called (the process ends) still sets it.
std::pair<router::finish, std::future<completion_result>> promised() {
  struct promise {
    ~promise() {
      if (!is_kept)
        set.set_value(to_error(503, "The router has ended", {}));
    }
    std::promise<completion_result> set;
    bool is_kept = false;
  };
  auto made = std::make_shared<promise>();
  auto future = made->set.get_future();
  return {[made](completion_result result) {
            made->is_kept = true;
            made->set.set_value(std::move(result));
          },
          std::move(future)};
}

} // namespace

router::router(std::unique_ptr<parts> made) : parts_(std::move(made)) {}

router::~router() = default;

made_router router::make(const router_options& options) {
  auto understood = understand(options);
  made_router result;
  result.problems = std::move(understood.problems);
  result.warnings = std::move(understood.warnings);
  if (understood.settings) {
    const auto threads = std::clamp<std::size_t>(options.threads, 1, threads_max);
    result.value.reset(new router(std::make_unique<parts>(understood.settings, threads)));
  }
  return result;
}

std::future<completion_result> router::acompletion(completion_request request) {
  auto [done, future] = promised();
  parts_->begin(completion_kind::chat, std::move(request), std::move(done));
  return std::move(future);
}

router::call_number router::acompletion(completion_request request, finish done) {
  return parts_->begin(completion_kind::chat, std::move(request), std::move(done));
}

std::future<completion_result> router::atext_completion(completion_request request) {
  auto [done, future] = promised();
  parts_->begin(completion_kind::text, std::move(request), std::move(done));
  return std::move(future);
}

router::call_number router::atext_completion(completion_request request, finish done) {
  return parts_->begin(completion_kind::text, std::move(request), std::move(done));
}

void router::cancel(call_number number) {
  router_loop& home = *parts_->loops[number % parts_->loops.size()];
  home.runs_on().post([&home, number] { home.cancel(number); });
}

router_reload router::reload(const router_options& options) {
  return parts_->reload(options);
}

const config::settings& router::settings() const noexcept {
  return parts_->rules.settings();
}

} // namespace vorrang
