#include "http/upstream_pool.hpp"

#include "http/log.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <string>

namespace vorrang::http {

using boost::system::error_code;
using steady = std::chrono::steady_clock;

namespace {

/// An idle connection reads only to see its end.
constexpr std::size_t idle_read_bytes = 4 * 1024;

const std::string& host_of(const upstream_address& address) {
  return address.proxy ? address.proxy->host : address.host;
}

std::uint16_t port_of(const upstream_address& address) {
  return address.proxy ? address.proxy->port : address.port;
}

} // namespace

struct upstream_pool::idle {
  idle(upstream_pool& its_pool, shelf& its_shelf, std::shared_ptr<wire> its_wire)
      : pool(its_pool), on(its_shelf), kept(std::move(its_wire)), expiry(this, &expire) {}

  static void expire(void* self) {
    auto& own = *static_cast<idle*>(self);
    own.pool.drop(own);
  }

  upstream_pool& pool;
  shelf& on;
  std::shared_ptr<wire> kept;
  waiting_call expiry;
  std::list<idle>::iterator place;
};

/// One look-up, for all who ask meanwhile.
struct upstream_pool::lookup {
  std::vector<parking*> waiting;
  endpoints found;
  bool done = false;
};

struct upstream_pool::shelf {
  std::list<idle> connections; ///< the newest last
  endpoints known;
  time_point known_until{};
  std::shared_ptr<lookup> asked;
  std::shared_ptr<tls_context> tls;
  std::shared_ptr<tls_memory> memory;
};

upstream_pool::upstream_pool(loop& runs) : runs_(runs), resolver_(runs.context()) {}

upstream_pool::~upstream_pool() {
  close();
}

upstream_pool::shelf& upstream_pool::shelf_of(const upstream_address& address) {
  auto& found = shelves_[&address];
  if (!found)
    found = std::make_unique<shelf>();
  return *found;
}

std::shared_ptr<wire> upstream_pool::take(const upstream_address& address) {
  auto& connections = shelf_of(address).connections;
  while (!connections.empty()) {
    const auto taken = connections.back().kept;
    connections.pop_back();
    --idle_count_;
    taken->set_idle_call(nullptr, nullptr);
    if (!taken->input_ended() && taken->input().empty())
      return taken;
    taken->close();
  }
  return nullptr;
}

void upstream_pool::give(const upstream_address& address, std::shared_ptr<wire> free) {
  free->set_listener(nullptr);
  if (closed_ || free->input_ended() || !free->input().empty() || free->is_writing()) {
    free->close();
    return;
  }
  shelf& on = shelf_of(address);
  if (on.connections.size() == idle_max)
    drop(on.connections.front());
  idle& added = on.connections.emplace_back(*this, on, std::move(free));
  added.place = std::prev(on.connections.end());
  added.kept->set_idle_call(&idle::expire, &added);
  added.kept->keep_reading(idle_read_bytes);
  runs_.watch(added.expiry, patience::pooled);
  ++idle_count_;
}

void upstream_pool::drop(idle& which) {
  which.kept->close();
  --idle_count_;
  which.on.connections.erase(which.place); // `which` is gone
}

bool upstream_pool::close_one() {
  for (auto& each : shelves_) {
    if (auto& connections = each.second->connections; !connections.empty()) {
      drop(connections.front());
      return true;
    }
  }
  return false;
}

void upstream_pool::close() {
  closed_ = true;
  resolver_.cancel();
  for (auto& each : shelves_) {
    auto& connections = each.second->connections;
    while (!connections.empty())
      drop(connections.front());
  }
}

std::shared_ptr<tls_context> upstream_pool::tls_for(const upstream_address& address,
                                                    std::string& trouble) {
  shelf& on = shelf_of(address);
  if (!on.tls)
    on.tls = tls_context_for(address.trust, trouble);
  return on.tls;
}

std::shared_ptr<tls_memory> upstream_pool::tls_memory_of(const upstream_address& address) {
  shelf& on = shelf_of(address);
  if (!on.memory)
    on.memory = make_tls_memory();
  return on.memory;
}

awaitable<upstream_pool::endpoints> upstream_pool::resolve(const upstream_address& address,
                                                           waiter& by) {
  error_code no_number;
  const auto number = boost::asio::ip::make_address(host_of(address), no_number);
  if (!no_number)
    co_return endpoints(1, wire::tcp::endpoint(number, port_of(address)));
  shelf& on = shelf_of(address);
  if (!on.known.empty() && steady::now() < on.known_until)
    co_return on.known;
  if (!on.asked)
    begin_lookup(address, on);
  const std::shared_ptr<lookup> asked = on.asked;
  asked->waiting.push_back(&by.place);
  while (!asked->done && !by.is_unwanted() && !by.rang())
    co_await by.changed();
  asked->waiting.erase(std::find(asked->waiting.begin(), asked->waiting.end(), &by.place));
  co_return asked->found;
}

void upstream_pool::forget_name(const upstream_address& address) {
  shelf_of(address).known.clear();
}

void upstream_pool::begin_lookup(const upstream_address& address, shelf& on) {
  on.asked = std::make_shared<lookup>();
  // The handler may come after the pool is gone, when the loop ends: it looks at the error first.
  resolver_.async_resolve(host_of(address), std::to_string(port_of(address)),
                          [this, host = host_of(address), &on,
                           asked = on.asked](const error_code& error, const auto& results) {
                            asked->done = true;
                            if (error != boost::asio::error::operation_aborted) {
                              on.asked.reset();
                              if (error) {
                                log_bounded(log_cause::name_lookup, host,
                                            "cannot resolve " + host + ": " + error.message());
                              } else {
                                for (const auto& each : results)
                                  asked->found.push_back(each.endpoint());
                                on.known = asked->found;
                                on.known_until = steady::now() + names_kept;
                              }
                            }
                            for (parking* each : asked->waiting)
                              each->wake_soon();
                          });
}

} // namespace vorrang::http
