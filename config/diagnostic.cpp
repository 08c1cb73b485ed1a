#include "config/diagnostic.hpp"

#include <algorithm>
#include <tuple>

namespace vorrang::config {

std::string to_text(const diagnostic& value) {
  std::string out = value.where.file;
  if (value.where.line > 0) {
    out += ':' + std::to_string(value.where.line) + ':' + std::to_string(value.where.column);
  }
  if (!out.empty()) {
    out += ": ";
  }
  if (!value.path.empty()) {
    out += value.path + ": ";
  }
  return out + value.message;
}

std::uint32_t diagnostics::add_file(std::string name) {
  files_.push_back(std::move(name));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

location diagnostics::locate(const position& at) const {
  return {at.file < files_.size() ? files_[at.file] : std::string(), at.line, at.column};
}

void diagnostics::error(const position& at, const std::string& path, std::string message) {
  add(severity::error, at, path, std::move(message));
}

void diagnostics::warning(const position& at, const std::string& path, std::string message) {
  add(severity::warning, at, path, std::move(message));
}

void diagnostics::add(severity level, const position& at, const std::string& path,
                      std::string message) {
  // One place, one error: what else is wrong there follows from the first.
  const bool told =
      at.line > 0 && std::any_of(entries_.begin(), entries_.end(), [&](const entry& e) {
        return e.value.level == severity::error &&
               std::tie(e.at.file, e.at.line, e.at.column) ==
                   std::tie(at.file, at.line, at.column) &&
               e.value.path == path;
      });
  if (told)
    return;
  if (level == severity::error) {
    ++errors_;
  }
  if (entries_.size() >= kept_max) {
    // An error is worth more than a warning: it takes the place of the last one.
    const auto last = std::find_if(entries_.rbegin(), entries_.rend(), [](const entry& each) {
      return each.value.level != severity::error;
    });
    ++dropped_;
    if (level != severity::error || last == entries_.rend()) {
      return;
    }
    entries_.erase(std::next(last).base());
  }
  entries_.push_back({at, {level, locate(at), excerpt(path, 200), std::move(message)}});
}

std::vector<diagnostic> diagnostics::take() {
  std::stable_sort(entries_.begin(), entries_.end(), [](const entry& a, const entry& b) {
    return std::tie(a.at.file, a.at.line, a.at.column) <
           std::tie(b.at.file, b.at.line, b.at.column);
  });
  std::vector<diagnostic> out;
  out.reserve(entries_.size());
  for (auto& each : entries_) {
    out.push_back(std::move(each.value));
  }
  entries_.clear();
  return out;
}

std::string excerpt(std::string_view text, std::size_t characters_max) {
  std::string out;
  std::size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0U) != 0x80U && ++characters > characters_max) {
      return out + "…";
    }
    out += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return out;
}

} // namespace vorrang::config
