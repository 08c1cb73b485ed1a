#include "terminal/arguments.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

namespace vorrang::terminal {

namespace {

constexpr int status_wrong_usage = 2;
constexpr const char* default_url = "http://127.0.0.1:4001";
constexpr std::uint32_t limit_max = 1000; // of a page of the admin port

struct description {
  verb asked;
  const char* name;
  const char* does;
  const char* examples;
};

constexpr description all[] = {
    {verb::top, "top", "Watch queues and deployments, and move or cancel who waits",
     "Examples:\n"
     "  vorrang top\n"
     "  VORRANG_MASTER_KEY=… vorrang top --url http://gateway.internal:4001\n"
     "Keys: arrows or j k: ticket, Tab: model, b: priority, c: cancel, ?: help, q: quit"},
    {verb::queue, "queue", "Show who waits, in order, and what the deployments have left",
     "Examples:\n"
     "  vorrang queue\n"
     "  vorrang queue gpt-4o --limit 20\n"
     "  vorrang queue gpt-4o --json | jq '.tickets[].id'"},
    {verb::bump, "bump", "Give a waiting ticket another priority; it keeps its arrival number",
     "Examples:\n"
     "  vorrang bump gpt-4o 281474993487874 0\n"
     "  vorrang bump gpt-4o 9f86d081884c7d65 -- -5\n"
     "Lower goes first. ID is a ticket of `vorrang queue`, or a client's x-vorrang-request-id."},
    {verb::cancel, "cancel", "End a waiting ticket: its client gets 503",
     "Examples:\n"
     "  vorrang cancel gpt-4o 281474993487874\n"
     "ID is a ticket of `vorrang queue`, or a client's x-vorrang-request-id."},
    {verb::why, "why", "Tell the story of a request so far, and what it waits for",
     "Examples:\n"
     "  vorrang why 9f86d081884c7d65\n"
     "  vorrang why 281474993487874 --json\n"
     "ID is a client's x-vorrang-request-id, or a ticket of `vorrang queue`."},
    {verb::reload, "reload", "Let the gateway read its configuration again",
     "Examples:\n"
     "  vorrang check config.yaml && vorrang reload"},
    {verb::check, "check", "Say what a configuration means, and everything that is wrong with it",
     "Examples:\n"
     "  vorrang check config.yaml"},
    {verb::init, "init", "Write a commented configuration to begin with",
     "Examples:\n"
     "  vorrang init && vorrang check config.yaml && vorrang --config config.yaml\n"
     "  vorrang init /etc/vorrang/config.yaml"},
};

const description& describe(const std::string& name) {
  return *std::find_if(std::begin(all), std::end(all) - 1,
                       [&](const auto& each) { return each.name == name; });
}

std::string in_code(const std::optional<std::string>& text) {
  return text.value_or("");
}

/// What the address comes from, for who has to change it.
void find_address(const std::string& url, const config::environment& variables, arguments& to) {
  const auto variable = in_code(variables("VORRANG_ADMIN_URL"));
  const std::string& chosen = !url.empty() ? url : !variable.empty() ? variable : default_url;
  std::string trouble;
  if (auto found = read_address(chosen, trouble))
    to.where = std::move(*found);
  else
    throw CLI::ValidationError(url.empty() ? "VORRANG_ADMIN_URL" : "--url", trouble);
}

/// A whole number, and nothing else: CLI11 takes an empty text for 0, -1 for 2^64 - 1 and 010
/// for 8.
template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, Number& to, const char* does,
                        Number most = std::numeric_limits<Number>::max()) {
  constexpr auto least = std::numeric_limits<Number>::min();
  const auto read = [name, most, &to](const std::string& text) {
    const auto* const end = text.data() + text.size();
    Number number = 0;
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end || number > most)
      throw CLI::ValidationError(name, "expected a whole number from " + std::to_string(least) +
                                           " to " + std::to_string(most));
    to = number;
  };
  return app.add_option_function<std::string>(name, read, does)->type_name("INT");
}

/// As the shell makes it of a variable that is not set.
std::string not_empty(const std::string& text) {
  return text.empty() ? "expected no empty text" : "";
}

bool asks_the_admin_port(verb asked) {
  return asked != verb::check && asked != verb::init;
}

} // namespace

const std::vector<std::string>& command_names() {
  static const auto names = [] {
    std::vector<std::string> made;
    for (const auto& each : all)
      made.emplace_back(each.name);
    return made;
  }();
  return names;
}

arguments read_arguments(std::vector<std::string> line, const config::environment& variables) {
  const auto& about = describe(line.front());
  line.erase(line.begin());
  arguments result;
  result.asked = about.asked;
  for (const char* name : {"LITELLM_MASTER_KEY", "VORRANG_MASTER_KEY"})
    if (auto key = variables(name); key && !key->empty() && !result.key)
      result.key = admin_key{std::move(*key), name};

  CLI::App app(about.does, std::string("vorrang ") + about.name);
  app.footer(std::string(about.examples) +
             (asks_the_admin_port(about.asked)
                  ? "\nThe key of an admin port that wants one: VORRANG_MASTER_KEY. The address "
                    "without --url: VORRANG_ADMIN_URL"
                  : ""));
  std::string url;
  const auto takes_model = [&](bool is_required) {
    app.add_option("MODEL", result.model, "a model group, or an alias of one")
        ->required(is_required)
        ->check(not_empty);
  };
  const auto takes_id = [&] {
    app.add_option("ID", result.id, "a ticket, or a request's id")->required()->check(not_empty);
  };
  switch (about.asked) {
  case verb::top:
    break;
  case verb::queue:
    takes_model(false);
    app.add_flag("--json", result.json, "what the admin port says, as it is");
    add_number(app, "--limit", result.limit, "tickets of a model at most (100, up to 1000)",
               limit_max);
    add_number(app, "--offset", result.offset, "how many tickets to leave out before (0)");
    break;
  case verb::bump:
    takes_model(true);
    takes_id();
    add_number(app, "PRIORITY", result.priority, "an integer; lower goes first")->required();
    break;
  case verb::cancel:
    takes_model(true);
    takes_id();
    break;
  case verb::why:
    takes_id();
    app.add_flag("--json", result.json, "what the admin port says, as it is");
    break;
  case verb::reload:
    break;
  case verb::check:
    app.add_option("FILE", result.file, "LiteLLM's config.yaml (default: CONFIG_FILE_PATH)")
        ->check(not_empty);
    break;
  case verb::init:
    result.file = "config.yaml";
    app.add_option("FILE", result.file, "where to write it (config.yaml)")->check(not_empty);
    app.add_flag("--force", result.force, "replace a file that is there");
    break;
  }
  if (asks_the_admin_port(about.asked))
    app.add_option("--url", url, std::string("the admin port (") + default_url + ")")
        ->check(not_empty);
  try {
    std::reverse(line.begin(), line.end()); // as CLI11 wants them
    app.parse(line);
    if (asks_the_admin_port(about.asked))
      find_address(url, variables, result);
    if (about.asked == verb::check && result.file.empty())
      result.file = in_code(variables("CONFIG_FILE_PATH"));
    if (about.asked == verb::check && result.file.empty())
      throw CLI::RequiredError("FILE (or the variable CONFIG_FILE_PATH)");
  } catch (const CLI::CallForHelp&) {
    result.exit_status = 0;
    result.text = app.help();
  } catch (const CLI::ParseError& error) {
    result.exit_status = status_wrong_usage;
    result.text = std::string("vorrang ") + about.name + ": " + error.what() +
                  "\nRun with --help for what it takes.\n";
  }
  return result;
}

} // namespace vorrang::terminal
