#include "terminal/admin_client.hpp"

#include "terminal/json_fields.hpp"

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <httplib.h>
#include <mutex>
#include <thread>

namespace vorrang::terminal {

namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& each : result)
    each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return result;
}

/// `host`, `host:port`, `[::1]:port`.
bool read_host(std::string_view authority, admin_address& to) {
  std::string_view rest;
  if (!authority.empty() && authority.front() == '[') {
    const auto end = authority.find(']');
    if (end == std::string_view::npos)
      return false;
    to.host = authority.substr(1, end - 1);
    rest = authority.substr(end + 1);
  } else {
    const auto colon = authority.find(':');
    to.host = authority.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
  }
  if (to.host.empty())
    return false;
  if (rest.empty())
    return true;
  const auto digits = rest.substr(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to.port);
  return rest.front() == ':' && error == std::errc() && end == digits.data() + digits.size() &&
         to.port > 0 && to.port < 65536;
}

std::string words_for(httplib::Error error, const admin_address& where) {
  switch (error) {
  case httplib::Error::Connection:
  case httplib::Error::BindIPAddress:
    return "cannot reach " + where.text +
           ": is the gateway running, and this its admin port? Another one is named by --url or "
           "VORRANG_ADMIN_URL";
  case httplib::Error::SSLConnection:
  case httplib::Error::SSLLoadingCerts:
  case httplib::Error::SSLServerVerification:
    return "no TLS connection with " + where.text +
           ": its certificate is not one that is trusted "
           "here, or it speaks plain http";
  default:
    return "no answer from " + where.text + " (" + httplib::to_string(error) +
           "): it may be busy or no gateway's admin port; try again";
  }
}

/// Ends a request that takes too long in all. The client's own timeouts begin anew with each byte
/// that comes (cpp-httplib has set_max_timeout from 0.18 on, which would do).
class time_keeper {
public:
  time_keeper(httplib::ClientImpl& client, std::chrono::seconds patience)
      : client_(client), patience_(patience), thread_([this] { run(); }) {}
  ~time_keeper() { finish(); }
  time_keeper(const time_keeper&) = delete;
  time_keeper& operator=(const time_keeper&) = delete;

  /// The request is over. Whether it was ended from here.
  bool finish() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable())
      thread_.join();
    return has_ended_it_;
  }

private:
  void run() {
    // A connection that is still being made cannot be ended, but what comes after it.
    constexpr std::chrono::milliseconds again{100};
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience_, [this] { return is_over_; });
    while (!is_over_) {
      has_ended_it_ = true;
      client_.stop();
      changed_.wait_for(lock, again, [this] { return is_over_; });
    }
  }

  httplib::ClientImpl& client_;
  std::chrono::seconds patience_;
  std::mutex mutex_; // guards what follows
  std::condition_variable changed_;
  bool is_over_ = false;
  bool has_ended_it_ = false;
  std::thread thread_; // the last: it uses the others
};

} // namespace

std::optional<admin_address> read_address(std::string_view url, std::string& trouble) {
  admin_address result;
  result.text = url;
  std::string_view rest = url;
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) {
    const auto name = lower(url.substr(0, scheme));
    result.is_https = name == "https";
    if (name != "http" && name != "https") {
      trouble = "expected http:// or https://";
      return std::nullopt;
    }
    rest = url.substr(scheme + 3);
  } else {
    result.text = "http://" + result.text;
  }
  result.port = result.is_https ? 443 : 80;
  const auto slash = rest.find('/');
  const auto authority = rest.substr(0, slash);
  if (slash != std::string_view::npos)
    result.prefix = rest.substr(slash);
  while (!result.prefix.empty() && result.prefix.back() == '/')
    result.prefix.pop_back();
  if (authority.find('@') != std::string_view::npos) {
    // Neither shown nor used: what is on a command line is there for all users of the machine.
    result.text.clear();
    trouble = "no name or password belongs into it: the key comes from VORRANG_MASTER_KEY";
    return std::nullopt;
  }
  const bool is_odd = url.find_first_of("?# \t\r\n") != std::string_view::npos;
  if (is_odd || !read_host(authority, result)) {
    trouble = "expected an address like http://127.0.0.1:4001";
    return std::nullopt;
  }
  return result;
}

