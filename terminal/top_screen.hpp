// What `vorrang top` shows, and what keys mean there.
#pragma once

#include "terminal/json_fields.hpp"
#include "terminal/text_table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vorrang::terminal {

enum class look : std::uint8_t { plain, title, heading, chosen, warning, bad, faint };

struct screen_line {
  std::string text; ///< printable(), not wider than asked for
  look how = look::plain;
};

enum class key : std::uint8_t {
  up,
  down,
  page_up,
  page_down,
  home,
  end,
  next_model,
  model_before,
  enter,
  escape,
  erase,
  character, ///< with the character
  other,
};

/// What was heard at the last look.
struct top_view {
  /// As `GET /queue?limit=0` has it.
  json groups;
  /// The page of the chosen group.
  json group;
  /// Why there was no answer; empty: there was one.
  std::string trouble;
  /// The time of day.
  std::string clock;
};

/// What the operator wants done.
struct top_action {
  std::string model;
  std::string ticket;
  /// Absent: it is cancelled.
  std::optional<std::int32_t> priority;
};

/// Passive: it is told what was heard and which keys were pressed, and draws lines. The chosen
/// ticket is known by its id, so that a line that moves on puts no other one below the finger.
class top_screen {
public:
  /// Tickets that it shows at most.
  static constexpr std::size_t tickets_max = 200;

  explicit top_screen(std::string url) : url_(std::move(url)) {}

  /// A look that failed leaves what was there, and says that it is old.
  void show(top_view heard);
  void press(key what, char character = 0);
  /// What came of an action; stays until the next key.
  void tell(std::string what) { told_ = std::move(what); }

  /// Exactly `rows` lines.
  std::vector<screen_line> draw(std::size_t rows, std::size_t columns) const;

  /// What was decided since the last call.
  std::optional<top_action> take_action() { return std::exchange(action_, std::nullopt); }
  bool wants_to_quit() const noexcept { return quits_; }
  /// The chosen group; empty as long as none is known.
  const std::string& model() const noexcept { return model_; }
  const std::string& ticket() const noexcept { return ticket_; }

private:
  enum class mode : std::uint8_t { watching, helping, asking_priority, confirming };

  void press_watching(key what, char character);
  void press_priority(key what, char character);
  void press_confirming(key what, char character);
  void choose_group(int step);
  void choose_ticket(std::int64_t step);
  std::optional<std::size_t> place_of_ticket() const;
  std::optional<std::size_t> place_of_group() const;
  std::string title(std::size_t columns) const;
  std::string footer() const;
  text_table groups_table() const;
  std::vector<screen_line> help() const;

  std::string url_;
  top_view view_;
  std::string model_;
  std::string ticket_;
  std::string told_;
  std::string typed_;
  mode mode_ = mode::watching;
  top_action pending_;
  std::optional<top_action> action_;
  bool quits_ = false;
};

} // namespace vorrang::terminal
