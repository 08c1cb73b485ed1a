#include "http/admin_server.hpp"

#include "http/admin_live.hpp"
#include "http/admin_pages.hpp"
#include "http/admin_pool.hpp"
#include "http/key_ring.hpp"
#include "http/metrics_page.hpp"
#include "http/models_page.hpp"
#include "http/own_names.hpp"
#include "http/request_head.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <httplib.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <thread>

namespace vorrang::http {

namespace {

constexpr std::size_t threads_count = 4;
constexpr std::size_t body_bytes_max = 64 * 1024;
/// For the stories of the tickets that operators have changed.
constexpr std::size_t notes_max = 1000;
/// Of a shared line, where one ticket is looked for.
constexpr std::uint64_t searched_tickets_max = 10'000;
constexpr auto desk_patience = std::chrono::seconds(2);
/// A little more than all upstreams are given.
constexpr auto probe_patience = std::chrono::seconds(12);

template <class Number>
std::optional<Number> to_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

void answer_json(httplib::Response& answer, int status, std::string body) {
  answer.status = status;
  answer.set_content(body, "application/json");
}

void answer_error(httplib::Response& answer, int status, std::string_view type,
                  std::string_view message) {
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", message},
                                         {"type", type},
                                         {"param", nullptr},
                                         {"code", std::to_string(status)}}}};
  answer_json(answer, status,
              body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void answer_bad(httplib::Response& answer, std::string_view message) {
  answer_error(answer, 400, "invalid_request_error", message);
}

void answer_unknown(httplib::Response& answer, std::string_view message) {
  answer_error(answer, 404, "invalid_request_error", message);
}

void answer_late(httplib::Response& answer) {
  answer.set_header("Retry-After", "1");
  answer_error(answer, 503, "server_error", "The queue did not answer in time; try again");
}

/// At most body_bytes_max; nothing if there is more, or it did not come whole. httplib would wait
/// for the end of the connection where no length is said (there is no body then), and bounds none
/// that comes in chunks.
std::optional<std::string> read_body(const httplib::Request& request,
                                     const httplib::ContentReader& read) {
  std::string body;
  if (!request.has_header("Content-Length") && !request.has_header("Transfer-Encoding"))
    return body;
  const bool is_whole = read([&body](const char* data, std::size_t size) {
    body.append(data, std::min(size, body_bytes_max + 1 - body.size()));
    return body.size() <= body_bytes_max;
  });
  return is_whole ? std::optional(std::move(body)) : std::nullopt;
}

/// The methods that a path takes where others do not, for `Allow`; empty: no such path.
std::string_view methods_of(const std::string& path) {
  if (path == "/reload")
    return "POST";
  if (path == "/" || path == "/queue" || path == "/events" || path == "/metrics" ||
      path.rfind("/health", 0) == 0 || path.rfind("/requests/", 0) == 0 || is_page_path(path))
    return "GET, HEAD";
  return path.rfind("/queue/", 0) == 0 ? "GET, HEAD, PATCH, DELETE" : "";
}

/// False: the path is there, but does not take the method; `answer` says so. Asked before a route
/// is looked for: httplib would first wait for a body.
bool takes_method(const httplib::Request& request, httplib::Response& answer) {
  const auto methods = methods_of(request.path);
  if (methods.empty() || methods.find(request.method) != methods.npos)
    return true;
  answer.set_header("Allow", std::string(methods));
  answer_error(answer, 405, "invalid_request_error",
               "This path takes " + std::string(methods) + ", not " + request.method);
  return false;
}

/// Only one process may have the port: httplib's own options let several share it silently.
void set_socket_options(int socket) {
  const int on = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

bool is_json(const std::string& content_type) {
  return equal_ignoring_case(
      trimmed(std::string_view(content_type).substr(0, content_type.find(';'))),
      "application/json");
}

/// A reload has removed it, and nothing of it runs any more.
bool is_gone(const queue_view& view) {
  return view.retired && view.deployments.empty();
}

/// `{model}` and `{id}` of `/queue/{model}/{id}`; models may hold slashes, ids are digits.
struct queue_path {
  std::string model;
  std::optional<ticket_id> ticket;
};

queue_path split(const std::string& path, bool wants_ticket) {
  queue_path parts;
  parts.model = path.substr(std::strlen("/queue/"));
  if (wants_ticket) {
    const auto slash = parts.model.rfind('/');
    if (slash != std::string::npos) {
      parts.ticket = to_number<ticket_id>(parts.model.substr(slash + 1));
      parts.model.resize(slash);
    }
  }
  return parts;
}

} // namespace

struct admin_server::state {
  std::shared_ptr<const config::settings> told; ///< guarded by `mutex`
  operator_desk& desk;
  admin_options options;
  own_names names;
  bool keyed = false;              ///< not on loopback: the master key is asked for
  std::unique_ptr<live_feed> feed; // outlives the server's threads
  httplib::Server server;
  std::thread listener;
  std::mutex mutex;
  std::condition_variable changed;
  bool ended = false;              ///< listen_after_bind() has returned
  std::deque<operator_note> notes; ///< the last ones, guarded by `mutex`
  int socket = -1;                 ///< that listens; the server's
  std::uint16_t bound = 0;

  state(std::shared_ptr<const config::settings> from, operator_desk& at, admin_options how)
      : told(std::move(from)), desk(at), options(std::move(how)), names(options.names) {}

  /// Those in force; a reload changes them between two requests, or during one.
  std::shared_ptr<const config::settings> settings() {
    const std::lock_guard lock(mutex);
    return told;
  }

  static time_point patience() { return std::chrono::steady_clock::now() + desk_patience; }

  bool has_master_key(const httplib::Request& request);
  /// The rules of the port; false if `answer` refuses already.
  bool let_in(const httplib::Request& request, httplib::Response& answer);
  bool is_own_host(const httplib::Request& request);

  /// The group that a client-facing name means; the name itself if it is a group's.
  std::optional<std::string> group_of(const std::string& model);
  std::optional<page_request> page_of(const httplib::Request& request,
                                      httplib::Response& answer) const;
  std::vector<queue_view> all_views();
  void set_routes();
  void all_queues(const httplib::Request& request, httplib::Response& answer);
  void one_queue(const httplib::Request& request, httplib::Response& answer);
  /// Moves a ticket as `text` says; null: cancels it.
  void change(const httplib::Request& request, httplib::Response& answer, const std::string* text);
  void one_story(const httplib::Request& request, httplib::Response& answer);
  std::optional<ticket_view> what_it_waits_for(const found_story& story,
                                               const story_findings& findings, time_point until);
  void note(const operator_note& done);
  std::vector<operator_note> notes_of(ticket_id ticket);
  void health(const httplib::Request& request, httplib::Response& answer);
  void metrics(httplib::Response& answer);
  void readiness(httplib::Response& answer);
  void reload(httplib::Response& answer);
  /// What each of these models' viewers is told.
  std::map<std::string, std::string> look_at(const std::set<std::string>& models);
  void events(const httplib::Request& request, httplib::Response& answer);
};

bool admin_server::state::has_master_key(const httplib::Request& request) {
  const auto now = settings();
  const auto& master = now->gateway.master_key;
  if (!master)
    return false;
  std::vector<std::pair<std::string, std::string>> pairs(request.headers.begin(),
                                                         request.headers.end());
  const auto fields = make_fields(pairs);
  const auto given = presented_key(fields);
  return given && equal_in_constant_time(master->reveal(), *given);
}

bool admin_server::state::is_own_host(const httplib::Request& request) {
  if (request.get_header_value_count("Host") != 1)
    return false;
  const auto host = request.get_header_value("Host");
  // The name it was told to listen on is its own.
  return names.holds(host) || host_of(host) == host_of(settings()->gateway.admin_host);
}

bool admin_server::state::let_in(const httplib::Request& request, httplib::Response& answer) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const bool open = request.path == "/health/liveliness" || request.path == "/health/liveness" ||
                    request.path == "/health/readiness";
  const bool is_page = is_page_path(request.path);
  if (keyed && !(reads && (open || is_page)) && !has_master_key(request)) {
    answer.set_header("WWW-Authenticate", "Bearer");
    answer_error(answer, 401, "authentication_error",
                 "The admin port wants the master key on this host");
    return false;
  }
  // Where a key is asked for, reading is safe from pages of other sites: they have none.
  if (reads && (keyed || open))
    return true;
  if (!is_own_host(request)) {
    answer_error(answer, 403, "permission_error",
                 "This Host is no name of this machine: use its host name or one of its addresses");
    return false;
  }
  if (request.has_header("Origin") && (request.get_header_value_count("Origin") != 1 ||
                                       !names.is_own_origin(request.get_header_value("Origin"),
                                                            request.get_header_value("Host")))) {
    answer_error(answer, 403, "permission_error", "Pages of other origins may not use this port");
    return false;
  }
  // A page elsewhere cannot read what it loads, but could keep all of the streams busy, or have
  // upstreams probed.
  const auto site = request.get_header_value("Sec-Fetch-Site");
  const bool does_something = request.path == "/events" || request.has_param("probe");
  if (does_something && !site.empty() && site != "same-origin" && site != "none") {
    answer_error(answer, 403, "permission_error", "Pages of other origins may not use this port");
    return false;
  }
  if (!reads && !is_json(request.get_header_value("Content-Type"))) {
    answer_error(answer, 403, "permission_error",
                 "Calls that change something want content-type: application/json");
    return false;
  }
  return true;
}

