#include "http/hangup_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <sys/epoll.h>

#include <unordered_map>

namespace vorrang::http {

namespace asio = boost::asio;

namespace {

using descriptor_type = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;
constexpr int events_in_a_go_max = 32;

} // namespace

struct hangup_watch::parts {
  explicit parts(asio::io_context& context) : set(context) {}
  descriptor_type set;
  std::unordered_map<std::uint64_t, std::function<void()>> watched;
  std::uint64_t last = 0;
  bool waiting = false;
};

hangup_watch::hangup_watch(asio::io_context& context) : parts_(std::make_shared<parts>(context)) {
  const int made = ::epoll_create1(EPOLL_CLOEXEC);
  boost::system::error_code ignored;
  if (made >= 0)
    parts_->set.assign(made, ignored);
}

hangup_watch::~hangup_watch() {
  boost::system::error_code ignored;
  parts_->watched.clear();
  parts_->set.close(ignored);
}

std::uint64_t hangup_watch::add(int descriptor, std::function<void()> ended) {
  if (!parts_->set.is_open())
    return 0;
  epoll_event event{};
  event.events = EPOLLRDHUP | EPOLLONESHOT;
  event.data.u64 = ++parts_->last;
  if (::epoll_ctl(parts_->set.native_handle(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    return 0;
  parts_->watched.emplace(parts_->last, std::move(ended));
  if (!parts_->waiting)
    wait(parts_);
  return parts_->last;
}

void hangup_watch::forget(std::uint64_t number, int descriptor) {
  if (number == 0)
    return;
  parts_->watched.erase(number);
  if (parts_->set.is_open())
    ::epoll_ctl(parts_->set.native_handle(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void hangup_watch::wait(const std::shared_ptr<parts>& own) {
  own->waiting = true;
  own->set.async_wait(descriptor_type::wait_read, [own](const boost::system::error_code& error) {
    own->waiting = false;
    if (error || !own->set.is_open())
      return;
    epoll_event events[events_in_a_go_max];
    const int count = ::epoll_wait(own->set.native_handle(), events, events_in_a_go_max, 0);
    for (int index = 0; index < count; ++index) {
      // One call may forget others: each is looked up.
      const auto found = own->watched.find(events[index].data.u64);
      if (found == own->watched.end())
        continue;
      const auto ended = std::move(found->second);
      own->watched.erase(found);
      ended();
    }
    if (!own->watched.empty() && !own->waiting && own->set.is_open())
      wait(own);
  });
}

} // namespace vorrang::http
