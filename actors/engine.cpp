#include "actors/engine.hpp"

#include "actors/book_sender.hpp"
#include "actors/reload.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <condition_variable>
#include <map>
#include <mutex>

namespace vorrang {
namespace {

using std::chrono::steady_clock;

/// Distinguishes the books of engines that share a process.
std::uint16_t next_tag() {
  static std::atomic<std::uint16_t> last{0x8000};
  return ++last;
}

struct own_config : caf::actor_system_config {
  explicit own_config(std::size_t threads) {
    // Stealing, CAF's default, burns half a core under timers (CAF 0.17.6, measured).
    set("scheduler.policy", caf::atom("sharing"));
    if (threads > 0)
      set("scheduler.max-threads", threads);
  }
};

} // namespace

/// What requests, grants and the actor that hears verdicts have in common.
struct engine_desk : std::enable_shared_from_this<engine_desk> {
  /// One request; hears under the mutex, tells its owner outside of it.
  struct listener final : request_listener {
    listener(engine_desk& to, std::function<void(held_grant)> on_granted,
             std::function<void(const ending&)> on_over)
        : desk(to), granted(std::move(on_granted)), over(std::move(on_over)) {}
    void on_grant(const grant& given) override { desk.tell.push_back({this, given}); }
    void on_waiting_again() override {}
    void on_end(const ending& end) override { desk.tell.push_back({this, end}); }
    void on_position(std::uint32_t) override {}

    engine_desk& desk;
    /// Its owner is gone, but a grant of it is still held.
    bool withdrawn = false;
    std::function<void(held_grant)> granted;
    std::function<void(const ending&)> over;
  };
  struct told {
    listener* who;
    std::variant<grant, ending> what;
  };

  engine_desk(std::unique_ptr<own_config> own, std::unique_ptr<caf::actor_system> owned,
              caf::actor_system& on, engine_settings settings)
      : config(std::move(own)), owned_system(std::move(owned)), system(on),
        directory(spawn_engine(system, std::move(settings))),
        book(directory->settings, next_tag(), duration::max()) {}

  void start() {
    self = system.spawn([weak = weak_from_this()](request_actor::pointer) {
      return request_actor::behavior_type{[weak](verdict_atom, verdict_batch& batch) {
        if (const auto desk = weak.lock())
          desk->hear(batch);
      }};
    });
  }

  ticket_id open(const ask& wanted, std::function<void(held_grant)> granted,
                 std::function<void(const ending&)> over) {
    std::lock_guard lock(mutex);
    auto fresh = std::make_shared<listener>(*this, std::move(granted), std::move(over));
    const auto ticket = book.open(steady_clock::now(), wanted, *fresh);
    listeners.emplace(ticket, std::move(fresh));
    send();
    return ticket;
  }

  bool reload(engine_settings settings) {
    if (settings.groups.empty())
      return false;
    std::lock_guard lock(mutex);
    auto before = directory;
    auto now = extend_engine(system, before, merge_reload(before->settings, std::move(settings)));
    if (!now)
      return false;
    // Grants by the new settings find the book knowing them.
    directory = now;
    book.follow(now->settings);
    begin_reload(before, now);
    return true;
  }

  directory_ptr known() {
    std::lock_guard lock(mutex);
    return directory;
  }

  void settle(const grant& info, const outcome& result) {
    std::lock_guard lock(mutex);
    book.settle(info.ticket, result);
    if (const auto found = listeners.find(info.ticket);
        found != listeners.end() && found->second->withdrawn)
      book.cancel(info.ticket);
    forget_if_over(info.ticket);
    send();
  }

  /// As cancel(), but a grant that is held stays so.
  void withdraw(ticket_id ticket) {
    std::lock_guard lock(mutex);
    const auto found = listeners.find(ticket);
    if (found == listeners.end())
      return;
    if (book.holds_grant(ticket))
      found->second->withdrawn = true;
    else
      book.cancel(ticket);
    forget_if_over(ticket);
    send();
  }

