// What the front knows about each deployment and group before the first request.
#pragma once

#include "actors/from_config.hpp"
#include "http/front.hpp"
#include "http/key_ring.hpp"
#include "http/rewrite_body.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <set>
#include <unordered_map>

namespace vorrang::http {

/// A deployment's settings, taken apart.
struct prepared_deployment {
  /// In front_memory. Null: a mock, or a base that is no URL (an attempt then fails as not
  /// connected).
  const upstream_address* address = nullptr;
  body_members defaults;
  body_members extra_body;
  std::uint8_t endpoints = 0;
  bool adds_stream_usage = false;
};

/// Whether the estimates of tokens are needed for asks of a group: they cost a pass over the body.
struct group_needs {
  bool token_estimate = false;  ///< the group, or one it may fall back to, has a tpm limit
  bool prompt_estimate = false; ///< pre-call checks compare it with max_input_tokens
  std::uint8_t endpoints = 0;   ///< spoken by any deployment
  /// Tokens of an answer for a request that names no limit: the deployments' own default for it.
  std::uint64_t answer_tokens = 0;
  /// `keepalive_seconds` of a deployment: the shortest, 0 (none) only if no other is set.
  std::optional<std::chrono::milliseconds> stream_keepalive;
};

/// What deployments are known to refuse: fields where `drop_params` is set, and the usage of a
/// stream that we ask for. Shared by all loops: locked.
class learned_fields {
public:
  static constexpr std::size_t fields_max = 32; ///< for each deployment

  explicit learned_fields(std::size_t deployments) : known_(deployments) {}

  struct refused {
    std::vector<std::string> drop;
    bool rename_max_tokens = false;
    bool stream_usage = false; ///< the `stream_options` that we add
  };
  refused of(std::size_t deployment) const;
  void add(std::size_t deployment, const std::string& field);
  void add_stream_usage(std::size_t deployment);
  /// A reload has changed nothing of where this deployment's requests go.
  void inherit(const learned_fields& from, std::size_t deployment);

private:
  struct entry {
    std::set<std::string> fields;
    bool stream_usage = false;
  };
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::vector<entry> known_;
};

/// Which deployment made a response that a later one may refer to (`previous_response_id`). Shared
/// by all loops: locked. Forgets the oldest beyond its bound.
class response_owners {
public:
  static constexpr std::size_t responses_max = 10'000;
  static constexpr std::size_t id_bytes_max = 256;

  void add(const std::string& id, std::size_t deployment);
  /// Index into settings->deployments, if it is remembered.
  std::optional<std::size_t> find(const std::string& id) const;

private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> owners_;
  std::deque<std::string> ages_;
};

struct front_tables;

/// What a front and its calls keep over reloads.
struct front_memory {
  response_owners responses;
  std::atomic<std::uint64_t> next_id{0};
  /// All that were ever configured, each at one place for good, by which the pools of connections
  /// know it. Written by whoever makes tables, one thread at a time.
  std::deque<upstream_address> addresses;
  /// For attempts that begin: knows whatever the engine may grant. Null: the front is gone.
  std::atomic<const front_tables*> newest{nullptr};
};

/// Shared by the front and all of its calls, which may outlive it. Only what is mutable
/// changes. A reload makes others, in which places are kept.
struct front_tables : std::enable_shared_from_this<front_tables> {
  /// `before`: those of before a reload.
  front_tables(std::shared_ptr<const config::settings> from, machine_facts about,
               const front_tables* before = nullptr);

  std::shared_ptr<const config::settings> settings;
  machine_facts facts;
  key_ring keys;
  std::vector<prepared_deployment> deployments; ///< as settings->deployments
  std::vector<group_needs> groups;              ///< as settings->groups
  mutable learned_fields learned;
  std::shared_ptr<front_memory> memory;

  /// Unique in this process, and unlikely to repeat in another.
  std::string new_id() const;
  /// Unix time, seconds.
  std::int64_t time_of_day_s(time_point now) const;
  /// Names that `who` may use, as in `/v1/models`, separated by commas; at most about 2000 bytes.
  std::string names_for(const visitor& who) const;
};

} // namespace vorrang::http
