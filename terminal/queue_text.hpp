// What `GET /queue` says, as text for people.
#pragma once

#include "terminal/json_fields.hpp"
#include "terminal/text_table.hpp"

#include <string>

namespace vorrang::terminal {

/// `3 of 10`, `3` where there is no limit.
std::string use_text(std::int64_t used, const std::optional<std::int64_t>& limit);

/// Of one deployment: `healthy`, `full`, `cooling for 3.2 s`, and `removed` after a reload.
std::string state_text(const json& deployment);

/// Who waits on this page of a group: position, priority, id, waited, deadline, attempts, instance,
/// why. Instances only where the queue is shared.
text_table tickets_table(const json& group);
/// Its deployments, and the use of their limits.
text_table deployments_table(const json& group);

/// A group as `vorrang queue` prints it: a sentence, its deployments, who waits, and how to see
/// more of them. `bold`: for a terminal.
std::string group_text(const json& group, bool bold);

/// An answer of `GET /queue` or `GET /queue/{model}`.
std::string queue_text(const json& page, bool bold);

} // namespace vorrang::terminal
