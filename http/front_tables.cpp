#include "http/front_tables.hpp"

#include "config/providers.hpp"
#include "http/upstream_head.hpp"
#include "http/upstream_proxy.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace vorrang::http {

namespace {

std::optional<upstream_address> address_of(const config::deployment& from,
                                           const config::settings& settings) {
  if (from.mock)
    return std::nullopt;
  auto address = parse_upstream_address(from.api_base);
  if (address) {
    address->trust = {from.ssl_verify, from.ssl_ca_file, from.ssl_certificate};
    address->proxy = proxy_for(*address, settings.gateway.https_proxy, settings.gateway.no_proxy);
  }
  return address;
}

prepared_deployment prepare(const config::deployment& from, const config::settings& settings) {
  prepared_deployment to;
  to.defaults = parse_body_members(from.body_defaults).value_or(body_members{});
  to.extra_body = parse_body_members(from.extra_body).value_or(body_members{});
  to.endpoints = spoken_endpoints(from);
  const auto* provider = config::find_provider(from.provider);
  to.adds_stream_usage = settings.gateway.always_include_stream_usage && provider != nullptr &&
                         provider->takes_stream_options && !from.mock;
  return to;
}

bool has_tpm(const config::settings& all, std::size_t group) {
  const auto& places = all.groups[group].deployments;
  return std::any_of(places.begin(), places.end(), [&](std::size_t place) {
    return !all.deployments[place].retired && all.deployments[place].tpm.has_value();
  });
}

/// What a deployment's defaults and `extra_body` say of an answer's length; 256 if nothing.
std::uint64_t answer_tokens_of(const prepared_deployment& deployment) {
  std::optional<std::uint64_t> found;
  for (const auto* from : {&deployment.defaults, &deployment.extra_body})
    for (const auto* name : {"max_tokens", "max_completion_tokens"})
      if (const auto* member = from->find(name)) {
        std::uint64_t value = 0;
        const auto& text = member->value;
        if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc())
          found = std::max(found.value_or(0), value);
      }
  return found.value_or(256);
}

group_needs needs_of(const config::settings& all, std::size_t index,
                     const std::vector<prepared_deployment>& prepared) {
  const auto& group = all.groups[index];
  group_needs needs;
  needs.token_estimate = has_tpm(all, index);
  for (const auto* list :
       {&group.fallbacks, &group.context_window_fallbacks, &group.content_policy_fallbacks})
    for (const auto& target : *list)
      needs.token_estimate |= has_tpm(all, target.group);
  needs.prompt_estimate = all.router.enable_pre_call_checks;
  for (const auto place : group.deployments) {
    const auto& deployment = all.deployments[place];
    if (deployment.retired)
      continue;
    needs.endpoints |= spoken_endpoints(deployment);
    needs.answer_tokens = std::max(needs.answer_tokens, answer_tokens_of(prepared[place]));
    auto& shortest = needs.stream_keepalive;
    const auto& own = deployment.stream_keepalive;
    if (own && (!shortest || shortest->count() == 0 || (own->count() > 0 && *own < *shortest)))
      shortest = own;
  }
  return needs;
}

/// A bijection that scatters neighbours (the finalizer of splitmix64).
std::uint64_t scattered(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

} // namespace

learned_fields::refused learned_fields::of(std::size_t deployment) const {
  refused result;
  if (!any_.load(std::memory_order_acquire) || deployment >= known_.size())
    return result;
  const std::lock_guard lock(mutex_);
  result.stream_usage = known_[deployment].stream_usage;
  for (const auto& field : known_[deployment].fields) {
    if (field == "max_tokens")
      result.rename_max_tokens = true;
    else
      result.drop.push_back(field);
  }
  return result;
}

void learned_fields::add(std::size_t deployment, const std::string& field) {
  if (deployment >= known_.size())
    return;
  const std::lock_guard lock(mutex_);
  if (auto& fields = known_[deployment].fields; fields.size() < fields_max)
    fields.insert(field);
  any_.store(true, std::memory_order_release);
}

