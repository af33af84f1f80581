#include "hearth/app/adoption/import_report.h"

#include <fmt/format.h>

#include "hearth/base/json_writer.h"

namespace hearth::app::adoption {
namespace {

void write(JsonWriter& json, const Difference& one) {
  json.begin_object().field("postId", one.post).field("where", one.where).key("was");
  if (one.was) {
    json.value(*one.was);
  } else {
    json.null();
  }
  json.field("now", one.now).end_object();
}

void write(JsonWriter& json, const Remainder& one) {
  json.begin_object().field("postId", one.post).field("reason", one.reason).end_object();
}

void write(JsonWriter& json, const OrphanedRatings& one) {
  json.begin_object().field("postId", one.post).field("ratings", one.ratings).end_object();
}

void write(JsonWriter& json, const OrphanedComment& one) {
  json.begin_object().field("commentId", one.comment).field("postId", one.post).end_object();
}

template <typename T>
void write_list(JsonWriter& json, const std::string& name, const Findings<T>& findings) {
  json.field(name + "Total", findings.total).key(name).begin_array();
  for (const auto& one : findings.listed) write(json, one);
  json.end_array();
}

std::string line_of(const Difference& one) {
  return fmt::format("post {}: {} had {}, has {}", one.post, one.where, one.was ? std::to_string(*one.was) : "NULL", one.now);
}

std::string line_of(const Remainder& one) {
  return one.post.empty() ? one.reason : fmt::format("post {}: {}", one.post, one.reason);
}

std::string line_of(const OrphanedRatings& one) {
  return fmt::format("post {} does not exist and has {} ratings", one.post, one.ratings);
}

std::string line_of(const OrphanedComment& one) {
  return fmt::format("comment {} is on post {}, which does not exist", one.comment, one.post.empty() ? "NULL" : one.post);
}

template <typename T>
std::string section(std::string_view title, const Findings<T>& findings) {
  if (findings.total == 0) return {};
  auto text = fmt::format("{}: {}\n", title, findings.total);
  for (const auto& one : findings.listed) text += "  " + line_of(one) + "\n";
  if (findings.total > findings.listed.size()) text += fmt::format("  … and {} more\n", findings.total - findings.listed.size());
  return text;
}

}  // namespace

std::string to_json(const DatabaseImportReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object()
      .field("dryRun", report.is_dry_run)
      .field("posts", report.posts)
      .field("ratings", report.ratings)
      .field("entered", report.entered)
      .field("duplicatesRemoved", report.duplicates_removed)
      .field("loaded", report.loaded)
      .field("adopted", report.adopted)
      .field("pruned", report.pruned)
      .field("moved", report.moved)
      .field("verified", report.verified)
      .field("moving", report.moving);
  write_list(json, "differences", report.differences);
  write_list(json, "left", report.left);
  write_list(json, "orphanedRatings", report.orphaned_ratings);
  write_list(json, "orphanedComments", report.orphaned_comments);
  json.end_object();
  return out;
}

std::string to_text(const DatabaseImportReport& report) {
  auto text = section(report.is_dry_run ? "to be mended" : "mended", report.differences) + section("left as it is", report.left) +
              section("orphaned ratings, kept; posts", report.orphaned_ratings) +
              section("orphaned comments, kept", report.orphaned_comments);
  text +=
      fmt::format("{} posts with {} ratings; {} posts new to Hearth, {} duplicates removed, {} counts mended, {} likes adopted from Redis",
                  report.posts, report.ratings, report.entered, report.duplicates_removed, report.differences.total, report.adopted);
  if (report.pruned > 0) text += fmt::format(", {} posts taken out of sets of sessions that do not like them", report.pruned);
  if (report.moved > 0) text += fmt::format(", {} posts moved to tagged keys", report.moved);
  if (report.is_dry_run) return text + "; this was a trial, and nothing was changed\n";
  return text + fmt::format("; {} posts loaded, {} verified, {} liked too fast for that, {} left wrong\n", report.loaded, report.verified,
                            report.moving, report.left.total);
}

}  // namespace hearth::app::adoption
