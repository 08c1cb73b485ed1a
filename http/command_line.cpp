#include "http/command_line.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace vorrang::http {

namespace {

constexpr const char* version_text = "vorrang " VORRANG_VERSION;

/// A variable that holds a number in a range; a wrong one is a warning.
template <class Number>
void take_variable(const config::environment& variables, const char* name, Number lowest,
                   Number highest, Number& to, std::vector<std::string>& warnings) {
  const auto text = variables(name);
  if (!text || text->empty())
    return;
  Number value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < lowest ||
      value > highest)
    warnings.push_back(std::string(name) + " is ignored: expected a number from " +
                       std::to_string(lowest) + " to " + std::to_string(highest));
  else
    to = value;
}

} // namespace

std::optional<log_level> read_log_level(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char each) { return static_cast<char>(std::tolower(each)); });
  if (name == "debug" || name == "trace")
    return log_level::debug;
  if (name == "info")
    return log_level::info;
  if (name == "warning" || name == "warn")
    return log_level::warning;
  if (name == "error" || name == "critical")
    return log_level::error;
  return std::nullopt;
}

command_line read_command_line(std::vector<std::string> arguments,
                               const config::environment& variables) {
  command_line result;
  if (const auto file = variables("CONFIG_FILE_PATH"))
    result.config_file = *file;
  if (const auto host = variables("HOST"); host && !host->empty())
    result.host = *host;
  take_variable<std::uint16_t>(variables, "PORT", 0, 65535, result.port, result.warnings);
  take_variable<std::size_t>(variables, "NUM_WORKERS", 0, 256, result.threads, result.warnings);
  if (const auto name = variables("LITELLM_LOG"))
    result.level = read_log_level(*name);

  CLI::App app("A gateway in front of LLM APIs that decides by priority who goes next", "vorrang");
  app.set_version_flag("--version,-v", version_text);
  app.allow_extras();
  app.footer(
      "Commands for a running gateway, each with --help: top, queue, bump, cancel, why, reload.\n"
      "For files: check, init. All of them: man vorrang\n\n"
      "Examples:\n"
      "  vorrang init && vorrang check config.yaml\n"
      "  vorrang --config config.yaml\n"
      "  vorrang --config config.yaml --host 0.0.0.0 --port 8080 --threads 4\n"
      "  vorrang top");
  std::string host, level, format;
  double request_timeout = 0;
  bool debug = false;
  const bool begins_with_word = !arguments.empty() && arguments.front().rfind('-', 0) != 0;
  app.add_option("-c,--config", result.config_file, "LiteLLM's config.yaml")->type_name("FILE");
  app.add_option("--host", host,
                 "address to listen on (0.0.0.0 when a key is configured, else 127.0.0.1)");
  app.add_option("--port", result.port, "port to listen on (4000)")->check(CLI::Range(0, 65535));
  app.add_option("--threads,--num_workers", result.threads, "loops (0: one for each core)")
      ->check(CLI::Range(0, 256));
  app.add_option("--log-level", level, "debug, info, warning or error (info)");
  app.add_option("--log-format", format, "text or json, one object a line (text)");
  const auto* access = app.add_option("--access-log", result.access_log,
                                      "a line for each request, to a file or to - (stdout)")
                           ->expected(0, 1)
                           ->type_name("[FILE|-]");
  app.add_flag("--debug,--detailed_debug", debug, "the same as --log-level debug");
  app.add_option("--request_timeout", request_timeout, "seconds a request may take")
      ->check(CLI::PositiveNumber);
  app.add_option("--ssl_certfile_path", result.tls_certificate,
                 "certificate of this gateway: clients speak TLS")
      ->type_name("FILE");
  app.add_option("--ssl_keyfile_path", result.tls_key, "its key")->type_name("FILE");
  app.add_flag("--check-config", result.check_config,
               "print what the configuration means, and exit");
  try {
    std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
    app.parse(arguments);
    for (const std::string& each : app.remaining()) {
      if (each.size() > 1 && each.front() == '-')
        // Without its value, which may be a key.
        result.warnings.push_back(each.substr(0, each.find('=')) +
                                  " is ignored: it means nothing here");
    }
    if (!level.empty()) {
      result.level = read_log_level(level);
      if (!result.level)
        throw CLI::ValidationError("--log-level", "expected debug, info, warning or error");
    }
    if (!format.empty()) {
      if (format != "text" && format != "json")
        throw CLI::ValidationError("--log-format", "expected text or json");
      result.format = format == "json" ? log_format::json : log_format::text;
    }
    if (access->count() > 0 && result.access_log.empty())
      result.access_log = "-";
  } catch (const CLI::CallForHelp&) {
    result.exit_status = 0;
    result.text = app.help();
    return result;
  } catch (const CLI::CallForVersion&) {
    result.exit_status = 0;
    result.text = std::string(version_text) + "\n";
    return result;
  } catch (const CLI::ParseError& error) {
    result.exit_status = 1;
    result.text = std::string("vorrang: ") + error.what() + "\nRun with --help for the options.\n";
    return result;
  }
  if (!host.empty())
    result.host = host;
  if (debug)
    result.level = log_level::debug;
  if (request_timeout > 0) {
    constexpr double seconds_max = 100 * 24 * 3600;
    result.request_timeout = std::chrono::milliseconds(
        static_cast<std::int64_t>(std::min(request_timeout, seconds_max) * 1000));
  }
  if (result.tls_certificate.empty())
    result.tls_certificate = variables("SSL_CERTFILE_PATH").value_or("");
  if (result.tls_key.empty())
    result.tls_key = variables("SSL_KEYFILE_PATH").value_or("");
  if (result.tls_certificate.empty() != result.tls_key.empty()) {
    result.exit_status = 1;
    result.text = "vorrang: --ssl_certfile_path and --ssl_keyfile_path (or the variables "
                  "SSL_CERTFILE_PATH and SSL_KEYFILE_PATH) belong together: give both\n";
    return result;
  }
  // A word behind an option that is not known may be that one's value; any other is a mistake, and
  // no reason to start a gateway.
  const auto rest = app.remaining();
  const auto is_word = [](const std::string& each) {
    return each.empty() || each.front() != '-';
  };
  if (!rest.empty() && is_word(rest.front())) {
    result.exit_status = 2;
    result.text = begins_with_word
                      ? "vorrang: there is no command " + rest.front() + ": see vorrang --help\n"
                      : "vorrang: what is " + rest.front() +
                            "? A command comes first, before its options: see vorrang --help\n";
  } else if (result.config_file.empty()) {
    result.exit_status = 2;
    result.text = "vorrang: no configuration: give one with --config FILE\n";
    if (std::any_of(rest.begin(), rest.end(), is_word))
      result.text += "A command comes first, before its options: see vorrang --help\n";
  }
  return result;
}

} // namespace vorrang::http
