#include "http/probe_plan.hpp"

namespace vorrang::http {

namespace {

probe_finding bad(std::string said) {
  probe_finding found;
  found.said = std::move(said);
  found.is_bad = true;
  return found;
}

} // namespace

probe_finding finding_of(std::uint16_t status, std::chrono::milliseconds took) {
  probe_finding found;
  found.said = "answered " + std::to_string(status);
  if (status == 401 || status == 403)
    found.said += ": it refused the gateway's credentials";
  else if (status == 404 || status == 405)
    found.said += ": it is there, but has no list of models";
  found.is_bad = status == 401 || status == 403 || status == 429 || status >= 500 ||
                 (status >= 300 && status < 400);
  found.status = status;
  found.took = took;
  return found;
}

probe_finding finding_of(transport_error error) {
  switch (error) {
  case transport_error::not_connected:
    return bad("cannot be connected to");
  case transport_error::broken:
    return bad("closed the connection without an answer");
  case transport_error::not_http:
    return bad("answered something that is no HTTP");
  case transport_error::timed_out:
  case transport_error::deadline:
    return bad("did not answer in time");
  case transport_error::not_sent:
    break;
  }
  return {};
}

probe_finding finding_of(end_code code) {
  probe_finding found;
  switch (code) {
  case end_code::queue_full:
    found.said = "full, not asked";
    break;
  case end_code::all_cooling_down:
  case end_code::rate_limited_beyond_deadline:
    return bad("cooling, not asked");
  case end_code::draining:
    found.said = "not asked: the gateway is shutting down";
    break;
  default:
    break;
  }
  return found;
}

} // namespace vorrang::http