  void cancel(ticket_id ticket) {
    std::lock_guard lock(mutex);
    book.cancel(ticket);
    forget_if_over(ticket);
    send();
  }

  void hear(verdict_batch& batch) {
    std::vector<std::pair<std::shared_ptr<listener>, std::variant<grant, ending>>> calls;
    {
      std::lock_guard lock(mutex);
      book.deliver(steady_clock::now(), batch.verdicts);
      for (auto& [who, what] : tell)
        if (auto kept = take(who, what))
          calls.push_back({std::move(kept), what});
      tell.clear();
      send();
    }
    for (auto& [who, what] : calls)
      call(*who, what);
  }

  void call(listener& who, const std::variant<grant, ending>& what) {
    if (const auto* given = std::get_if<grant>(&what))
      who.granted(held_grant(weak_from_this(), *given));
    else if (who.over)
      who.over(std::get<ending>(what));
  }

  /// Keeps the listener alive for the call; forgets it where the request is over.
  std::shared_ptr<listener> take(listener* who, const std::variant<grant, ending>& what) {
    const auto ticket = std::holds_alternative<grant>(what) ? std::get<grant>(what).ticket
                                                            : std::get<ending>(what).ticket;
    const auto found = listeners.find(ticket);
    if (found == listeners.end() || found->second.get() != who)
      return nullptr;
    auto kept = found->second;
    if (std::holds_alternative<ending>(what))
      listeners.erase(found);
    return kept;
  }

  void forget_if_over(ticket_id ticket) {
    if (book.group_of(ticket) == no_index)
      listeners.erase(ticket);
  }

  void send() { send_book(book.output(), self, *directory); }

  /// Ends everything; the actors stop.
  void close() {
    {
      std::lock_guard lock(mutex);
      book.close();
      send();
      left.swap(listeners);
    }
    for (const auto& [ticket, who] : left) {
      ending end;
      end.ticket = ticket;
      end.code = end_code::draining;
      if (who->over)
        who->over(end);
    }
    caf::anon_send_exit(self, caf::exit_reason::user_shutdown);
    stop_engine(directory);
  }

  std::unique_ptr<own_config> config;
  std::unique_ptr<caf::actor_system> owned_system;
  caf::actor_system& system;
  directory_ptr directory;
  request_actor self;

