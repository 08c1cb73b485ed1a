// TLS: towards upstreams one context for each way of judging certificates, towards clients one; a
// session for each connection. OpenSSL stays out of this header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

struct ssl_st;

namespace vorrang::http {

/// How an upstream's certificate is judged, and what is shown to one that asks for ours.
struct tls_rules {
  bool verify = true;
  std::string ca_file;     ///< PEM file of what is trusted; empty: the system's store
  std::string certificate; ///< PEM file with our certificate and its key; empty: none

  friend bool operator==(const tls_rules&, const tls_rules&) = default;
  bool operator<(const tls_rules& other) const {
    return std::tie(verify, ca_file, certificate) <
           std::tie(other.verify, other.ca_file, other.certificate);
  }
};

class tls_context;

/// The context for these rules, shared by all who ask: the system's store is read once. Null, and
/// a sentence in `trouble`, if a file of the rules cannot be used. From any thread.
std::shared_ptr<tls_context> tls_context_for(const tls_rules& rules, std::string& trouble);

/// What a gateway shows to its own clients: PEM files with the certificate (and those that vouch
/// for it) and with the key. Null, and a sentence in `trouble`, if one of them cannot be used.
std::shared_ptr<tls_context> tls_context_for_clients(const std::string& certificate_file,
                                                     const std::string& key_file,
                                                     std::string& trouble);

/// The last session of one address, so that the next connection takes it up again (half the
/// processor time of a handshake). Belongs to one thread.
class tls_memory;
std::shared_ptr<tls_memory> make_tls_memory();

/// What a step came to.
enum class tls_step : std::uint8_t {
  done,
  wants_read,  ///< again once the socket can be read from
  wants_write, ///< again once it can be written to
  ended,       ///< the peer ended its side in the way TLS demands
  failed,      ///< broken, cut off, or not to be trusted: see fault()
};

/// TLS over a connected, non-blocking socket, whose descriptor it uses and does not own. Belongs to
/// one thread. Never raises SIGPIPE.
class tls_session {
public:
  /// `host`: a name (sent as SNI, and the certificate must be for it) or an IP address; towards
  /// clients it means nothing, and neither does `memory`.
  tls_session(std::shared_ptr<tls_context> context, int descriptor, const std::string& host,
              std::shared_ptr<tls_memory> memory);
  ~tls_session();
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;

  tls_step handshake();
  /// Up to `size` bytes; `count` is more than 0 if done.
  tls_step read(char* into, std::size_t size, std::size_t& count);
  /// A part of the bytes, `count` of them if done. After wants_* the same bytes have to come again.
  tls_step write(const char* from, std::size_t size, std::size_t& count);
  /// Tells the peer that nothing more comes, if that can be said at once.
  void say_goodbye() noexcept;

  /// Whether the handshake took up a session that was remembered.
  bool was_resumed() const noexcept;
  /// Why it failed, as a sentence without a full stop.
  const std::string& fault() const noexcept { return fault_; }

private:
  tls_step judge(int result);

  std::shared_ptr<tls_context> context_;
  std::shared_ptr<tls_memory> memory_;
  int descriptor_;
  ssl_st* ssl_ = nullptr;
  std::string fault_;
};

} // namespace vorrang::http
