#include "http/head_tokenizer.hpp"

#include "http/head_text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include <cstddef>

namespace vorrang::http {

namespace {

namespace beast = boost::beast;
using beast_view = beast::string_view;

/// Notes where things stand. Beast's own reading of bodies, lengths and codings is never used:
/// it accepts too much (`Transfer-Encoding: gzip` as a body of no bytes, two equal lengths …).
template <bool IsRequest>
class tokenizer final : public beast::http::basic_parser<IsRequest> {
public:
  tokenizer(head_fields& fields, first_line& line) : fields_(fields), line_(line) {
    this->header_limit(static_cast<std::uint32_t>(fields.text().size() + 1));
    this->body_limit(boost::none);
    this->eager(false);
  }

  bool run() {
    const auto text = fields_.text();
    beast::error_code error;
    try {
      // The first call may stop after the first line.
      std::size_t used = 0;
      while (!error && !this->is_header_done() && used < text.size()) {
        const auto taken =
            this->put(boost::asio::const_buffer(text.data() + used, text.size() - used), error);
        if (taken == 0) {
          break;
        }
        used += taken;
      }
      return !error && this->is_header_done() && used == text.size() && is_good_;
    } catch (...) {
      return false;
    }
  }

private:
  static std::string_view view(beast_view text) noexcept { return {text.data(), text.size()}; }
  bool is_ours(std::string_view part) const noexcept {
    const auto text = fields_.text();
    return part.empty() ||
           (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size());
  }
  void version(int number) {
    is_good_ = is_good_ && (number == 10 || number == 11);
    line_.version_minor = number == 10 ? 0 : 1;
  }

  void on_request_impl(beast::http::verb, beast_view method, beast_view target, int number,
                       beast::error_code&) override {
    line_.method = view(method);
    line_.target = view(target);
    version(number);
  }
  void on_response_impl(int code, beast_view, int number, beast::error_code&) override {
    line_.status = static_cast<unsigned>(code);
    version(number);
  }
  void on_field_impl(beast::http::field, beast_view name, beast_view value,
                     beast::error_code&) override {
    const auto n = view(name);
    const auto v = trimmed(view(value));
    // A value that is not a part of the head was put together from folded lines.
    if (!is_ours(n) || !is_ours(v) || !is_field_name(n) || !is_field_value(v)) {
      is_good_ = false;
      return;
    }
    fields_.add(n, v);
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast_view, beast::error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast_view, beast::error_code&) override {
    return 0;
  }
  void on_finish_impl(beast::error_code&) override {}

  head_fields& fields_;
  first_line& line_;
  bool is_good_ = true;
};

} // namespace

bool tokenize_request(head_fields& fields, first_line& line) {
  return tokenizer<true>(fields, line).run();
}

bool tokenize_answer(head_fields& fields, first_line& line) {
  return tokenizer<false>(fields, line).run();
}

length_reading read_lengths(const head_fields& fields, unsigned version_minor) {
  length_reading out;
  const auto codings = fields.count("transfer-encoding");
  const auto lengths = fields.count("content-length");
  if (codings > 0 && lengths > 0) {
    out.fault = "Transfer-Encoding together with Content-Length";
  } else if (codings > 0 && version_minor == 0) {
    out.fault = "Transfer-Encoding on HTTP/1.0";
  } else if (codings > 1) {
    out.fault = "more than one Transfer-Encoding field";
  } else if (codings == 1) {
    out.chunked = equal_ignoring_case(*fields.find("transfer-encoding"), "chunked");
    out.fault = out.chunked ? nullptr : "a Transfer-Encoding other than chunked";
  } else if (lengths > 1) {
    out.fault = "more than one Content-Length field";
  } else if (lengths == 1) {
    const auto digits = *fields.find("content-length");
    // 18 digits cannot overflow 64 bits, and no body is that long.
    if (digits.empty() || digits.size() > 18 ||
        digits.find_first_not_of("0123456789") != std::string_view::npos) {
      out.fault = "a malformed Content-Length";
      return out;
    }
    out.has_length = true;
    for (const char digit : digits) {
      out.length = out.length * 10 + static_cast<std::uint64_t>(digit - '0');
    }
  }
  return out;
}

bool any_list_holds(const head_fields& fields, std::string_view name, std::string_view word) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields.is_named(i, name) && list_holds(fields[i].value, word)) {
      return true;
    }
  }
  return false;
}

} // namespace vorrang::http
