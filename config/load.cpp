// Files, includes and variables: everything before the settings themselves.
#include "config/reading.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <unordered_set>

namespace vorrang::config {

namespace {

namespace fs = std::filesystem;

class loader {
public:
  explicit loader(reading& to) : to_(to) {}

  node_ptr load_file(const std::string& path) {
    const auto file = to_.found.add_file(path);
    return load_opened(path, file, {file, 0, 0}, {});
  }

  node_ptr load_text(const std::string& text, const std::string& name) {
    const auto file = to_.found.add_file(name);
    std::error_code ignored;
    open_.push_back(fs::weakly_canonical(name, ignored).string());
    auto root = parse(text, name, file);
    open_.pop_back();
    return root;
  }

private:
  /// Errors go to where the file was asked for.
  node_ptr load_opened(const std::string& path, std::uint32_t file, const position& asked_at,
                       const std::string& asked_as) {
    std::error_code failure;
    const auto canonical = fs::weakly_canonical(path, failure).string();
    const auto complain = [&](const std::string& why) {
      to_.found.error(asked_at, asked_as,
                      "expected a file that can be read, found " +
                          (asked_as.empty() ? why : "`" + excerpt(path, 200) + "`: " + why));
      return nullptr;
    };
    if (std::find(open_.begin(), open_.end(), canonical) != open_.end()) {
      to_.found.error(asked_at, asked_as,
                      "expected files that do not include each other, found `" +
                          excerpt(path, 200) + "` including itself");
      return nullptr;
    }
    if (fs::is_directory(path, failure)) {
      return complain("a folder");
    }
    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    if (!stream) {
      return complain(errno != 0 ? std::strerror(errno) : "no such file");
    }
    // One byte more than allowed, so that parse_yaml() sees that it is too long. A piece at a time:
    // a gateway that reads it again keeps room for the largest that it ever asked for.
    std::string text;
    for (std::array<char, 65536> piece; stream && text.size() <= yaml_bytes_max;) {
      stream.read(piece.data(), piece.size());
      text.append(piece.data(), std::min(static_cast<std::size_t>(stream.gcount()),
                                         yaml_bytes_max + 1 - text.size()));
    }
    if (stream.bad()) {
      return complain("an error while reading");
    }
    open_.push_back(canonical);
    auto root = parse(text, path, file);
    open_.pop_back();
    return root;
  }

  node_ptr parse(const std::string& text, const std::string& path, std::uint32_t file) {
    auto root = parse_yaml(text, file, to_.found);
    if (!root) {
      return nullptr;
    }
    if (root->type != node_type::mapping) {
      to_.found.error({file, root->at.line, root->at.column}, {},
                      root->type == node_type::null
                          ? "expected a mapping with `model_list`, found an empty file"
                          : "expected a mapping with `model_list`, found " + describe(*root));
      return nullptr;
    }
    include(*root, path);
    return root;
  }

  void include(node& root, const std::string& path) {
    const auto* entry = root.find("include");
    if (entry == nullptr) {
      return;
    }
    const auto asked = *entry;
    root.entries.erase(root.entries.begin() + (entry - root.entries.data()));
    if (asked.value->type == node_type::null) {
      return;
    }
    const auto names = read_texts(*asked.value, asked.at, "include", to_.found);
    if (!names) {
      return;
    }
    for (std::size_t i = 0; i < names->size(); ++i) {
      const bool is_list = asked.value->type == node_type::sequence;
      const auto at =
          is_list && i < asked.value->items.size() ? asked.value->items[i]->at : asked.at;
      const auto name = is_list ? "include[" + std::to_string(i) + "]" : std::string("include");
      if (open_.size() >= include_depth_max || ++files_ > include_files_max) {
        to_.found.error(at, name,
                        "expected at most " + std::to_string(include_depth_max) +
                            " levels of included files, and at most " +
                            std::to_string(include_files_max) + " files");
        return;
      }
      const auto full = (fs::path(path).parent_path() / (*names)[i]).lexically_normal().string();
      const auto file = to_.found.add_file(full);
      if (const auto included = load_opened(full, file, at, name)) {
        merge(root, *included);
      }
    }
  }

