#include "bench/policy/engine_policy.hpp"
#include "bench/policy/litellm_policy.hpp"
#include "bench/policy/simple_policies.hpp"

namespace vorrang::bench {

std::unique_ptr<policy> make_policy(std::string_view name, stage& where) {
  if (name == "vorrang")
    return std::make_unique<engine_policy>(where);
  if (name == "fifo")
    return std::make_unique<line_policy>(where, line_policy::rules{});
  if (name == "haproxy")
    return std::make_unique<line_policy>(where, line_policy::rules{true, false});
  if (name == "litellm")
    return std::make_unique<litellm_policy>(where);
  if (name == "rejection")
    return std::make_unique<rejection_policy>(where);
  return nullptr;
}

} // namespace vorrang::bench
