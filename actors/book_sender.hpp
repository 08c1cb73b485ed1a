// Sends what a request book has gathered to the engine's actors.
#pragma once

#include "actors/engine_actors.hpp"
#include "actors/request_book.hpp"

namespace vorrang {

/// One message for each actor concerned; clears `output`. Settles go first, so that what they free
/// is there for what is offered after them; offers go before cancels, which may name them.
void send_book(book_output& output, const request_actor& owner, const engine_directory& engine);

} // namespace vorrang
