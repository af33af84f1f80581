#pragma once

// Structured logs on standard error: one line an event, logfmt or JSON by setting.
//
//   log::info("flusher", "caught up", {{"events", moved}, {"duration_ms", ms}});
//
// The component is the folder or part that speaks (`likes`, `flusher`, `http`). Secrets are never logged.
// Thread-safe.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace hearth::log {

enum class Level : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class Format : std::uint8_t { kLogfmt, kJson };

struct Field {
  template <std::integral T>
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)), is_number(true) {}
  Field(std::string_view k, double v);
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), is_number(true) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}

  std::string_view key;
  std::string value;
  bool is_number = false;  // written without quotes
};

void configure(Level level, Format format);
bool is_enabled(Level level);

void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields);
inline void debug(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  if (is_enabled(Level::kDebug)) write(Level::kDebug, component, message, fields);
}
inline void info(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  if (is_enabled(Level::kInfo)) write(Level::kInfo, component, message, fields);
}
inline void warning(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  if (is_enabled(Level::kWarning)) write(Level::kWarning, component, message, fields);
}
inline void error(std::string_view component, std::string_view message, std::initializer_list<Field> fields = {}) {
  if (is_enabled(Level::kError)) write(Level::kError, component, message, fields);
}

// The line that write() would print, without the newline. For tests.
std::string format_line(Format format, std::string_view time, Level level, std::string_view component, std::string_view message,
                        std::initializer_list<Field> fields);

}  // namespace hearth::log
