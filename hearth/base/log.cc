#include "hearth/base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

#include "hearth/base/clock.h"
#include "hearth/base/json_writer.h"

namespace hearth::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<Format> g_format{Format::kLogfmt};

constexpr std::string_view kLevelNames[] = {"debug", "info", "warning", "error", "off"};

// spdlog only carries the finished line: it gives a locked, unbuffered sink that other libraries can share.
spdlog::logger& sink() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("hearth", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

bool is_bare_word(std::string_view text) {
  if (text.empty()) return false;
  for (unsigned char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f) return false;
  }
  return true;
}

void append_logfmt(std::string& line, std::string_view key, std::string_view value) {
  if (!line.empty()) line += ' ';
  line += key;
  line += '=';
  if (is_bare_word(value)) {
    line += value;
  } else {
    append_json_string(line, value);
  }
}

}  // namespace

Field::Field(std::string_view k, double v) : key(k), value(fmt::format("{:.3f}", v)), is_number(true) {}

void configure(Level level, Format format) {
  g_level = level;
  g_format = format;
}

bool is_enabled(Level level) {
  return level >= g_level.load(std::memory_order_relaxed);
}

std::string format_line(Format format, std::string_view time, Level level, std::string_view component, std::string_view message,
                        std::initializer_list<Field> fields) {
  std::string line;
  std::string_view level_name = kLevelNames[static_cast<int>(level)];
  if (format == Format::kLogfmt) {
    append_logfmt(line, "time", time);
    append_logfmt(line, "level", level_name);
    append_logfmt(line, "component", component);
    append_logfmt(line, "msg", message);
    for (const auto& field : fields) append_logfmt(line, field.key, field.value);
    return line;
  }
  JsonWriter json(line);
  json.begin_object().field("time", time).field("level", level_name).field("component", component).field("msg", message);
  for (const auto& field : fields) {
    if (field.is_number) {
      json.key(field.key).raw(field.value);
    } else {
      json.field(field.key, std::string_view(field.value));
    }
  }
  json.end_object();
  return line;
}

void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields) {
  auto time = to_rfc3339(std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
  sink().log(spdlog::level::info, "{}", format_line(g_format.load(), time, level, component, message, fields));
}

}  // namespace hearth::log
