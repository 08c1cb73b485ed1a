#include "config/yaml_tree.hpp"

#include "config/yaml_builder.hpp"
#include "config/yaml_text.hpp"

#include <algorithm>

namespace vorrang::config {

namespace {

/// The dotted path of the key that stands at a place, or an empty string.
std::string path_of(const node& from, const position& at, const std::string& prefix,
                    std::size_t depth = 0) {
  if (depth > yaml_depth_max) {
    return {};
  }
  for (const auto& each : from.entries) {
    auto path = prefix.empty() ? each.key : prefix + "." + each.key;
    if (each.at.line == at.line && each.at.column == at.column) {
      return path;
    }
    if (auto found = path_of(*each.value, at, path, depth + 1); !found.empty()) {
      return found;
    }
  }
  for (std::size_t i = 0; i < from.items.size(); ++i) {
    const auto path = prefix + "[" + std::to_string(i) + "]";
    if (auto found = path_of(*from.items[i], at, path, depth + 1); !found.empty()) {
      return found;
    }
  }
  return {};
}

struct repair {
  missing_colon what;
  std::string original;
};

std::string colon_message(const missing_colon& found) {
  std::string repair = found.repair.substr(found.column - 1);
  if (found.found == ":") {
    return "expected a space after the colon: `" + excerpt(repair, 60) + "`";
  }
  return "expected ':' after the key, found " +
         (found.found.empty() ? std::string("none") : "'" + found.found + "'") + ": write `" +
         excerpt(repair, 60) + "`";
}

std::string syntax_message(const syntax_error& failure, const std::vector<std::string>& lines) {
  for (std::uint32_t line = failure.at.line; line > 0 && line + 1 >= failure.at.line; --line) {
    if (line <= lines.size() &&
        lines[line - 1].substr(0, lines[line - 1].find_first_not_of(" \t")).find('\t') !=
            std::string::npos) {
      return "expected spaces as indentation, found a tab in line " + std::to_string(line);
    }
  }
  if (failure.message.rfind("expected", 0) == 0) {
    return failure.message;
  }
  return "expected valid YAML: " + excerpt(failure.message, 200);
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& each : lines) {
    out += each;
    out += '\n';
  }
  return out;
}

} // namespace

const mapping_entry* node::find(std::string_view key) const {
  const auto hit = std::find_if(entries.begin(), entries.end(),
                                [&](const mapping_entry& each) { return each.key == key; });
  return hit == entries.end() ? nullptr : &*hit;
}

node_ptr parse_yaml(const std::string& text, std::uint32_t file, diagnostics& out) {
  constexpr std::size_t repairs_max = 20;
  if (text.size() > yaml_bytes_max) {
    out.error({file, 0, 0}, {},
              "expected at most " + std::to_string(yaml_bytes_max >> 20) + " MiB, found " +
                  std::to_string(text.size()) + " bytes");
    return nullptr;
  }
  if (const auto bad = find_bad_character(text)) {
    out.error({file, bad->line, bad->column}, {}, bad->message);
    return nullptr;
  }
  auto lines = split_lines(text);
  std::vector<repair> repairs;
  std::size_t confirmed = 0; // repairs after which the parser came further
  std::optional<syntax_error> farthest;
  for (auto current = text;; current = join_lines(lines)) {
    std::optional<syntax_error> failure;
    diagnostics found; // of this reading alone: a repair reads again
    found.add_file({});
    auto root = build_tree(current, lines, file, found, failure);
    if (failure) {
      if (!farthest || failure->at.line > farthest->at.line) {
        confirmed = repairs.size();
        farthest = failure;
      }
      auto colon = repairs.size() < repairs_max ? find_missing_colon_before(lines, failure->at.line)
                                                : std::nullopt;
      if (colon) {
        auto& line = lines[colon->line - 1];
        repairs.push_back({*colon, line});
        line = colon->repair;
        continue;
      }
      // The last repairs led nowhere: it was not the colon.
      for (; repairs.size() > confirmed; repairs.pop_back()) {
        lines[repairs.back().what.line - 1] = repairs.back().original;
      }
    }
    for (const auto& each : repairs) {
      const position at{file, each.what.line, each.what.column};
      auto path = root ? path_of(*root, at, {}) : std::string();
      out.error(at, path.empty() ? each.what.key : path, colon_message(each.what));
    }
    if (failure) {
      out.error(farthest->at, {}, syntax_message(*farthest, lines));
      return nullptr;
    }
    for (auto& each : found.take()) {
      out.add(each.level, {file, each.where.line, each.where.column}, each.path,
              std::move(each.message));
    }
    return root;
  }
}

std::string_view describe(node_type type) {
  switch (type) {
  case node_type::null:
    return "nothing";
  case node_type::boolean:
    return "true or false";
  case node_type::integer:
    return "a whole number";
  case node_type::real:
    return "a number";
  case node_type::text:
    return "text";
  case node_type::sequence:
    return "a list";
  case node_type::mapping:
    return "a mapping";
  }
  return "something";
}

std::string describe(const node& value) {
  switch (value.type) {
  case node_type::null:
    return "nothing";
  case node_type::integer:
  case node_type::real:
    return "the number " + excerpt(value.text);
  case node_type::boolean:
    return "`" + excerpt(value.text) + "` (true or false)";
  case node_type::text:
    // What came from the environment may be a secret that stands in the wrong place.
    return value.variable.empty() ? "\"" + excerpt(value.text) + "\""
                                  : "the text in the variable " + excerpt(value.variable);
  default:
    return std::string(describe(value.type));
  }
}

} // namespace vorrang::config
