#include "http/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

namespace vorrang::http {

namespace {

// A socket as OpenSSL sees it. Its own writes with write(), which raises SIGPIPE. ---------------

int descriptor_of(BIO* bio) {
  return *static_cast<const int*>(BIO_get_data(bio));
}

int socket_write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  const auto count = ::send(descriptor_of(bio), data, size, MSG_NOSIGNAL);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    BIO_set_retry_write(bio);
  *written = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0 ? 1 : 0;
}

int socket_read(BIO* bio, char* into, std::size_t size, std::size_t* read) {
  BIO_clear_retry_flags(bio);
  const auto count = ::recv(descriptor_of(bio), into, size, 0);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    BIO_set_retry_read(bio);
  if (count == 0)
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  *read = count > 0 ? static_cast<std::size_t>(count) : 0;
  return count > 0 ? 1 : 0;
}

long socket_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF)
    return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// `descriptor` outlives it.
BIO* make_socket_bio(int& descriptor) {
  static BIO_METHOD* const method = [] {
    auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    BIO_meth_set_write_ex(made, socket_write);
    BIO_meth_set_read_ex(made, socket_read);
    BIO_meth_set_ctrl(made, socket_control);
    return made;
  }();
  BIO* const bio = BIO_new(method);
  BIO_set_data(bio, &descriptor);
  BIO_set_init(bio, 1);
  return bio;
}

/// The first of OpenSSL's errors, which is the cause of the others.
std::string cause() {
  const auto code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0)
    return "the connection broke";
  if (ERR_SYSTEM_ERROR(code))
    return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

bool is_address(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

} // namespace

class tls_memory {
public:
  ~tls_memory() { keep(nullptr); }
  void keep(SSL_SESSION* latest) {
    if (latest_ != nullptr)
      SSL_SESSION_free(latest_);
    latest_ = latest;
  }
  SSL_SESSION* latest() const noexcept { return latest_; }

private:
  SSL_SESSION* latest_ = nullptr;
};

std::shared_ptr<tls_memory> make_tls_memory() {
  return std::make_shared<tls_memory>();
}

class tls_context {
public:
  explicit tls_context(SSL_CTX* owned, bool serves = false) : owned_(owned), serves_(serves) {}
  ~tls_context() { SSL_CTX_free(owned_); }
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  SSL_CTX* get() const noexcept { return owned_; }
  /// Towards clients.
  bool serves() const noexcept { return serves_; }

private:
  SSL_CTX* owned_;
  bool serves_;
};

namespace {

/// Takes the session over: 1 tells OpenSSL so.
int remember(SSL* ssl, SSL_SESSION* made) {
  auto* memory = static_cast<tls_memory*>(SSL_get_app_data(ssl));
  if (memory == nullptr)
    return 0;
  memory->keep(made);
  return 1;
}

/// For both directions.
void set_up(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
}

/// Of what a client offers HTTP/1.1, if it is there; else nothing is said of it.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size,
                    const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, size, ours, sizeof ours, offered, offered_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

std::shared_ptr<tls_context> make_context(const tls_rules& rules, std::string& trouble) {
  ERR_clear_error();
  auto made = std::make_shared<tls_context>(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = made->get();
  set_up(context);
  static constexpr unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context, http_1_1, sizeof http_1_1);
  // Clients are remembered by us alone: OpenSSL's own store never gives one back to a client.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, remember);
  SSL_CTX_set_verify(context, rules.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  const auto failed = [&](const std::string& what) {
    trouble = what + ": " + cause();
    return nullptr;
  };
  if (!rules.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context, rules.ca_file.c_str(), nullptr) != 1)
      return failed("cannot use the certificates in " + rules.ca_file);
  } else if (rules.verify && SSL_CTX_set_default_verify_paths(context) != 1) {
    return failed("cannot read the system's store of certificates");
  }
  if (!rules.certificate.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, rules.certificate.c_str()) != 1)
      return failed("cannot use the certificate in " + rules.certificate);
    if (SSL_CTX_use_PrivateKey_file(context, rules.certificate.c_str(), SSL_FILETYPE_PEM) != 1)
      return failed("cannot use the key in " + rules.certificate);
  }
  return made;
}

} // namespace