  std::mutex mutex;
  request_book book;
  std::map<ticket_id, std::shared_ptr<listener>> listeners;
  /// Those that close() found, and tells.
  std::map<ticket_id, std::shared_ptr<listener>> left;
  std::vector<told> tell;
};

// --- held_grant -----------------------------------------------------------------------------

held_grant::held_grant(std::weak_ptr<engine_desk> desk, const grant& info) noexcept
    : desk_(std::move(desk)), info_(info) {}

held_grant::held_grant(held_grant&& other) noexcept
    : desk_(std::move(other.desk_)), info_(other.info_),
      settled_(std::exchange(other.settled_, true)) {}

held_grant& held_grant::operator=(held_grant&& other) noexcept {
  if (this != &other) {
    settle(outcome{});
    desk_ = std::move(other.desk_);
    info_ = other.info_;
    settled_ = std::exchange(other.settled_, true);
  }
  return *this;
}

held_grant::~held_grant() {
  settle(outcome{});
}

void held_grant::head_arrived() {
  const auto desk = desk_.lock();
  if (settled_ || !desk)
    return;
  std::lock_guard lock(desk->mutex);
  desk->book.head_arrived(info_.ticket);
  desk->send();
}

void held_grant::settle(const outcome& result) {
  if (std::exchange(settled_, true))
    return;
  if (const auto desk = desk_.lock())
    desk->settle(info_, result);
}

// --- open_request ---------------------------------------------------------------------------

struct open_request::state {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<held_grant> granted;
  std::optional<ending> end;
  bool abandoned = false;
  ticket_id ticket = 0;
  std::weak_ptr<engine_desk> desk;
};

open_request::open_request(std::shared_ptr<state> shared) noexcept : state_(std::move(shared)) {}
open_request::open_request(open_request&& other) noexcept = default;

open_request& open_request::operator=(open_request&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

open_request::~open_request() {
  cancel();
}

ticket_id open_request::ticket() const noexcept {
  return state_ ? state_->ticket : 0;
}

open_request::event open_request::next() {
  ending none;
  none.ticket = ticket();
  if (!state_)
    return none;
  const auto desk = state_->desk.lock();
  {
    std::unique_lock engine_lock =
        desk ? std::unique_lock(desk->mutex) : std::unique_lock<std::mutex>();
    std::lock_guard own(state_->mutex);
    // Nothing is on its way for a request that nobody knows any more.
    const bool known =
        desk && (desk->listeners.count(state_->ticket) > 0 || desk->left.count(state_->ticket) > 0);
    if (!state_->granted && !state_->end && !known)
      return none;
  }
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [&] { return state_->granted || state_->end; });
  if (state_->granted) {
    auto result = std::move(*state_->granted);
    state_->granted.reset();
    return result;
  }
  return *std::exchange(state_->end, std::nullopt);
}

void open_request::cancel() {
  if (!state_)
    return;
  std::optional<held_grant> unused;
  {
    std::lock_guard lock(state_->mutex);
    state_->abandoned = true;
    unused.swap(state_->granted);
  }
  // A grant that next() has handed out is its holder's to settle.
  const auto desk = state_->desk.lock();
  if (desk && !unused)
    desk->withdraw(state_->ticket);
  state_.reset();
}

// --- engine ---------------------------------------------------------------------------------

engine::engine(engine_settings settings, std::size_t threads) {
  auto config = std::make_unique<own_config>(threads);
  auto system = std::make_unique<caf::actor_system>(*config);
  auto& runs_on = *system;
  desk_ = std::make_shared<engine_desk>(std::move(config), std::move(system), runs_on,
                                        std::move(settings));
  desk_->start();
}

engine::engine(caf::actor_system& host, engine_settings settings)
    : desk_(std::make_shared<engine_desk>(nullptr, nullptr, host, std::move(settings))) {
  desk_->start();
}

engine::~engine() {
  desk_->close();
  // Here, not wherever the last grant is dropped: a thread of the system cannot end the system.
  desk_->owned_system.reset();
}

const engine_settings& engine::settings() const noexcept {
  return desk_->known()->settings;
}

bool engine::reload(engine_settings settings) {
  return desk_->reload(std::move(settings));
}

std::optional<group_index> engine::group(std::string_view name) const {
  const auto directory = desk_->known();
  const auto& groups = directory->settings.groups;
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (groups[i].name == name && !groups[i].retired)
      return static_cast<group_index>(i);
  return std::nullopt;
}

open_request engine::open(const ask& wanted) {
  auto state = std::make_shared<open_request::state>();
  state->desk = desk_;
  state->ticket = desk_->open(
      wanted,
      [state](held_grant given) {
        std::lock_guard lock(state->mutex);
        if (state->abandoned)
          return; // `given` settles itself as cancelled
        state->granted.emplace(std::move(given));
        state->changed.notify_all();
      },
      [state](const ending& end) {
        std::lock_guard lock(state->mutex);
        state->end = end;
        state->changed.notify_all();
      });
  return open_request(std::move(state));
}

ticket_id engine::open(const ask& wanted, std::function<void(held_grant)> granted,
                       std::function<void(const ending&)> over) {
  return desk_->open(wanted, std::move(granted), std::move(over));
}

void engine::cancel(ticket_id ticket) {
  desk_->cancel(ticket);
}

std::size_t engine::waiting(group_index group) const {
  caf::scoped_actor self{desk_->system};
  std::size_t result = 0;
  self->request(desk_->known()->queues[group], caf::infinite, count_atom_v)
      .receive([&](queue_counters& heard) { result = heard.waiting; }, [](const caf::error&) {});
  return result;
}

} // namespace vorrang
