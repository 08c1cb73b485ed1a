// Preloaded into the gateway: counts what it asks of the kernel, of the allocator and of CAF.
//
// The test (counting.py) shares a page with it and reads the counts while the gateway runs. A
// preloaded library sees each call of a function that libc or CAF exports, needs no right that a
// container may lack (as ptrace and perf do), and counts alike on each run. It does not see what
// libc does within itself: the mmap of an allocator, the futex of a contended lock. Without a page
// it counts for nobody.
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

using number = std::atomic<std::int64_t>;
static_assert(sizeof(number) == 8 && number::is_always_lock_free);

/// The same order as in counting.py.
struct page {
  number loaded;       // 1 once this library is there
  number asleep;       // threads that are in epoll_wait until something comes
  number reads;        // of any kind
  number reads_empty;  // of them those that found nothing
  number writes;       // of any kind
  number polls;        // epoll_wait
  number sleeps;       // of them those that may wait
  number watches;      // epoll_ctl
  number timers;       // timerfd_settime
  number sockets;      // made, connected, accepted, closed, their options
  number others;       // poll, select, syscall()
  number waits;        // on a condition
  number signals;      // of a condition
  number locks;        // of a mutex
  number clocks;       // readings, which are no system calls
  number allocations;  // pieces of memory
  number bytes;        // of them
  number frees;        // of pieces
  number copies;       // memcpy, memmove that the compiler has not put in place
  number bytes_copied; // by them
  number messages;     // put into actors' mailboxes
};

constinit page nobodys{};
constinit std::atomic<page*> counted{&nobodys};

void count(number page::*what, std::int64_t by = 1) noexcept {
  (counted.load(std::memory_order_relaxed)->*what).fetch_add(by, std::memory_order_relaxed);
}

/// What would have been called without us. Needs no memory and no lock of ours, since that is what
/// is called.
template <class Function>
class next {
public:
  constexpr explicit next(const char* name) noexcept : name_(name) {}

  template <class... Arguments>
  auto operator()(Arguments... arguments) noexcept(false) {
    void* found = found_.load(std::memory_order_relaxed);
    if (found == nullptr) {
      found = ::dlsym(RTLD_NEXT, name_);
      found_.store(found, std::memory_order_relaxed);
    }
    return reinterpret_cast<Function*>(found)(arguments...);
  }

private:
  const char* name_;
  std::atomic<void*> found_{nullptr};
};

ssize_t read_of(ssize_t result) noexcept {
  count(&page::reads);
  if (result < 0 && errno == EAGAIN)
    count(&page::reads_empty);
  return result;
}

void* allocated(void* made, std::size_t size) noexcept {
  if (made != nullptr) {
    count(&page::allocations);
    count(&page::bytes, static_cast<std::int64_t>(size));
  }
  return made;
}

/// So that the test sees at once that it is there.
[[gnu::constructor]] void announce() {
  const char* path = std::getenv("VORRANG_TEST_COUNTING");
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0)
    return;
  void* at = ::mmap(nullptr, sizeof(page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (at == MAP_FAILED)
    return;
  counted = static_cast<page*>(at);
  static_cast<page*>(at)->loaded = 1;
}

} // namespace

#pragma GCC visibility push(default)
extern "C" {

// The allocator's own names, so that none is looked for while memory is needed for the search.
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) noexcept {
  return allocated(__libc_malloc(size), size);
}

void* calloc(std::size_t pieces, std::size_t size) noexcept {
  return allocated(__libc_calloc(pieces, size), pieces * size);
}

