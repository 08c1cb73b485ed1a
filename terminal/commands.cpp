#include "terminal/commands.hpp"

#include "terminal/arguments.hpp"
#include "terminal/json_fields.hpp"
#include "terminal/printable.hpp"
#include "terminal/queue_text.hpp"
#include "terminal/starter_config.hpp"
#include "terminal/story_text.hpp"
#include "terminal/top.hpp"

#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <iostream>

namespace vorrang::terminal {

namespace {

constexpr int status_failed = 1;
constexpr int status_bad_configuration = 2;
/// For an answer that is at hand.
constexpr int patience_s = 15;
/// A reload reads files, and waits for the one before.
constexpr int reload_patience_s = 120;

/// One run of one command.
class runner {
public:
  runner(const arguments& asked, const command_context& context)
      : asked_(asked), context_(context),
        client_(asked.where, asked.key,
                asked.asked == verb::reload ? reload_patience_s : patience_s) {}

  int queue() {
    const std::string path = "/queue" + (asked_.model.empty() ? "" : "/" + model_part()) +
                             "?limit=" + std::to_string(asked_.limit) +
                             "&offset=" + std::to_string(asked_.offset);
    const auto answer = client_.get(path);
    if (!answer.is_good())
      return fail(answer);
    const auto page = json::parse(answer.body, nullptr, false);
    if (!part_of(page, "queues").is_array() && !part_of(page, "tickets").is_array())
      return fail_foreign();
    if (asked_.json)
      return print_as_it_is(answer.body, page);
    context_.out << queue_text(page, context_.is_coloured);
    return 0;
  }

  int bump() {
    const auto body = json({{"priority", asked_.priority}}).dump();
    const auto answer = with_ticket(
        [&](const std::string& ticket) { return client_.patch(ticket_path(ticket), body); });
    if (!is_done(answer))
      return fail(answer);
    context_.out << "Ticket " << ticket_ << " of " << printable(asked_.model) << " has priority "
                 << asked_.priority << " now.\n";
    return 0;
  }

  int cancel() {
    const auto answer =
        with_ticket([&](const std::string& ticket) { return client_.remove(ticket_path(ticket)); });
    if (!is_done(answer))
      return fail(answer);
    context_.out << "Ticket " << ticket_ << " of " << printable(asked_.model)
                 << " is cancelled; its client gets 503.\n";
    return 0;
  }

  int why() {
    const auto answer = client_.get(story_path(asked_.id));
    if (!answer.is_good())
      return fail(answer);
    const auto story = json::parse(answer.body, nullptr, false);
    if (!part_of(story, "events").is_array())
      return fail_foreign();
    if (asked_.json)
      return print_as_it_is(answer.body, story);
    context_.out << story_text(story, context_.is_coloured);
    return 0;
  }

  int reload() {
    const auto answer = client_.post("/reload", "{}");
    const auto body = json::parse(answer.body, nullptr, false);
    for (const auto& warning : list_of(body, "warnings"))
      if (warning.is_string())
        context_.errors << printable(warning.get<std::string>()) << "\n";
    if (is_done(answer)) {
      context_.out << "The configuration was read again and holds now.\n";
      return 0;
    }
    const auto& errors = list_of(body, "errors");
    if (errors.empty())
      return fail(answer);
    context_.errors << "vorrang reload: the configuration was not taken, and nothing has changed\n";
    for (const auto& error : errors)
      if (error.is_string())
        context_.errors << printable(error.get<std::string>()) << "\n";
    return status_bad_configuration;
  }

private:
  std::string model_part() const { return encode_segment(asked_.model); }
  std::string ticket_path(const std::string& ticket) const {
    return "/queue/" + model_part() + "/" + ticket;
  }
  static std::string story_path(const std::string& id) { return "/requests/" + encode_segment(id); }

