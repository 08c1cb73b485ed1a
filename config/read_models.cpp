// `model_list`: deployments and the groups they answer for.
#include "config/read_deployment.hpp"
#include "config/sha256.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace vorrang::config {

namespace {

/// Of model, group, base, version and key, never of the limits; the key cannot be read out of it.
std::string hashed_id(const deployment& made) {
  std::string all;
  for (const std::string* each :
       {&made.group_name, &made.model, &made.api_base, &made.api_version, &made.api_key.reveal()}) {
    all += std::to_string(each->size()) + ":" + *each;
  }
  return sha256_hex(all).substr(0, 32);
}

class model_list {
public:
  explicit model_list(reading& to) : to_(to) {}

  void read(const node& item, std::size_t index) {
    const auto path = "model_list[" + std::to_string(index) + "]";
    if (item.type != node_type::mapping) {
      to_.found.error(item.at, path,
                      "expected a mapping with `model_name` and `litellm_params`, found " +
                          describe(item));
      return;
    }
    fields outer(&item, section::model, path, to_.found);
    const auto* params = outer.mapping("litellm_params");
    const auto* info = outer.mapping("model_info");
    entry e{std::move(outer),
            fields(params, section::litellm_params, path + ".litellm_params", to_.found),
            fields(info, section::model_info, path + ".model_info", to_.found),
            {},
            false};
    e.made.where = to_.found.locate(item.at);
    const bool is_named = read_name(e);
    if (params == nullptr) {
      if (item.find("litellm_params") == nullptr ||
          item.find("litellm_params")->value->type == node_type::null) {
        to_.found.error(item.at, path,
                        "expected `litellm_params` with at least `model`, found none");
      }
      e.item.finish();
      return;
    }
    const auto model = e.params.text("model");
    if (!model || model->empty()) {
      if (model || (params->find("model") == nullptr ||
                    params->find("model")->value->type == node_type::null)) {
        to_.found.error(params->at, path + ".litellm_params.model",
                        "expected a model such as `openai/gpt-4o`, found none");
      }
    }
    e.made.model = model.value_or("");
    read_mock(e);
    read_headers(e);
    read_limits(e, to_);
    read_reliability(e, to_);
    read_model_info(e, info);
    const auto custom = e.params.text("custom_llm_provider").value_or("");
    const bool has_base =
        e.params.take("api_base") != nullptr || e.params.take("base_url") != nullptr;
    const auto placed = place_model(e.made.model, custom, has_base, e.made.mock.has_value());
    if (placed.at != nullptr) {
      read_upstream(e, placed, to_);
    } else {
      e.made.unsupported = placed.unsupported;
    }
    read_body(e, *params, to_);
    e.item.finish();
    if (is_named && !e.made.model.empty()) {
      place(std::move(e), path, item.at);
    }
  }

private:
  bool read_name(entry& e) {
    const auto name = e.item.text("model_name");
    if (name && !name->empty() && name->size() <= name_bytes_max &&
        is_sendable_header("x", *name)) {
      e.made.group_name = *name;
      return true;
    }
    if (name) {
      e.item.error("model_name", "expected a text of 1 to 512 bytes without control characters");
    } else if (e.item.take("model_name") == nullptr) {
      e.item.error("model_name", "expected `model_name`, the name that clients ask for");
    }
    return false;
  }

  std::size_t group_of(const deployment& made) {
    const auto [spot, is_new] = groups_.try_emplace(made.group_name, to_.all.groups.size());
    if (is_new) {
      group created;
      created.name = made.group_name;
      created.where = made.where;
      to_.all.groups.push_back(std::move(created));
    }
    return spot->second;
  }

  void place(entry&& e, const std::string& path, const position& at) {
    auto made = std::move(e.made);
    made.group = group_of(made);
    if (!made.id_is_given) {
      made.id = hashed_id(made);
      // Twins, each with limits of its own: told apart by their order.
      const auto twin = ++hashed_[made.id];
      if (twin > 1) {
        made.id += "-" + std::to_string(twin);
      }
    }
    if (const auto [spot, is_new] = ids_.try_emplace(made.id, made.where.line); !is_new) {
      to_.found.error(e.info.place_of("id"), path + ".model_info.id",
                      "expected an id of its own, found that of line " +
                          std::to_string(spot->second));
      return;
    }
    if (made.unsupported) {
      const auto level = to_.all.gateway.strict ? severity::error : severity::left_out;
      to_.found.add(level, e.params.place_of("model"), path + ".litellm_params.model",
                    "left out: " + *made.unsupported);
      to_.all.left_out.push_back(std::move(made));
      return;
    }
    warn_about_shared_limits(made, path, at);
    to_.all.groups[made.group].deployments.push_back(to_.all.deployments.size());
    to_.all.deployments.push_back(std::move(made));
  }

  void warn_about_shared_limits(const deployment& made, const std::string& path,
                                const position& at) {
    if (made.mock || (!made.rpm && !made.tpm && !made.max_parallel_requests)) {
      return;
    }
    const auto [spot, is_new] = limited_.try_emplace(
        std::make_tuple(made.api_base, made.upstream_model, made.api_key.reveal()),
        made.where.line);
    if (!is_new) {
      to_.found.warning(at, path,
                        "has the same base, model and key as line " + std::to_string(spot->second) +
                            "; the limits of both add up at the provider");
    }
  }

  reading& to_;
  std::map<std::string, std::size_t> groups_;
  std::map<std::string, std::uint32_t> ids_;
  std::map<std::string, std::size_t> hashed_;
  std::map<std::tuple<std::string, std::string, std::string>, std::uint32_t> limited_;
};

} // namespace

void read_models(const node* list, const position& at, reading& to) {
  if (list == nullptr) {
    return;
  }
  model_list reader(to);
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    reader.read(*list->items[i], i);
  }
  for (auto& each : to.all.groups) {
    if (!each.deployments.empty()) {
      continue;
    }
    for (const auto& left : to.all.left_out) {
      if (left.group_name == each.name) {
        each.unservable =
            "none of the deployments of " + each.name + " can be served: " + *left.unsupported;
        break;
      }
    }
  }
  if (to.all.deployments.empty() && !to.found.has_errors()) {
    to.found.error(at, "model_list",
                   list->items.empty()
                       ? "expected at least one deployment, found an empty list"
                       : "expected at least one deployment that Vorrang can serve, found none");
  }
}

} // namespace vorrang::config
