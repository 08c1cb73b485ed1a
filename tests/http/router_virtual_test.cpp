// The router's jobs in virtual time: the engine's real actors, no network, no thread, no clock.
#include "virtual_engine.hpp"

#include "actors/from_config.hpp"
#include "http/router_job.hpp"
#include "http/router_request.hpp"

#include "catch.hpp"

#include <map>

using namespace vorrang;
using namespace vorrang::http;
using namespace std::chrono_literals;

namespace {

/// One book of the virtual engine as the gate of the jobs.
class virtual_gate final : public request_gate {
public:
  explicit virtual_gate(test::virtual_engine& runs) : runs_(runs) {}

  ticket_id open(ask wanted, request_listener& listener) override {
    return runs_.book().open(runs_.now(), std::move(wanted), listener);
  }
  void cancel(ticket_id ticket) override { runs_.book().cancel(ticket); }
  bool begin_sending(ticket_id ticket) override {
    return runs_.book().begin_sending(runs_.now(), ticket);
  }
  void head_arrived(ticket_id ticket) override { runs_.book().head_arrived(ticket); }
  void settle(ticket_id ticket, const outcome& result) override {
    runs_.book().settle(ticket, result);
  }
  void ask_position(ticket_id ticket) override { runs_.book().ask_position(ticket); }

private:
  test::virtual_engine& runs_;
};

class virtual_place final : public router_place {
public:
  explicit virtual_place(const router_options& options)
      : settings(understood(options)), engine(to_engine_settings(*settings)), gate_(engine) {
    machine_facts facts;
    facts.moment = engine.now();
    rules = std::make_unique<front>(settings, facts);
  }

  static std::shared_ptr<const config::settings> understood(const router_options& options) {
    auto result = understand(options);
    for (const auto& each : result.problems)
      UNSCOPED_INFO(each);
    REQUIRE(result.settings);
    return result.settings;
  }

  time_point now() const override { return engine.now(); }
  request_gate& gate() override { return gate_; }
  void run_at(timed_call& which, time_point due) override { timers.set(which, due); }
  void carry(std::shared_ptr<router_job> job, upstream_request) override {
    carried.push_back(std::move(job));
  }

  /// Seconds since the first moment.
  double seconds() const { return std::chrono::duration<double>(engine.now() - began).count(); }

  std::shared_ptr<router_job> call(completion_request request,
                                   std::function<void(completion_result)> done,
                                   completion_kind kind = completion_kind::chat) {
    auto body = render_body(request, kind, *rules);
    REQUIRE(std::holds_alternative<std::string>(body));
    auto begun =
        begin_completion(*rules, engine.now(), kind, std::move(std::get<std::string>(body)), {});
    REQUIRE(std::holds_alternative<std::unique_ptr<vorrang::http::call>>(begun));
    router_order order;
    order.what = std::move(std::get<std::unique_ptr<vorrang::http::call>>(begun));
    order.done = std::move(done);
    if (request.on_chunk)
      order.on_chunk = [told = request.on_chunk](std::string_view chunk) {
        told(chunk);
        return true;
      };
    auto job = std::make_shared<router_job>(*this, std::move(order));
    job->start();
    return job;
  }

  /// Until `at` seconds, timers of engine and jobs in their order.
  void run_until(double at) {
    const auto end =
        began + std::chrono::duration_cast<duration>(std::chrono::duration<double>(at));
    engine.quiet();
    while (timers.first() <= end) {
      engine.advance_to(std::max(timers.first(), engine.now()));
      timers.ring_due(engine.now());
      engine.quiet();
    }
    engine.advance_to(end);
    engine.quiet();
  }

