#include "terminal/queue_text.hpp"

#include "terminal/printable.hpp"

#include <algorithm>

namespace vorrang::terminal {

namespace {

std::string in_bold(std::string text, bool bold) {
  return bold ? "\033[1m" + text + "\033[0m" : text;
}

std::string or_dash(std::string text) {
  return text.empty() ? "-" : text;
}

std::string number_text(const json& from, const char* name) {
  const auto found = number_of(from, name);
  return found ? std::to_string(*found) : "-";
}

std::string duration_of(const json& from, const char* name) {
  const auto found = number_of(from, name);
  return found ? duration_text(*found) : "-";
}

std::string window_text(const json& window) {
  return use_text(number_of(window, "used").value_or(0), number_of(window, "limit"));
}

/// The reason in words, below a heading that says that it waits.
std::string why_text(const json& ticket) {
  constexpr std::string_view waits = "waits ";
  auto reason = text_of(ticket, "reason");
  if (reason.rfind(waits, 0) == 0)
    reason.erase(0, waits.size());
  return or_dash(reason.empty() ? text_of(ticket, "why") : reason);
}

} // namespace

std::string use_text(std::int64_t used, const std::optional<std::int64_t>& limit) {
  return std::to_string(used) + (limit ? " of " + std::to_string(*limit) : "");
}

std::string state_text(const json& deployment) {
  std::string text = "full";
  if (flag_of(deployment, "cooling"))
    text = "cooling for " + duration_of(deployment, "cooldown_ends_in_ms");
  else if (flag_of(deployment, "healthy"))
    text = "healthy";
  if (flag_of(deployment, "retired"))
    text = "removed";
  return text;
}

text_table tickets_table(const json& group) {
  const auto& tickets = list_of(group, "tickets");
  const bool is_shared = std::any_of(tickets.begin(), tickets.end(), [](const json& ticket) {
    return !text_of(ticket, "instance").empty();
  });
  using side = text_table::side;
  std::vector<text_table::column> columns = {{"POS", side::right},      {"PRIORITY", side::right},
                                             {"ID", side::right},       {"WAITED", side::right},
                                             {"DEADLINE", side::right}, {"TRIED", side::right}};
  if (is_shared)
    columns.push_back({"INSTANCE", side::left});
  columns.push_back({"WHY", side::left});
  text_table table(std::move(columns));
  for (const auto& ticket : tickets) {
    std::vector<std::string> cells = {
        number_text(ticket, "position"),       number_text(ticket, "priority"),
        or_dash(text_of(ticket, "id")),        duration_of(ticket, "waited_ms"),
        duration_of(ticket, "deadline_in_ms"), number_text(ticket, "attempts")};
    if (cells[4] != "-")
      cells[4] = "in " + cells[4];
    if (is_shared)
      cells.push_back(or_dash(text_of(ticket, "instance")));
    cells.push_back(why_text(ticket));
    table.add(std::move(cells));
  }
  return table;
}

text_table deployments_table(const json& group) {
  using side = text_table::side;
  text_table table({{"DEPLOYMENT", side::left},
                    {"STATE", side::left},
                    {"IN FLIGHT", side::right},
                    {"RPM", side::right},
                    {"TPM", side::right},
                    {"LAST FAILURE", side::right}});
  for (const auto& each : list_of(group, "deployments"))
    table.add({text_of(each, "id"), state_text(each),
               use_text(number_of(each, "in_flight").value_or(0),
                        number_of(each, "max_parallel_requests")),
               window_text(part_of(each, "rpm")), window_text(part_of(each, "tpm")),
               number_text(each, "last_failure_status")});
  return table;
}

std::string group_text(const json& group, bool bold) {
  const auto waiting = number_of(group, "waiting").value_or(0);
  std::string text = in_bold(printable(text_of(group, "model")), bold) + ": ";
  if (waiting == 0)
    text += "nobody waits\n";
  else
    text += std::to_string(waiting) + (waiting == 1 ? " waits" : " wait") + ", the longest for " +
            duration_of(group, "oldest_wait_ms") + "\n";
  text += deployments_table(group).text(bold);
  const auto& tickets = list_of(group, "tickets");
  if (!tickets.empty())
    text += "\n" + tickets_table(group).text(bold);
  if (const auto next = number_of(group, "next_offset"))
    text +=
        "… " + std::to_string(waiting - *next) + " more: --offset " + std::to_string(*next) + "\n";
  return text;
}

std::string queue_text(const json& page, bool bold) {
  const auto& groups = part_of(page, "queues");
  if (!groups.is_array())
    return group_text(page, bold);
  std::string text;
  for (const auto& group : groups)
    text += (text.empty() ? "" : "\n") + group_text(group, bold);
  return text.empty() ? "There is no model group.\n" : text;
}

} // namespace vorrang::terminal
