// The routes of the live page: its files, and the stream of what it shows.
#pragma once

#include "http/live_feed.hpp"

#include <string>

namespace httplib {
class Server;
struct Request;
struct Response;
} // namespace httplib

namespace vorrang::http {

/// Whether this path is one of the page's own files. They hold nothing of the gateway's, so that a
/// browser may have them before anybody has given a key.
bool is_page_path(const std::string& path);

/// GET `/`, `/page.css`, `/page.js`, `/chart.js`, `/icon.svg`. What they may load and where they
/// may send is told to the browser: nothing but this port.
void add_page_routes(httplib::Server& server);

/// Answers GET `/events` with a stream of server-sent events `state`, one for each look of the
/// feed at `model`, until the client or the feed ends. False: there are too many viewers, and the
/// answer is still to be made.
bool stream_events(live_feed& feed, const std::string& model, httplib::Response& answer);

} // namespace vorrang::http
