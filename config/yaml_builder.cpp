#include "config/yaml_builder.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

namespace vorrang::config {

namespace {

constexpr std::string_view core_tag = "tag:yaml.org,2002:";

/// Builds the tree from yaml-cpp's events. Its own node type merges nothing, keeps the first of
/// duplicate keys and knows no place for keys' values; the events tell all that is needed.
class tree_builder final : public YAML::EventHandler {
public:
  tree_builder(std::uint32_t file, const std::vector<std::string>& lines, diagnostics& out)
      : file_(file), lines_(lines), out_(out) {}

  node_ptr root;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto made = make(mark, anchor);
    if (in_mapping_value()) {
      check_colon();
    }
    put(std::move(made));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end() ||
        std::any_of(stack_.begin(), stack_.end(),
                    [&](const level& each) { return each.made == known->second; })) {
      fail(mark, "expected an alias of something that is complete, found one inside itself");
    }
    count(mark, sizes_[known->second.get()]);
    put(known->second, to_position(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto made = make(mark, anchor);
    made->text = value;
    made->quoted = tag == "!";
    made->type = made->quoted ? node_type::text : resolve_scalar(value);
    if (tag.size() > 1 || (tag.size() == 1 && tag != "!" && tag != "?")) {
      apply_tag(*made, tag, mark);
    }
    put(std::move(made));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, node_type::sequence, "seq");
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, node_type::mapping, "map");
  }
  void OnMapEnd() override {
    merge(*stack_.back().made, stack_.back().merges);
    close();
  }

private:
  struct level {
    node_ptr made;
    bool has_key = false;
    bool key_is_merge = false;
    std::string key;
    position key_at;
    std::vector<node_ptr> merges;
    std::size_t nodes_before = 0;
  };

  [[noreturn]] static void fail(const YAML::Mark& mark, const std::string& message) {
    // Through yaml-cpp's own frames, caught in parse_once().
    throw YAML::ParserException(mark, message);
  }

  position to_position(const YAML::Mark& mark) const {
    return {file_, static_cast<std::uint32_t>(std::max(mark.line, 0) + 1),
            static_cast<std::uint32_t>(std::max(mark.column, 0) + 1)};
  }

