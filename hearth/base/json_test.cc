#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth {
namespace {

using namespace std::string_literals;

// How a value of the field "a" may be met. Whatever is not JSON must be refused in each of them.
enum class Meeting { kSkipped, kRaw, kUntaken };

Result<void> read_a(std::string body, Meeting meeting, std::string* raw = nullptr) {
  return read_json_object(body, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (meeting == Meeting::kSkipped || key != "a") return false;
    if (meeting == Meeting::kUntaken) return true;
    auto text = value.raw("a");
    if (!text) return std::unexpected(text.error());
    if (raw != nullptr) *raw = *text;
    return true;
  });
}

// What `use` makes of a result's value; its error, if there is none.
template <typename T, typename Use>
auto after(Result<T> result, Use use) {
  if constexpr (std::is_void_v<T>) {
    using Made = decltype(use());
    return result ? Result<Made>(use()) : Result<Made>(std::unexpected(result.error()));
  } else {
    using Made = decltype(use(*result));
    return result ? Result<Made>(use(*result)) : Result<Made>(std::unexpected(result.error()));
  }
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST(JsonReader, TakesEveryValidValueAsItWasSent) {
  const std::vector<std::string> values = {"0",
                                           "-0",
                                           "12",
                                           "-1.5",
                                           "1e3",
                                           "1E+3",
                                           "0.1e-9",
                                           "123456789012345678901234567890",
                                           "1e999999",
                                           "true",
                                           "false",
                                           "null",
                                           R"("")",
                                           R"("plain")",
                                           R"("\"\\\/\b\f\n\r\t")",
                                           R"("\u00e9\ud83d\ude00")",
                                           "\"\xf0\x9f\x98\x80\"",
                                           "\"\x7f\"",
                                           "[]",
                                           "[ ]",
                                           "[1, [2], {}]",
                                           "{}",
                                           R"({"b":1,"c":{"b":1}})",
                                           R"([{"b":1},{"b":1}])",
                                           nested(kJsonDepthMax - 1)};
  for (const auto& value : values) {
    SCOPED_TRACE(value);
    for (auto meeting : {Meeting::kSkipped, Meeting::kUntaken}) EXPECT_TRUE(read_a("{\"a\":" + value + "}", meeting));
    std::string raw;
    EXPECT_TRUE(read_a("{\"a\" : " + value + " \n,\"z\":0}", Meeting::kRaw, &raw));
    EXPECT_EQ(raw, value);
    EXPECT_TRUE(read_a("{\"z\":0,\"a\":\t" + value + "\r\n}", Meeting::kRaw, &raw));
    EXPECT_EQ(raw, value);
  }
}

TEST(JsonReader, RefusesEveryBrokenValueHoweverItIsMet) {
  const std::vector<std::string> values = {"",
                                           "01",
                                           "+1",
                                           "-",
                                           "1.",
                                           ".5",
                                           "1e",
                                           "1e+",
                                           "0x10",
                                           "1_000",
                                           "--1",
                                           "NaN",
                                           "Infinity",
                                           "1 2",
                                           "tru",
                                           "truex",
                                           "True",
                                           "nul",
                                           "nullx",
                                           "'a'",
                                           "a",
                                           "\"",
                                           "\"a",
                                           R"("\q")",
                                           R"("\u12g4")",
                                           R"("\ud800")",
                                           R"("\ud800x")",
                                           R"("\udc00")",
                                           R"("\udfffx")",
                                           R"("\ud800\ue000")",
                                           R"("\ud800\u0041")",
                                           R"("\ud800\ud800")",
                                           "\"a\nb\"",
                                           "\"\x01\"",
                                           "\"\xff\"",
                                           "\"\xc3\"",
                                           "\"\xed\xa0\x80\"",
                                           "\"\xf8\x88\x80\x80\x80\"",
                                           "[",
                                           "]",
                                           "[1",
                                           "[1,]",
                                           "[,1]",
                                           "[1 2]",
                                           "[1}",
                                           "[1,,2]",
                                           "{",
                                           "}",
                                           R"({"b"})",
                                           R"({"b":})",
                                           R"({"b" 1})",
                                           R"({"b":1,})",
                                           R"({,})",
                                           R"({b:1})",
                                           R"({1:2})",
                                           R"({"b":1]", R"({"b":1 "c":2})",
                                           R"({"b":1,"b":2})",
                                           R"([{"b":1,"\u0062":2}])",
                                           "/* */ 1",
                                           "1 // one",
                                           "\"a\"\"b\"",
                                           "1\0"s,
                                           "[1\0]"s,
                                           nested(kJsonDepthMax)};
  for (const auto& value : values) {
    SCOPED_TRACE(value);
    for (auto meeting : {Meeting::kSkipped, Meeting::kUntaken, Meeting::kRaw}) {
      auto read = read_a("{\"a\":" + value + "}", meeting);
      ASSERT_FALSE(read);
      EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
      EXPECT_FALSE(read.error().field.empty());
    }
  }
}

