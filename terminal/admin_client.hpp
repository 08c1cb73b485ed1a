// Asks the admin port of a gateway.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vorrang::terminal {

/// Where an admin port is.
struct admin_address {
  bool is_https = false;
  std::string host; ///< without brackets
  int port = 80;
  std::string prefix; ///< of all paths, without a slash at its end
  std::string text;   ///< as it was given, with its scheme
};

/// `http://127.0.0.1:4001`, `gateway:4001`, `https://ops.example/vorrang`. Nothing: it is no such
/// address, and `trouble` says why.
std::optional<admin_address> read_address(std::string_view url, std::string& trouble);

/// What is safe in a path as it is stays, the rest as `%2F`.
std::string encode_segment(std::string_view text);

/// The master key, and the variable that it came from: messages name that one alone.
struct admin_key {
  std::string text;
  std::string variable;
};

struct admin_answer {
  int status = 0; ///< 0: there was none
  std::string body;
  /// If there was none, or the key was refused: why, and what to do.
  std::string trouble;

  bool is_good() const noexcept { return status >= 200 && status < 300; }
};

/// One connection, one request at a time. `key`: sent as a bearer token. Waits at most `patience_s`
/// seconds for a whole answer, the connection included.
class admin_client {
public:
  admin_client(admin_address where, std::optional<admin_key> key, int patience_s);
  ~admin_client();
  admin_client(const admin_client&) = delete;
  admin_client& operator=(const admin_client&) = delete;

  const admin_address& where() const noexcept;

  /// `path` is encoded already, with its query.
  admin_answer get(const std::string& path);
  /// With a body of JSON.
  admin_answer patch(const std::string& path, const std::string& body);
  admin_answer post(const std::string& path, const std::string& body);
  admin_answer remove(const std::string& path);

  /// Ends a request that another thread has begun.
  void stop();

private:
  struct parts;
  std::unique_ptr<parts> parts_;
};

/// Whether it did what was asked, in an admin port's words: other programs answer 200 as well.
bool is_done(const admin_answer& answer);

/// What an answer that is not good means for the one who asked: the message of its error, or what
/// can be said without one. Not printable().
std::string trouble_of(const admin_answer& answer, const admin_address& where);

} // namespace vorrang::terminal
