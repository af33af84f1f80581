#include "hearth/app/dataset/dataset_routes.h"

#include <charconv>
#include <utility>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::app::dataset {
namespace {

using http::problem;
using http::Request;
using http::Response;

Result<std::uint64_t> first_line_of(const Request& request) {
  auto text = request.query("firstLine").value_or("1");
  std::uint64_t line = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), line);
  if (error != std::errc() || end != text.data() + text.size() || line == 0)
    return invalid("firstLine", "firstLine must be a whole number from 1");
  return line;
}

Task<Response> import_lines(DatasetApi& api, Request& request) {
  auto first_line = first_line_of(request);
  if (!first_line) co_return problem(first_line.error());
  Importer importer(api.target, {.first_line = *first_line});
  if (auto fed = co_await importer.feed(request.body); !fed) co_return problem(fed.error());
  if (auto finished = co_await importer.finish(); !finished) co_return problem(finished.error());
  co_return Response{.body = to_json(importer.report())};
}

Task<Response> flush(DatasetApi& api) {
  if (auto flushed = co_await api.flush(); !flushed) co_return problem(flushed.error());
  co_return Response{.body = R"({"flushed":true})"};
}

Result<bool> take_number(JsonValue& value, std::string_view field, std::uint64_t& target) {
  auto number = value.integer(field);
  if (!number) return std::unexpected(number.error());
  target = static_cast<std::uint64_t>(*number);
  return true;
}

Result<bool> take_bad_lines(JsonValue& value, std::vector<BadLine>& bad) {
  auto read = value.array("bad", kBadLinesListedMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    BadLine& line = bad.emplace_back();
    return item.object("bad", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& field) -> Result<bool> {
      if (key == "line") return take_number(field, key, line.line);
      if (key != "reason") return false;
      auto reason = field.string(key);
      if (!reason) return std::unexpected(reason.error());
      line.reason = *reason;
      return true;
    });
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

}  // namespace

void add_dataset_routes(api::Routes& routes, DatasetApi& api) {
  routes.add(
      http::Method::kPost, "/api/admin/import", auth::Access::kAdmin,
      [&api](Request& request, const auth::Caller&) { return import_lines(api, request); }, "application/x-ndjson");
  routes.add(http::Method::kPost, "/api/admin/flush", auth::Access::kAdmin, [&api](Request&, const auth::Caller&) { return flush(api); });
}

std::string to_json(const ImportReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("lines", report.lines).field("users", report.users).field("posts", report.posts);
  json.field("stories", report.stories).field("chapters", report.chapters);
  json.field("ratings", report.ratings).field("unchanged", report.unchanged).field("badTotal", report.bad_total);
  json.key("bad").begin_array();
  for (const auto& bad : report.bad) json.begin_object().field("line", bad.line).field("reason", bad.reason).end_object();
  json.end_array().end_object();
  return out;
}

Result<ImportReport> parse_report(std::string json) {
  ImportReport report;
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "lines") return take_number(value, key, report.lines);
    if (key == "users") return take_number(value, key, report.users);
    if (key == "posts") return take_number(value, key, report.posts);
    if (key == "stories") return take_number(value, key, report.stories);
    if (key == "chapters") return take_number(value, key, report.chapters);
    if (key == "ratings") return take_number(value, key, report.ratings);
    if (key == "unchanged") return take_number(value, key, report.unchanged);
    if (key == "badTotal") return take_number(value, key, report.bad_total);
    if (key == "bad") return take_bad_lines(value, report.bad);
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return report;
}

}  // namespace hearth::app::dataset
