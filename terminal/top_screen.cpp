#include "terminal/top_screen.hpp"

#include "terminal/printable.hpp"
#include "terminal/queue_text.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace vorrang::terminal {

namespace {

constexpr std::size_t rows_min = 10;
constexpr std::size_t columns_min = 40;
/// Fewer have no blank lines between tables.
constexpr std::size_t rows_for_blanks = 20;
/// `-2147483648`.
constexpr std::size_t priority_digits_max = 11;

std::optional<std::int32_t> read_priority(const std::string& typed) {
  std::int32_t value = 0;
  const auto* end = typed.data() + typed.size();
  const auto [at, error] = std::from_chars(typed.data(), end, value);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

std::optional<std::size_t> place_in(const json& list, const char* name, const std::string& wanted) {
  for (std::size_t i = 0; i < list.size(); ++i)
    if (text_of(list[i], name) == wanted)
      return i;
  return std::nullopt;
}

/// `text` in lines of at most `columns`, broken at blanks; at most `most` of them, the rest is left
/// out.
std::vector<std::string> wrapped(const std::string& text, std::size_t columns, std::size_t most) {
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto& last = lines.back();
    if (last.empty() || lines.size() == most || columns_of(last) + 1 + columns_of(word) <= columns)
      lines.back() += (last.empty() ? "" : " ") + word;
    else
      lines.push_back(word);
  }
  return lines;
}

/// The look of a deployment's line.
look look_of(const json& deployment) {
  if (flag_of(deployment, "cooling"))
    return look::bad;
  return flag_of(deployment, "full") ? look::warning : look::plain;
}

/// Of `count` rows as many as fit into `room`, so that `chosen` is among them.
struct section {
  std::size_t first = 0;
  std::size_t count = 0;
};
section visible(std::size_t count, std::size_t room, std::size_t chosen) {
  section part;
  part.count = std::min(count, room);
  if (part.count > 0 && chosen >= part.count)
    part.first = std::min(chosen - part.count + 1, count - part.count);
  return part;
}

} // namespace

void top_screen::show(top_view heard) {
  if (!heard.trouble.empty()) {
    view_.trouble = std::move(heard.trouble);
    return;
  }
  const auto place_before = place_of_ticket();
  view_ = std::move(heard);
  const auto& groups = list_of(view_.groups, "queues");
  if (!place_of_group())
    model_ = groups.empty() ? "" : text_of(groups[0], "model");
  if (text_of(view_.group, "model") != model_)
    view_.group = json();
  // Who has left the line is followed by who stands at that place now.
  const auto& tickets = list_of(view_.group, "tickets");
  if (!place_of_ticket())
    ticket_ = tickets.empty()
                  ? ""
                  : text_of(tickets[std::min(place_before.value_or(0), tickets.size() - 1)], "id");
}

std::optional<std::size_t> top_screen::place_of_ticket() const {
  return place_in(list_of(view_.group, "tickets"), "id", ticket_);
}

std::optional<std::size_t> top_screen::place_of_group() const {
  return place_in(list_of(view_.groups, "queues"), "model", model_);
}

void top_screen::choose_group(int step) {
  const auto& groups = list_of(view_.groups, "queues");
  if (groups.empty())
    return;
  const auto count = static_cast<int>(groups.size());
  const auto now = static_cast<int>(place_of_group().value_or(0));
  model_ = text_of(groups[static_cast<std::size_t>((now + step + count) % count)], "model");
  ticket_.clear();
  view_.group = json();
}

void top_screen::choose_ticket(std::int64_t step) {
  const auto& tickets = list_of(view_.group, "tickets");
  if (tickets.empty())
    return;
  const auto now = static_cast<std::int64_t>(place_of_ticket().value_or(0));
  const auto last = static_cast<std::int64_t>(tickets.size()) - 1;
  const auto next = std::clamp<std::int64_t>(now + step, 0, last);
  ticket_ = text_of(tickets[static_cast<std::size_t>(next)], "id");
}

