// Connections to upstreams that wait for their next request, and names that were looked up.
#pragma once

#include "http/attempt.hpp"
#include "http/wire.hpp"

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace vorrang::http {

/// One for each loop. Connections are kept for each address (so for each deployment), newest
/// first, at most idle_max of them and at most for the time of patience::pooled. One that the
/// upstream closes, or that says something unasked, is closed at once. What a name resolves to is
/// kept for names_kept. Belongs to its loop's thread.
class upstream_pool {
public:
  /// As many as a burst has made: fewer, and a part of it would connect anew for each request.
  static constexpr std::size_t idle_max = 1024;
  static constexpr duration names_kept = std::chrono::seconds(30);
  using endpoints = std::vector<wire::tcp::endpoint>;

  explicit upstream_pool(loop& runs);
  ~upstream_pool();
  upstream_pool(const upstream_pool&) = delete;
  upstream_pool& operator=(const upstream_pool&) = delete;

  loop& runs_on() noexcept { return runs_; }

  /// A connection that waits, or null.
  std::shared_ptr<wire> take(const upstream_address& address);
  /// Keeps a connection whose last answer was read whole.
  void give(const upstream_address& address, std::shared_ptr<wire> free);
  /// Closes one that waits, so that its descriptor is free. False: none does.
  bool close_one();
  /// Closes all that wait, and keeps none from now on.
  void close();
  /// How many wait, for all addresses.
  std::size_t idle_count() const noexcept { return idle_count_; }

  /// For TLS to this address; null, and a sentence in `trouble`, if its rules cannot be kept.
  std::shared_ptr<tls_context> tls_for(const upstream_address& address, std::string& trouble);
  /// The address's last TLS session.
  std::shared_ptr<tls_memory> tls_memory_of(const upstream_address& address);

  /// What the host of `address`, or of its proxy, resolves to; empty if it does not, or if `by`
  /// became unwanted or rang.
  awaitable<endpoints> resolve(const upstream_address& address, waiter& by);
  /// Nothing answers there: the next to ask looks the name up again.
  void forget_name(const upstream_address& address);

private:
  struct shelf;
  struct idle;
  struct lookup;

  shelf& shelf_of(const upstream_address& address);
  void drop(idle& which);
  void begin_lookup(const upstream_address& address, shelf& on);

  loop& runs_;
  boost::asio::ip::basic_resolver<wire::tcp, executor> resolver_;
  // The front keeps each address in its place.
  std::unordered_map<const upstream_address*, std::unique_ptr<shelf>> shelves_;
  std::size_t idle_count_ = 0;
  bool closed_ = false;
};

} // namespace vorrang::http