/// Counts as a piece, since it may be one that is copied into.
void* realloc(void* piece, std::size_t size) noexcept {
  return allocated(__libc_realloc(piece, size), size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return allocated(__libc_memalign(alignment, size), size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return allocated(__libc_memalign(alignment, size), size);
}

int posix_memalign(void** made, std::size_t alignment, std::size_t size) noexcept {
  *made = allocated(__libc_memalign(alignment, size), size);
  return *made != nullptr ? 0 : ENOMEM;
}

void free(void* piece) noexcept {
  if (piece != nullptr)
    count(&page::frees);
  __libc_free(piece);
}

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) noexcept {
  static constinit next<void*(void*, const void*, std::size_t)> real("memcpy");
  count(&page::copies);
  count(&page::bytes_copied, static_cast<std::int64_t>(size));
  return real(to, from, size);
}

void* memmove(void* to, const void* from, std::size_t size) noexcept {
  static constinit next<void*(void*, const void*, std::size_t)> real("memmove");
  count(&page::copies);
  count(&page::bytes_copied, static_cast<std::int64_t>(size));
  return real(to, from, size);
}

ssize_t recv(int descriptor, void* into, std::size_t size, int flags) {
  static constinit next<ssize_t(int, void*, std::size_t, int)> real("recv");
  return read_of(real(descriptor, into, size, flags));
}

ssize_t recvfrom(int descriptor, void* __restrict into, std::size_t size, int flags,
                 sockaddr* __restrict from, socklen_t* __restrict from_size) {
  static constinit next<ssize_t(int, void*, std::size_t, int, sockaddr*, socklen_t*)> real(
      "recvfrom");
  return read_of(real(descriptor, into, size, flags, from, from_size));
}

ssize_t recvmsg(int descriptor, msghdr* into, int flags) {
  static constinit next<ssize_t(int, msghdr*, int)> real("recvmsg");
  return read_of(real(descriptor, into, flags));
}

ssize_t read(int descriptor, void* into, std::size_t size) {
  static constinit next<ssize_t(int, void*, std::size_t)> real("read");
  return read_of(real(descriptor, into, size));
}

ssize_t readv(int descriptor, const iovec* into, int pieces) {
  static constinit next<ssize_t(int, const iovec*, int)> real("readv");
  return read_of(real(descriptor, into, pieces));
}

ssize_t send(int descriptor, const void* from, std::size_t size, int flags) {
  static constinit next<ssize_t(int, const void*, std::size_t, int)> real("send");
  count(&page::writes);
  return real(descriptor, from, size, flags);
}

ssize_t sendto(int descriptor, const void* from, std::size_t size, int flags, const sockaddr* to,
               socklen_t to_size) {
  static constinit next<ssize_t(int, const void*, std::size_t, int, const sockaddr*, socklen_t)>
      real("sendto");
  count(&page::writes);
  return real(descriptor, from, size, flags, to, to_size);
}

ssize_t sendmsg(int descriptor, const msghdr* from, int flags) {
  static constinit next<ssize_t(int, const msghdr*, int)> real("sendmsg");
  count(&page::writes);
  return real(descriptor, from, flags);
}

ssize_t write(int descriptor, const void* from, std::size_t size) {
  static constinit next<ssize_t(int, const void*, std::size_t)> real("write");
  count(&page::writes);
  return real(descriptor, from, size);
}

ssize_t writev(int descriptor, const iovec* from, int pieces) {
  static constinit next<ssize_t(int, const iovec*, int)> real("writev");
  count(&page::writes);
  return real(descriptor, from, pieces);
}

int epoll_wait(int set, epoll_event* events, int events_max, int timeout_ms) {
  static constinit next<int(int, epoll_event*, int, int)> real("epoll_wait");
  count(&page::polls);
  if (timeout_ms == 0)
    return real(set, events, events_max, timeout_ms);
  count(&page::sleeps);
  count(&page::asleep);
  const int ready = real(set, events, events_max, timeout_ms);
  count(&page::asleep, -1);
  return ready;
}

int epoll_ctl(int set, int operation, int descriptor, epoll_event* wanted) noexcept {
  static constinit next<int(int, int, int, epoll_event*)> real("epoll_ctl");
  count(&page::watches);
  return real(set, operation, descriptor, wanted);
}

int timerfd_settime(int timer, int flags, const itimerspec* due, itimerspec* before) noexcept {
  static constinit next<int(int, int, const itimerspec*, itimerspec*)> real("timerfd_settime");
  count(&page::timers);
  return real(timer, flags, due, before);
}

int socket(int domain, int type, int protocol) noexcept {
  static constinit next<int(int, int, int)> real("socket");
  count(&page::sockets);
  return real(domain, type, protocol);
}

int connect(int descriptor, const sockaddr* to, socklen_t size) {
  static constinit next<int(int, const sockaddr*, socklen_t)> real("connect");
  count(&page::sockets);
  return real(descriptor, to, size);
}

int accept(int descriptor, sockaddr* __restrict from, socklen_t* __restrict size) {
  static constinit next<int(int, sockaddr*, socklen_t*)> real("accept");
  count(&page::sockets);
  return real(descriptor, from, size);
}

int accept4(int descriptor, sockaddr* __restrict from, socklen_t* __restrict size, int flags) {
  static constinit next<int(int, sockaddr*, socklen_t*, int)> real("accept4");
  count(&page::sockets);
  return real(descriptor, from, size, flags);
}

int setsockopt(int descriptor, int level, int name, const void* value, socklen_t size) noexcept {
  static constinit next<int(int, int, int, const void*, socklen_t)> real("setsockopt");
  count(&page::sockets);
  return real(descriptor, level, name, value, size);
}

int getsockopt(int descriptor, int level, int name, void* __restrict value,
               socklen_t* __restrict size) noexcept {
  static constinit next<int(int, int, int, void*, socklen_t*)> real("getsockopt");
  count(&page::sockets);
  return real(descriptor, level, name, value, size);
}

// Declared with "..." by libc, as syscall is.
int any_ioctl(int descriptor, unsigned long request, void* argument) asm("ioctl");

int any_ioctl(int descriptor, unsigned long request, void* argument) {
  static constinit next<int(int, unsigned long, void*)> real("ioctl");
  count(&page::sockets);
  return real(descriptor, request, argument);
}

int shutdown(int descriptor, int how) noexcept {
  static constinit next<int(int, int)> real("shutdown");
  count(&page::sockets);
  return real(descriptor, how);
}

int close(int descriptor) {
  static constinit next<int(int)> real("close");
  count(&page::sockets);
  return real(descriptor);
}

int poll(pollfd* of, nfds_t size, int timeout_ms) {
  static constinit next<int(pollfd*, nfds_t, int)> real("poll");
  count(&page::others);
  return real(of, size, timeout_ms);
}

int select(int size, fd_set* __restrict reads, fd_set* __restrict writes,
           fd_set* __restrict troubles, timeval* __restrict timeout) {
  static constinit next<int(int, fd_set*, fd_set*, fd_set*, timeval*)> real("select");
  count(&page::others);
  return real(size, reads, writes, troubles, timeout);
}

/// A futex, most likely: what std::atomic and std::future wait by.
long any_call(long which, long a, long b, long c, long d, long e, long f) asm("syscall");

long any_call(long which, long a, long b, long c, long d, long e, long f) {
  static constinit next<long(long, long, long, long, long, long, long)> real("syscall");
  count(&page::others);
  return real(which, a, b, c, d, e, f);
}

int pthread_cond_wait(pthread_cond_t* __restrict what, pthread_mutex_t* __restrict under) {
  static constinit next<int(pthread_cond_t*, pthread_mutex_t*)> real("pthread_cond_wait");
  count(&page::waits);
  return real(what, under);
}

int pthread_cond_timedwait(pthread_cond_t* __restrict what, pthread_mutex_t* __restrict under,
                           const timespec* __restrict until) {
  static constinit next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)> real(
      "pthread_cond_timedwait");
  count(&page::waits);
  return real(what, under, until);
}