void top_screen::press(key what, char character) {
  told_.clear();
  switch (mode_) {
  case mode::watching:
    return press_watching(what, character);
  case mode::helping:
    mode_ = mode::watching;
    return;
  case mode::asking_priority:
    return press_priority(what, character);
  case mode::confirming:
    return press_confirming(what, character);
  }
}

void top_screen::press_watching(key what, char character) {
  constexpr std::int64_t page = 10;
  constexpr std::int64_t far = tickets_max;
  if (what == key::up || character == 'k')
    choose_ticket(-1);
  else if (what == key::down || character == 'j')
    choose_ticket(1);
  else if (what == key::page_up)
    choose_ticket(-page);
  else if (what == key::page_down)
    choose_ticket(page);
  else if (what == key::home)
    choose_ticket(-far);
  else if (what == key::end)
    choose_ticket(far);
  else if (what == key::next_model)
    choose_group(1);
  else if (what == key::model_before)
    choose_group(-1);
  else if (character == 'q')
    quits_ = true;
  else if (character == '?' || character == 'h')
    mode_ = mode::helping;
  else if (character == 'b' || character == 'c') {
    if (ticket_.empty()) {
      told_ = "Nobody waits for " + printable(model_);
      return;
    }
    pending_ = {model_, ticket_, std::nullopt};
    typed_.clear();
    mode_ = character == 'b' ? mode::asking_priority : mode::confirming;
  }
}

void top_screen::press_priority(key what, char character) {
  const bool is_digit = character >= '0' && character <= '9';
  if (what == key::escape) {
    mode_ = mode::watching;
  } else if (what == key::erase) {
    if (!typed_.empty())
      typed_.pop_back();
  } else if (what == key::enter) {
    pending_.priority = read_priority(typed_);
    if (pending_.priority)
      mode_ = mode::confirming;
    else
      typed_.clear();
  } else if (typed_.size() < priority_digits_max &&
             (is_digit || (character == '-' && typed_.empty()))) {
    typed_ += character;
  }
}

void top_screen::press_confirming(key what, char character) {
  if (character == 'y' || character == 'Y')
    action_ = pending_;
  else if (character != 'n' && character != 'N' && character != 'q' && what != key::escape)
    return; // y or n
  mode_ = mode::watching;
}

std::string top_screen::title(std::size_t columns) const {
  const auto& groups = list_of(view_.groups, "queues");
  std::int64_t waiting = 0;
  for (const auto& group : groups)
    waiting += number_of(group, "waiting").value_or(0);
  const std::string left = " vorrang top  " + printable(url_);
  const std::string right = std::to_string(groups.size()) +
                            (groups.size() == 1 ? " model, " : " models, ") +
                            std::to_string(waiting) + " waiting  " + view_.clock + " ";
  const auto room = columns - std::min(columns, columns_of(right));
  return fit_to(fit_to(left, room) + right, columns);
}

std::string top_screen::footer() const {
  switch (mode_) {
  case mode::asking_priority:
    return "Priority for ticket " + printable(pending_.ticket) + " (lower goes first): " + typed_ +
           "_";
  case mode::confirming:
    if (pending_.priority)
      return "Give ticket " + printable(pending_.ticket) + " priority " +
             std::to_string(*pending_.priority) + "? y/n";
    return "Cancel ticket " + printable(pending_.ticket) + "? Its client gets 503. y/n";
  case mode::helping:
    return "Any key goes back";
  case mode::watching:
    break;
  }
  return told_.empty() ? "arrows/jk ticket  Tab model  b priority  c cancel  ? help  q quit"
                       : printable(told_);
}

text_table top_screen::groups_table() const {
  using side = text_table::side;
  text_table table({{"MODEL", side::left},
                    {"WAITING", side::right},
                    {"LONGEST", side::right},
                    {"HEALTHY", side::right}});
  for (const auto& group : list_of(view_.groups, "queues")) {
    const auto& deployments = list_of(group, "deployments");
    const auto healthy = std::count_if(deployments.begin(), deployments.end(),
                                       [](const json& each) { return flag_of(each, "healthy"); });
    table.add({text_of(group, "model"), std::to_string(number_of(group, "waiting").value_or(0)),
               duration_text(number_of(group, "oldest_wait_ms").value_or(0)),
               use_text(healthy, static_cast<std::int64_t>(deployments.size()))});
  }
  return table;
}

