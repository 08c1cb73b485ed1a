#include "config/fields.hpp"

#include "config/spelling.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace vorrang::config {

namespace {

std::string show(double value) {
  auto text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') {
    text.pop_back();
  }
  return text;
}

/// The text without blanks around it: a variable's value may have some.
std::string_view trim(std::string_view text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  return start == std::string_view::npos
             ? std::string_view()
             : text.substr(start, text.find_last_not_of(" \t\r\n") - start + 1);
}

std::optional<double> number_of(const node& value) {
  const bool may_be_one = value.type == node_type::integer || value.type == node_type::text ||
                          value.type == node_type::real;
  return may_be_one ? parse_real(trim(value.text)) : std::nullopt;
}

} // namespace

fields::fields(const node* map, section where, std::string path, diagnostics& out)
    : map_(map), where_(where), path_(std::move(path)), out_(out) {}

const mapping_entry* fields::take(std::string_view key) {
  if (where_ != section::environment_variables && !is_known(key)) {
    // Ours to mend, whatever the file says: the reference and the schema would not have it.
    throw std::logic_error(path_to(key) + " is read, and not in config/supported_settings.cpp");
  }
  const auto* entry = map_ == nullptr ? nullptr : map_->find(key);
  return entry == nullptr || entry->value->type == node_type::null ? nullptr : entry;
}

bool fields::names_unset_variable(std::string_view key) const {
  const auto* entry = map_ == nullptr ? nullptr : map_->find(key);
  return entry != nullptr && entry->value->type == node_type::null &&
         !entry->value->variable.empty();
}

void fields::wrong(const mapping_entry& entry, std::string_view expected) {
  std::string hint;
  if (entry.value->type == node_type::text && entry.value->variable.empty()) {
    // `router_settings:` with only `redis_host; x` below is one long text.
    const auto& text = entry.value->text;
    const auto mark = text.find_first_of(";=");
    if (mark != std::string::npos && mark > 0 && text.find(' ') > mark) {
      hint = std::string(" (is a ':' missing after `") + excerpt(text.substr(0, mark)) + "`?)";
    }
  }
  // Headers carry keys.
  const bool may_be_secret = entry.key == "headers" || entry.key == "extra_headers";
  const auto found = may_be_secret && entry.value->is_scalar() ? std::string("a text")
                                                               : describe(*entry.value) + hint;
  out_.error(entry.at, path_to(entry.key),
             "expected " + std::string(expected) + ", found " + found);
}

std::optional<std::string> fields::text(std::string_view key) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (entry->value->type == node_type::text) {
    return entry->value->text;
  }
  wrong(*entry, entry->value->is_scalar() ? "text (in quotes)" : "text");
  return std::nullopt;
}

std::optional<std::string> fields::text_or_number(std::string_view key) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (entry->value->is_scalar()) {
    return entry->value->text;
  }
  wrong(*entry, "text");
  return std::nullopt;
}

std::optional<secret> fields::secret_text(std::string_view key, bool numbers_too) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (entry->value->type == node_type::text || (numbers_too && entry->value->is_scalar())) {
    return secret(entry->value->text);
  }
  out_.error(entry->at, path_to(key),
             entry->value->is_scalar()
                 ? "expected text, found " + std::string(describe(entry->value->type)) +
                       "; put it in quotes"
                 : "expected text, found " + std::string(describe(entry->value->type)));
  return std::nullopt;
}

std::optional<bool> fields::boolean(std::string_view key) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (entry->value->type == node_type::boolean || entry->value->type == node_type::text) {
    if (const auto value = parse_boolean(trim(entry->value->text))) {
      return value;
    }
  }
  wrong(*entry, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> fields::whole(std::string_view key, std::int64_t least,
                                          std::int64_t most) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  std::optional<std::int64_t> value;
  const auto type = entry->value->type;
  if (type == node_type::integer || type == node_type::text || type == node_type::real) {
    const auto text = trim(entry->value->text);
    value = parse_integer(text);
    // 60.0 is a whole number too.
    if (const auto real = value ? std::nullopt : parse_real(text);
        real && std::abs(*real) < 1e15 && std::trunc(*real) == *real) {
      value = static_cast<std::int64_t>(*real);
    }
  }
  if (value && *value >= least && *value <= most) {
    return value;
  }
  std::string expected = "a whole number";
  if (least != std::numeric_limits<std::int64_t>::min()) {
    expected += " from " + std::to_string(least) + " to " + std::to_string(most);
  }
  wrong(*entry, expected);
  return std::nullopt;
}

std::optional<double> fields::real(std::string_view key, double least, double most) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const auto value = number_of(*entry->value);
  if (value && *value >= least && *value <= most) {
    return value;
  }
  wrong(*entry, "a number from " + show(least) + " to " + show(most));
  return std::nullopt;
}

