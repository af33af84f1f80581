#include "hearth/http/router.h"

#include <gtest/gtest.h>

namespace hearth::http {
namespace {

class RouterTest : public testing::Test {
 protected:
  // Finding is what is tested: handlers are told apart by their address and never run.
  void add(Method method, std::string_view pattern) {
    router_.add(method, pattern, [](Request&) -> Task<Response> { co_return Response{}; });
  }

  // "pattern's parameters", or "status allow" where there is no handler.
  std::string find(Method method, std::string_view target) {
    request_.method = method;
    Response refusal;
    const Handler* handler = router_.find(target, request_, refusal);
    std::string found;
    if (handler == nullptr) {
      found = std::to_string(refusal.status);
      for (const auto& [name, value] : refusal.headers) found += " " + std::string(name) + ": " + value;
      return found;
    }
    for (const auto& value : request_.path_parameters) found += "[" + value + "]";
    return "found" + found;
  }

  Router router_;
  Request request_;
};

TEST_F(RouterTest, TakesTheParametersOutOfThePath) {
  add(Method::kGet, "/");
  add(Method::kPost, "/api/posts/{postId}/like");
  add(Method::kPut, "/api/users/{userId}/following/{targetId}");
  EXPECT_EQ(find(Method::kGet, "/"), "found");
  EXPECT_EQ(find(Method::kPost, "/api/posts/p1/like"), "found[p1]");
  EXPECT_EQ(find(Method::kPut, "/api/users/ada/following/bob"), "found[ada][bob]");
}

TEST_F(RouterTest, DecodesParametersButNotLiterals) {
  add(Method::kGet, "/posts/{id}");
  EXPECT_EQ(find(Method::kGet, "/posts/a%2Fb%3fc+d"), "found[a/b?c+d]");
  EXPECT_EQ(find(Method::kGet, "/posts/%C3%A9"), "found[\xc3\xa9]");
  EXPECT_EQ(find(Method::kGet, "/p%6fsts/x"), "404");
  for (const char* broken : {"/posts/%", "/posts/%2", "/posts/%zz", "/posts/a%2g", "/posts/%%30"}) {
    EXPECT_EQ(find(Method::kGet, broken), "400") << broken;
  }
}

TEST_F(RouterTest, ALiteralWinsOverAParameter) {
  add(Method::kGet, "/users/{id}");
  add(Method::kGet, "/users/{id}/posts");
  add(Method::kGet, "/users/by-username/{name}");
  add(Method::kDelete, "/users/by-username");
  EXPECT_EQ(find(Method::kGet, "/users/by-username/posts"), "found[posts]");
  EXPECT_EQ(find(Method::kGet, "/users/by-username"), "found[by-username]") << "the literal has no GET here";
  EXPECT_EQ(find(Method::kDelete, "/users/by-username"), "found");
  EXPECT_EQ(find(Method::kGet, "/users/ada/posts"), "found[ada]");
}

TEST_F(RouterTest, APathThatIsNotThereIsNotFound) {
  add(Method::kGet, "/api/posts/{id}");
  for (const char* path :
       {"/", "/api", "/api/posts", "/api/posts/", "/api/posts//", "/api/posts/a/", "/api/posts/a/b", "//api/posts/a", "/API/posts/a"}) {
    EXPECT_EQ(find(Method::kGet, path), "404") << path;
  }
}

TEST_F(RouterTest, AnotherMethodIsToldWhatIsAllowed) {
  add(Method::kGet, "/posts/{id}");
  add(Method::kDelete, "/posts/{id}");
  EXPECT_EQ(find(Method::kPost, "/posts/a"), "405 Allow: GET, DELETE, HEAD, OPTIONS");
  EXPECT_EQ(find(Method::kOther, "/posts/a"), "405 Allow: GET, DELETE, HEAD, OPTIONS");
  EXPECT_EQ(find(Method::kOther, "/nothing"), "404");
}

TEST_F(RouterTest, HeadIsFoundAsGet) {
  add(Method::kGet, "/a");
  add(Method::kPost, "/b");
  EXPECT_EQ(find(Method::kHead, "/a"), "found");
  EXPECT_EQ(find(Method::kHead, "/b"), "405 Allow: POST, OPTIONS");
}

TEST_F(RouterTest, OptionsOfAPathThatExistsAreAnswered) {
  add(Method::kGet, "/a");
  EXPECT_EQ(find(Method::kOptions, "/a"), "204 Allow: GET, HEAD, OPTIONS");
  EXPECT_EQ(find(Method::kOptions, "/b"), "404");
  EXPECT_EQ(find(Method::kOptions, "*"), "204 Allow: GET, POST, PUT, DELETE, HEAD, OPTIONS");
  EXPECT_EQ(find(Method::kGet, "*"), "400");
}

TEST_F(RouterTest, ReadsTheQuery) {
  add(Method::kGet, "/a");
  ASSERT_EQ(find(Method::kGet, "/a?sessionId=s%201&limit=50&empty=&flag&&x=a+b&y=1=2&s=%26"), "found");
  EXPECT_EQ(request_.path, "/a");
  EXPECT_EQ(request_.query("sessionId"), "s 1");
  EXPECT_EQ(request_.query("limit"), "50");
  EXPECT_EQ(request_.query("empty"), "");
  EXPECT_EQ(request_.query("flag"), "");
  EXPECT_EQ(request_.query("x"), "a b");
  EXPECT_EQ(request_.query("y"), "1=2");
  EXPECT_EQ(request_.query("s"), "&");
  EXPECT_EQ(request_.query("other"), std::nullopt);
  EXPECT_EQ(find(Method::kGet, "/a?x=%4"), "400");
}

TEST_F(RouterTest, NothingIsLeftOfTheRequestBefore) {
  add(Method::kGet, "/a");
  add(Method::kGet, "/b/{id}/{other}");
  ASSERT_EQ(find(Method::kGet, "/b/1/2?x=1"), "found[1][2]");
  ASSERT_EQ(find(Method::kGet, "/a"), "found");
  EXPECT_EQ(request_.query("x"), std::nullopt);
}

TEST_F(RouterTest, BoundsTheQuery) {
  add(Method::kGet, "/a");
  std::string target = "/a?";
  for (int i = 0; i < 64; ++i) target += "x=1&";
  EXPECT_EQ(find(Method::kGet, target), "found");
  EXPECT_EQ(find(Method::kGet, target + "x=1"), "400");
}

TEST_F(RouterTest, ListsItsRoutes) {
  add(Method::kGet, "/a/{id}");
  add(Method::kPut, "/a/{id}");
  std::vector<std::pair<Method, std::string>> routes = {{Method::kGet, "/a/{id}"}, {Method::kPut, "/a/{id}"}};
  EXPECT_EQ(router_.routes(), routes);
}

}  // namespace
}  // namespace hearth::http
