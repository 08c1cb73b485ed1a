#include "terminal/starter_config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace vorrang::terminal {

namespace {

constexpr std::string_view text = R"(# Vorrang's configuration: LiteLLM's config.yaml, as it is.
#
#   vorrang check config.yaml      says what it means, and everything that is wrong
#   vorrang --config config.yaml   starts the gateway on port 4000, for its operator on port 4001
#   vorrang reload                 lets a running gateway read it again
#
# A line that begins with # and no blank is a setting that is turned off.

model_list:
  # `model_name` is what clients ask for. All entries of one name share one queue.
  # This one answers by itself, one request at a time, so that you can try the gateway out:
  #
  #   curl http://127.0.0.1:4000/v1/chat/completions -H 'Content-Type: application/json' \
  #     -d '{"model": "demo", "priority": 0, "messages": [{"role": "user", "content": "Hi"}]}'
  - model_name: demo
    litellm_params:
      model: openai/demo
      mock_response: "Hello from Vorrang!"
      mock_delay: 1              # seconds
      max_parallel_requests: 1

  # A provider. Limits are hard; one that is left out is none.
  #- model_name: gpt-4o
  #  litellm_params:
  #    model: openai/gpt-4o
  #    api_key: os.environ/OPENAI_API_KEY   # from the environment, so that it stands in no file
  #    rpm: 500                             # requests in any 60 seconds
  #    tpm: 30000                           # tokens in any 60 seconds
  #    max_parallel_requests: 20

  # A second place for the same name: whoever is next goes to one that has room.
  #- model_name: gpt-4o
  #  litellm_params:
  #    model: azure/my-deployment
  #    api_base: https://my-resource.openai.azure.com
  #    api_key: os.environ/AZURE_API_KEY
  #    rpm: 100

  # A server of your own that speaks OpenAI's API.
  #- model_name: llama
  #  litellm_params:
  #    model: hosted_vllm/llama
  #    api_base: http://127.0.0.1:8000/v1
  #    max_parallel_requests: 8

router_settings:
  timeout: 600                   # seconds, waiting and answering together; then 408
  default_priority: 255          # of requests that name none. Lower goes first
  num_retries: 2                 # a 429 is no retry: it waits again at its place
  routing_strategy: simple-shuffle
  #fallbacks: [{gpt-4o: [llama]}]         # where to go when all of a model fails

# Without a key everybody who reaches the port is let in, and it listens on 127.0.0.1 alone.
#general_settings:
  #master_key: os.environ/VORRANG_MASTER_KEY

vorrang_settings:
  max_queue_size: 10000          # who may wait for one model; the worst priority gets 429 beyond it
  admin_host: 127.0.0.1          # the operator's port: `vorrang top`, `vorrang queue`, /metrics
  admin_port: 4001
  # Keys of clients, each with the best priority that it may ask for.
  #keys:
    #- {name: batch, key: os.environ/BATCH_KEY, default_priority: 200, best_priority: 100}

# Several gateways that share one queue: the same Redis in all of them.
#  router_settings: redis_host, redis_port, redis_password (docs/scaling.md)
)";

std::string because(const std::string& file) {
  return "cannot write " + file + ": " + std::strerror(errno);
}

bool write_all(int descriptor, std::string_view rest) {
  while (!rest.empty()) {
    const auto written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// Writes it into a file that was just made, and closes that. False: `errno` says why.
bool fill(int descriptor) {
  const bool is_written = write_all(descriptor, text);
  const int trouble = errno;
  const bool is_closed = ::close(descriptor) == 0;
  if (!is_written)
    errno = trouble;
  return is_written && is_closed;
}

bool gave_up(const std::string& file, const std::string& unfinished, std::string& trouble) {
  trouble = because(file);
  if (!unfinished.empty())
    ::unlink(unfinished.c_str());
  return false;
}

bool create(const std::string& file, std::string& trouble) {
  constexpr mode_t for_all_to_read = 0644;
  const int descriptor =
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, for_all_to_read);
  if (descriptor < 0)
    return gave_up(file, "", trouble);
  return fill(descriptor) || gave_up(file, file, trouble);
}

/// Under a name that nobody can know before, beside the file that a link leads to. It keeps the
/// owner, if we may give files away, and the mode: who could read the old one can read the new one.
bool replace(const std::string& file, const struct stat& old, std::string& trouble) {
  const std::unique_ptr<char, decltype(&std::free)> target(::realpath(file.c_str(), nullptr),
                                                           &std::free);
  if (!target)
    return gave_up(file, "", trouble);
  std::string fresh = std::string(target.get()) + ".XXXXXX";
  const int descriptor = ::mkostemp(fresh.data(), O_CLOEXEC);
  if (descriptor < 0)
    return gave_up(file, "", trouble);
  if (old.st_uid != ::geteuid() || old.st_gid != ::getegid())
    static_cast<void>(::fchown(descriptor, old.st_uid, old.st_gid) == 0);
  const bool has_mode = ::fchmod(descriptor, old.st_mode & 0777) == 0;
  if (fill(descriptor) && has_mode && std::rename(fresh.c_str(), target.get()) == 0)
    return true;
  return gave_up(file, fresh, trouble);
}

} // namespace

std::string_view starter_config() noexcept {
  return text;
}

bool write_starter_config(const std::string& file, bool force, std::string& trouble) {
  struct stat link = {}, found = {};
  if (::lstat(file.c_str(), &link) != 0)
    return create(file, trouble);
  if (::stat(file.c_str(), &found) != 0) {
    trouble = "cannot write " + file + ": it is a link to what is not there";
    return false;
  }
  if (!S_ISREG(found.st_mode)) {
    trouble = "cannot write " + file + ": it is no regular file; give another name";
    return false;
  }
  if (force)
    return replace(file, found, trouble);
  trouble = file + " is there already: give another name, or --force to replace it";
  return false;
}

} // namespace vorrang::terminal
