#include "tests/support/api_script.h"

#include <boost/json/parse.hpp>
#include <fstream>
#include <stdexcept>

#include "tests/support/json_check.h"

namespace hearth::tests {
namespace {

[[noreturn]] void cannot_read(const std::filesystem::path& path, int line, const std::string& what) {
  throw std::runtime_error(path.string() + ":" + std::to_string(line) + ": " + what);
}

std::string trimmed(std::string_view text) {
  auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

std::pair<std::string, std::string> header_of(const std::string& text) {
  auto colon = text.find(':');
  if (colon == std::string::npos) throw std::runtime_error("this is no header: " + text);
  return {text.substr(0, colon), trimmed(text.substr(colon + 1))};
}

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
  return text;
}

// "3*ab" is ababab; "3,p#" is p0,p1,p2.
std::string repeated(const std::string& expression) {
  std::size_t digits = 0;
  auto count = std::stoul(expression, &digits);
  char kind = expression.at(digits);
  auto pattern = expression.substr(digits + 1);
  std::string out;
  for (unsigned long i = 0; i < count; ++i) {
    if (kind == ',' && i > 0) out += ',';
    out += kind == ',' ? replaced(pattern, "#", std::to_string(i)) : pattern;
  }
  return out;
}

// Fills in ${…}: a variable, or text to be repeated.
std::string expanded(const std::string& text, const Variables& variables) {
  std::string out;
  std::size_t at = 0;
  for (auto begin = text.find("${"); begin != std::string::npos; begin = text.find("${", at)) {
    auto end = text.find("}$", begin);
    if (end == std::string::npos) throw std::runtime_error("}$ is missing after " + text.substr(begin, 40));
    auto expression = text.substr(begin + 2, end - begin - 2);
    out += text.substr(at, begin - at);
    if (std::isdigit(static_cast<unsigned char>(expression.at(0))) != 0) {
      out += repeated(expression);
    } else {
      auto found = variables.find(expression);
      if (found == variables.end()) throw std::runtime_error("there is no variable " + expression);
      out += found->second;
    }
    at = end + 2;
  }
  return out + text.substr(at);
}

std::string lower(std::string text) {
  for (auto& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

class ScriptReader {
 public:
  explicit ScriptReader(const std::filesystem::path& path) : path_(path) {}

  ApiScript read() {
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) {
      ++line_;
      try {
        take(line);
      } catch (const std::exception& error) {
        cannot_read(path_, line_, error.what());
      }
    }
    if (script_.steps.empty() || script_.configuration.empty())
      cannot_read(path_, line_, "a `configuration:` line and a request are needed");
    for (const auto& step : script_.steps) {
      if (step.status == 0) cannot_read(path_, step.line, "this request expects no status");
    }
    return std::move(script_);
  }

 private:
  void take(const std::string& line) {
    if (line.empty() || line.starts_with('#')) return;
    if (line.starts_with("configuration:")) {
      script_.configuration = trimmed(line.substr(14));
    } else if (line.starts_with("==")) {
      name_ = trimmed(line.substr(2));
    } else if (line.starts_with("> ")) {
      take_request(line.substr(2));
    } else if (line.starts_with("< ")) {
      take_answer(line.substr(2));
    } else {
      (is_answer_ ? step().expected_body : step().body) += line;
    }
  }

  void take_request(const std::string& text) {
    bool is_first_line = script_.steps.empty() || is_answer_;
    is_answer_ = false;
    if (!is_first_line) {
      step().headers.push_back(header_of(text));
      return;
    }
    auto space = text.find(' ');
    script_.steps.push_back({.line = line_, .name = name_, .method = text.substr(0, space), .target = trimmed(text.substr(space + 1))});
  }

  void take_answer(const std::string& text) {
    is_answer_ = true;
    if (step().status == 0) {
      step().status = std::stoi(text);
    } else {
      step().expected_headers.push_back(header_of(text));
    }
  }

  ApiStep& step() {
    if (script_.steps.empty()) throw std::runtime_error("a request comes first");
    return script_.steps.back();
  }

  const std::filesystem::path path_;
  ApiScript script_;
  std::string name_;
  int line_ = 0;
  bool is_answer_ = false;
};

std::string check_headers(const ApiStep& step, const Answer& answer, const Variables& variables) {
  for (const auto& [name, wanted_text] : step.expected_headers) {
    auto wanted = expanded(wanted_text, variables);
    auto found = answer.header(lower(name));
    if (wanted == "<absent>" ? found.has_value() : wanted == "<any>" ? !found : found != wanted) {
      return name + " is " + found.value_or("not there") + " instead of " + wanted;
    }
  }
  return "";
}

// Every error has one shape.
std::string check_error(const Answer& answer) {
  if (answer.status < 400) return "";
  if (answer.header("content-type") != "application/json") return "an error is no JSON";
  return find_mismatch(R"({"error": "<string>", "code": "<string>"})", answer.json());
}

}  // namespace

ApiScript ApiScript::read(const std::filesystem::path& path) {
  return ScriptReader(path).read();
}

std::string run_step(const ApiStep& step, HttpClient& http, Variables& variables) {
  Headers headers;
  for (const auto& [name, value] : step.headers) headers.emplace_back(name, expanded(value, variables));
  auto answer = http.call(step.method, expanded(step.target, variables), expanded(step.body, variables), headers);
  std::string difference;
  if (answer.status != step.status) {
    difference = "the status is " + std::to_string(answer.status) + " instead of " + std::to_string(step.status);
  } else if (!answer.header("x-request-id")) {
    difference = "X-Request-Id is missing";
  }
  if (difference.empty()) difference = check_headers(step, answer, variables);
  if (difference.empty() && step.method != "HEAD") difference = check_error(answer);
  if (difference.empty() && !step.expected_body.empty()) {
    difference = find_mismatch(boost::json::parse(expanded(step.expected_body, variables)), answer.json(), variables);
  }
  return difference.empty() ? "" : difference + "\n" + answer.body.substr(0, 1'000);
}

}  // namespace hearth::tests