std::vector<screen_line> top_screen::help() const {
  std::vector<screen_line> lines;
  for (const char* each :
       {"", "  up, down, j, k       another ticket", "  Page Up, Page Down   ten tickets further",
        "  Home, End            the first, the last that is shown",
        "  Tab, Shift-Tab       another model",
        "  b                    give the ticket another priority (asks)",
        "  c                    cancel the ticket: its client gets 503 (asks)",
        "  q, Ctrl-C            quit", "",
        "  Red: a deployment cools down after failures. Yellow: it is full."})
    lines.push_back({each, look::plain});
  return lines;
}

std::vector<screen_line> top_screen::draw(std::size_t rows, std::size_t columns) const {
  std::vector<screen_line> lines;
  const bool is_low = rows < rows_for_blanks;
  // A question and what came of it are shown whole, of the hint what fits.
  const bool is_hint = mode_ == mode::watching && told_.empty();
  auto foot = is_hint ? std::vector<std::string>{footer()} : wrapped(footer(), columns, 3);
  foot.resize(std::min(foot.size(), rows));
  if (rows < rows_min || columns < columns_min) {
    lines.push_back({"Too small: 40x10 at least", look::bad});
  } else {
    lines.push_back({title(columns), look::title});
    const bool has_nothing = view_.groups.is_null();
    const auto trouble = (has_nothing ? "" : "OLD: ") + printable(view_.trouble);
    const auto room = has_nothing ? rows / 2 : is_low ? 1 : rows / 8;
    if (!view_.trouble.empty())
      for (auto& each : wrapped(trouble, columns, room))
        lines.push_back({std::move(each), look::bad});
  }
  // How much there is room for: a quarter for models, a third for deployments, tickets the rest.
  const auto put = [&](const text_table& table, std::size_t room, std::optional<std::size_t> chosen,
                       auto look_at) {
    auto all = table.lines();
    lines.push_back({all[0], look::heading});
    const auto part = visible(all.size() - 1, room, chosen.value_or(0));
    for (std::size_t i = part.first; i < part.first + part.count; ++i)
      lines.push_back({all[i + 1], chosen == i ? look::chosen : look_at(i)});
    return all.size() - 1 - part.count;
  };
  const auto plain = [](std::size_t) {
    return look::plain;
  };
  if (rows < rows_min || columns < columns_min) {
    // nothing else
  } else if (mode_ == mode::helping) {
    const auto text = help();
    lines.insert(lines.end(), text.begin(), text.end());
  } else {
    const auto put_blank = [&] {
      if (!is_low)
        lines.push_back({});
    };
    const auto put_more = [&](std::size_t count) {
      if (count > 0)
        lines.push_back({"  and " + std::to_string(count) + " more", look::faint});
    };
    put(groups_table(), rows / 4 - 1, place_of_group(), plain);
    const auto& deployments = list_of(view_.group, "deployments");
    if (part_of(view_.group, "tickets").is_array()) {
      put_blank();
      const auto left_out = put(deployments_table(view_.group), rows / 3 - 2, std::nullopt,
                                [&](std::size_t i) { return look_of(deployments[i]); });
      if (!is_low)
        put_more(left_out);
      put_blank();
      const auto room = rows - std::min(rows, lines.size() + 2 + foot.size());
      const auto hidden = put(tickets_table(view_.group), room, place_of_ticket(), plain);
      const auto shown = list_of(view_.group, "tickets").size() - hidden;
      const auto waiting = std::max<std::int64_t>(0, number_of(view_.group, "waiting").value_or(0));
      put_more(std::max(static_cast<std::size_t>(waiting), shown) - shown);
    }
  }
  lines.resize(rows - foot.size());
  for (auto& each : foot)
    lines.push_back({std::move(each), mode_ == mode::watching ? look::faint : look::warning});
  for (auto& line : lines)
    line.text = line.how == look::chosen || line.how == look::title ? fit_to(line.text, columns)
                                                                    : cut_to(line.text, columns);
  return lines;
}

} // namespace vorrang::terminal