std::optional<std::string> admin_server::state::group_of(const std::string& model) {
  const auto now = settings();
  for (const auto& group : now->groups)
    if (!group.retired && group.name == model)
      return model;
  if (const auto target = config::resolve(*now, model))
    return now->groups[target->group].name;
  // One that a reload has removed is there as long as something runs in it.
  for (const auto& name : desk.groups())
    if (name == model)
      return name;
  return std::nullopt;
}

std::optional<page_request> admin_server::state::page_of(const httplib::Request& request,
                                                         httplib::Response& answer) const {
  page_request page;
  if (request.has_param("offset")) {
    const auto offset = to_number<std::uint32_t>(request.get_param_value("offset"));
    if (!offset) {
      answer_bad(answer, "offset must be a whole number up to 4294967295");
      return std::nullopt;
    }
    page.offset = *offset;
  }
  if (request.has_param("limit")) {
    const auto limit = to_number<std::uint32_t>(request.get_param_value("limit"));
    if (!limit || *limit > page_tickets_max) {
      answer_bad(answer, "limit must be a whole number up to " + std::to_string(page_tickets_max));
      return std::nullopt;
    }
    page.limit = *limit;
  }
  return page;
}

void admin_server::state::all_queues(const httplib::Request& request, httplib::Response& answer) {
  const auto page = page_of(request, answer);
  if (!page)
    return;
  const auto until = patience();
  std::vector<queue_view> views;
  for (const auto& name : desk.groups()) {
    auto view = desk.snapshot(name, page->offset, page->limit, until);
    if (view && view->group == no_index)
      return answer_late(answer);
    if (view && !is_gone(*view))
      views.push_back(std::move(*view));
  }
  answer_json(answer, 200, queues_page(views, std::chrono::system_clock::now()));
}

