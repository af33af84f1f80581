#include "hearth/app/adoption/diagnosis.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <string_view>

#include "hearth/base/json_reader.h"
#include "hearth/base/json_writer.h"

namespace hearth::app::adoption {
namespace {

constexpr std::string_view kError = "error";      // numbers are wrong
constexpr std::string_view kWarning = "warning";  // to be looked at; nothing removes it by itself

// --- a finding as JSON ---

void end_item(JsonWriter& json, std::string_view evidence, std::string_view severity, std::string_view fix) {
  json.field("evidence", evidence).field("severity", severity).field("fix", fix).end_object();
}

void write(JsonWriter& json, const DuplicateRating& one) {
  bool is_exact = one.other_session.empty();
  json.begin_object().field("postId", one.post).key("sessionIds").begin_array().value(one.session);
  if (!is_exact) json.value(one.other_session);
  json.end_array().field("rows", one.rows);
  if (is_exact) {
    end_item(json, fmt::format("session {} likes post {} in {} rows", one.session, one.post, one.rows), kError,
             "`hearth import --from-database` keeps the oldest and makes a unique index");
  } else {
    end_item(
        json,
        fmt::format("sessions \"{}\" and \"{}\" like post {} and may be one: {} rows", one.session, one.other_session, one.post, one.rows),
        kWarning, "decide which session is meant, and unlike the post as the other one");
  }
}

void write(JsonWriter& json, const CountDrift& one) {
  json.begin_object().field("postId", one.post).field("ratings", one.ratings);
  auto evidence = fmt::format("post {} has {} ratings", one.post, one.ratings);
  auto also = [&](std::string_view name, const std::optional<std::int64_t>& count, std::string_view where) {
    if (!count) return;
    json.field(name, *count);
    evidence += fmt::format(", {} {}", *count, where);
  };
  also("sql", one.sql, "in post_counts");
  also("posts", one.posts, "in the table of posts");
  also("live", one.live, "as live count");
  also("members", one.members, "live members");
  end_item(json, evidence, kError,
           one.is_for_import && !one.live ? std::string("`hearth import --from-database` counts the ratings")
                                          : "`hearth reconcile --post " + one.post + "`");
}

void write(JsonWriter& json, const OrphanedRatings& one) {
  json.begin_object().field("postId", one.post).field("ratings", one.ratings);
  end_item(json, fmt::format("{} ratings of post {}, which does not exist", one.ratings, one.post), kWarning,
           "nothing removes them; delete them if the post is gone for good");
}

void write(JsonWriter& json, const OrphanedComment& one) {
  json.begin_object().field("commentId", one.comment).field("postId", one.post);
  end_item(json, fmt::format("comment {} on post {}, which does not exist", one.comment, one.post.empty() ? "NULL" : one.post), kWarning,
           "nothing removes it; delete it if the post is gone for good");
}

template <typename T>
void write_list(JsonWriter& json, std::string_view name, const Findings<T>& findings) {
  json.key(name).begin_array();
  for (const auto& one : findings.listed) write(json, one);
  json.end_array();
}

// Calls `use` with each kind of finding and its name.
template <typename Use>
void for_each_kind(const Diagnosis& diagnosis, Use use) {
  use("duplicateRatings", diagnosis.duplicate_ratings);
  use("drift", diagnosis.drift);
  use("orphanedRatings", diagnosis.orphaned_ratings);
  use("orphanedComments", diagnosis.orphaned_comments);
}

// --- as text ---

struct Section {
  std::uint64_t total = 0;
  std::string lines;
  std::size_t listed = 0;
  std::string not_possible;
};
using Sections = std::map<std::string, Section, std::less<>>;

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kTitles = {{
    {"duplicateRatings", "duplicate ratings"},
    {"drift", "counts that differ"},
    {"orphanedRatings", "posts with orphaned ratings"},
    {"orphanedComments", "orphaned comments"},
}};

Result<bool> read_item(JsonValue& item, Section& section) {
  std::string evidence;
  std::string severity;
  std::string fix;
  auto read = item.object("item", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    std::string* wanted = key == "evidence" ? &evidence : key == "severity" ? &severity : key == "fix" ? &fix : nullptr;
    if (wanted == nullptr) return false;
    auto text = value.string(key);
    if (!text) return std::unexpected(text.error());
    *wanted = *text;
    return true;
  });
  if (!read) return std::unexpected(read.error());
  section.lines += fmt::format("  {}: {}\n    {}\n", severity, evidence, fix);
  ++section.listed;
  return true;
}

Result<bool> read_list(JsonValue& value, std::string_view name, Section& section) {
  auto read = value.array(name, kListedMax, [&](std::size_t, JsonValue& item) -> Result<void> {
    auto one = read_item(item, section);
    if (!one) return std::unexpected(one.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<bool> read_totals(JsonValue& value, Sections& sections) {
  auto read = value.object("totals", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& field) -> Result<bool> {
    auto number = field.integer(key);
    if (!number) return std::unexpected(number.error());
    sections[std::string(key)].total = static_cast<std::uint64_t>(*number);
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<bool> read_reasons(JsonValue& value, Sections& sections) {
  auto read = value.object("notPossible", UnknownFields::kIgnore, [&](std::string_view key, JsonValue& field) -> Result<bool> {
    auto text = field.string(key);
    if (!text) return std::unexpected(text.error());
    sections[std::string(key)].not_possible = *text;
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return true;
}

std::string text_of(Sections& sections) {
  std::string text;
  for (const auto& [name, title] : kTitles) {
    const Section& section = sections[std::string(name)];
    bool is_unknown = section.total == 0 && !section.not_possible.empty();
    text += fmt::format("{}: {}\n", title, is_unknown ? "not looked for" : section.total == 0 ? "none" : std::to_string(section.total));
    if (!section.not_possible.empty()) text += "  not possible: " + section.not_possible + "\n";
    text += section.lines;
    if (section.total > section.listed) text += fmt::format("  … and {} more\n", section.total - section.listed);
  }
  return text;
}

}  // namespace

std::string to_json(const Diagnosis& diagnosis) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("found", diagnosis.total());
  for_each_kind(diagnosis, [&](std::string_view name, const auto& findings) { write_list(json, name, findings); });
  json.key("totals").begin_object();
  for_each_kind(diagnosis, [&](std::string_view name, const auto& findings) { json.field(name, findings.total); });
  json.end_object().key("notPossible").begin_object();
  for_each_kind(diagnosis, [&](std::string_view name, const auto& findings) {
    if (!findings.not_possible.empty()) json.field(name, findings.not_possible);
  });
  json.end_object().end_object();
  return out;
}

Result<DiagnosisText> read_diagnosis(std::string json) {
  DiagnosisText result;
  Sections sections;
  auto read = read_json_object(json, UnknownFields::kIgnore, [&](std::string_view key, JsonValue& value) -> Result<bool> {
    if (key == "totals") return read_totals(value, sections);
    if (key == "notPossible") return read_reasons(value, sections);
    if (key != "found") return read_list(value, key, sections[std::string(key)]);
    auto found = value.integer(key);
    if (!found) return std::unexpected(found.error());
    result.found = static_cast<std::uint64_t>(*found);
    return true;
  });
  if (!read) return std::unexpected(read.error());
  result.text = text_of(sections);
  return result;
}

}  // namespace hearth::app::adoption