  void count(const YAML::Mark& mark, std::size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > yaml_nodes_max) {
      fail(mark, "expected at most " + std::to_string(yaml_nodes_max) +
                     " values in a file, aliases counted as often as they are used");
    }
  }

  node_ptr make(const YAML::Mark& mark, YAML::anchor_t anchor) {
    count(mark, 1);
    auto made = std::make_shared<node>();
    made->at = to_position(mark);
    if (anchor != 0) {
      anchors_[anchor] = made;
      sizes_[made.get()] = 1;
    }
    return made;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, node_type type,
            std::string_view core_name) {
    if (stack_.size() >= yaml_depth_max) {
      fail(mark, "expected at most " + std::to_string(yaml_depth_max) + " levels");
    }
    if (tag.size() > 1 && tag != std::string(core_tag).append(core_name)) {
      fail(mark, "expected plain YAML, found the tag `" + excerpt(tag) + "`");
    }
    auto made = make(mark, anchor);
    made->type = type;
    level next;
    next.made = std::move(made);
    next.nodes_before = nodes_ - 1;
    stack_.push_back(std::move(next));
  }

  void close() {
    auto made = std::move(stack_.back().made);
    sizes_[made.get()] = nodes_ - stack_.back().nodes_before;
    stack_.pop_back();
    put(std::move(made));
  }

  bool in_mapping_value() const {
    return !stack_.empty() && stack_.back().made->type == node_type::mapping &&
           stack_.back().has_key;
  }

  /// yaml-cpp takes a last line without a colon for a key whose value is null; PyYAML does not.
  void check_colon() {
    const auto& key = stack_.back();
    if (key.key_at.line == 0 || key.key_at.line > lines_.size() || key.key.empty()) {
      return;
    }
    const auto& line = lines_[key.key_at.line - 1];
    const bool has_colon = line.find(": ") != std::string::npos ||
                           line.find(":\t") != std::string::npos ||
                           (!line.empty() && line.back() == ':');
    if (!has_colon && line.find_first_of("?{[,") == std::string::npos) {
      YAML::Mark mark;
      mark.line = static_cast<int>(key.key_at.line) - 1;
      mark.column = static_cast<int>(key.key_at.column) - 1;
      fail(mark, "expected ':' after the key `" + excerpt(key.key) + "`");
    }
  }

  void put(node_ptr made) {
    const auto at = made->at;
    put(std::move(made), at);
  }

  void put(node_ptr made, const position& at) {
    if (stack_.empty()) {
      root = std::move(made);
      return;
    }
    auto& top = stack_.back();
    if (top.made->type == node_type::sequence) {
      top.made->items.push_back(std::move(made));
      return;
    }
    if (!top.has_key) {
      if (!made->is_scalar()) {
        YAML::Mark mark;
        mark.line = static_cast<int>(at.line) - 1;
        mark.column = static_cast<int>(at.column) - 1;
        fail(mark, "expected a text as key, found " + describe(*made));
      }
      top.has_key = true;
      top.key = made->text;
      top.key_at = at;
      top.key_is_merge = made->text == "<<" && !made->quoted;
      return;
    }
    top.has_key = false;
    if (top.key_is_merge) {
      top.merges.push_back(std::move(made));
    } else {
      add(*top.made, std::move(top.key), top.key_at, std::move(made));
    }
  }

  void add(node& map, std::string key, const position& at, node_ptr value) {
    auto& known = keys_[&map];
    const auto [spot, is_new] = known.try_emplace(key, map.entries.size());
    if (is_new) {
      map.entries.push_back({std::move(key), at, std::move(value)});
      return;
    }
    auto& old = map.entries[spot->second];
    out_.warning(at, key,
                 "the key stands twice in this mapping; this one counts, the one in line " +
                     std::to_string(old.at.line) + " does not");
    old.at = at;
    old.value = std::move(value);
  }

  /// `<<: *x` and `<<: [*x, *y]`: keys that the mapping lacks, the earlier ones first.
  void merge(node& map, const std::vector<node_ptr>& merges) {
    auto& known = keys_[&map];
    const auto take = [&](const node& from) {
      for (const auto& each : from.entries) {
        if (known.try_emplace(each.key, map.entries.size()).second) {
          map.entries.push_back(each);
        }
      }
    };
    for (const auto& each : merges) {
      if (each->type == node_type::mapping) {
        take(*each);
        continue;
      }
      const bool is_list = each->type == node_type::sequence;
      for (const auto& item : each->items) {
        if (item->type == node_type::mapping) {
          take(*item);
        } else {
          out_.error(item->at, "<<", "expected a mapping to merge, found " + describe(*item));
        }
      }
      if (!is_list) {
        out_.error(each->at, "<<",
                   "expected a mapping or a list of mappings to merge, found " + describe(*each));
      }
    }
    keys_.erase(&map);
  }

  void apply_tag(node& value, const std::string& tag, const YAML::Mark& mark) {
    const std::string_view name = tag.compare(0, core_tag.size(), core_tag) == 0
                                      ? std::string_view(tag).substr(core_tag.size())
                                      : std::string_view();
    bool fits = true;
    if (name == "str") {
      value.type = node_type::text;
      value.quoted = true;
    } else if (name == "null") {
      value.type = node_type::null;
    } else if (name == "bool") {
      value.type = node_type::boolean;
      fits = parse_boolean(value.text).has_value();
    } else if (name == "int") {
      value.type = node_type::integer;
      fits = parse_integer(value.text).has_value();
    } else if (name == "float") {
      value.type = node_type::real;
      fits = parse_real(value.text).has_value();
    } else {
      fail(mark, "expected plain YAML, found the tag `" + excerpt(tag) + "`");
    }
    if (!fits) {
      fail(mark, "expected what the tag !!" + std::string(name) + " says, found `" +
                     excerpt(value.text) + "`");
    }
  }

  std::uint32_t file_;
  const std::vector<std::string>& lines_;
  diagnostics& out_;
  std::vector<level> stack_;
  std::unordered_map<YAML::anchor_t, node_ptr> anchors_;
  std::unordered_map<const node*, std::size_t> sizes_;
  std::unordered_map<const node*, std::unordered_map<std::string, std::size_t>> keys_;
  std::size_t nodes_ = 0;
};

} // namespace

node_ptr build_tree(const std::string& text, const std::vector<std::string>& lines,
                    std::uint32_t file, diagnostics& out, std::optional<syntax_error>& failure) {
  tree_builder builder(file, lines, out);
  auto empty = std::make_shared<node>();
  empty->at = {file, 1, 1};
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) {
      return empty;
    }
    auto root = std::move(builder.root);
    tree_builder second(file, lines, out);
    if (parser.HandleNextDocument(second)) {
      failure = syntax_error{second.root ? second.root->at : position{file, 1, 1},
                             "expected one document, found a second one (after `---`)"};
      return nullptr;
    }
    return root ? root : empty;
  } catch (const YAML::Exception& error) {
    const auto line = std::max(error.mark.line, 0);
    const auto column = std::max(error.mark.column, 0);
    failure = syntax_error{
        {file, static_cast<std::uint32_t>(line + 1), static_cast<std::uint32_t>(column + 1)},
        error.msg};
  } catch (const std::exception& error) {
    failure = syntax_error{{file, 1, 1}, error.what()};
  }
  return nullptr;
}

} // namespace vorrang::config
