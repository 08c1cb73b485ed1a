// What the loops have counted, by group, class and deployment.
#include "http/metric_families.hpp"

#include "actors/types.hpp"

namespace vorrang::http {

namespace {

using prometheus::MetricType;
using by_class = loop_metrics::by_class;
using by_group = loop_metrics::by_group;
using by_deployment = loop_metrics::by_deployment;

/// Walks through the plan, and sums what all sets have of each of its places.
class walker {
public:
  explicit walker(const metrics_facts& facts) : facts_(facts) {}

  template <class Visit>
  void each_group(Visit visit) const {
    const auto& groups = facts_.plan->groups;
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (is_told(groups[i].gone))
        visit(groups[i], static_cast<group_index>(i));
  }

  /// `get` is called with the counts of each set that has them.
  template <class Get>
  auto sum(group_index group, Get get) const {
    decltype(get(std::declval<const by_group&>())) total = 0;
    for (const auto& set : facts_.sets)
      if (const auto* counts = set->find_group(group))
        total += get(*counts);
    return total;
  }

  template <class Get>
  auto sum(group_index group, deployment_index which, Get get) const {
    decltype(get(std::declval<const by_deployment&>())) total = 0;
    for (const auto& set : facts_.sets)
      if (const auto* counts = set->find_deployment(*facts_.plan, group, which))
        total += get(*counts);
    return total;
  }

  template <class Visit>
  void each_class(Visit visit) const {
    each_group([&](const metrics_plan::group& group, group_index index) {
      for (std::size_t i = 0; i < facts_.plan->classes.size(); ++i)
        visit(label_values{{"group", group.name}, {"priority_class", facts_.plan->classes[i]}},
              [&, i, index](auto add) {
                for (const auto& set : facts_.sets)
                  if (const auto* counts = set->find_class(*facts_.plan, index, i))
                    add(*counts);
              });
    });
  }

  template <class Visit>
  void each_deployment(Visit visit) const {
    each_group([&](const metrics_plan::group& group, group_index index) {
      for (std::size_t i = 0; i < group.deployments.size(); ++i)
        if (is_told(group.deployments_gone[i]))
          visit(label_values{{"group", group.name}, {"deployment", group.deployments[i]}}, index,
                static_cast<deployment_index>(i));
    });
  }

private:
  bool is_told(const std::optional<time_point>& gone) const {
    return !gone || facts_.at - *gone < removed_told_for;
  }

