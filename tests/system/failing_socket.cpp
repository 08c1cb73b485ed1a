// Preloaded into the gateway: lets the n-th event of its connections to one upstream port fail.
//
// The test that does this (failing_socket.py) shares a page with it, which says what is to fail and
// tells what has happened. An event is a call that did something: one that would block is none.
// After a failure the descriptor behaves as the kernel's would: it reads an end, and writes EPIPE;
// a real shutdown() makes epoll agree with the story. Without a page it only passes calls on.
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

enum class event : std::uint8_t {
  socket = 1, // a descriptor for a new connection
  watch = 2,  // it is told to epoll, which only then takes memory
  connect = 3,
  connected = 4, // what became of a connect that was in progress
  write = 5,
  read = 6,
  shutdown = 7,
  close = 8,
};
constexpr std::size_t event_count = 9;
constexpr std::size_t kind_count = 3;
constexpr int early_end = 0;

/// What goes wrong, for each kind of failure; of a read also an end where there is none.
constexpr int errors[event_count][kind_count] = {
    {0, 0, 0},
    {EMFILE, ENFILE, ENOBUFS},
    {ENOSPC, ENOMEM, ENOSPC},
    {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH},
    {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH},
    {ECONNRESET, ETIMEDOUT, EPIPE},
    {ECONNRESET, ETIMEDOUT, early_end},
    {ENOTCONN, ENOTCONN, ENOTCONN},
    {EIO, EINTR, EIO},
};

using number = std::atomic<std::int64_t>;
static_assert(sizeof(number) == 8 && number::is_always_lock_free);
constexpr std::size_t log_max = 4000;

/// The same order as in failing_socket.py. The test writes the first five.
struct page {
  number port;        // whose connections are meant, 0: none
  number fail_at;     // 1 is the first event, 0: none
  number fail_again;  // so many events after that another one, 0: none
  number kind;        // column of `errors`
  number send_buffer; // of new connections, 0: the system's
  number loaded;      // 1 once this library is there
  number events;
  number failed; // what event it was, of two the second; 0: not yet
  number open;   // connections to the port
  number bytes_written;
  number heap_bytes; // in use when the last connection was begun
  std::atomic<std::uint8_t> log[log_max];
};

constexpr int descriptors_max = 65536;
enum : std::uint8_t {
  is_new = 1,      // a stream socket, not connected yet
  is_upstream = 2, // connected, or about to be, to the port
  no_read = 4,
  no_write = 8,
};
std::atomic<std::uint8_t> known[descriptors_max];

page* shared() {
  static page* const mapped = []() -> page* {
    const char* path = std::getenv("VORRANG_TEST_FAILING_SOCKET");
    const int file = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
      return nullptr;
    void* at = ::mmap(nullptr, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    // The file stays open: a close() of ours would come back here.
    if (at == MAP_FAILED)
      return nullptr;
    static_cast<page*>(at)->loaded = 1;
    return static_cast<page*>(at);
  }();
  return mapped;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::uint8_t state_of(int descriptor) {
  return descriptor >= 0 && descriptor < descriptors_max ? known[descriptor].load()
                                                         : std::uint8_t{0};
}

void set_state(int descriptor, int state) {
  if (descriptor >= 0 && descriptor < descriptors_max)
    known[descriptor] = static_cast<std::uint8_t>(state);
}

bool is_meant(int descriptor) {
  return (state_of(descriptor) & is_upstream) != 0;
}

/// Counts an event; returns true, and the error, if it is the one to fail.
bool fails(event what, int& error) {
  page& own = *shared();
  const std::int64_t count = ++own.events;
  if (count <= static_cast<std::int64_t>(log_max))
    own.log[count - 1] = static_cast<std::uint8_t>(what);
  if (own.fail_at != count)
    return false;
  if (const std::int64_t more = own.fail_again.exchange(0); more != 0)
    own.fail_at = count + more;
  else
    own.failed = static_cast<std::int64_t>(what);
  error = errors[static_cast<std::size_t>(what)][static_cast<std::size_t>(own.kind.load())];
  return true;
}

void break_off(int descriptor) {
  static auto* const real = next<int(int, int)>("shutdown");
  real(descriptor, SHUT_RDWR);
  set_state(descriptor, state_of(descriptor) | no_read | no_write);
}

int failed_with(int error) {
  errno = error;
  return -1;
}

std::int64_t port_of(const sockaddr* address, socklen_t size) {
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in))
    return ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
  if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6))
    return ntohs(reinterpret_cast<const sockaddr_in6*>(address)->sin6_port);
  return -1;
}

/// `call` is one of the calls that read.
template <class Call>
ssize_t read_by(int descriptor, Call call) {
  if (!is_meant(descriptor))
    return call();
  if ((state_of(descriptor) & no_read) != 0)
    return 0;
  const ssize_t count = call();
  int error = 0;
  if ((count < 0 && (errno == EAGAIN || errno == EINTR)) || !fails(event::read, error))
    return count;
  if (error != early_end) {
    break_off(descriptor);
    return failed_with(error);
  }
  static auto* const real_shutdown = next<int(int, int)>("shutdown");
  real_shutdown(descriptor, SHUT_RD);
  set_state(descriptor, state_of(descriptor) | no_read);
  return 0;
}