void learned_fields::add_stream_usage(std::size_t deployment) {
  if (deployment >= known_.size())
    return;
  const std::lock_guard lock(mutex_);
  known_[deployment].stream_usage = true;
  any_.store(true, std::memory_order_release);
}

void learned_fields::inherit(const learned_fields& from, std::size_t deployment) {
  if (!from.any_.load(std::memory_order_acquire))
    return;
  const std::lock_guard lock(from.mutex_);
  if (deployment >= from.known_.size() || deployment >= known_.size())
    return;
  known_[deployment] = from.known_[deployment];
  any_.store(true, std::memory_order_release);
}

void response_owners::add(const std::string& id, std::size_t deployment) {
  if (id.empty() || id.size() > id_bytes_max)
    return;
  const std::lock_guard lock(mutex_);
  if (!owners_.insert_or_assign(id, deployment).second)
    return;
  ages_.push_back(id);
  if (ages_.size() > responses_max) {
    owners_.erase(ages_.front());
    ages_.pop_front();
  }
}

std::optional<std::size_t> response_owners::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(id);
  return found == owners_.end() ? std::nullopt : std::optional(found->second);
}

front_tables::front_tables(std::shared_ptr<const config::settings> from, machine_facts about,
                           const front_tables* before)
    : settings(std::move(from)), facts(std::move(about)), keys(settings->gateway),
      learned(settings->deployments.size()),
      memory(before ? before->memory : std::make_shared<front_memory>()) {
  if (facts.time_of_day_then == std::chrono::system_clock::time_point{}) {
    facts.moment = std::chrono::steady_clock::now();
    facts.time_of_day_then = std::chrono::system_clock::now();
  }
  deployments.reserve(settings->deployments.size());
  for (std::size_t place = 0; place < settings->deployments.size(); ++place) {
    const auto& deployment = settings->deployments[place];
    auto& made = deployments.emplace_back(prepare(deployment, *settings));
    auto address = address_of(deployment, *settings);
    const bool was_there = before && place < before->deployments.size();
    const auto* old = was_there ? before->deployments[place].address : nullptr;
    if (address && old && *old == *address)
      made.address = old;
    else if (address)
      made.address = &memory->addresses.emplace_back(std::move(*address));
    if (was_there && made.address == old &&
        before->settings->deployments[place].upstream_model == deployment.upstream_model)
      learned.inherit(before->learned, place);
  }
  groups.reserve(settings->groups.size());
  for (std::size_t group = 0; group < settings->groups.size(); ++group)
    groups.push_back(needs_of(*settings, group, deployments));
}

std::string front_tables::new_id() const {
  auto bits = scattered(facts.id_seed ^ memory->next_id.fetch_add(1, std::memory_order_relaxed));
  std::array<char, 16> digits{};
  for (auto& digit : digits) {
    digit = "0123456789abcdef"[bits & 15];
    bits >>= 4;
  }
  return std::string(digits.data(), digits.size());
}

std::int64_t front_tables::time_of_day_s(time_point now) const {
  const auto later =
      std::chrono::duration_cast<std::chrono::system_clock::duration>(now - facts.moment);
  return std::chrono::duration_cast<std::chrono::seconds>(
             (facts.time_of_day_then + later).time_since_epoch())
      .count();
}

std::string front_tables::names_for(const visitor& who) const {
  constexpr std::size_t bytes_max = 2000;
  std::string names;
  bool cut = false;
  const auto add = [&](const std::string& name) {
    if (cut || !who.may_use(name))
      return;
    cut = names.size() + name.size() > bytes_max;
    if (!names.empty())
      names += ", ";
    names += cut ? "…" : name;
  };
  for (const auto& group : settings->groups)
    if (!group.retired)
      add(group.name);
  for (const auto& alias : settings->aliases)
    if (!alias.hidden)
      add(alias.name);
  return names;
}

} // namespace vorrang::http
