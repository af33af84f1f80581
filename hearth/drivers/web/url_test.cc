#include "hearth/drivers/web/url.h"

#include <gtest/gtest.h>

namespace hearth::web {
namespace {

using namespace std::string_literals;

struct GoodUrl {
  std::string text;
  std::string normal;
};

TEST(Url, IsReadIntoItsNormalForm) {
  const GoodUrl cases[] = {
      {"http://example.com", "http://example.com/"},
      {"HTTPS://Example.COM/A?b=C#d", "https://example.com/A?b=C"},
      {"http://example.com:80/", "http://example.com/"},
      {"https://example.com:443/a", "https://example.com/a"},
      {"https://example.com:80/a", "https://example.com:80/a"},
      {"http://example.com:8080?q=1", "http://example.com:8080/?q=1"},
      {"http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"},
      {"http://127.1/", "http://127.0.0.1/"},
      {"http://0x7f000001/", "http://127.0.0.1/"},
      {"http://2130706433/", "http://127.0.0.1/"},
      {"http://example.com/a/../b/./c", "http://example.com/b/c"},
      {"http://example.com/a%2fb|c", "http://example.com/a%2fb|c"},
      {"http://example.com/\xc3\xbc.jpg?\xc3\xbc", "http://example.com/%c3%bc.jpg?%c3%bc"},
      {"http://example.com/x@y:z", "http://example.com/x@y:z"},
      {"http://a_b.example.com./", "http://a_b.example.com./"},
  };
  for (const auto& c : cases) {
    auto url = parse_url(c.text, "url");
    ASSERT_TRUE(url) << c.text << ": " << url.error().message;
    EXPECT_EQ(url->text(), c.normal) << c.text;
    EXPECT_EQ(parse_url(url->text(), "url")->text(), c.normal) << c.text;
  }
}

TEST(Url, WhatIsNoneNamesTheField) {
  const std::string bad[] = {
      "",
      "example.com/a.jpg",
      "//example.com/a.jpg",
      "http:example.com",
      "http:/example.com",
      "http:///example.com",
      "http://",
      "http:// example.com/",
      "http://?a",
      "ftp://example.com/a.jpg",
      "file:///etc/passwd",
      "gopher://example.com/",
      "dict://example.com/",
      "javascript:alert(1)",
      "data:image/png;base64,AAAA",
      "http://ada@example.com/",
      "http://ada:secret@example.com/",
      "http://@example.com/",
      "http://example.com:0/",
      "http://example.com:65536/",
      "http://example.com:http/",
      "http://[::1/",
      "http://[not-an-address]/",
      "http://exa mple.com/",
      "http://example.com/a b",
      "http://example.com/a\nb",
      "http://example.com/\x7f",
      "http://example.com/a\"b",
      "http://example.com/<b>",
      "http://example.com\\@other.example/",
      "http://b\xc3\xbc\x63her.example/",
      "http://example.com/a\0b"s,
      "http://example.com/" + std::string(kUrlBytesMax, 'a'),
  };
  for (const auto& text : bad) {
    auto url = parse_url(text, "imageUrl");
    ASSERT_FALSE(url) << text << " is " << url->text();
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(url.error().field, "imageUrl") << text;
    EXPECT_TRUE(url.error().message.starts_with("imageUrl must be an http or https URL")) << url.error().message;
    EXPECT_FALSE(check_url(text, "imageUrl")) << text;
  }
}

TEST(Url, LocationsAreResolved) {
  const Url base = *parse_url("https://example.com:8443/a/b?c=d", "url");
  const GoodUrl cases[] = {
      {"e", "https://example.com:8443/a/e"},
      {"/e?f", "https://example.com:8443/e?f"},
      {"../../../e", "https://example.com:8443/e"},
      {"//other.example/e", "https://other.example/e"},
      {"http://other.example", "http://other.example/"},
      {"?x=y", "https://example.com:8443/a/b?x=y"},
  };
  for (const auto& c : cases) {
    auto url = resolve_url(base, c.text, "Location");
    ASSERT_TRUE(url) << c.text << ": " << url.error().message;
    EXPECT_EQ(url->text(), c.normal) << c.text;
  }
  for (const char* bad : {"file:///etc/passwd", "ftp://example.com/", "//ada@example.com/", "/a b", "javascript:1", "http://"}) {
    EXPECT_FALSE(resolve_url(base, bad, "Location")) << bad;
  }
}

TEST(Url, AnOriginIsSchemeHostAndPort) {
  const Url url = *parse_url("https://example.com/a", "url");
  EXPECT_TRUE(url.has_same_origin(*parse_url("https://EXAMPLE.com:443/b?c", "url")));
  for (const char* other : {"http://example.com/a", "https://example.com:444/a", "https://www.example.com/a", "https://example.com./a"}) {
    EXPECT_FALSE(url.has_same_origin(*parse_url(other, "url"))) << other;
  }
}

TEST(Url, OnlyPortsOfWebServersAreForStrangers) {
  for (const char* good : {"http://example.com/", "https://example.com/", "http://example.com:443/", "http://example.com:1024/",
                           "http://example.com:8080/", "http://example.com:65535/", "http://127.0.0.1:8080/"}) {
    EXPECT_TRUE(check_url(good, "url")) << good;
  }
  for (const char* bad : {"http://example.com:1/", "http://example.com:22/", "http://example.com:25/", "https://example.com:465/",
                          "http://example.com:1023/"}) {
    EXPECT_FALSE(check_url(bad, "url")) << bad;
  }
}

}  // namespace
}  // namespace hearth::web
