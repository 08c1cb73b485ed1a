// The Router's headers promise C++17, and neither CAF nor, but for router_asio.hpp, Asio.
#include "http/router.hpp"

#if defined(CAF_VERSION) || defined(BOOST_ASIO_VERSION)
#  error "http/router.hpp shows what it is made of"
#endif

#include "http/router_asio.hpp"

#ifdef CAF_VERSION
#  error "http/router_asio.hpp shows CAF"
#endif

static_assert(__cplusplus < 202002L, "this file is about C++17");

std::uint64_t cancelled_at_once(vorrang::router& by) {
  vorrang::completion_request request;
  request.messages = {{"user", "Hey!"}};
  vorrang::acompletion(by, request, [](const vorrang::completion_result&) {});
  const auto number = by.acompletion(request, [](const vorrang::completion_result&) {});
  by.cancel(number);
  return number;
}
