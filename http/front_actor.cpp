#include "http/front_actor.hpp"

#include "actors/engine_actors.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <future>
#include <mutex>

namespace vorrang::http {
namespace {

/// A question from a thread; whoever drops it unanswered breaks its promise, which the thread sees.
template <class Question, class Answer>
struct asked {
  queue_actor queue;
  Question question;
  std::shared_ptr<std::promise<Answer>> answer = std::make_shared<std::promise<Answer>>();
};
using asked_piece = asked<piece_request, queue_piece>;
using asked_why = asked<ticket_id, ticket_view>;
using asked_end = asked<ticket_id, change_result>;
using asked_move = asked<move_ticket, change_result>;

} // namespace
} // namespace vorrang::http

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::http::asked_piece)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::http::asked_why)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::http::asked_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(vorrang::http::asked_move)

namespace vorrang::http {
namespace {

using front_actor = caf::typed_actor<
    // A piece of a queue is wanted.
    caf::reacts_to<show_atom, asked_piece>,
    // What a ticket waits for is wanted.
    caf::reacts_to<why_atom, asked_why>,
    // A waiting ticket shall end.
    caf::reacts_to<end_atom, asked_end>,
    // A waiting ticket shall move.
    caf::reacts_to<move_atom, asked_move>,
    // Everything that waits shall end.
    caf::reacts_to<drain_atom>>;

template <class Answer, class Atom, class Question>
void pass_on(front_actor::pointer self, const queue_actor& queue, Atom verb,
             const Question& question, std::shared_ptr<std::promise<Answer>> answer) {
  // An error (the queue is gone) drops the promise, and the thread sees it broken.
  self->request(queue, caf::infinite, verb, question)
      .then([answer](Answer& heard) { answer->set_value(std::move(heard)); },
            [answer](const caf::error&) {});
}

/// Those that there are, after the last reload.
class known_engine {
public:
  explicit known_engine(directory_ptr engine) : engine_(std::move(engine)) {}

  directory_ptr get() {
    const std::lock_guard lock(mutex_);
    return engine_;
  }
  void set(directory_ptr engine) {
    const std::lock_guard lock(mutex_);
    engine_ = std::move(engine);
  }

private:
  std::mutex mutex_;
  directory_ptr engine_;
};

front_actor::behavior_type front_keeper(front_actor::pointer self,
                                        const std::shared_ptr<known_engine>& engine) {
  return {
      [=](show_atom, const asked_piece& q) {
        pass_on(self, q.queue, show_atom_v, q.question, q.answer);
      },
      [=](why_atom, const asked_why& q) {
        pass_on(self, q.queue, why_atom_v, q.question, q.answer);
      },
      [=](end_atom, const asked_end& q) {
        pass_on(self, q.queue, end_atom_v, q.question, q.answer);
      },
      [=](move_atom, const asked_move& q) {
        pass_on(self, q.queue, move_atom_v, q.question, q.answer);
      },
      [=](drain_atom) {
        for (const auto& queue : engine->get()->queues)
          self->send(queue, drain_atom_v);
      },
  };
}

} // namespace

struct front_desk::parts {
  /// Null if there is no such group.
  queue_actor find(const std::string& name) const {
    const auto known = engine->get();
    const auto& groups = known->settings.groups;
    for (std::size_t i = 0; i < groups.size(); ++i)
      if (groups[i].name == name)
        return known->queues[i];
    return {};
  }

  /// Nothing if the answer did not come in time.
  template <class Answer, class Atom, class Question>
  std::optional<Answer> ask(Atom verb, queue_actor queue, Question question, time_point deadline) {
    asked<Question, Answer> wanted{std::move(queue), std::move(question)};
    auto answer = wanted.answer->get_future();
    caf::anon_send(self, verb, std::move(wanted));
    if (answer.wait_until(deadline) != std::future_status::ready)
      return std::nullopt;
    try {
      return answer.get();
    } catch (const std::future_error&) { // the engine is shutting down
      return std::nullopt;
    }
  }

  std::optional<queue_view> copy(const std::string& group, line_copy copied, time_point deadline) {
    const auto found = find(group);
    if (!found)
      return std::nullopt;
    for (;;) {
      auto piece = ask<queue_piece>(show_atom_v, found, copied.next(), deadline);
      if (!piece)
        return queue_view{};
      if (!copied.add(std::move(*piece)))
        return copied.take();
    }
  }

  std::shared_ptr<known_engine> engine;
  front_actor self;
  std::vector<std::int32_t> classes;
};

front_desk::front_desk(caf::actor_system& system, std::shared_ptr<engine_directory> engine,
                       std::vector<std::int32_t> classes)
    : parts_(std::make_unique<parts>()) {
  parts_->classes = std::move(classes);
  parts_->engine = std::make_shared<known_engine>(std::move(engine));
  parts_->self = system.spawn(front_keeper, parts_->engine);
}

front_desk::~front_desk() {
  caf::anon_send_exit(parts_->self, caf::exit_reason::user_shutdown);
}

std::vector<std::string> front_desk::groups() {
  std::vector<std::string> names;
  const auto known = parts_->engine->get();
  for (const auto& group : known->settings.groups)
    names.push_back(group.name);
  return names;
}

std::optional<queue_view> front_desk::snapshot(const std::string& group, std::uint64_t offset,
                                               std::uint32_t limit, time_point deadline) {
  return parts_->copy(group, line_copy(offset, limit), deadline);
}

std::optional<queue_view> front_desk::figures(const std::string& group, time_point deadline) {
  return parts_->copy(group, line_copy::of_figures(parts_->classes), deadline);
}

std::optional<ticket_view> front_desk::look_at(const std::string& group, ticket_id ticket,
                                               time_point deadline) {
  const auto found = parts_->find(group);
  return found ? parts_->ask<ticket_view>(why_atom_v, found, ticket, deadline) : ticket_view();
}

std::optional<change_result> front_desk::cancel(const std::string& group, ticket_id ticket,
                                                time_point deadline) {
  const auto found = parts_->find(group);
  if (!found)
    return change_result::unknown_ticket;
  return parts_->ask<change_result>(end_atom_v, found, ticket, deadline);
}

std::optional<change_result> front_desk::move(const std::string& group, ticket_id ticket,
                                              std::int32_t priority, time_point deadline) {
  const auto found = parts_->find(group);
  if (!found)
    return change_result::unknown_ticket;
  return parts_->ask<change_result>(move_atom_v, found, move_ticket{ticket, priority}, deadline);
}

operator_desk::readiness front_desk::ready() {
  readiness result;
  result.draining = draining();
  result.redis_reachable = parts_->engine->get()->shares_lines();
  return result;
}

void front_desk::follow(std::shared_ptr<engine_directory> engine) {
  parts_->engine->set(std::move(engine));
}

void front_desk::end_waiting() {
  caf::anon_send(parts_->self, drain_atom_v);
}

} // namespace vorrang::http
