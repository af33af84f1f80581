#pragma once

// Compares an answer with the part of it that a test cares about.

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>

namespace hearth::tests {

// Where `actual` does not hold what `expected` asks for, or "" if it does. Fields of an object that are not expected may be
// there; arrays have as many items as expected. Some strings of `expected` stand for more than themselves:
//   "<any>" anything · "<absent>" no such field · "<string>" · "<number>" · "<time>" RFC 3339 in UTC with milliseconds ·
//   "<set NAME>" anything, kept in `variables`
std::string find_mismatch(const boost::json::value& expected, const boost::json::value& actual,
                          std::map<std::string, std::string>& variables);

// The same for a test that keeps nothing; `expected` is JSON.
std::string find_mismatch(std::string_view expected, const boost::json::value& actual);

}  // namespace hearth::tests