int pthread_cond_clockwait(pthread_cond_t* __restrict what, pthread_mutex_t* __restrict under,
                           clockid_t by, const timespec* __restrict until) {
  static constinit next<int(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*)> real(
      "pthread_cond_clockwait");
  count(&page::waits);
  return real(what, under, by, until);
}

int pthread_cond_signal(pthread_cond_t* what) noexcept {
  static constinit next<int(pthread_cond_t*)> real("pthread_cond_signal");
  count(&page::signals);
  return real(what);
}

int pthread_cond_broadcast(pthread_cond_t* what) noexcept {
  static constinit next<int(pthread_cond_t*)> real("pthread_cond_broadcast");
  count(&page::signals);
  return real(what);
}

int pthread_mutex_lock(pthread_mutex_t* what) noexcept {
  static constinit next<int(pthread_mutex_t*)> real("pthread_mutex_lock");
  count(&page::locks);
  return real(what);
}

int clock_gettime(clockid_t which, timespec* now) noexcept {
  static constinit next<int(clockid_t, timespec*)> real("clock_gettime");
  count(&page::clocks);
  return real(which, now);
}

// caf::scheduled_actor::enqueue(std::unique_ptr<mailbox_element>, execution_unit*) of CAF 0.17:
// what every message to an actor ends in. `this`, and two pointers.
#define VORRANG_ENQUEUE                                                                            \
  "_ZN3caf15scheduled_actor7enqueueESt10unique_ptrINS_15mailbox_elementENS_6detail8"               \
  "disposerEEPNS_14execution_unitE"
std::uintptr_t enqueue(void* actor, void* message, void* unit) asm(VORRANG_ENQUEUE);

std::uintptr_t enqueue(void* actor, void* message, void* unit) {
  static constinit next<std::uintptr_t(void*, void*, void*)> real(VORRANG_ENQUEUE);
  count(&page::messages);
  return real(actor, message, unit);
}

} // extern "C"
#pragma GCC visibility pop