struct DocumentCase {
  std::string body;
  std::string message;  // empty: valid
};

TEST(JsonReader, TakesOneObjectAndNothingElse) {
  const std::vector<DocumentCase> cases = {
      {"{}", ""},
      {" \t\r\n{ } \n", ""},
      {"", "body is empty: send a JSON object"},
      {"  ", "body is not valid JSON"},
      {"\xef\xbb\xbf{}", "body is not valid JSON"},
      {"[]", "body must be a JSON object"},
      {"\"{}\"", "body must be a JSON object"},
      {"1", "body must be a JSON object"},
      {"null", "body must be a JSON object"},
      {"{}{}", "body has something after its JSON object"},
      {R"({"a":1}})", "body has something after its JSON object"},
      {"{} x", "body is not valid JSON"},
      {"{}\0"s, "body is not valid JSON"},
      {R"({"a":1,})", "body is not valid JSON"},
      {R"({"a":1 "b":2})", "body is not valid JSON"},
      {R"({"a":1)", "body is not valid JSON"},
      {"{", "body is not valid JSON"},
      {"}", "body is not valid JSON"},
      {R"({"a":1,"b":2,"a":3})", "a is given twice"},
      {R"({"a":1,"\u0061":3})", "a is given twice"},
      {R"({"a":{"b":1,"b":1}})", "b is given twice"},
      {R"({"\udc00":1})", "body is not valid JSON"},
      {R"({"a":)" + nested(kJsonDepthMax) + "}", "body is nested deeper than 32 levels"},
      {R"({"a":)" + nested(200'000) + "}", "body is nested deeper than 32 levels"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.body.substr(0, 80));
    auto read = read_a(test.body, Meeting::kSkipped);
    EXPECT_EQ(read ? "" : read.error().message, test.message);
  }
}

TEST(JsonReader, BoundsTheFieldsOfAnObject) {
  auto object_of = [](std::size_t fields) {
    std::string body = "{";
    for (std::size_t i = 0; i < fields; ++i) body += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
    return body + "}";
  };
  EXPECT_TRUE(read_a(object_of(kJsonFieldsMax), Meeting::kSkipped));
  EXPECT_FALSE(read_a(object_of(kJsonFieldsMax + 1), Meeting::kSkipped));
}

TEST(JsonReader, UnknownFieldsPassOnlyWhereTheyAreIgnored) {
  auto read = [](UnknownFields unknown, std::string body) {
    return read_json_object(body, unknown, [](std::string_view key, JsonValue& value) -> Result<bool> {
      if (key != "known") return false;
      return value.boolean("known");
    });
  };
  EXPECT_TRUE(read(UnknownFields::kIgnore, R"({"other":[1,{"x":2}],"known":true})"));
  EXPECT_TRUE(read(UnknownFields::kRefuse, R"({"known":true})"));
  auto refused = read(UnknownFields::kRefuse, R"({"knwon":true})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "knwon is not a known field");
  EXPECT_EQ(refused.error().field, "knwon");
}

TEST(JsonReader, AnErrorDoesNotSendBackALongKey) {
  std::string body = "{\"" + std::string(100'000, 'k') + "\":1}";
  auto read = read_json_object(body, UnknownFields::kRefuse, [](std::string_view, JsonValue&) -> Result<bool> { return false; });
  ASSERT_FALSE(read);
  EXPECT_LT(read.error().message.size(), 200u);
  EXPECT_LT(read.error().field.size(), 200u);
}

struct TypeCase {
  std::string value;
  std::string as_string, as_integer, as_boolean, as_object, as_array;  // what is read, or the error
};

std::string text_or_error(const Result<std::string>& result) {
  return result ? *result : result.error().message;
}

// Reads {"f": value} with `take` and shows what came out.
template <typename Take>
std::string take_f(const std::string& value, Take take) {
  std::string body = "{\"f\":" + value + "}";
  std::string taken;
  auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view, JsonValue& f) -> Result<bool> {
    Result<std::string> result = take(f);
    if (!result) return std::unexpected(result.error());
    taken = *result;
    return true;
  });
  return read ? taken : text_or_error(std::unexpected(read.error()));
}

TEST(JsonReader, NamesTheFieldAndTheTypeItWants) {
  const std::string no_string = "f must be a string", no_integer = "f must be an integer", no_boolean = "f must be true or false",
                    no_object = "f must be an object", no_array = "f must be an array";
  const std::vector<TypeCase> cases = {
      {R"("x\ny")", "x\ny", no_integer, no_boolean, no_object, no_array},
      {R"("\u0000")", "\0"s, no_integer, no_boolean, no_object, no_array},
      {"9223372036854775807", no_string, "9223372036854775807", no_boolean, no_object, no_array},
      {"-9223372036854775808", no_string, "-9223372036854775808", no_boolean, no_object, no_array},
      {"9223372036854775808", no_string, no_integer, no_boolean, no_object, no_array},
      {"1.0", no_string, no_integer, no_boolean, no_object, no_array},
      {"1e2", no_string, no_integer, no_boolean, no_object, no_array},
      {"true", no_string, no_integer, "1", no_object, no_array},
      {"false", no_string, no_integer, "0", no_object, no_array},
      {"null", no_string, no_integer, no_boolean, no_object, no_array},
      {R"({"b":[]})", no_string, no_integer, no_boolean, "object", no_array},
      {"[1,2]", no_string, no_integer, no_boolean, no_object, "items 2"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.value);
    EXPECT_EQ(take_f(test.value, [](JsonValue& f) { return after(f.string("f"), [](auto text) { return std::string(text); }); }),
              test.as_string);
    EXPECT_EQ(take_f(test.value, [](JsonValue& f) { return after(f.integer("f"), [](auto n) { return std::to_string(n); }); }),
              test.as_integer);
    EXPECT_EQ(take_f(test.value, [](JsonValue& f) { return after(f.boolean("f"), [](bool b) { return b ? "1"s : "0"s; }); }),
              test.as_boolean);
    auto ignore = [](std::string_view, JsonValue&) -> Result<bool> { return false; };
    EXPECT_EQ(
        take_f(test.value, [&](JsonValue& f) { return after(f.object("f", UnknownFields::kIgnore, ignore), [] { return "object"s; }); }),
        test.as_object);
    std::size_t items = 0;
    auto count = [&](std::size_t, JsonValue&) -> Result<void> { return ++items, Result<void>{}; };
    EXPECT_EQ(
        take_f(test.value, [&](JsonValue& f) { return after(f.array("f", 2, count), [&] { return "items " + std::to_string(items); }); }),
        test.as_array);
  }
}

TEST(JsonReader, AnArrayOverItsLimitIsTooLarge) {
  std::string body = R"({"f":[1,2,3]})";
  auto read = read_json_object(body, UnknownFields::kRefuse, [](std::string_view, JsonValue& f) -> Result<bool> {
    auto leave = [](std::size_t, JsonValue&) -> Result<void> { return {}; };
    return after(f.array("f", 2, leave), [] { return true; });
  });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(read.error().message, "f has more than 2 items");
}

TEST(JsonReader, LookingAtAValueDoesNotTakeIt) {
  EXPECT_EQ(take_f("null", [](JsonValue& f) -> Result<std::string> { return f.is_null() && !f.is_string() ? "null"s : "no"s; }), "null");
  EXPECT_EQ(take_f("nullx", [](JsonValue& f) -> Result<std::string> { return f.is_null() ? "null"s : "no"s; }), "f is not valid JSON");
  EXPECT_EQ(take_f(R"("x")",
                   [](JsonValue& f) -> Result<std::string> {
                     if (f.is_null() || !f.is_string()) return "no"s;
                     return after(f.string("f"), [](auto text) { return std::string(text); });
                   }),
            "x");
  auto kind = [](JsonValue& f) -> Result<std::string> { return f.is_object() ? "object"s : f.is_array() ? "array"s : "neither"s; };
  EXPECT_EQ(take_f("{}", kind), "object");
  EXPECT_EQ(take_f("[ ]", kind), "array");
  EXPECT_EQ(take_f("\"{\"", kind), "neither");
}

TEST(JsonReader, ReadsObjectsInArraysInObjects) {
  std::string body = R"({"operations":[{"op":"like","n":1},{"n":2,"op":"un\u006cike"}],"last":true})";
  std::string seen;
  auto on_operation_field = [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "op") return after(value.string("op"), [&](auto text) { return seen += text, true; });
    if (key == "n") return after(value.integer("n"), [&](auto n) { return seen += std::to_string(n), true; });
    return false;
  };
  auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "last") return after(value.boolean("last"), [&](bool last) { return seen += last ? "!" : "?", true; });
    auto on_operation = [&](std::size_t index, JsonValue& item) {
      seen += "[" + std::to_string(index) + "]";
      return item.object("operations", UnknownFields::kRefuse, on_operation_field);
    };
    return after(value.array("operations", 10, on_operation), [] { return true; });
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(seen, "[0]like1[1]2unlike!");
}

