#include "http/head_reader.hpp"

#include "http/head_text.hpp"
#include "http/head_tokenizer.hpp"
#include "http/json_string.hpp"

#include <algorithm>
#include <array>

namespace vorrang::http {

namespace {

/// Most heads fit: one piece of memory for each.
constexpr std::size_t usual_bytes = 512;

http_method method_of(std::string_view text) noexcept {
  // Methods are case-sensitive (RFC 9110, 9.1).
  using enum http_method;
  static constexpr std::pair<std::string_view, http_method> names[] = {
      {"GET", get},     {"HEAD", head},      {"POST", post},      {"PUT", put},
      {"PATCH", patch}, {"DELETE", delete_}, {"OPTIONS", options}};
  for (const auto& [name, method] : names) {
    if (name == text) {
      return method;
    }
  }
  return other;
}

bool is_host(std::string_view text) noexcept {
  static constexpr auto table = [] {
    std::array<bool, 256> allowed{};
    for (const char mark : std::string_view("-._~%!$&'()*+;=:[]"))
      allowed[static_cast<unsigned char>(mark)] = true;
    for (char digit = '0'; digit <= '9'; ++digit)
      allowed[static_cast<unsigned char>(digit)] = true;
    for (char letter = 'a'; letter <= 'z'; ++letter)
      allowed[static_cast<unsigned char>(letter)] =
          allowed[static_cast<unsigned char>(letter - 'a' + 'A')] = true;
    return allowed;
  }();
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return table[static_cast<unsigned char>(byte)];
  });
}

/// Splits the target into path and query. The sentence says what is wrong, nullptr if nothing.
const char* read_target(std::string_view target, http_method method, std::string_view host,
                        request_head& out) {
  for (const char each : target) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte <= 0x20 || byte >= 0x7F || byte == '#') {
      return "a target with characters that must be percent-encoded";
    }
  }
  if (target == "*" && method == http_method::options) {
    out.path = "*";
    return nullptr;
  }
  constexpr std::string_view scheme = "http://";
  if (equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
    target.remove_prefix(scheme.size());
    const auto end = std::min(target.find_first_of("/?"), target.size());
    if (host.empty() || !equal_ignoring_case(target.substr(0, end), host)) {
      return "a target at another host";
    }
    target.remove_prefix(end);
    if (target.empty() || target[0] == '?') {
      out.path = "/";
      out.query = target.empty() ? "" : target.substr(1);
      return nullptr;
    }
  }
  if (target.empty() || target[0] != '/') {
    return "a target that is no path";
  }
  const auto mark = target.find('?');
  out.query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  auto path = percent_decoded(target.substr(0, mark));
  if (!path || !is_utf8(*path) || !is_field_value(*path)) {
    return "a path with wrong percent-encoding";
  }
  out.path = std::move(*path);
  return nullptr;
}

bool has_content_coding(const head_fields& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields.is_named(i, "content-encoding") && !fields[i].value.empty() &&
        !equal_ignoring_case(fields[i].value, "identity")) {
      return true;
    }
  }
  return false;
}

/// The rules of the door, once the parts are found.
const char* apply_rules(const first_line& line, request_head& head) {
  const auto& fields = head.fields;
  head.version_minor = line.version_minor;
  head.method = method_of(line.method);
  const auto hosts = fields.count("host");
  if (hosts > 1) {
    return "more than one Host field";
  }
  const auto host = fields.value_or("host", "");
  if (hosts == 0 ? line.version_minor > 0 : !is_host(host)) {
    return "a Host field that is missing or malformed";
  }
  if (const auto* fault = read_target(line.target, head.method, host, head)) {
    return fault;
  }
  const auto lengths = read_lengths(fields, line.version_minor);
  if (lengths.fault != nullptr) {
    return lengths.fault;
  }
  head.framing = lengths.chunked                            ? body_framing::chunked
                 : lengths.has_length && lengths.length > 0 ? body_framing::length
                                                            : body_framing::none;
  head.content_length = lengths.length;
  head.keep_alive = line.version_minor > 0 && !any_list_holds(fields, "connection", "close");
  head.expects_continue = line.version_minor > 0 && head.framing != body_framing::none &&
                          any_list_holds(fields, "expect", "100-continue");
  head.has_content_coding = has_content_coding(fields);
  return nullptr;
}

} // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  if (text.find('%') == text.npos)
    return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto part = query.substr(0, end);
    const auto equals = part.find('=');
    if (part.substr(0, equals) == name) {
      return equals == part.npos ? "" : percent_decoded(part.substr(equals + 1)).value_or("");
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return {};
}

std::size_t head_reader::feed(std::string_view bytes) {
  std::size_t used = 0;
  while (state_ == read_state::more && used < bytes.size()) {
    if (collected_.empty()) {
      // A TLS hello or other noise would otherwise be waited on until the timeout.
      const auto first = bytes.substr(used, 1);
      if (first != "\r" && first != "\n" && !is_field_name(first)) {
        fail(our_error::bad_head, "this is not HTTP");
        break;
      }
    }
    if (collected_.capacity() < usual_bytes)
      collected_.reserve(usual_bytes);
    const auto feed_at = bytes.find('\n', used);
    const auto end = feed_at == bytes.npos ? bytes.size() : feed_at + 1;
    const auto room = head_bytes_max + 1 - collected_.size();
    collected_.append(bytes.substr(used, std::min(end - used, room)));
    used = end;
    if (collected_.size() > head_bytes_max) {
      fail(our_error::head_too_large, "the request's head is larger than 32 KiB");
    } else if (feed_at != bytes.npos && take_line()) {
      parse();
    }
  }
  return used;
}

/// Looks at the line that was just completed; true if it is the empty one that ends the head.
bool head_reader::take_line() {
  const auto begin = line_begin_;
  const auto end = collected_.size() - 1;
  if (end == begin || collected_[end - 1] != '\r') {
    fail(our_error::bad_head, "a line that ends in LF alone");
    return false;
  }
  const auto line = std::string_view(collected_).substr(begin, end - 1 - begin);
  line_begin_ = collected_.size();
  if (line.empty() && lines_ > 0) {
    return true;
  }
  if (line.empty()) {
    collected_.clear();
    line_begin_ = 0;
    if (++blank_lines_ > blank_lines_max) {
      fail(our_error::bad_head, "empty lines before the request");
    }
    return false;
  }
  if (line.find('\r') != line.npos) {
    fail(our_error::bad_head, "a CR inside a line");
  } else if (line[0] == ' ' || line[0] == '\t') {
    fail(our_error::bad_head, "a folded line");
  } else if (lines_++ == fields_max + 1) {
    fail(our_error::too_many_fields, "the request has more than 100 header fields");
  }
  return false;
}

void head_reader::parse() {
  head_.fields.assign(std::move(collected_));
  first_line line;
  if (!tokenize_request(head_.fields, line)) {
    fail(our_error::bad_head, "a malformed request line or header field");
  } else if (const auto* fault = apply_rules(line, head_)) {
    fail(our_error::bad_head, fault);
  } else {
    state_ = read_state::done;
  }
}

void head_reader::fail(our_error code, const char* message) {
  state_ = read_state::failed;
  error_ = {code, code == our_error::bad_head ? "Bad request: " + std::string(message) : message,
            ""};
}

void head_reader::reset() {
  collected_.clear();
  line_begin_ = lines_ = blank_lines_ = 0;
  state_ = read_state::more;
  head_ = request_head{};
  error_ = {};
}

} // namespace vorrang::http