  /// Does something to the ticket that was named. What is none, or none that waits, may be the id
  /// of a request, which knows its ticket.
  template <class Act>
  admin_answer with_ticket(Act act) {
    constexpr int not_found = 404;
    const bool is_number = std::all_of(asked_.id.begin(), asked_.id.end(),
                                       [](char each) { return each >= '0' && each <= '9'; });
    ticket_ = asked_.id;
    admin_answer answer;
    if (is_number) {
      answer = act(ticket_);
      if (answer.status != not_found)
        return answer;
    }
    const auto story = client_.get(story_path(asked_.id));
    const auto told = json::parse(story.body, nullptr, false);
    const auto found = text_of(told, "ticket");
    if (!story.is_good() || found.empty())
      return is_number ? answer : story;
    if (!is_number || found != ticket_) {
      ticket_ = printable(found);
      answer = act(ticket_);
    }
    if (answer.status == not_found && text_of(told, "state") == "over")
      answer.trouble =
          trouble_of(answer, client_.where()) + ". Its request is over: `vorrang why` tells how";
    return answer;
  }

  int fail(const admin_answer& answer) {
    context_.errors << "vorrang " << name() << ": "
                    << printable(trouble_of(answer, client_.where())) << "\n";
    return status_failed;
  }
  int fail_foreign() {
    admin_answer foreign;
    foreign.status = 200;
    return fail(foreign);
  }
  const std::string& name() const {
    return command_names()[static_cast<std::size_t>(asked_.asked)];
  }

  /// JSON may hold characters that a terminal obeys; as escapes they mean the same.
  int print_as_it_is(const std::string& body, const json& parsed) {
    context_.out << (context_.is_terminal ? parsed.dump(-1, ' ', true) : body) << "\n";
    return 0;
  }

  const arguments& asked_;
  const command_context& context_;
  admin_client client_;
  std::string ticket_;
};

int init(const arguments& asked, const command_context& context) {
  std::string trouble;
  if (!write_starter_config(asked.file, asked.force, trouble)) {
    context.errors << "vorrang init: " << printable(trouble) << "\n";
    return status_failed;
  }
  const auto file = printable(asked.file);
  context.out << "Wrote " << file << ". Next: vorrang check " << file << " && vorrang --config "
              << file << "\n";
  return 0;
}

int run(const arguments& asked, const command_context& context) {
  if (asked.exit_status) {
    (*asked.exit_status == 0 ? context.out : context.errors) << printable_lines(asked.text);
    return *asked.exit_status;
  }
  switch (asked.asked) {
  case verb::top:
    return run_top(asked.where, asked.key, context);
  case verb::queue:
    return runner(asked, context).queue();
  case verb::bump:
    return runner(asked, context).bump();
  case verb::cancel:
    return runner(asked, context).cancel();
  case verb::why:
    return runner(asked, context).why();
  case verb::reload:
    return runner(asked, context).reload();
  case verb::check:
    return context.check(asked.file);
  case verb::init:
    return init(asked, context);
  }
  return status_failed;
}

} // namespace

bool is_command(std::string_view argument) {
  const auto& names = command_names();
  return std::find(names.begin(), names.end(), argument) != names.end();
}

command_context process_context(std::function<int(const std::string& file)> check) {
  std::setlocale(LC_CTYPE, "");
  command_context context{config::process_environment(), std::cout, std::cerr};
  context.is_terminal = ::isatty(STDOUT_FILENO) == 1;
  const auto term = context.variables("TERM").value_or("");
  const bool is_unwanted = !context.variables("NO_COLOR").value_or("").empty();
  context.is_coloured = context.is_terminal && !is_unwanted && !term.empty() && term != "dumb";
  context.check = std::move(check);
  return context;
}

int when_written(int status, std::ostream& out, std::ostream& errors) {
  out.flush();
  if (status != 0 || out.good())
    return status;
  errors << "vorrang: the output could not be written in full\n";
  return status_failed;
}

int run_command(const std::vector<std::string>& line, const command_context& context) {
  return when_written(run(read_arguments(line, context.variables), context), context.out,
                      context.errors);
}

} // namespace vorrang::terminal
