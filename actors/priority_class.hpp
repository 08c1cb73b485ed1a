// Classes of priorities, by which operators are told of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vorrang {

/// The place of a priority's class: one begins at each of `begins`, which rise, and class 0 is
/// below the first of them.
inline std::size_t priority_class(const std::vector<std::int32_t>& begins,
                                  std::int32_t priority) noexcept {
  std::size_t place = 0;
  while (place < begins.size() && priority >= begins[place])
    ++place;
  return place;
}

} // namespace vorrang