void admin_server::state::one_queue(const httplib::Request& request, httplib::Response& answer) {
  const auto page = page_of(request, answer);
  if (!page)
    return;
  const auto parts = split(request.path, false);
  const auto group = group_of(parts.model);
  if (!group)
    return answer_unknown(answer, "There is no model " + parts.model);
  const auto view = desk.snapshot(*group, page->offset, page->limit, patience());
  if (view && view->group == no_index)
    return answer_late(answer);
  if (!view || is_gone(*view))
    return answer_unknown(answer, "There is no queue for model " + parts.model);
  answer_json(answer, 200, queue_page(*view, std::chrono::system_clock::now()));
}

void admin_server::state::change(const httplib::Request& request, httplib::Response& answer,
                                 const std::string* text) {
  const auto parts = split(request.path, true);
  if (!parts.ticket)
    return answer_unknown(answer, "The path is /queue/{model}/{id}, with an id from GET /queue");
  const auto group = group_of(parts.model);
  if (!group)
    return answer_unknown(answer, "There is no model " + parts.model);
  std::optional<change_result> result;
  std::optional<std::int32_t> wanted;
  const auto asked_at = std::chrono::steady_clock::now(); // a grant may come before the answer
  if (text == nullptr) {
    result = desk.cancel(*group, *parts.ticket, patience());
  } else {
    const auto body = nlohmann::json::parse(*text, nullptr, false);
    const auto priority = body.is_object() ? body.find("priority") : body.end();
    // Read as text, so that 1.0, true and numbers beyond 32 bits are refused alike.
    wanted = body.is_object() && priority != body.end() && priority->is_number_integer()
                 ? to_number<std::int32_t>(priority->dump())
                 : std::nullopt;
    if (!wanted)
      return answer_bad(answer, "The body must be {\"priority\": <an integer of 32 bits>}");
    result = desk.move(*group, *parts.ticket, *wanted, patience());
  }
  if (!result)
    return answer_late(answer);
  switch (*result) {
  case change_result::done:
    if (wanted)
      note({asked_at, *parts.ticket, *wanted});
    feed->hurry();
    return answer_json(answer, 200, "{\"status\":\"ok\"}");
  case change_result::not_waiting:
    return answer_error(answer, 409, "invalid_request_error",
                        "The ticket holds a grant: it is being answered and does not wait");
  case change_result::unknown_ticket:
    return answer_unknown(answer, "No ticket of this id waits for model " + parts.model);
  }
}