  /// Lists are appended, other keys replaced.
  void merge(node& into, const node& from) {
    for (const auto& each : from.entries) {
      auto* old = const_cast<mapping_entry*>(into.find(each.key));
      if (old == nullptr) {
        into.entries.push_back(each);
      } else if (old->value->type == node_type::sequence &&
                 each.value->type == node_type::sequence) {
        auto joined = std::make_shared<node>(*old->value);
        joined->items.insert(joined->items.end(), each.value->items.begin(),
                             each.value->items.end());
        old->value = std::move(joined);
      } else {
        if (old->value->type != node_type::null) {
          to_.found.warning(each.at, each.key,
                            "replaces the whole `" + excerpt(each.key) + "` of " +
                                to_.found.file_name(old->at.file) + ":" +
                                std::to_string(old->at.line));
        }
        *old = each;
      }
    }
  }

  reading& to_;
  std::vector<std::string> open_; ///< canonical names of the files being read
  std::size_t files_ = 0;
};

constexpr std::string_view variable_prefix = "os.environ/";

/// Where null would open the gateway or send a key to another host.
bool must_be_set(std::string_view path) {
  const auto begins = [&](std::string_view start) {
    return path.substr(0, start.size()) == start;
  };
  const auto ends = [&](std::string_view end) {
    return path.size() >= end.size() && path.substr(path.size() - end.size()) == end;
  };
  return path == "general_settings.master_key" || begins("vorrang_settings.keys") ||
         begins("router_settings.redis_") || ends(".litellm_params.api_base") ||
         ends(".litellm_params.base_url");
}

class substitution {
public:
  explicit substitution(reading& to) : to_(to) {}

  void walk(node& value, const position& at, const std::string& path) {
    if (value.type == node_type::mapping) {
      for (auto& each : value.entries) {
        walk(*each.value, each.at, path.empty() ? each.key : path + "." + each.key);
      }
    } else if (value.type == node_type::sequence) {
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        walk(*value.items[i], value.items[i]->at, path + "[" + std::to_string(i) + "]");
      }
    } else {
      replace(value, at, path);
    }
  }

private:
  void replace(node& value, const position& at, const std::string& path) {
    if (value.variable.empty() && value.type == node_type::text &&
        value.text.compare(0, variable_prefix.size(), variable_prefix) == 0) {
      value.variable = value.text.substr(variable_prefix.size());
      if (value.variable.empty()) {
        // Left over where a template's variable was empty; as null it could open the gateway.
        to_.found.error(at, path, "expected the name of a variable after `os.environ/`");
        return;
      }
      const auto found = to_.variables(value.variable);
      value.text = found.value_or("");
      value.quoted = true;
      value.type = found ? node_type::text : node_type::null;
    }
    if (value.variable.empty() || value.type != node_type::null) {
      return;
    }
    const auto message = "the variable " + excerpt(value.variable, 100) + " is not set";
    if (must_be_set(path)) {
      to_.found.error(at, path, "expected a value, but " + message);
    } else if (warned_.insert(&value).second) {
      to_.found.warning(at, path, message + ", so this has no value");
    }
  }

  reading& to_;
  std::unordered_set<const node*> warned_; ///< a value that many places share: once
};

} // namespace

node_ptr load_text(const std::string& text, const std::string& name, reading& to) {
  return loader(to).load_text(text, name);
}

node_ptr load_file(const std::string& path, reading& to) {
  return loader(to).load_file(path);
}

void read_environment(node& root, reading& to) {
  substitution replacing(to);
  const auto* entry = root.find("environment_variables");
  if (entry != nullptr && entry->value->type == node_type::mapping) {
    replacing.walk(*entry->value, entry->at, "environment_variables");
    auto own = std::make_shared<std::map<std::string, std::string, std::less<>>>();
    fields from(entry->value.get(), section::environment_variables, "environment_variables",
                to.found);
    for (const auto& each : entry->value->entries) {
      const auto value = from.text_or_number(each.key);
      if (!value) {
        continue;
      }
      to.all.environment.emplace_back(each.key, secret(*value));
      (*own)[each.key] = *value;
    }
    to.variables = [own, outer = to.variables](std::string_view name) {
      const auto hit = own->find(name);
      return hit == own->end() ? outer(name) : std::optional<std::string>(hit->second);
    };
  } else if (entry != nullptr && entry->value->type != node_type::null) {
    to.found.error(entry->at, "environment_variables",
                   "expected a mapping of names to values, found " + describe(*entry->value));
  }
  replacing.walk(root, root.at, {});
}

} // namespace vorrang::config