std::shared_ptr<tls_context> tls_context_for(const tls_rules& rules, std::string& trouble) {
  static std::mutex mutex;
  static std::map<tls_rules, std::weak_ptr<tls_context>> known;
  const std::lock_guard lock(mutex);
  auto& slot = known[rules];
  auto found = slot.lock();
  if (!found) {
    found = make_context(rules, trouble);
    slot = found;
  }
  return found;
}

std::shared_ptr<tls_context> tls_context_for_clients(const std::string& certificate_file,
                                                     const std::string& key_file,
                                                     std::string& trouble) {
  ERR_clear_error();
  auto made = std::make_shared<tls_context>(SSL_CTX_new(TLS_server_method()), true);
  SSL_CTX* const context = made->get();
  set_up(context);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  static constexpr unsigned char name[] = {'v', 'o', 'r', 'r', 'a', 'n', 'g'};
  SSL_CTX_set_session_id_context(context, name, sizeof name);
  const auto failed = [&](const std::string& what) {
    trouble = what + ": " + cause();
    return nullptr;
  };
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    return failed("cannot use the certificate in " + certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return failed("cannot use the key in " + key_file);
  return made;
}

tls_session::tls_session(std::shared_ptr<tls_context> context, int descriptor,
                         const std::string& host, std::shared_ptr<tls_memory> memory)
    : context_(std::move(context)), memory_(std::move(memory)), descriptor_(descriptor),
      ssl_(SSL_new(context_->get())) {
  BIO* const socket = make_socket_bio(descriptor_);
  SSL_set_bio(ssl_, socket, socket);
  if (context_->serves()) {
    SSL_set_accept_state(ssl_);
    return;
  }
  SSL_set_connect_state(ssl_);
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl_, host.c_str());
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl_, host.c_str());
  }
  if (memory_) {
    SSL_set_app_data(ssl_, memory_.get());
    if (memory_->latest() != nullptr)
      SSL_set_session(ssl_, memory_->latest());
  }
}

tls_session::~tls_session() {
  SSL_free(ssl_);
}

tls_step tls_session::handshake() {
  ERR_clear_error();
  return judge(SSL_do_handshake(ssl_));
}

tls_step tls_session::read(char* into, std::size_t size, std::size_t& count) {
  ERR_clear_error();
  count = 0;
  return judge(SSL_read_ex(ssl_, into, size, &count));
}

tls_step tls_session::write(const char* from, std::size_t size, std::size_t& count) {
  ERR_clear_error();
  count = 0;
  return judge(SSL_write_ex(ssl_, from, size, &count));
}

void tls_session::say_goodbye() noexcept {
  ERR_clear_error();
  if (fault_.empty() && SSL_is_init_finished(ssl_) != 0)
    SSL_shutdown(ssl_);
  ERR_clear_error();
}

bool tls_session::was_resumed() const noexcept {
  return SSL_session_reused(ssl_) != 0;
}

tls_step tls_session::judge(int result) {
  switch (SSL_get_error(ssl_, result)) {
  case SSL_ERROR_NONE:
    return tls_step::done;
  case SSL_ERROR_WANT_READ:
    return tls_step::wants_read;
  case SSL_ERROR_WANT_WRITE:
    return tls_step::wants_write;
  case SSL_ERROR_ZERO_RETURN:
    return tls_step::ended;
  default:
    break;
  }
  const auto verdict = SSL_get_verify_result(ssl_);
  if (verdict != X509_V_OK && SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE) {
    ERR_clear_error();
    fault_ =
        std::string("its certificate is not accepted: ") + X509_verify_cert_error_string(verdict);
  } else {
    fault_ = cause();
  }
  // A session that the peer did not like is not tried again.
  if (memory_ && SSL_is_init_finished(ssl_) == 0)
    memory_->keep(nullptr);
  return tls_step::failed;
}

} // namespace vorrang::http