void admin_server::state::note(const operator_note& done) {
  const std::lock_guard lock(mutex);
  notes.push_back(done);
  if (notes.size() > notes_max)
    notes.pop_front();
}

std::vector<operator_note> admin_server::state::notes_of(ticket_id ticket) {
  const std::lock_guard lock(mutex);
  std::vector<operator_note> found;
  std::copy_if(notes.begin(), notes.end(), std::back_inserter(found),
               [ticket](const operator_note& each) { return each.ticket == ticket; });
  return found;
}

/// Where the line is shared, its place is that in the whole line, if it is near enough.
std::optional<ticket_view> admin_server::state::what_it_waits_for(const found_story& story,
                                                                  const story_findings& findings,
                                                                  time_point until) {
  if (story.is_over() || !findings.names || story.group() >= findings.names->groups.size())
    return ticket_view();
  const auto& group = findings.names->groups[story.group()].name;
  auto view = desk.look_at(group, story.ticket(), until);
  if (!view || !view->waits || view->state != line_state::shared)
    return view;
  view->ticket.position = 0;
  for (std::uint64_t offset = 0; offset < searched_tickets_max; offset += page_tickets_max) {
    const auto page = desk.snapshot(group, offset, page_tickets_max, until);
    if (!page || page->group == no_index)
      return std::nullopt;
    view->waiting = page->waiting;
    for (const auto& ticket : page->tickets)
      if (ticket.id == story.ticket()) {
        view->ticket.position = ticket.position;
        view->ticket.why = ticket.why;
        return view;
      }
    if (offset + page->tickets.size() >= page->waiting)
      break;
  }
  return view;
}

void admin_server::state::one_story(const httplib::Request& request, httplib::Response& answer) {
  const auto id = request.path.substr(std::strlen("/requests/"));
  const auto until = patience();
  const auto ticket = to_number<ticket_id>(id).value_or(0);
  auto findings = options.story(id, ticket, until);
  if (!findings)
    return answer_late(answer);
  const auto story = latest_story(std::move(findings->events), ticket);
  if (story.events.empty())
    return answer_unknown(
        answer, "Nothing is remembered of a request or ticket " + id +
                    ". It came long ago, or was refused before it had a ticket, or its client is "
                    "connected to another instance");
  const auto view = what_it_waits_for(story, *findings, until);
  if (!view)
    return answer_late(answer);
  answer_json(answer, 200,
              story_page(id, story, *findings, notes_of(story.ticket()), *view,
                         std::chrono::steady_clock::now(), std::chrono::system_clock::now()));
}

void admin_server::state::health(const httplib::Request& request, httplib::Response& answer) {
  probe_findings findings;
  if (options.probe && asks_for_probe(request.get_param_value("probe"))) {
    findings = options.probe(std::chrono::steady_clock::now() + probe_patience);
    if (!findings)
      return answer_late(answer);
  }
  const auto views = all_views();
  answer_json(answer, 200, health_page(*settings(), &views, findings.get()));
}

/// Of each group that answers in time, without its tickets.
std::vector<queue_view> admin_server::state::all_views() {
  const auto until = patience();
  std::vector<queue_view> views;
  for (const auto& name : desk.groups()) {
    auto view = desk.snapshot(name, 0, 0, until);
    if (view && view->group != no_index && !is_gone(*view))
      views.push_back(std::move(*view));
  }
  return views;
}

void admin_server::state::metrics(httplib::Response& answer) {
  const auto until = patience();
  std::vector<queue_view> views;
  for (const auto& name : desk.groups()) {
    auto view = desk.figures(name, until);
    if (view && view->group != no_index && !is_gone(*view))
      views.push_back(std::move(*view));
  }
  answer.status = 200;
  answer.set_content(options.metrics(std::move(views)), metrics_content_type);
}