  const metrics_facts& facts_;
};

label_values with(label_values labels, std::string_view name, std::string_view value) {
  labels.emplace_back(name, value);
  return labels;
}

template <const auto& Bounds>
void add_histogram(families& all, const walker& over, std::string_view name, std::string_view help,
                   const time_histogram<Bounds> by_class::*which) {
  metric_family made(name, MetricType::Histogram, help);
  over.each_class([&](const label_values& labels, auto each) {
    summed_histogram<Bounds> sum;
    each([&](const by_class& counts) { sum.add(counts.*which); });
    sum.tell(made, labels);
  });
  all.push_back(made.take());
}

/// A count of a group, told by one more label that has a place for each of `names`.
template <class Names, class Member>
void add_by_group(families& all, const walker& over, std::string_view name, std::string_view help,
                  std::string_view label, const Names& names, Member member) {
  metric_family made(name, MetricType::Counter, help);
  over.each_group([&](const metrics_plan::group& group, group_index index) {
    for (std::size_t i = 0; i < names.size(); ++i)
      made.add(
          {{"group", group.name}, {label, names[i]}},
          over.sum(index, [&](const by_group& counts) { return (counts.*member)[i].value(); }));
  });
  all.push_back(made.take());
}

void add_by_group(families& all, const walker& over, std::string_view name, std::string_view help,
                  tally by_group::*member) {
  metric_family made(name, MetricType::Counter, help);
  over.each_group([&](const metrics_plan::group& group, group_index index) {
    made.add({{"group", group.name}},
             over.sum(index, [&](const by_group& counts) { return (counts.*member).value(); }));
  });
  all.push_back(made.take());
}

template <class Names, class Member>
void add_by_deployment(families& all, const walker& over, std::string_view name,
                       std::string_view help, std::string_view label, const Names& names,
                       Member member) {
  metric_family made(name, MetricType::Counter, help);
  over.each_deployment([&](const label_values& labels, group_index group, deployment_index which) {
    for (std::size_t i = 0; i < names.size(); ++i)
      made.add(with(labels, label, names[i]),
               over.sum(group, which,
                        [&](const by_deployment& each) { return (each.*member)[i].value(); }));
  });
  all.push_back(made.take());
}

} // namespace

void add_request_families(families& all, const metrics_facts& facts) {
  const walker over(facts);
  metric_family requests("vorrang_requests_total", MetricType::Counter,
                         "Requests that took a ticket, by the group they asked for.");
  metric_family waiting("vorrang_requests_waiting", MetricType::Gauge,
                        "Requests of this instance that wait in the group's line.");
  over.each_class([&](const label_values& labels, auto each) {
    std::uint64_t asked = 0;
    std::int64_t stand = 0;
    each([&](const by_class& counts) {
      asked += counts.requests.value();
      stand += counts.waiting.value();
    });
    requests.add(labels, asked);
    waiting.add(labels, static_cast<double>(std::max<std::int64_t>(stand, 0)));
  });
  all.push_back(requests.take());
  all.push_back(waiting.take());
  add_histogram<wait_bounds>(all, over, "vorrang_request_wait_seconds",
                             "From a request's first offer to its first grant, or to its end if "
                             "it never had one.",
                             &by_class::wait);
  add_histogram<call_bounds>(all, over, "vorrang_call_duration_seconds",
                             "Attempts, from their start to the whole answer or the failure.",
                             &by_class::call);
  add_histogram<first_byte_bounds>(all, over, "vorrang_stream_first_byte_seconds",
                                   "Streams, from the start of the attempt to the first event for "
                                   "the client.",
                                   &by_class::first_byte);
  add_by_group(all, over, "vorrang_requests_ended_total",
               "Requests with a ticket that are over, by how they ended.", "reason", end_labels,
               &by_group::ended);
  add_by_group(all, over, "vorrang_request_answers_total",
               "What clients were told: the status, also where it stood in an event of a stream.",
               "code", status_labels, &by_group::answers);
  add_by_group(all, over, "vorrang_retries_total", "Attempts that were retries, where they went.",
               &by_group::retries);
  add_by_group(all, over, "vorrang_fallbacks_total",
               "Requests that left the group's line for that of a fallback.", &by_group::fallbacks);
  add_by_group(all, over, "vorrang_streams_total", "Streams of which the client got a first event.",
               &by_group::streams);
  add_by_group(all, over, "vorrang_streams_broken_total",
               "Streams that broke off after their first event.", &by_group::broken_streams);
  metric_family open("vorrang_streams_open", MetricType::Gauge, "Streams that are running.");
  over.each_group([&](const metrics_plan::group& group, group_index index) {
    const auto running =
        over.sum(index, [](const by_group& counts) { return counts.open_streams.value(); });
    open.add({{"group", group.name}}, static_cast<double>(std::max<std::int64_t>(running, 0)));
  });
  all.push_back(open.take());
}

void add_deployment_families(families& all, const metrics_facts& facts) {
  const walker over(facts);
  const std::array<std::string_view, 2> reasons = {to_string(grant_reason::healthy_deployment),
                                                   to_string(grant_reason::head_of_line)};
  constexpr std::array<std::string_view, 2> results = {"failed", "healed"};
  add_by_deployment(all, over, "vorrang_grants_total",
                    "Grants to requests, by the deployment and the reason.", "reason", reasons,
                    &by_deployment::grants);
  add_by_deployment(all, over, "vorrang_probes_total",
                    "Attempts at a deployment that cooled down, by what came of them.", "result",
                    results, &by_deployment::probes);
  add_by_deployment(all, over, "vorrang_upstream_answers_total",
                    "Answers of a deployment, by their status; mocks answer too.", "code",
                    status_labels, &by_deployment::answers);
  add_by_deployment(all, over, "vorrang_upstream_errors_total",
                    "Attempts that brought no answer that could be used, by what came instead.",
                    "reason", upstream_error_labels, &by_deployment::errors);
  metric_family tokens("vorrang_tokens_total", MetricType::Counter,
                       "Tokens of prompts and answers, as the upstream told them; where it told "
                       "none and the group has a tpm limit, as estimated.");
  over.each_deployment([&](const label_values& labels, group_index group, deployment_index which) {
    tokens.add(labels, over.sum(group, which,
                                [](const by_deployment& each) { return each.tokens.value(); }));
  });
  all.push_back(tokens.take());
}

} // namespace vorrang::http