/// `call` is one of the calls that write.
template <class Call>
ssize_t write_by(int descriptor, Call call) {
  if (!is_meant(descriptor))
    return call();
  if ((state_of(descriptor) & no_write) != 0)
    return failed_with(EPIPE);
  page& own = *shared();
  int error = 0;
  // Before it is tried: a failing one must not have sent anything.
  if (own.fail_at == own.events + 1) {
    fails(event::write, error);
    break_off(descriptor);
    return failed_with(error);
  }
  const ssize_t count = call();
  if (count < 0 && (errno == EAGAIN || errno == EINTR))
    return count;
  fails(event::write, error);
  own.bytes_written += count > 0 ? count : 0;
  return count;
}

/// So that the test sees at once that it is there.
[[gnu::constructor]] void announce() {
  shared();
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  static auto* const real = next<int(int, int, int)>("socket");
  const bool is_stream = (domain == AF_INET || domain == AF_INET6) &&
                         (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_STREAM;
  page* const own = shared();
  if (own == nullptr || !is_stream)
    return real(domain, type, protocol);
  int error = 0;
  if (own->port != 0 && fails(event::socket, error))
    return failed_with(error);
  const int made = real(domain, type, protocol);
  set_state(made, is_new);
  if (const int size = static_cast<int>(own->send_buffer.load()); made >= 0 && size > 0)
    ::setsockopt(made, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return made;
}

int epoll_ctl(int set, int operation, int descriptor, epoll_event* wanted) noexcept {
  static auto* const real = next<int(int, int, int, epoll_event*)>("epoll_ctl");
  int error = 0;
  if (state_of(descriptor) != 0 && operation == EPOLL_CTL_ADD && shared()->port != 0 &&
      fails(event::watch, error))
    return failed_with(error);
  return real(set, operation, descriptor, wanted);
}

int connect(int descriptor, const sockaddr* to, socklen_t size) {
  static auto* const real = next<int(int, const sockaddr*, socklen_t)>("connect");
  page* const own = shared();
  if (own == nullptr || state_of(descriptor) != is_new)
    return real(descriptor, to, size);
  if (own->port == 0 || port_of(to, size) != own->port) {
    set_state(descriptor, 0);
    return real(descriptor, to, size);
  }
  set_state(descriptor, is_upstream);
  ++own->open;
  own->heap_bytes = static_cast<std::int64_t>(::mallinfo2().uordblks + ::mallinfo2().hblkhd);
  int error = 0;
  if (!fails(event::connect, error))
    return real(descriptor, to, size);
  set_state(descriptor, is_upstream | no_read | no_write);
  return failed_with(error);
}

int getsockopt(int descriptor, int level, int name, void* value, socklen_t* size) noexcept {
  static auto* const real = next<int(int, int, int, void*, socklen_t*)>("getsockopt");
  const int result = real(descriptor, level, name, value, size);
  int error = 0;
  if (result != 0 || level != SOL_SOCKET || name != SO_ERROR || !is_meant(descriptor) ||
      !fails(event::connected, error))
    return result;
  break_off(descriptor);
  *static_cast<int*>(value) = error;
  return result;
}

ssize_t recv(int descriptor, void* into, std::size_t size, int flags) {
  static auto* const real = next<ssize_t(int, void*, std::size_t, int)>("recv");
  return read_by(descriptor, [&] { return real(descriptor, into, size, flags); });
}

ssize_t recvmsg(int descriptor, msghdr* into, int flags) {
  static auto* const real = next<ssize_t(int, msghdr*, int)>("recvmsg");
  return read_by(descriptor, [&] { return real(descriptor, into, flags); });
}

ssize_t read(int descriptor, void* into, std::size_t size) {
  static auto* const real = next<ssize_t(int, void*, std::size_t)>("read");
  return read_by(descriptor, [&] { return real(descriptor, into, size); });
}

ssize_t readv(int descriptor, const iovec* into, int size) {
  static auto* const real = next<ssize_t(int, const iovec*, int)>("readv");
  return read_by(descriptor, [&] { return real(descriptor, into, size); });
}

ssize_t send(int descriptor, const void* from, std::size_t size, int flags) {
  static auto* const real = next<ssize_t(int, const void*, std::size_t, int)>("send");
  return write_by(descriptor, [&] { return real(descriptor, from, size, flags); });
}

ssize_t sendmsg(int descriptor, const msghdr* from, int flags) {
  static auto* const real = next<ssize_t(int, const msghdr*, int)>("sendmsg");
  return write_by(descriptor, [&] { return real(descriptor, from, flags); });
}

ssize_t write(int descriptor, const void* from, std::size_t size) {
  static auto* const real = next<ssize_t(int, const void*, std::size_t)>("write");
  return write_by(descriptor, [&] { return real(descriptor, from, size); });
}

ssize_t writev(int descriptor, const iovec* from, int size) {
  static auto* const real = next<ssize_t(int, const iovec*, int)>("writev");
  return write_by(descriptor, [&] { return real(descriptor, from, size); });
}

int shutdown(int descriptor, int how) noexcept {
  static auto* const real = next<int(int, int)>("shutdown");
  int error = 0;
  if (!is_meant(descriptor) || !fails(event::shutdown, error))
    return real(descriptor, how);
  break_off(descriptor);
  return failed_with(error);
}

int close(int descriptor) {
  static auto* const real = next<int(int)>("close");
  const bool meant = is_meant(descriptor);
  set_state(descriptor, 0);
  const int result = real(descriptor);
  if (!meant)
    return result;
  // One that fails has closed all the same, as on Linux.
  int error = 0;
  const bool failed = fails(event::close, error);
  --shared()->open;
  return failed ? failed_with(error) : result;
}

} // extern "C"
#pragma GCC visibility pop