void admin_server::state::readiness(httplib::Response& answer) {
  const auto now = desk.ready();
  readiness_facts facts;
  facts.draining = now.draining;
  facts.redis_reachable = now.redis_reachable;
  facts.redis_required =
      settings()->gateway.redis_unavailable == config::redis_unavailable_mode::hold;
  facts.version = options.version;
  answer_json(answer, is_ready(facts) ? 200 : 503, readiness_text(facts));
}

void admin_server::state::reload(httplib::Response& answer) {
  if (!options.reload)
    return answer_unknown(answer, "There is nothing at this path");
  const auto report = options.reload();
  if (report.is_late)
    return answer_error(answer, 503, "server_error", "The gateway is shutting down");
  nlohmann::ordered_json body;
  if (report.errors.empty()) {
    body["status"] = "ok";
  } else {
    std::string message = "The configuration was not taken, and nothing has changed";
    for (const auto& each : report.errors)
      message += "\n" + each;
    body["error"] = {{"message", message},
                     {"type", "invalid_request_error"},
                     {"param", nullptr},
                     {"code", "400"}};
    body["errors"] = report.errors;
  }
  body["warnings"] = report.warnings;
  answer_json(answer, report.errors.empty() ? 200 : 400,
              body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

std::map<std::string, std::string>
admin_server::state::look_at(const std::set<std::string>& models) {
  const auto until = patience();
  const auto ready = desk.ready();
  std::vector<queue_view> views;
  live_facts facts;
  for (const auto& name : desk.groups()) {
    auto view = desk.snapshot(name, 0, models.count(name) > 0 ? live_tickets_max : 1, until);
    if (view && view->group == no_index)
      facts.late.push_back(name);
    else if (view && !is_gone(*view))
      views.push_back(std::move(*view));
  }
  facts.views = &views;
  facts.wall = std::chrono::system_clock::now();
  facts.is_draining = ready.draining;
  facts.redis_reachable = ready.redis_reachable;
  facts.version = options.version;
  std::map<std::string, std::string> texts;
  for (const auto& model : models) {
    history_series history;
    for (const auto& view : views)
      if (view.name == model && options.history)
        history = options.history(view.group);
    texts.emplace(model, live_text(facts, model, history));
  }
  return texts;
}

void admin_server::state::events(const httplib::Request& request, httplib::Response& answer) {
  if (stream_events(*feed, request.get_param_value("model"), answer))
    return;
  answer.set_header("Retry-After", "5");
  answer_error(answer, 503, "server_error",
               "The live page has " + std::to_string(live_feed::viewers_max) +
                   " viewers already: close one of them, or try again");
}

void admin_server::state::set_routes() {
  using httplib::ContentReader;
  using httplib::Request;
  using httplib::Response;
  server.new_task_queue = [] {
    return new admin_pool(threads_count + live_feed::viewers_max);
  };
  server.set_socket_options([this](auto made) {
    set_socket_options(made);
    socket = made;
  });
  server.set_payload_max_length(body_bytes_max);
  // One request for each connection: httplib would read what a refused request leaves behind as
  // the next one, and a page of another site could write into its body a request of its own, with
  // whatever `Host` it likes and without an `Origin`. Nor does an idle client hold a thread.
  server.set_keep_alive_max_count(1);
  server.set_keep_alive_timeout(1); // for the first byte
  server.set_read_timeout(5, 0);
  server.set_write_timeout(5, 0);
  server.set_pre_routing_handler([this](const Request& request, Response& answer) {
    // No part of an answer is asked for here: a `Range` of a thousand pieces would be one of a
    // thousand answers. The request is the server's own, and not const.
    const_cast<Request&>(request).ranges.clear(); // NOLINT(cppcoreguidelines-pro-type-const-cast)
    answer.set_header("X-Content-Type-Options", "nosniff");
    answer.set_header("Cache-Control", "no-store");
    return let_in(request, answer) && takes_method(request, answer)
               ? httplib::Server::HandlerResponse::Unhandled
               : httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler([](const Request&, Response& answer) {
    if (answer.body.empty())
      answer_error(answer, answer.status, "invalid_request_error",
                   answer.status == 404   ? "There is nothing at this path"
                   : answer.status == 413 ? "The body is too large"
                                          : "The request cannot be answered");
  });
  server.set_exception_handler([](const Request&, Response& answer, auto&&) {
    answer_error(answer, 500, "server_error", "The gateway made a mistake; please report it");
  });
  server.Get("/queue/?", [this](const Request& q, Response& a) { all_queues(q, a); });
  server.Get("/queue/.+", [this](const Request& q, Response& a) { one_queue(q, a); });
  server.Patch("/queue/.+", [this](const Request& q, Response& a, const ContentReader& read) {
    if (const auto body = read_body(q, read))
      change(q, a, &*body);
    else
      answer_error(a, 413, "invalid_request_error", "The body is too large, or did not come whole");
  });
  server.Delete("/queue/.+", [this](const Request& q, Response& a) { change(q, a, nullptr); });
  if (options.story)
    server.Get("/requests/.+", [this](const Request& q, Response& a) { one_story(q, a); });
  server.Post("/reload", [this](const Request& q, Response& a, const ContentReader& read) {
    read_body(q, read); // whatever it says
    reload(a);
  });
  add_page_routes(server);
  server.Get("/events", [this](const Request& q, Response& a) { events(q, a); });
  server.Get("/health", [this](const Request& q, Response& a) { health(q, a); });
  if (options.metrics)
    server.Get("/metrics", [this](const Request&, Response& a) { metrics(a); });
  server.Get("/health/readiness", [this](const Request&, Response& a) { readiness(a); });
  for (const auto* path : {"/health/liveliness", "/health/liveness"})
    server.Get(path, [](const Request&, Response& a) { answer_json(a, 200, liveliness_page()); });
}

admin_server::admin_server(std::shared_ptr<const config::settings> settings, operator_desk& desk,
                           admin_options options)
    : state_(std::make_unique<state>(std::move(settings), desk, std::move(options))) {}

admin_server::~admin_server() {
  stop();
}

std::string admin_server::start() {
  auto& own = *state_;
  const auto settings = own.settings();
  const auto& gateway = settings->gateway;
  if (own.listener.joinable() || (gateway.admin_port == 0 && !own.options.any_port))
    return {};
  own.keyed = !is_loopback(gateway.admin_host);
  if (own.keyed && !gateway.master_key)
    return "the admin port does not start on " + gateway.admin_host +
           " without general_settings.master_key: set one, or leave admin_host at 127.0.0.1";
  own.feed = std::make_unique<live_feed>(
      [&own](const std::set<std::string>& models) { return own.look_at(models); });
  own.set_routes();
  int port = gateway.admin_port;
  errno = 0;
  if (own.options.any_port)
    port = own.server.bind_to_any_port(gateway.admin_host);
  else if (!own.server.bind_to_port(gateway.admin_host, port))
    port = -1;
  if (port <= 0)
    return "the admin port cannot listen on " + gateway.admin_host + ":" +
           std::to_string(gateway.admin_port) + ": " +
           (errno != 0 ? std::strerror(errno) : "no such address") +
           "; set vorrang_settings.admin_port to another, or to 0 for none";
  ::listen(own.socket, SOMAXCONN); // httplib lets 5 clients wait to be accepted
  own.bound = static_cast<std::uint16_t>(port);
  own.listener = std::thread([&own] {
    own.server.listen_after_bind();
    {
      const std::lock_guard lock(own.mutex);
      own.ended = true;
    }
    own.changed.notify_all();
  });
  return {};
}

bool admin_server::may_follow(const config::settings& settings) const {
  return !state_->keyed || settings.gateway.master_key.has_value();
}

void admin_server::follow(std::shared_ptr<const config::settings> settings) {
  const std::lock_guard lock(state_->mutex);
  state_->told = std::move(settings);
}

void admin_server::stop() {
  auto& own = *state_;
  if (!own.listener.joinable())
    return;
  own.feed->end(); // viewers' threads wait for it
  // httplib 0.11 forgets a stop() that comes before its listening has begun, and has nothing to
  // wait for (wait_until_ready() came with 0.12): so it is told until it has ended.
  std::unique_lock lock(own.mutex);
  while (!own.ended) {
    lock.unlock();
    own.server.stop();
    lock.lock();
    own.changed.wait_for(lock, std::chrono::milliseconds(10), [&] { return own.ended; });
  }
  lock.unlock();
  own.listener.join();
  own.bound = 0;
}

std::uint16_t admin_server::port() const noexcept {
  return state_->bound;
}

} // namespace vorrang::http
