#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace vorrang::checked {

/// Nanoseconds of the steady clock; -1 where it never came to that.
using moment = std::int64_t;
constexpr moment never = -1;
constexpr moment milliseconds = 1'000'000;

/// The one clock of clients and providers. No two of its moments are the same, so that what the one
/// thread does and sees has an order.
class ordered_clock {
public:
  moment now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    last_ = std::max<moment>(std::chrono::nanoseconds(since).count(), last_ + 1);
    return last_;
  }

private:
  moment last_ = 0;
};

} // namespace vorrang::checked