std::string encode_segment(std::string_view text) {
  std::string result;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if ((byte < 0x80 && std::isalnum(byte) != 0) ||
        std::string_view("-._~").find(each) != std::string_view::npos) {
      result += each;
    } else {
      constexpr const char* digits = "0123456789ABCDEF";
      result += '%';
      result += digits[byte >> 4];
      result += digits[byte & 15];
    }
  }
  return result;
}

struct admin_client::parts {
  parts(admin_address where, std::optional<admin_key> with, int patience_s)
      : address(std::move(where)), key(std::move(with)), patience(patience_s) {
    if (address.is_https)
      client = std::make_unique<httplib::SSLClient>(address.host, address.port);
    else
      client = std::make_unique<httplib::ClientImpl>(address.host, address.port);
    client->set_connection_timeout(patience_s);
    client->set_read_timeout(patience_s);
    client->set_write_timeout(patience_s);
    client->set_keep_alive(true);
    client->set_url_encode(false);
    const bool is_ipv6 = address.host.find(':') != std::string::npos;
    httplib::Headers headers = {{"Host", (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" +
                                             std::to_string(address.port)}};
    if (key)
      headers.emplace("Authorization", "Bearer " + key->text);
    client->set_default_headers(headers);
  }

  template <class Request>
  admin_answer ask(Request request) {
    time_keeper keeper(*client, patience);
    const httplib::Result came = request(*client);
    if (!keeper.finish())
      return told(came);
    // Also where something came: an answer whose length is not said seems to end there.
    admin_answer answer;
    answer.trouble = "no answer from " + address.text + " (not all of it within " +
                     std::to_string(patience.count()) +
                     " s): it may be busy or no gateway's admin port; try again";
    return answer;
  }

  admin_answer told(const httplib::Result& came) const {
    admin_answer answer;
    if (!came) {
      answer.trouble = words_for(came.error(), address);
      return answer;
    }
    answer.status = came->status;
    answer.body = came->body;
    constexpr int unauthorized = 401;
    if (answer.status == unauthorized)
      answer.trouble = words_for_refused_key();
    return answer;
  }

  std::string words_for_refused_key() const {
    if (!key)
      return address.text + " wants the master key: set VORRANG_MASTER_KEY to it";
    return address.text + " wants another master key than that of " + key->variable + ": set " +
           key->variable + " to the right one";
  }

  std::string path(const std::string& rest) const { return address.prefix + rest; }

  admin_address address;
  std::optional<admin_key> key;
  std::chrono::seconds patience;
  std::unique_ptr<httplib::ClientImpl> client;
};

admin_client::admin_client(admin_address where, std::optional<admin_key> key, int patience_s)
    : parts_(std::make_unique<parts>(std::move(where), std::move(key), patience_s)) {}

admin_client::~admin_client() = default;

const admin_address& admin_client::where() const noexcept {
  return parts_->address;
}

admin_answer admin_client::get(const std::string& path) {
  return parts_->ask([&](auto& client) { return client.Get(parts_->path(path)); });
}

admin_answer admin_client::patch(const std::string& path, const std::string& body) {
  return parts_->ask(
      [&](auto& client) { return client.Patch(parts_->path(path), body, "application/json"); });
}

admin_answer admin_client::post(const std::string& path, const std::string& body) {
  return parts_->ask(
      [&](auto& client) { return client.Post(parts_->path(path), body, "application/json"); });
}

admin_answer admin_client::remove(const std::string& path) {
  return parts_->ask(
      [&](auto& client) { return client.Delete(parts_->path(path), "{}", "application/json"); });
}

void admin_client::stop() {
  parts_->client->stop();
}

bool is_done(const admin_answer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  return answer.is_good() && text_of(body, "status") == "ok";
}

std::string trouble_of(const admin_answer& answer, const admin_address& where) {
  if (!answer.trouble.empty())
    return answer.trouble;
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (auto message = text_of(part_of(body, "error"), "message"); !message.empty())
    return message;
  return where.text + " answered " + std::to_string(answer.status) +
         ", and not as a gateway's admin port does: is it that of another program?";
}

} // namespace vorrang::terminal