TEST(JsonReader, AFailureOfTheHandlerEndsTheReading) {
  std::string body = R"({"a":1,"b":2})";
  int calls = 0;
  auto read = read_json_object(body, UnknownFields::kRefuse, [&](std::string_view, JsonValue&) -> Result<bool> {
    ++calls;
    return fail(ErrorCode::kConflict, "no");
  });
  EXPECT_EQ(read.error().code, ErrorCode::kConflict);
  EXPECT_EQ(calls, 1);
}

TEST(JsonReader, AThrowingHandlerLeavesTheReaderUsable) {
  std::string body = R"({"a":{"b":1}})";
  auto throwing = [](std::string_view, JsonValue&) -> Result<bool> { throw std::bad_alloc(); };
  EXPECT_THROW((void)read_json_object(body, UnknownFields::kRefuse, throwing), std::bad_alloc);
  EXPECT_TRUE(read_a(body, Meeting::kRaw));
}

TEST(JsonReader, KeepsTheBodyAsItIs) {
  std::string body = R"({"a":"x\u0041y"})";
  body.shrink_to_fit();
  const std::string before = body;
  std::string text;
  ASSERT_TRUE(read_json_object(body, UnknownFields::kRefuse, [&](std::string_view, JsonValue& value) -> Result<bool> {
    return after(value.string("a"), [&](auto unescaped) { return text = unescaped, true; });
  }));
  EXPECT_EQ(body, before);
  EXPECT_EQ(text, "xAy");
}

