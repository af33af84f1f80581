#include "tests/support/json_check.h"

#include <boost/json/src.hpp>  // compiled here for all of tests/
#include <regex>

namespace hearth::tests {
namespace {

using boost::json::value;

class Comparison {
 public:
  explicit Comparison(std::map<std::string, std::string>& variables) : variables_(variables) {}

  std::string compare(const value& expected, const value& actual, const std::string& place) {
    if (expected.is_string() && expected.get_string().starts_with('<')) return compare_pattern(expected, actual, place);
    if (expected.is_object() && actual.is_object()) return compare_objects(expected.get_object(), actual.get_object(), place);
    if (expected.is_array() && actual.is_array()) return compare_arrays(expected.get_array(), actual.get_array(), place);
    return expected == actual ? "" : differs(expected, actual, place);
  }

 private:
  static std::string differs(const value& expected, const value& actual, const std::string& place) {
    return place + " is " + serialize(actual) + " instead of " + serialize(expected);
  }

  std::string compare_pattern(const value& expected, const value& actual, const std::string& place) {
    std::string pattern(expected.get_string());
    bool is_met = false;
    if (pattern.starts_with("<set ")) {
      variables_[pattern.substr(5, pattern.size() - 6)] = actual.is_string() ? std::string(actual.get_string()) : serialize(actual);
      is_met = true;
    } else if (pattern == "<any>") {
      is_met = true;
    } else if (pattern == "<string>") {
      is_met = actual.is_string();
    } else if (pattern == "<number>") {
      is_met = actual.is_number();
    } else if (pattern == "<time>") {
      static const std::regex time(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)");
      is_met = actual.is_string() && std::regex_match(actual.get_string().c_str(), time);
    } else {
      return compare_plain(expected, actual, place);
    }
    return is_met ? "" : differs(expected, actual, place);
  }

  static std::string compare_plain(const value& expected, const value& actual, const std::string& place) {
    return expected == actual ? "" : differs(expected, actual, place);
  }

  std::string compare_objects(const boost::json::object& expected, const boost::json::object& actual, const std::string& place) {
    for (const auto& [key, wanted] : expected) {
      const auto* found = actual.if_contains(key);
      auto field = place + "." + std::string(key);
      bool wants_none = wanted.is_string() && wanted.get_string() == "<absent>";
      if (wants_none && found != nullptr) return field + " is there: " + serialize(*found);
      if (wants_none) continue;
      if (found == nullptr) return field + " is missing";
      if (auto mismatch = compare(wanted, *found, field); !mismatch.empty()) return mismatch;
    }
    return "";
  }

  std::string compare_arrays(const boost::json::array& expected, const boost::json::array& actual, const std::string& place) {
    if (expected.size() != actual.size()) {
      return place + " has " + std::to_string(actual.size()) + " items instead of " + std::to_string(expected.size());
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      auto item = place + "[" + std::to_string(i) + "]";
      if (auto mismatch = compare(expected[i], actual[i], item); !mismatch.empty()) return mismatch;
    }
    return "";
  }

  std::map<std::string, std::string>& variables_;
};

}  // namespace

std::string find_mismatch(const value& expected, const value& actual, std::map<std::string, std::string>& variables) {
  return Comparison(variables).compare(expected, actual, "$");
}

std::string find_mismatch(std::string_view expected, const value& actual) {
  std::map<std::string, std::string> unused;
  return find_mismatch(boost::json::parse(expected), actual, unused);
}

}  // namespace hearth::tests
