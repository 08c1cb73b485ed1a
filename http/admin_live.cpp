#include "http/admin_live.hpp"

#include "http/page_files.hpp"

#include <httplib.h>

namespace vorrang::http {

namespace {

/// Where a file is served; the first one is the page.
std::string path_of(const page_file& file) {
  return file.name == "index.html" ? "/" : "/" + std::string(file.name);
}

const char* type_of(std::string_view name) {
  const auto ends_with = [name](std::string_view end) {
    return name.size() >= end.size() && name.substr(name.size() - end.size()) == end;
  };
  if (ends_with(".html"))
    return "text/html; charset=utf-8";
  if (ends_with(".css"))
    return "text/css; charset=utf-8";
  if (ends_with(".svg"))
    return "image/svg+xml";
  return "text/javascript; charset=utf-8";
}

// Names of models and tickets come from outside; should one of them ever get into the page as
// markup, the browser still runs no script and asks no other host.
constexpr const char* content_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

} // namespace

bool is_page_path(const std::string& path) {
  for (const auto& file : page_files())
    if (path == path_of(file))
      return true;
  return false;
}

void add_page_routes(httplib::Server& server) {
  for (const auto& file : page_files()) {
    const auto path = path_of(file);
    std::string pattern; // httplib takes a regular expression
    for (const char letter : path)
      pattern += letter == '.' ? std::string("\\.") : std::string(1, letter);
    server.Get(pattern, [&file](const httplib::Request&, httplib::Response& answer) {
      answer.set_header("Content-Security-Policy", content_policy);
      answer.set_header("X-Frame-Options", "DENY");
      answer.set_header("Referrer-Policy", "no-referrer");
      answer.set_header("Cross-Origin-Opener-Policy", "same-origin");
      answer.set_content(file.content.data(), file.content.size(), type_of(file.name));
    });
  }
}

bool stream_events(live_feed& feed, const std::string& model, httplib::Response& answer) {
  const std::shared_ptr<live_feed::viewer> viewer = feed.join(model);
  if (!viewer)
    return false;
  answer.set_header("X-Accel-Buffering", "no"); // nginx in front would hold events back
  answer.set_chunked_content_provider(
      "text/event-stream", [viewer, &feed](std::size_t, httplib::DataSink& sink) {
        const auto text = viewer->next();
        if (feed.has_ended()) {
          sink.done();
          return true;
        }
        const auto event = text.empty() ? std::string(": nobody answered\n\n")
                                        : "event: state\ndata: " + text + "\n\n";
        return sink.write(event.data(), event.size());
      });
  return true;
}

} // namespace vorrang::http
