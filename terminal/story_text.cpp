#include "terminal/story_text.hpp"

#include "terminal/printable.hpp"
#include "terminal/queue_text.hpp"
#include "terminal/text_table.hpp"

#include <algorithm>

namespace vorrang::terminal {

namespace {

std::string word(const json& from, const char* name) {
  return printable(text_of(from, name));
}

std::string number(const json& from, const char* name) {
  const auto found = number_of(from, name);
  return found ? std::to_string(*found) : "?";
}

std::string time_in(const json& from, const char* name) {
  return duration_text(number_of(from, name).value_or(0));
}

struct sentence {
  const char* word;
  const char* text;
};

template <std::size_t Count>
std::string look_up(const sentence (&known)[Count], const std::string& wanted) {
  for (const auto& each : known)
    if (wanted == each.word)
      return each.text;
  return printable(wanted);
}

/// As `end_labels` of the gateway.
constexpr sentence ends[] = {{"answered", "answered"},
                             {"timed-out", "its deadline passed while it waited"},
                             {"timed-out-calling", "its deadline passed during the call"},
                             {"queue-full", "the queue was full, and it was the one to leave"},
                             {"rate-limited-beyond-deadline",
                              "every deployment asks to be left alone until after its deadline"},
                             {"attempts-exhausted", "no attempt was left"},
                             {"rejected", "the upstream refused the request itself"},
                             {"no-deployment", "no deployment of the model can serve it"},
                             {"unknown-group", "the model is not configured any more"},
                             {"cancelled-by-operator", "an operator cancelled it"},
                             {"draining", "the gateway stopped"},
                             {"hung-up", "its client hung up"},
                             {"all-cooling-down", "every deployment cools down"}};

constexpr sentence results[] = {
    {"success", "good"},  {"rate-limited", "rate limited"}, {"rejected", "refused"},
    {"failed", "failed"}, {"not-sent", "nothing was sent"}, {"cancelled", "cut off"}};

constexpr sentence errors[] = {{"not-connected", "no connection"},
                               {"broken", "the connection broke"},
                               {"not-http", "the answer was no HTTP that can be used"},
                               {"timed-out", "the attempt took too long"},
                               {"deadline", "the deadline passed"}};

/// Of a stream whose first events its client has.
constexpr sentence breaks[] = {{"broken", "the stream broke off"},
                               {"not-http", "what followed was no event that can be used"},
                               {"timed-out", "the stream was silent for too long"}};

constexpr sentence reasons[] = {
    {"behind-others", "a better ticket waits for each deployment that it could go to"},
    {"all-full", "it is next, and every deployment that it could go to is full"},
    {"all-cooling", "every deployment that it could go to cools down"},
    {"backing-off", "its own back-off runs at each deployment that is left to it"},
    {"held", "Redis is away, and nothing is granted meanwhile (redis_unavailable: hold)"}};

std::string attempt_text(const json& event) {
  std::string text = "attempt at " + word(event, "deployment") + ": ";
  const auto error = text_of(event, "error");
  if (const auto status = number_of(event, "status"))
    text += std::to_string(*status);
  else
    text += error.empty() ? look_up(results, text_of(event, "result")) : look_up(errors, error);
  const bool is_good = text_of(event, "result") == "success";
  if (number_of(event, "status") && is_good && !error.empty())
    text += ", then " + look_up(breaks, error);
  else if (number_of(event, "status") && !is_good)
    text += ", " +
            (error.empty() ? look_up(results, text_of(event, "result")) : look_up(errors, error));
  if (number_of(event, "retry_after_ms"))
    text += ", Retry-After " + time_in(event, "retry_after_ms");
  if (number_of(event, "took_ms"))
    text += ", after " + time_in(event, "took_ms");
  return text;
}

/// `2026-01-31T12:00:00.125Z` → `12:00:00.125`.
std::string clock_of(const std::string& at) {
  return at.size() == 24 ? at.substr(11, 12) : at;
}

std::string since_first(const json& event) {
  const auto after = number_of(event, "after_ms").value_or(0);
  std::string digits = std::to_string(after % 1000);
  digits.insert(0, 3 - std::min<std::size_t>(3, digits.size()), '0');
  return "+" + std::to_string(after / 1000) + "." + digits + " s";
}

std::string waits_text(const json& waits, bool bold) {
  std::string text = "It has waited";
  if (number_of(waits, "waited_ms"))
    text += " for " + time_in(waits, "waited_ms");
  text += " with priority " + number(waits, "priority") + ", ";
  if (const auto position = number_of(waits, "position"))
    text += "at position " + std::to_string(*position) + " of " + number(waits, "waiting") + " (" +
            (*position == 1 ? "it is next" : std::to_string(*position - 1) + " before it") + ")";
  else
    text += "at a position that is not known";
  if (number_of(waits, "deadline_in_ms"))
    text += ", until its deadline in " + time_in(waits, "deadline_in_ms");
  text += ".\n" + std::string("Why: ") + look_up(reasons, text_of(waits, "why")) + ".\n";
  text_table table({{"DEPLOYMENT"}, {"WHAT IT LACKS"}});
  for (const auto& each : list_of(waits, "deployments"))
    table.add({text_of(each, "id"), obstacle_text(each)});
  return text + table.text(bold);
}

/// Who else it could be. Clients choose ids, and one may look like a ticket's number.
std::string namesakes_text(const json& story) {
  const auto id = text_of(story, "id");
  const bool is_ticket = id == text_of(story, "ticket");
  const bool is_number = !id.empty() && id.find_first_not_of("0123456789") == std::string::npos;
  std::string text;
  if (is_number && !is_ticket)
    text = "No ticket of this number is remembered here: a client chose it for its request's id.\n";
  const auto others = number_of(story, "others").value_or(0);
  if (others <= 0)
    return text;
  const std::string plural = others == 1 ? "" : "s";
  if (is_ticket)
    return std::to_string(others) + " request" + plural +
           " had this ticket's number for an id; this is the ticket.\n";
  return text + std::to_string(others) + " earlier request" + plural +
         " had the same id; this is the latest.\n";
}

} // namespace

std::string event_text(const json& event) {
  const auto what = text_of(event, "what");
  if (what == "arrived")
    return "came with priority " + number(event, "priority") + " into the line of " +
           word(event, "model");
  if (what == "moved")
    return "an operator gave it priority " + number(event, "priority");
  if (what == "granted") {
    std::string text =
        "granted attempt " + number(event, "attempt") + " at " + word(event, "deployment") +
        (text_of(event, "by") == "head-of-line" ? ", as a probe" : ", which had room");
    return text + ", with priority " + number(event, "priority");
  }
  if (what == "attempt")
    return attempt_text(event);
  if (what == "fallback")
    return "fell back into the line of " + word(event, "model");
  if (what == "over") {
    const bool is_answered = text_of(event, "how") == "answered";
    auto text = look_up(ends, text_of(event, "how"));
    if (const auto status = number_of(event, "status"))
      text += (is_answered ? " with " : ": its client got ") + std::to_string(*status);
    if (flag_of(event, "is_cut"))
      text += is_answered ? ", but not to the end: its client was told so in the stream"
                          : " and a part of the answer";
    return text;
  }
  return printable(what);
}

std::string obstacle_text(const json& deployment) {
  const auto why = text_of(deployment, "why");
  const auto use =
      use_text(number_of(deployment, "used").value_or(0), number_of(deployment, "limit"));
  const std::string back = number_of(deployment, "until_ms") ? time_in(deployment, "until_ms") : "";
  if (why == "slots")
    return use + " parallel requests are running";
  if (why == "rpm")
    return use + " requests a minute are used" +
           (back.empty() ? "" : "; the next unit is back in " + back);
  if (why == "tpm")
    return use + " tokens a minute are used, and it needs " + number(deployment, "needed") +
           (back.empty() ? "" : "; the next ones are back in " + back);
  if (why == "cooling")
    return "it cools down" + (back.empty() ? "" : " for " + back + " more");
  if (why == "opening")
    return "it re-opens after a cooldown, few at a time, or this instance has used its share";
  if (why == "not-now")
    return "the request's own back-off runs there, or it was refused there";
  if (why == "nothing")
    return "nothing: its room is kept for who is before";
  return printable(why);
}

std::string story_text(const json& story, bool bold) {
  std::string heading = "Request " + word(story, "id");
  if (const auto ticket = word(story, "ticket"); ticket != word(story, "id"))
    heading += ", ticket " + ticket;
  const auto state = text_of(story, "state");
  heading += state == "waiting" ? ": waits" : state == "granted" ? ": is being answered" : ": over";
  std::string text = (bold ? "\033[1m" + heading + "\033[0m" : heading) + "\n";
  if (!flag_of(story, "is_complete"))
    text += "Its beginning is not kept any more: what is remembered began at " +
            clock_of(word(story, "kept_since")) + ".\n";
  text += namesakes_text(story);
  const auto& events = list_of(story, "events");
  std::size_t width = 0;
  for (const auto& event : events)
    width = std::max(width, since_first(event).size());
  for (const auto& event : events) {
    const auto after = since_first(event);
    text += "  " + clock_of(word(event, "at")) + "  " + std::string(width - after.size(), ' ') +
            after + "  " + event_text(event) + "\n";
  }
  if (number_of(story, "running_ms"))
    text += "The attempt has run for " + time_in(story, "running_ms") + ".\n";
  if (part_of(story, "waits").is_object())
    text += waits_text(part_of(story, "waits"), bold);
  return text;
}

} // namespace vorrang::terminal
