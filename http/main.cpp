// The binary: command line, configuration, signals.
#include "config/environment.hpp"
#include "config/printer.hpp"
#include "config/reader.hpp"
#include "http/access_log.hpp"
#include "http/actors_engine.hpp"
#include "http/command_line.hpp"
#include "http/gateway.hpp"
#include "http/log.hpp"
#include "http/service_notice.hpp"
#include "http/tls.hpp"
#include "http/trace_exporter.hpp"
#include "terminal/commands.hpp"
#include "terminal/printable.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

namespace {

using namespace vorrang;
using namespace vorrang::http;

constexpr int status_failed = 1;
constexpr int status_bad_configuration = 2;

/// As many descriptors as the hard limit gives: a gateway that waits needs one for each client.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
    return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

/// A socket that took the place of a stdout or stderr that is closed would get what is printed
/// there. To a closed stdout nothing can be written then either; what goes to a closed stderr is
/// lost.
void open_standard_descriptors() {
  for (int each = STDIN_FILENO; each <= STDERR_FILENO; ++each)
    if (::fcntl(each, F_GETFD) < 0 && errno == EBADF)
      static_cast<void>(::open("/dev/null", each == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0);
}

/// Signals that end the gateway come to one thread, which waits for nothing else.
class signal_thread {
public:
  /// Before any other thread is started: they inherit the mask.
  static void block() {
    const sigset_t all = set();
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }

  explicit signal_thread(gateway& serves) : thread_([&serves] { run(serves); }) {}
  ~signal_thread() {
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

private:
  static sigset_t set() {
    sigset_t all;
    ::sigemptyset(&all);
    for (const int each : {SIGTERM, SIGINT, SIGHUP, SIGUSR1})
      ::sigaddset(&all, each);
    return all;
  }

  static void run(gateway& serves) {
    const sigset_t all = set();
    bool draining = false;
    for (;;) {
      int came = 0;
      if (::sigwait(&all, &came) != 0)
        continue;
      if (came == SIGUSR1)
        return;
      if (came == SIGHUP) {
        log_line(log_level::info, "SIGHUP: reading the configuration again");
        notify_reloading();
        serves.reload(); // it has logged what came of it
        notify_ready();
      } else if (!std::exchange(draining, true)) {
        log_line(log_level::info, "draining: no new connections, requests go on");
        notify_stopping();
        serves.drain();
      } else {
        log_line(log_level::info, "a second signal: ending at once");
        serves.end_now();
      }
    }
  }

  std::thread thread_;
};

/// Makes what TLS with the upstreams needs, so that files that cannot be used are reported with the
/// rest of the configuration, and no loop waits for the system's store.
std::vector<std::shared_ptr<tls_context>> prepare_tls(config::read_result& read) {
  std::vector<std::shared_ptr<tls_context>> made;
  for (const auto& each : read.settings.deployments) {
    if (each.mock || each.api_base.rfind("https://", 0) != 0)
      continue;
    std::string trouble;
    const tls_rules rules{each.ssl_verify, each.ssl_ca_file, each.ssl_certificate};
    made.push_back(tls_context_for(rules, trouble));
    if (!made.back()) {
      const bool is_ours = !each.ssl_certificate.empty() &&
                           trouble.find("in " + each.ssl_certificate) != std::string::npos;
      read.diagnostics.push_back({config::severity::error, each.where,
                                  is_ours ? "ssl_certificate" : "ssl_verify",
                                  trouble + "; expected a PEM file that can be read"});
    }
  }
  return made;
}

/// The configuration that the command line means, read as often as somebody asks. For one thread at
/// a time.
class configuration {
public:
  explicit configuration(command_line asked)
      : asked_(std::move(asked)), variables_(config::process_environment()) {}

  config::read_result read() {
    auto result = config::read_file(asked_.config_file, variables_);
    for (auto& each : prepare_tls(result))
      tls_.insert(std::move(each));
    auto& router = result.settings.router;
    if (asked_.request_timeout) {
      // As LiteLLM: the deadline, unless the router has one of its own.
      if (router.timeout == config::router_settings().timeout)
        router.timeout = *asked_.request_timeout;
      else
        router.attempt_timeout = *asked_.request_timeout;
    }
    return result;
  }

private:
  command_line asked_;
  config::environment variables_;
  /// All that were ever asked for; one for each way of judging certificates.
  std::set<std::shared_ptr<tls_context>> tls_;
};

/// In one write: the log's thread writes to stderr too.
int fail(const std::string& why) {
  std::cerr << "vorrang: " + why + "\n" << std::flush;
  return status_failed;
}

/// Names come from whoever wrote the file: without what a terminal obeys or nobody sees.
void print_diagnostics(const config::read_result& read) {
  std::ostringstream text;
  config::print_diagnostics(text, read, false);
  std::cerr << terminal::printable_lines(text.str());
}

int check(const config::read_result& read) {
  std::ostringstream text;
  const bool is_good = config::print_check(text, read);
  std::cout << terminal::printable_lines(text.str());
  return is_good ? 0 : status_bad_configuration;
}

/// What is said and told to others while the gateway serves. Ends after it.
class voices {
public:
  /// Starts the log.
  voices(const command_line& asked, const config::settings& settings, log_format format,
         const config::environment& variables) {
    log_level level = asked.level.value_or(log_level::info);
    if (!asked.level && !settings.log_level.empty())
      level = read_log_level(settings.log_level).value_or(level);
    start_log(level, format);
    for (const std::string& each : asked.warnings)
      log_line(log_level::warning, each);
    if (!asked.access_log.empty()) {
      access_ = std::make_unique<access_log>(asked.access_log, format);
      trouble_ = access_->trouble();
    }
    start_traces(read_trace_settings(variables));
  }
  /// Whatever hangs in the hands of others is left behind.
  ~voices() {
    bool is_over = !traces_ || traces_->stop(traces_patience);
    is_over &= !access_ || access_->stop(log_patience);
    is_over &= stop_log(log_patience);
    if (!is_over) {
      std::cout.flush();
      std::_Exit(status);
    }
  }
  voices(const voices&) = delete;
  voices& operator=(const voices&) = delete;

  /// Why it cannot begin; empty: it can.
  const std::string& trouble() const noexcept { return trouble_; }
  journal_readers readers() const noexcept { return {access_.get(), traces_.get()}; }

  int status = 0; ///< with which the process ends

private:
  static constexpr std::chrono::seconds traces_patience{3};
  static constexpr std::chrono::seconds log_patience{1};

  void start_traces(trace_settings settings) {
    for (const std::string& each : settings.warnings)
      log_line(log_level::warning, each);
    if (!settings.enabled)
      return;
    log_line(log_level::info, "traces go to " + settings.base);
    traces_ = std::make_unique<trace_exporter>(std::move(settings), VORRANG_VERSION);
  }

  std::unique_ptr<access_log> access_;
  std::unique_ptr<trace_exporter> traces_;
  std::string trouble_;
};

int serve(const command_line& asked, configuration& from, config::read_result read) {
  auto settings = std::make_shared<config::settings>(std::move(read.settings));
  const log_format format =
      asked.format.value_or(settings->json_logs ? log_format::json : log_format::text);
  if (format == log_format::text)
    print_diagnostics(read);
  voices tell(asked, *settings, format, config::process_environment());
  if (format == log_format::json) // who reads JSON reads nothing else
    for (const auto& each : read.diagnostics)
      log_line(log_level::warning, config::to_text(each));
  tell.status = status_failed;
  if (!tell.trouble().empty())
    return fail("--access-log: " + tell.trouble());

  const bool has_keys = settings->gateway.has_keys();
  gateway_options options;
  if (!asked.tls_certificate.empty()) {
    std::string trouble;
    options.tls = tls_context_for_clients(asked.tls_certificate, asked.tls_key, trouble);
    if (!options.tls)
      return fail(trouble + "; expected PEM files that can be read");
  }
  options.host = asked.host.value_or(has_keys ? "0.0.0.0" : "127.0.0.1");
  options.port = asked.port;
  options.threads = asked.threads;
  options.journals = tell.readers();
  options.facts.names = gateway::names_of_machine();
  options.facts.version = VORRANG_VERSION;
  options.read_again = [&from] {
    return from.read();
  };
  std::random_device random;
  options.facts.id_seed = (std::uint64_t{random()} << 32) | random();
  if (!has_keys)
    log_line(log_level::warning,
             "no key is configured: everybody who can reach " + options.host + " is let in");

  gateway serves(settings, options, actors_engine());
  const std::string trouble = serves.start();
  if (!trouble.empty())
    return fail(trouble);
  const signal_thread signals(serves);
  const bool is_ipv6 = options.host.find(':') != std::string::npos && options.host.front() != '[';
  std::cout << "RUNNING on " << (options.tls ? "https://" : "http://")
            << (is_ipv6 ? "[" + options.host + "]" : options.host) << ":" << serves.port()
            << std::endl;
  notify_ready();
  serves.wait();
  log_line(log_level::info, "stopped");
  tell.status = 0;
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const auto variables = config::process_environment();
  const command_line asked = read_command_line(arguments, variables);
  if (asked.exit_status) {
    (*asked.exit_status == 0 ? std::cout : std::cerr) << terminal::printable_lines(asked.text);
    return terminal::when_written(*asked.exit_status, std::cout, std::cerr);
  }
  configuration from(asked);
  auto read = from.read();
  if (asked.check_config || read.has_errors()) // else they are logged
    for (const std::string& each : asked.warnings)
      std::cerr << "warning: " << terminal::printable_lines(each) << "\n";
  if (asked.check_config)
    return terminal::when_written(check(read), std::cout, std::cerr);
  if (read.has_errors()) {
    print_diagnostics(read);
    return status_bad_configuration;
  }
  return serve(asked, from, std::move(read));
}

/// `vorrang check`: as --check-config.
int check_file(const std::string& file) {
  return run({"--check-config", "--config=" + file});
}

} // namespace

int main(int argc, char* argv[]) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  try {
    open_standard_descriptors();
    // One that asks a running gateway: signals end it as they end any program.
    if (!arguments.empty() && terminal::is_command(arguments.front()))
      return terminal::run_command(arguments, terminal::process_context(check_file));
    signal_thread::block();
    raise_file_limit();
    return run(arguments);
  } catch (const std::exception& error) {
    return fail(error.what());
  }
}
