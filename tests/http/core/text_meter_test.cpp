#include "catch.hpp"
#include "seed.hpp"

#include "http/body_scanner.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace vorrang::http;
using nlohmann::json;

namespace {

/// The rule as the contract has it, over a document that is there as a whole.
class simple_measure {
public:
  explicit simple_measure(bool ascii) : ascii_(ascii) {}

  void request(const json& document) {
    for (const auto& [key, value] : document.items()) {
      if (is_one_of(key, {"messages", "prompt", "input", "system", "instructions"}))
        content(value, 0);
      else if (is_one_of(key, {"tools", "functions", "extra_body"}))
        as_written(value);
    }
  }

  text_measure sum;

private:
  static bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  void as_written(const json& value) { sum.text_bytes += value.dump(-1, ' ', ascii_).size(); }

  void content(const json& value, int depth) {
    if (depth > 6)
      as_written(value);
    else if (value.is_string())
      sum.text_bytes += value.get_ref<const std::string&>().size();
    else if (value.is_number())
      sum.text_bytes += 4;
    else if (value.is_array())
      for (const auto& element : value)
        content(element, depth + 1);
    else if (value.is_object())
      part(value, depth);
  }

  void part(const json& object, int depth) {
    static const std::vector<std::string> others = {
        "image",      "image_url", "input_image", "input_audio", "audio",    "file",
        "input_file", "document",  "video_url",   "video",       "audio_url"};
    const auto type = object.find("type");
    if (type != object.end() && type->is_string() && is_one_of(type->get<std::string>(), others)) {
      ++sum.non_text_parts;
      return;
    }
    for (const auto& [key, value] : object.items()) {
      if (is_one_of(key, {"content", "text", "output", "refusal", "thinking", "summary"}))
        content(value, depth + 1);
      else if (is_one_of(key, {"tool_calls", "function_call", "input", "arguments"}))
        as_written(value);
    }
  }

  bool ascii_;
};

/// Documents in which the names that matter are common, at any depth.
class documents {
public:
  explicit documents(std::mt19937& random) : random_(random) {}

  json request() {
    json document = json::object();
    for (auto count = random_() % 6; count > 0; --count)
      document[one_of({"messages", "prompt", "input", "system", "instructions", "tools",
                       "functions", "extra_body", "model", "content", "type"})] = value(0);
    return document;
  }

private:
  std::string one_of(const std::vector<std::string>& names) {
    return names[random_() % names.size()];
  }

  std::string text() {
    static const std::vector<std::string> bits = {
        "a", "hello", "\n", "\"", "\\", "\xC3\xA9", "\xE4\xB8\x96", "\xF0\x9F\x98\x80",
        "/", "\x01"};
    std::string made;
    for (auto count = random_() % 5; count > 0; --count)
      made += bits[random_() % bits.size()];
    return made;
  }

  json value(int depth) {
    const auto kind = random_() % (depth > 10 ? 5 : 12);
    switch (kind) {
    case 0:
      return nullptr;
    case 1:
      return random_() % 2 == 0;
    case 2:
      return static_cast<int>(random_() % 100'000);
    case 3:
    case 4:
      return text();
    case 5:
    case 6:
    case 7: {
      json list = json::array();
      for (auto count = random_() % 4; count > 0; --count)
        list.push_back(value(depth + 1));
      return list;
    }
    default: {
      json object = json::object();
      if (random_() % 3 == 0)
        object["type"] = one_of({"text", "image_url", "file", "document", "input_text", "audio"});
      for (auto count = random_() % 4; count > 0; --count)
        object[one_of({"content", "text", "output", "refusal", "thinking", "summary", "tool_calls",
                       "function_call", "input", "arguments", "role", "image_url", "messages"})] =
            value(depth + 1);
      return object;
    }
    }
  }

  std::mt19937& random_;
};

text_measure measured(const std::string& text, std::mt19937& random) {
  body_scanner scanner(body_scanner::measuring::yes);
  for (std::size_t end = 0; end < text.size();) {
    end = std::min<std::size_t>(end + 1 + random() % 60, text.size());
    // The bytes may move between two looks.
    const std::string so_far = text.substr(0, end);
    REQUIRE(scanner.feed(so_far));
  }
  REQUIRE(scanner.finish());
  return scanner.text();
}

} // namespace

TEST_CASE("text is measured piece by piece as it would be at once") {
  const auto seed = vorrang::test::seed();
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::uint64_t texts = 0;
  std::uint64_t parts = 0;
  for (int round = 0; round < 4000; ++round) {
    const bool ascii = random() % 2 == 0;
    const auto document = documents(random).request();
    simple_measure expected(ascii);
    expected.request(document);
    const auto text = document.dump(-1, ' ', ascii);
    const auto got = measured(text, random);
    INFO(text);
    REQUIRE(got.text_bytes == expected.sum.text_bytes);
    REQUIRE(got.non_text_parts == expected.sum.non_text_parts);
    texts += got.text_bytes;
    parts += got.non_text_parts;
  }
  // The test is worth something only if both are common.
  CHECK(texts > 10'000);
  CHECK(parts > 300);
}

TEST_CASE("what no writer of JSON would write is measured all the same") {
  std::mt19937 random(1);
  const auto bytes = [&](const std::string& text) {
    return measured(text, random).text_bytes;
  };
  // Keys with escapes, blanks, surrogates in a pair, alone and in the wrong order.
  CHECK(bytes(R"({ "pro\u006dpt" : "abc" })") == 3);
  CHECK(bytes(R"({"prompt":"\ud83d\ude00"})") == 4);
  CHECK(bytes(R"({"prompt":"\ud83d"})") == 3);
  CHECK(bytes(R"({"prompt":"\ude00\ud83d"})") == 6);
  CHECK(bytes(R"({"prompt":"\ud83d\ud83d\ude00"})") == 7);
  CHECK(bytes(R"({"prompt":"\ud83dx\ude00"})") == 7);
  CHECK(bytes(R"({"tools": [ 1 , 2 ] })") == 9);
  // The type may come last, and twice.
  CHECK(bytes(R"({"messages":[{"content":"abc","type":"image"}]})") == 0);
  CHECK(bytes(R"({"messages":[{"type":"image","content":"abc","type":"text"}]})") == 3);
  CHECK(bytes(R"(["prompt","abc"])") == 0);
  CHECK(bytes(R"({"messages":5,"prompt":"a","prompt":"bc"})") == 7);
}
