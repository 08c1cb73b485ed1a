#include "config/reader.hpp"

#include "config/reading.hpp"

#include <algorithm>

namespace vorrang::config {

namespace {

void read_sections(node& root, reading& to) {
  read_environment(root, to);
  fields from(&root, section::top, {}, to.found);
  const auto* litellm = from.mapping("litellm_settings");
  const auto* router = from.mapping("router_settings");
  const auto* general = from.mapping("general_settings");
  const auto* own = from.mapping("vorrang_settings");
  const auto* models = from.sequence("model_list");
  if (models == nullptr && from.take("model_list") == nullptr) {
    to.found.error(from.place_of("model_list"), "model_list",
                   "expected a list of deployments, found none");
  }
  read_gateway(general, own, litellm, to);
  read_router(router, litellm, to);
  read_models(models, from.place_of("model_list"), to);
  read_names(to);
  from.finish();
}

read_result finish(const node_ptr& root, reading& to) {
  if (root) {
    read_sections(*root, to);
  }
  read_result out;
  out.settings = std::move(to.all);
  out.diagnostics_dropped = to.found.dropped();
  out.diagnostics = to.found.take();
  return out;
}

} // namespace

bool read_result::has_errors() const {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const diagnostic& each) { return each.level == severity::error; });
}

bool read_result::passes_check() const {
  return std::all_of(diagnostics.begin(), diagnostics.end(),
                     [](const diagnostic& each) { return each.level == severity::warning; });
}

read_result read_file(const std::string& path, const environment& variables) {
  reading to;
  to.variables = variables;
  return finish(load_file(path, to), to);
}

read_result read_text(std::string_view text, const std::string& name,
                      const environment& variables) {
  reading to;
  to.variables = variables;
  return finish(load_text(std::string(text), name, to), to);
}

} // namespace vorrang::config