TEST(JsonWriter, PlacesCommasItself) {
  std::string out;
  JsonWriter(out)
      .begin_object()
      .field("text", "a")
      .field("number", -7)
      .field("big", std::uint64_t{18'446'744'073'709'551'615u})
      .field("truth", true)
      .key("list")
      .begin_array()
      .value(1)
      .begin_object()
      .end_object()
      .null()
      .raw("[2]")
      .end_array()
      .key("empty")
      .begin_array()
      .end_array()
      .end_object();
  EXPECT_EQ(out, R"({"text":"a","number":-7,"big":18446744073709551615,"truth":true,"list":[1,{},null,[2]],"empty":[]})");
}

struct TextCase {
  std::string text, json;
};

TEST(JsonWriter, WritesAnyBytesAsValidJson) {
  const std::vector<TextCase> cases = {
      {"", R"("")"},
      {"plain", R"("plain")"},
      {"\"\\/", R"("\"\\/")"},
      {"\n\r\t\b\f\x01\x1f\x7f", "\"\\n\\r\\t\\u0008\\u000c\\u0001\\u001f\x7f\""},
      {"\0"s, R"("\u0000")"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
      {"\xff", "\"\xef\xbf\xbd\""},
      {"a\xc3", "\"a\xef\xbf\xbd\""},
      {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                    // overlong
      {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                    // a surrogate
      {"\xf4\x90\x80\x80!", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\""},  // above U+10FFFF
  };
  for (const auto& test : cases) {
    std::string out;
    append_json_string(out, test.text);
    EXPECT_EQ(out, test.json);
    EXPECT_TRUE(read_a("{\"a\":" + out + "}", Meeting::kRaw)) << out;
  }
}

}  // namespace
}  // namespace hearth