std::optional<milliseconds> fields::seconds(std::string_view key, bool zero_is_allowed) {
  const auto* entry = take(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const auto value = number_of(*entry->value);
  const bool fits = value && *value >= 0 && *value <= seconds_max; // .nan does not
  if (!fits || (*value == 0 && !zero_is_allowed)) {
    wrong(*entry, std::string("a number of seconds ") +
                      (zero_is_allowed ? "from 0 to " : "above 0, up to ") + show(seconds_max));
    return std::nullopt;
  }
  const auto rounded = static_cast<std::int64_t>(std::llround(*value * 1000));
  return milliseconds(*value > 0 ? std::max<std::int64_t>(rounded, 1) : 0);
}

std::optional<std::vector<std::string>> fields::texts(std::string_view key) {
  const auto* entry = take(key);
  return entry == nullptr ? std::nullopt : read_texts(*entry->value, entry->at, path_to(key), out_);
}

const node* fields::mapping(std::string_view key) {
  const auto* entry = take(key);
  if (entry == nullptr || entry->value->type == node_type::mapping) {
    return entry == nullptr ? nullptr : entry->value.get();
  }
  wrong(*entry, "a mapping (`key: value` lines)");
  return nullptr;
}

const node* fields::sequence(std::string_view key) {
  const auto* entry = take(key);
  if (entry == nullptr || entry->value->type == node_type::sequence) {
    return entry == nullptr ? nullptr : entry->value.get();
  }
  wrong(*entry, "a list (`- item` lines)");
  return nullptr;
}

std::optional<std::uint32_t> fields::count(std::string_view key, std::int64_t most) {
  const auto value = whole(key, 0, most);
  return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

std::optional<std::int32_t> fields::int32(std::string_view key) {
  const auto value = whole(key, std::numeric_limits<std::int32_t>::min(),
                           std::numeric_limits<std::int32_t>::max());
  return value ? std::optional(static_cast<std::int32_t>(*value)) : std::nullopt;
}

std::optional<std::uint64_t> fields::limit(std::string_view key) {
  const auto value = whole(key, 0, 1'000'000'000'000'000);
  return value ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
}

void fields::error(std::string_view key, std::string message) {
  out_.error(place_of(key), path_to(key), std::move(message));
}

void fields::warning(std::string_view key, std::string message) {
  out_.warning(place_of(key), path_to(key), std::move(message));
}

std::string fields::path_to(std::string_view key) const {
  if (key.empty()) {
    return path_;
  }
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

position fields::place_of(std::string_view key) const {
  if (map_ == nullptr) {
    return {};
  }
  const auto* entry = map_->find(key);
  return entry == nullptr ? map_->at : entry->at;
}

bool fields::is_known(std::string_view key) const {
  const auto* row = find_setting(where_, key);
  return row != nullptr && row->state == setting_state::supported;
}

std::vector<std::string_view> fields::known() const {
  std::vector<std::string_view> keys;
  for (const auto& each : settings_of(where_)) {
    if (each.state == setting_state::supported) {
      keys.push_back(each.key);
    }
  }
  return keys;
}

void fields::warn_unsupported(const mapping_entry& entry, std::string_view why) const {
  const auto shown = excerpt(entry.key, 60);
  out_.warning(entry.at, path_to(shown),
               "LiteLLM's `" + shown + "` is not supported by Vorrang and has no effect; " +
                   std::string(why));
}

void fields::finish_open() const {
  if (map_ == nullptr) {
    return;
  }
  for (const auto& each : map_->entries) {
    if (const auto why = why_unsupported(where_, each.key)) {
      warn_unsupported(each, *why);
    }
  }
}

void fields::finish() const {
  if (map_ == nullptr) {
    return;
  }
  finish_open();
  for (const auto& each : map_->entries) {
    if (is_known(each.key) || why_unsupported(where_, each.key)) {
      continue;
    }
    std::vector<std::string_view> words;
    for (const auto& row : settings_of(where_)) {
      words.push_back(row.key);
    }
    out_.warning(each.at, path_to(excerpt(each.key, 60)),
                 "unknown key, has no effect" + suggestion(each.key, words));
  }
}

std::optional<std::vector<std::string>> read_texts(const node& value, const position& at,
                                                   const std::string& path, diagnostics& out,
                                                   bool allow_numbers) {
  const auto fits = [&](const node& each) {
    return each.type == node_type::text ||
           (allow_numbers && each.is_scalar() && each.type != node_type::null);
  };
  if (fits(value)) {
    return std::vector<std::string>{value.text};
  }
  if (value.type != node_type::sequence) {
    out.error(at, path, "expected a list of texts, found " + describe(value));
    return std::nullopt;
  }
  std::vector<std::string> all;
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    const auto& item = *value.items[i];
    if (fits(item)) {
      all.push_back(item.text);
    } else if (item.type != node_type::null || item.variable.empty()) {
      out.error(item.at, path + "[" + std::to_string(i) + "]",
                "expected text, found " + describe(item));
    }
  }
  return all;
}

} // namespace vorrang::config
