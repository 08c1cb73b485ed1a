// The router's calls for programs on Asio: any completion token, and awaitables.
//
//     vorrang::completion_result result =
//         co_await vorrang::acompletion(router, request, boost::asio::use_awaitable);
#pragma once

#include "http/router.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace vorrang {

namespace detail {

using begin_completion = router::call_number (router::*)(completion_request, router::finish);

/// The handler runs on its own executor, which stays alive meanwhile. What cancels the handler
/// (a timeout, a parallel group) cancels the call.
template <class Token>
auto completion_on_asio(router& by, completion_request request, begin_completion begin,
                        Token&& token) {
  return boost::asio::async_initiate<Token, void(completion_result)>(
      [&by, begin](auto handler, completion_request asked) {
        namespace asio = boost::asio;
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto executor = asio::get_associated_executor(handler, asio::system_executor());
        const auto work = asio::make_work_guard(executor);
        const auto number = std::make_shared<std::atomic<router::call_number>>(0);
        if (slot.is_connected())
          slot.assign([&by, number](asio::cancellation_type) { by.cancel(*number); });
        // Callbacks are copied, handlers can only be moved.
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        *number = (by.*begin)(std::move(asked), [kept, work](completion_result result) {
          asio::post(work.get_executor(), [kept, result = std::move(result)]() mutable {
            auto called = std::move(*kept);
            asio::get_associated_cancellation_slot(called).clear();
            std::move(called)(std::move(result));
          });
        });
      },
      token, std::move(request));
}

} // namespace detail

/// router::acompletion() for Asio; `by` outlives the call.
template <class Token>
auto acompletion(router& by, completion_request request, Token&& token) {
  return detail::completion_on_asio(by, std::move(request),
                                    static_cast<detail::begin_completion>(&router::acompletion),
                                    std::forward<Token>(token));
}

/// router::atext_completion() for Asio; `by` outlives the call.
template <class Token>
auto atext_completion(router& by, completion_request request, Token&& token) {
  return detail::completion_on_asio(
      by, std::move(request), static_cast<detail::begin_completion>(&router::atext_completion),
      std::forward<Token>(token));
}

} // namespace vorrang
