#include "hearth/http/router.h"

#include <array>

#include "hearth/base/assert.h"
#include "hearth/http/problem.h"

namespace hearth::http {
namespace {

constexpr std::size_t kPathParametersMax = 8;
constexpr std::size_t kQueryParametersMax = 64;
constexpr std::size_t kMethods = static_cast<std::size_t>(Method::kOther);

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False: an escape is broken.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& decoded) {
  if (text.find_first_of(plus_is_space ? "%+" : "%") == std::string_view::npos) {
    decoded = text;
    return true;
  }
  decoded.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return false;
      int high = hex_value(text[i + 1]);
      int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    decoded += c;
  }
  return true;
}

// Removes and returns the first segment of a path that was cut after its leading slash.
std::string_view take_segment(std::string_view& rest, bool& is_last) {
  auto slash = rest.find('/');
  is_last = slash == std::string_view::npos;
  auto segment = rest.substr(0, slash);
  rest.remove_prefix(is_last ? rest.size() : slash + 1);
  return segment;
}

std::string broken_escape(std::string_view where) {
  return std::string(where) + " has a broken percent escape: write %XX with two hex digits";
}

Result<void> read_query(std::string_view text, Request& request) {
  while (!text.empty()) {
    auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    if (request.query_parameters.size() == kQueryParametersMax) {
      return invalid("query", "query has more than " + std::to_string(kQueryParametersMax) + " parameters");
    }
    auto equals = pair.find('=');
    auto& [key, value] = request.query_parameters.emplace_back();
    bool is_whole = percent_decode(pair.substr(0, equals), true, key);
    if (equals != std::string_view::npos) is_whole = percent_decode(pair.substr(equals + 1), true, value) && is_whole;
    if (!is_whole) return invalid("query", broken_escape("query"));
  }
  return {};
}

std::size_t index_of(Method method) {
  return static_cast<std::size_t>(method);
}

}  // namespace

struct Router::Captures {
  std::array<std::string_view, kPathParametersMax> values;
  std::size_t count = 0;
};

struct Router::Node {
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;
  std::unique_ptr<Node> parameter;
  std::array<Handler, kMethods> handlers;

  Node& literal(std::string_view segment) {
    for (auto& [text, node] : literals) {
      if (text == segment) return *node;
    }
    return *literals.emplace_back(std::string(segment), std::make_unique<Node>()).second;
  }

  const Handler* handler(Method method) const {
    if (method == Method::kOther) return nullptr;
    if (const auto& own = handlers[index_of(method)]) return &own;
    if (method == Method::kHead && handlers[index_of(Method::kGet)]) return &handlers[index_of(Method::kGet)];
    return nullptr;
  }
};

Router::Router() : root_(std::make_unique<Node>()) {}
Router::~Router() = default;

void Router::add(Method method, std::string_view pattern, Handler handler) {
  HEARTH_ASSERT(pattern.starts_with('/') && method != Method::kOther && handler);
  routes_.emplace_back(method, pattern);
  Node* node = root_.get();
  std::size_t parameters = 0;
  auto rest = pattern.substr(1);
  for (bool is_last = false; !is_last;) {
    auto segment = take_segment(rest, is_last);
    if (!segment.starts_with('{')) {
      node = &node->literal(segment);
      continue;
    }
    HEARTH_ASSERT(segment.ends_with('}') && ++parameters <= kPathParametersMax);
    if (!node->parameter) node->parameter = std::make_unique<Node>();
    node = node->parameter.get();
  }
  auto& slot = node->handlers[index_of(method)];
  HEARTH_ASSERT(!slot);
  slot = std::move(handler);
}

// Calls `use` with each node that the path leads to, literals first, until it returns true.
template <typename Use>
bool Router::visit(const Node& node, std::string_view rest, Captures& captures, const Use& use) {
  bool is_last = false;
  auto segment = take_segment(rest, is_last);
  for (const auto& [text, child] : node.literals) {
    if (text == segment && (is_last ? use(*child) : visit(*child, rest, captures, use))) return true;
  }
  if (!node.parameter || segment.empty()) return false;
  captures.values[captures.count++] = segment;
  if (is_last ? use(*node.parameter) : visit(*node.parameter, rest, captures, use)) return true;
  --captures.count;
  return false;
}

const Handler* Router::find(std::string_view target, Request& request, Response& refusal) const {
  auto question_mark = target.find('?');
  request.path = target.substr(0, question_mark);
  request.query_parameters.clear();
  auto refuse = [&](const Error& error) {
    refusal = problem(error);
    return nullptr;
  };
  if (target == "*" && request.method == Method::kOptions) {
    refusal.status = 204;
    refusal.headers.emplace_back("Allow", "GET, POST, PUT, DELETE, HEAD, OPTIONS");
    return nullptr;
  }
  if (!request.path.starts_with('/')) return refuse({ErrorCode::kInvalidArgument, "path must start with a slash", "path"});
  auto path = request.path.substr(1);

  const Handler* handler = nullptr;
  Captures captures;
  visit(*root_, path, captures, [&](const Node& node) { return (handler = node.handler(request.method)) != nullptr; });
  if (handler == nullptr) {
    std::string allow = allowed_methods(path);
    if (allow.empty()) return refuse({ErrorCode::kNotFound, "there is nothing at this path"});
    if (request.method == Method::kOptions) {
      refusal = Response{.status = 204};
    } else {
      refusal = problem({ErrorCode::kMethodNotAllowed, "this path takes " + allow});
    }
    refusal.headers.emplace_back("Allow", std::move(allow));
    return nullptr;
  }

  request.path_parameters.resize(captures.count);
  for (std::size_t i = 0; i < captures.count; ++i) {
    if (!percent_decode(captures.values[i], false, request.path_parameters[i])) {
      return refuse({ErrorCode::kInvalidArgument, broken_escape("path"), "path"});
    }
  }
  if (question_mark != std::string_view::npos) {
    if (auto read = read_query(target.substr(question_mark + 1), request); !read) return refuse(read.error());
  }
  return handler;
}

std::string Router::allowed_methods(std::string_view path) const {
  std::array<bool, kMethods> allowed{};
  Captures captures;
  visit(*root_, path, captures, [&](const Node& node) {
    for (std::size_t i = 0; i < kMethods; ++i) allowed[i] |= node.handler(static_cast<Method>(i)) != nullptr;
    return false;
  });
  std::string names;
  for (std::size_t i = 0; i < kMethods; ++i) {
    if (!allowed[i] || static_cast<Method>(i) == Method::kOptions) continue;
    names += method_name(static_cast<Method>(i));
    names += ", ";
  }
  return names.empty() ? names : names + "OPTIONS";
}

std::vector<std::pair<Method, std::string>> Router::routes() const {
  return routes_;
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
    case Method::kHead:
      return "HEAD";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kOther:
      break;
  }
  return "OTHER";
}

}  // namespace hearth::http
