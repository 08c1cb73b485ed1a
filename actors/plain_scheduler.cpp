#include "actors/plain_scheduler.hpp"

namespace vorrang {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= scheduler_text_max;
}

} // namespace

std::string_view to_string(scheduler_error error) noexcept {
  switch (error) {
  case scheduler_error::none:
    return "no error";
  case scheduler_error::duplicate_request:
    return "a request of this id stands in the queue already";
  case scheduler_error::unknown_request:
    return "no request of this id stands in the queue";
  case scheduler_error::empty_queue:
    return "nothing stands in the queue of this model";
  case scheduler_error::queue_full:
    return "the queue is full";
  case scheduler_error::bad_name:
    return "the request's id or its model's name is empty or too long";
  }
  return "unknown";
}

scheduler_error plain_scheduler::add_request(flow_item item) {
  if (!is_name(item.request_id) || !is_name(item.model_name))
    return scheduler_error::bad_name;
  auto found = queues_.find(item.model_name);
  if (found == queues_.end()) {
    if (queues_.size() >= scheduler_queues_max)
      return scheduler_error::queue_full;
    found = queues_.emplace(std::move(item.model_name), queue{}).first;
  }
  auto& line = found->second;
  if (line.places.count(item.request_id) > 0)
    return scheduler_error::duplicate_request;
  if (line.places.size() >= scheduler_queue_max)
    return scheduler_error::queue_full;
  const place own{item.priority, next_arrival_++};
  line.order.insert(own);
  line.places.emplace(std::move(item.request_id), own);
  return scheduler_error::none;
}

scheduler_answer plain_scheduler::peek(std::string_view request_id, std::string_view model_name,
                                       std::size_t healthy_deployments) const {
  // An emptied queue is dropped, so one that is there has a head.
  const auto found = queues_.find(model_name);
  if (found == queues_.end())
    return {false, scheduler_error::empty_queue};
  const auto& line = found->second;
  const auto own = line.places.find(request_id);
  if (own == line.places.end())
    return {false, scheduler_error::unknown_request};
  return {healthy_deployments > 0 || own->second == *line.order.begin(), scheduler_error::none};
}

scheduler_answer plain_scheduler::poll(std::string_view request_id, std::string_view model_name,
                                       std::size_t healthy_deployments) {
  const auto answer = peek(request_id, model_name, healthy_deployments);
  if (answer.granted && healthy_deployments == 0)
    remove(request_id, model_name);
  return answer;
}

scheduler_error plain_scheduler::remove(std::string_view request_id, std::string_view model_name) {
  const auto found = queues_.find(model_name);
  if (found == queues_.end())
    return scheduler_error::empty_queue;
  auto& line = found->second;
  const auto own = line.places.find(request_id);
  if (own == line.places.end())
    return scheduler_error::unknown_request;
  line.order.erase(own->second);
  line.places.erase(own);
  if (line.places.empty())
    queues_.erase(found);
  return scheduler_error::none;
}

std::size_t plain_scheduler::size(std::string_view model_name) const {
  const auto found = queues_.find(model_name);
  return found == queues_.end() ? 0 : found->second.places.size();
}

} // namespace vorrang
