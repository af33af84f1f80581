#pragma once

// Finds the handler of a path. Patterns are literal segments and {parameters}: "/api/posts/{postId}/like".
//
// A literal wins over a parameter. Parameters are percent-decoded; a broken escape is 400. A path that exists under other
// methods is 405 with Allow. HEAD is answered as GET without its body. Read-only, thus thread-safe, once serving.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hearth/base/task.h"
#include "hearth/http/request.h"

namespace hearth::http {

using Handler = std::function<Task<Response>(Request&)>;

class Router {
 public:
  Router();
  ~Router();
  // REQUIRES: the pattern was not added for this method before.
  void add(Method method, std::string_view pattern, Handler handler);

  // Sets path and query parameters of `request` and returns its handler, or answers why there is none through `refusal`.
  // OPTIONS of a path that exists is such an answer: 204 with Allow.
  // `target` is the request target as sent: path and query.
  const Handler* find(std::string_view target, Request& request, Response& refusal) const;

  // Every route, as {method, pattern}: a test holds the OpenAPI file to it.
  std::vector<std::pair<Method, std::string>> routes() const;

 private:
  struct Node;
  struct Captures;
  template <typename Use>
  static bool visit(const Node& node, std::string_view rest, Captures& captures, const Use& use);
  std::string allowed_methods(std::string_view path) const;  // for Allow; empty: no such path
  std::unique_ptr<Node> root_;
  std::vector<std::pair<Method, std::string>> routes_;
};

std::string_view method_name(Method method);

}  // namespace hearth::http