  std::shared_ptr<const config::settings> settings;
  test::virtual_engine engine;
  const time_point began = engine.now();
  std::unique_ptr<front> rules;
  timed_calls timers;
  std::vector<std::shared_ptr<router_job>> carried;

private:
  virtual_gate gate_;
};

router_options page_example(double timeout) {
  model_entry entry;
  entry.model_name = "gpt-3.5-turbo";
  entry.litellm_params.model = "gpt-3.5-turbo";
  entry.litellm_params.mock_response = "Hello world this is Macintosh!";
  entry.litellm_params.rpm = 1;
  router_options options;
  options.model_list = {entry};
  options.timeout = timeout;
  options.routing_strategy = "usage-based-routing-v2";
  options.polling_interval = 0.03;
  return options;
}

completion_request hey(std::int32_t priority) {
  completion_request request;
  request.model = "gpt-3.5-turbo";
  request.messages = {{"user", "Hey!"}};
  request.priority = priority;
  return request;
}

struct heard {
  std::int32_t priority;
  double at_s;
  completion_result result;
};

} // namespace

TEST_CASE("with rpm 1 and 200 s, four calls are answered each minute, by their priorities") {
  virtual_place place(page_example(200));
  std::vector<heard> all;
  std::vector<std::shared_ptr<router_job>> jobs;
  for (const std::int32_t priority : {2, 0, 3, 1})
    jobs.push_back(place.call(hey(priority), [&, priority](completion_result result) {
      all.push_back({priority, place.seconds(), std::move(result)});
    }));
  place.run_until(0);
  REQUIRE(all.size() == 1);
  place.run_until(59.999);
  CHECK(all.size() == 1);
  place.run_until(60);
  CHECK(all.size() == 2);
  place.run_until(300);
  REQUIRE(all.size() == 4);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(all[i].priority == static_cast<std::int32_t>(i));
    CHECK(all[i].at_s == 60.0 * static_cast<double>(i));
    REQUIRE(succeeded(all[i].result));
    const auto& answer = std::get<completion>(all[i].result);
    CHECK(answer.text() == "Hello world this is Macintosh!");
    CHECK(answer.facts.waited == std::chrono::seconds(60 * i));
    CHECK(answer.facts.attempts == 1);
    CHECK(answer.facts.model_id == place.settings->deployments[0].id);
  }
  CHECK(place.engine.book().size() == 0);
}

TEST_CASE("with rpm 1 and 2 s, one call is answered and three time out, all at 2 s") {
  virtual_place place(page_example(2));
  std::vector<heard> all;
  std::vector<std::shared_ptr<router_job>> jobs;
  for (const std::int32_t priority : {0, 1, 2, 3})
    jobs.push_back(place.call(hey(priority), [&, priority](completion_result result) {
      all.push_back({priority, place.seconds(), std::move(result)});
    }));
  place.run_until(1.999);
  REQUIRE(all.size() == 1);
  CHECK(all[0].priority == 0);
  CHECK(all[0].at_s == 0);
  CHECK(succeeded(all[0].result));
  place.run_until(2);
  REQUIRE(all.size() == 4);
  for (std::size_t i = 1; i < all.size(); ++i) {
    CHECK(all[i].at_s == 2);
    REQUIRE_FALSE(succeeded(all[i].result));
    const auto& error = std::get<completion_error>(all[i].result);
    CHECK(error.status == 408);
    CHECK(error.message == "Request timed out while polling queue");
    CHECK(error.facts.waited == 2s);
  }
  CHECK(place.engine.book().size() == 0);
}

TEST_CASE("a call that is cancelled while it waits leaves the line to the next") {
  virtual_place place(page_example(200));
  std::vector<heard> all;
  std::vector<std::shared_ptr<router_job>> jobs;
  for (const std::int32_t priority : {0, 1, 2})
    jobs.push_back(place.call(hey(priority), [&, priority](completion_result result) {
      all.push_back({priority, place.seconds(), std::move(result)});
    }));
  place.run_until(1);
  REQUIRE(all.size() == 1);
  jobs[1]->cancel();
  jobs[1]->cancel();
  REQUIRE(all.size() == 2);
  REQUIRE_FALSE(succeeded(all[1].result));
  CHECK(std::get<completion_error>(all[1].result).status == 499);
  place.run_until(60);
  REQUIRE(all.size() == 3);
  CHECK(all[2].priority == 2);
  CHECK(succeeded(all[2].result));
}

