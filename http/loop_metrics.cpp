#include "http/loop_metrics.hpp"

#include "config/settings.hpp"

namespace vorrang::http {

std::size_t status_place(unsigned status) noexcept {
  switch (status) {
  case 200:
    return 0;
  case 400:
    return 1;
  case 401:
    return 2;
  case 403:
    return 3;
  case 404:
    return 4;
  case 408:
    return 5;
  case 413:
    return 6;
  case 429:
    return 7;
  case 500:
    return 8;
  case 502:
    return 9;
  case 503:
    return 10;
  case 504:
    return 11;
  default:
    return status >= 200 && status < 600 ? 10 + status / 100 : status_labels.size() - 1;
  }
}

std::vector<std::string> names_of_classes(const std::vector<std::int32_t>& boundaries) {
  if (boundaries.empty())
    return {"all"};
  std::vector<std::string> names = {"below " + std::to_string(boundaries.front())};
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    const auto first = std::to_string(boundaries[i]);
    if (i + 1 == boundaries.size()) {
      names.push_back(first + " and above");
      break;
    }
    const auto last = std::to_string(boundaries[i + 1] - 1);
    if (first == last)
      names.push_back(first);
    else
      names.push_back(first + (boundaries[i] < 0 ? " to " : "-") + last);
  }
  return names;
}

metrics_plan::metrics_plan(const config::settings& settings, const metrics_plan& before,
                           time_point now)
    : boundaries(settings.gateway.metrics_priority_classes), classes(names_of_classes(boundaries)) {
  const auto gone = [now](bool retired, const std::optional<time_point>& since) {
    return retired ? std::optional(since.value_or(now)) : std::nullopt;
  };
  for (const auto& each : settings.groups) {
    const group known =
        groups.size() < before.groups.size() ? before.groups[groups.size()] : group();
    auto& made = groups.emplace_back();
    made.name = each.name;
    made.gone = gone(each.retired, known.gone);
    for (const auto place : each.deployments) {
      const auto& told = settings.deployments[place];
      const auto at = made.deployments.size();
      made.deployments.push_back(told.id);
      made.deployments_gone.push_back(gone(told.retired, at < known.deployments_gone.size()
                                                             ? known.deployments_gone[at]
                                                             : std::nullopt));
    }
    made.places = each.deployments;
  }
  deployments_count = settings.deployments.size();
}

loop_metrics::loop_metrics(std::shared_ptr<const metrics_plan> plan, std::size_t loop)
    : plan_(std::move(plan)), loop_(loop), groups_(plan_->groups.size()),
      classes_(plan_->groups.size() * plan_->classes.size()),
      deployments_(plan_->deployments_count) {}

void loop_metrics::follow(std::shared_ptr<const metrics_plan> plan) {
  plan_ = std::move(plan);
  groups_.grow(plan_->groups.size());
  classes_.grow(plan_->groups.size() * plan_->classes.size());
  deployments_.grow(plan_->deployments_count);
}

metrics_board::metrics_board(const config::settings& settings)
    : plan_(std::make_shared<metrics_plan>(settings, metrics_plan(), time_point())) {}

bool metrics_board::follow(const config::settings& settings, time_point now) {
  const std::lock_guard guard(mutex_);
  auto grown = std::make_shared<metrics_plan>(settings, *plan_, now);
  // A series means the same for as long as the process lives.
  grown->boundaries = plan_->boundaries;
  grown->classes = plan_->classes;
  if (grown->groups == plan_->groups)
    return false;
  plan_ = std::move(grown);
  return true;
}

std::shared_ptr<loop_metrics> metrics_board::make_set(std::size_t loop) {
  const std::lock_guard guard(mutex_);
  auto made = std::make_shared<loop_metrics>(plan_, loop);
  sets_.push_back(made);
  return made;
}

std::shared_ptr<const metrics_plan> metrics_board::plan() const {
  const std::lock_guard guard(mutex_);
  return plan_;
}

std::vector<std::shared_ptr<const loop_metrics>> metrics_board::sets() const {
  const std::lock_guard guard(mutex_);
  return sets_;
}

} // namespace vorrang::http