TEST_CASE("a slow mock answers after its delay, or is too slow for its attempt or its deadline") {
  auto options = page_example(100);
  auto& params = options.model_list[0].litellm_params;
  params.rpm.reset();
  params.more_json = R"({"mock_delay": 5})";
  const double own_timeout = GENERATE(0.0, 3.0);
  if (own_timeout > 0)
    params.timeout = own_timeout;
  options.num_retries = 0;
  virtual_place place(options);
  auto request = hey(0);
  const double shorter = GENERATE(0.0, 2.0);
  if (shorter > 0)
    request.timeout = shorter;
  std::optional<heard> result;
  const auto job = place.call(request, [&](completion_result told) {
    result = heard{0, place.seconds(), std::move(told)};
  });
  place.run_until(50);
  REQUIRE(result);
  if (shorter > 0) {
    CHECK(result->at_s == 2);
    CHECK(std::get<completion_error>(result->result).status == 408);
    CHECK(std::get<completion_error>(result->result).message == "Request timed out");
  } else if (own_timeout > 0) {
    CHECK(result->at_s == 3);
    CHECK(std::get<completion_error>(result->result).status == 504);
  } else {
    CHECK(result->at_s == 5);
    CHECK(succeeded(result->result));
  }
  CHECK(place.engine.book().size() == 0);
  CHECK(place.timers.empty());
}

TEST_CASE("a mock's stream comes in chunks before the result") {
  virtual_place place(page_example(2));
  std::string chunks;
  auto request = hey(0);
  request.stream = true;
  request.on_chunk = [&](std::string_view chunk) {
    chunks += chunk;
    chunks += '\n';
  };
  std::optional<completion_result> result;
  const auto job = place.call(request, [&](completion_result told) {
    CHECK_FALSE(chunks.empty());
    result = std::move(told);
  });
  place.run_until(0);
  REQUIRE(result);
  REQUIRE(succeeded(*result));
  CHECK(std::get<completion>(*result).body.empty());
  CHECK(chunks.find("\"Hel\"") != std::string::npos);
  CHECK(chunks.find("[DONE]") == std::string::npos);
  CHECK(chunks.find("data:") == std::string::npos);
}

TEST_CASE("an upstream's 429 sends the call back to its place, and the last answer is told") {
  auto options = page_example(100);
  auto& params = options.model_list[0].litellm_params;
  params.mock_response.reset();
  params.api_base = "http://127.0.0.1:9/v1";
  params.api_key = "k";
  params.rpm.reset();
  virtual_place place(options);
  std::optional<heard> result;
  const auto job = place.call(hey(0), [&](completion_result told) {
    result = heard{0, place.seconds(), std::move(told)};
  });
  place.run_until(0);
  REQUIRE(place.carried.size() == 1);
  answer_head head;
  head.status = 429;
  head.fields = make_fields({{"retry-after", "7"}});
  REQUIRE(job->may_send());
  CHECK(job->head_arrived(head) == head_verdict::read_whole);
  job->answered(head, R"({"error":{"message":"slow down"}})");
  CHECK_FALSE(result);
  place.run_until(6.999);
  CHECK(place.carried.size() == 1);
  place.run_until(8);
  REQUIRE(place.carried.size() == 2);
  REQUIRE(job->may_send());
  head.status = 400;
  job->head_arrived(head);
  job->answered(head, R"({"error":{"message":"no such thing"}})");
  place.run_until(8);
  REQUIRE(result);
  const auto& error = std::get<completion_error>(result->result);
  CHECK(error.status == 400);
  CHECK(error.message == "no such thing");
  CHECK(error.facts.attempts == 2);
  place.carried.clear();
}

TEST_CASE("a job that dies open tells its owner, and its ticket is gone") {
  virtual_place place(page_example(100));
  std::vector<completion_result> results;
  auto first = place.call(hey(0), [&](completion_result told) { results.push_back(told); });
  auto second = place.call(hey(1), [&](completion_result told) { results.push_back(told); });
  place.run_until(0);
  REQUIRE(results.size() == 1);
  second.reset();
  REQUIRE(results.size() == 2);
  CHECK(std::get<completion_error>(results[1]).status == 503);
  place.run_until(1);
  CHECK(place.engine.book().size() == 0);
  CHECK(place.engine.counters(0).waiting == 0);
}
