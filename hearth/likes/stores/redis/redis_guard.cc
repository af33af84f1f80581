#include "hearth/likes/stores/redis/redis_guard.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "hearth/base/log.h"
#include "hearth/base/run_to_end.h"

namespace hearth::likes {
namespace {

using redis::Admission;
using redis::Command;

constexpr int kVersionMin = 602;         // 6.2
constexpr int kVersionMinCluster = 700;  // 7.0

// 702 for "7.2.4".
int version_number(std::string_view text) {
  int parts[2] = {0, 0};
  for (int& part : parts) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), part);
    if (error != std::errc{}) break;
    text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(end - text.data()) + 1));
  }
  return parts[0] * 100 + parts[1];
}

// The value of a line "name:value" of INFO.
std::string info_value(const std::string& info, std::string_view name) {
  auto line = info.find("\n" + std::string(name) + ":");
  if (line == std::string::npos) return {};
  auto begin = line + 1 + name.size() + 1;
  return info.substr(begin, info.find_first_of("\r\n", begin) - begin);
}

}  // namespace

std::string text_of(const Deployment& deployment) {
  return deployment.id + " " + std::to_string(deployment.partitions) + " " + (deployment.is_tagged ? "tagged" : "plain");
}

RedisGuard::RedisGuard(Parts parts)
    : parts_(std::move(parts)),
      drainer_(
          parts_.inbox, [this](auto changes) { return parts_.store.change_unordered(std::move(changes)); },
          [this] { return remember_keys(); }) {}

void RedisGuard::on_change() {
  ++changes_;
  auto live = ServedFrom::kLive;
  served_from_.compare_exchange_strong(live, ServedFrom::kNowhere);
}

Error RedisGuard::reason() const {
  std::lock_guard lock(mutex_);
  return reason_;
}

// What was decided does not hold if a connection changed meanwhile.
void RedisGuard::set(ServedFrom from, std::uint64_t changes) {
  auto before = served_from_.exchange(from);
  if (from == ServedFrom::kLive && changes != changes_) served_from_ = ServedFrom::kNowhere;
  if (before == from) return;
  if (from == ServedFrom::kLive) log::info("likes", "likes are served from Redis");
  if (from == ServedFrom::kSql) log::warning("likes", "Redis is away: likes are served from SQL");
}

Result<bool> RedisGuard::step() {
  auto more = decide();
  if (more) return more;
  std::lock_guard lock(mutex_);
  reason_ = {ErrorCode::kUnavailable, more.error().message};
  return more;
}

Result<bool> RedisGuard::decide() {
  std::uint64_t changes = changes_;
  if (!parts_.client.is_connected()) return without_live();
  away_since_.reset();
  if (!parts_.client.is_serving()) {
    remembered_.clear();
    if (auto admitted = admit_servers(); !admitted) {
      set(ServedFrom::kNowhere, changes);
      return std::unexpected(admitted.error());
    }
  }
  auto mode = parts_.control.mode();
  if (!mode) return std::unexpected(mode.error());  // SQL is away: what is served from stays
  if (*mode == LiveMode::kFallback) {
    if (auto drained = drain(); !drained) return std::unexpected(drained.error());
    mode = parts_.control.leave_fallback();
    if (!mode) return std::unexpected(mode.error());
    if (*mode == LiveMode::kFallback) {
      set(ServedFrom::kSql, changes);
      return true;
    }
  }
  // Refused where the mode has changed since it was read.
  if (auto reported = parts_.control.report_healthy(parts_.node); !reported) {
    if (reported.error().code == ErrorCode::kConflict) set(ServedFrom::kNowhere, changes);
    return std::unexpected(reported.error());
  }
  remembered_.clear();
  set(ServedFrom::kLive, changes);
  return drainer_.run_once();  // what other programs did to the ratings
}

// A node that has just begun, or has just lost Redis, gives it the time that a report of the others lasts.
Result<bool> RedisGuard::without_live() {
  auto now = parts_.clock.steady();
  if (!away_since_) away_since_ = now;
  auto mode = now - *away_since_ >= kFallbackAfter ? parts_.control.enter_fallback() : parts_.control.mode();
  if (!mode) {
    set(ServedFrom::kNowhere, 0);
    return std::unexpected(mode.error());
  }
  set(*mode == LiveMode::kFallback ? ServedFrom::kSql : ServedFrom::kNowhere, 0);
  std::lock_guard lock(mutex_);
  reason_ = {ErrorCode::kUnavailable, "Redis cannot be reached"};
  return false;
}

Result<void> RedisGuard::admit_servers() {
  for (const auto& server : parts_.client.servers()) {
    if (server.is_admitted) continue;
    if (auto suits = check_version(server); !suits) return suits;
    if (auto ours = check_deployment(server); !ours) return ours;
    auto known = parts_.control.is_admitted(server.run_id);
    if (!known) return std::unexpected(known.error());
    if (!*known) {
      for (outbox::Partition partition = 0; partition < parts_.keys.partitions(); ++partition) {
        auto slot = redis::slot_of(parts_.keys.stream(partition));
        bool is_there = std::ranges::any_of(server.slots, [&](const auto& range) { return range.first <= slot && slot <= range.second; });
        if (!is_there) continue;
        auto held = parts_.leases.seize(parts_.node, partition);
        if (!held) return std::unexpected(held.error());
        if (auto checked = parts_.check.run(*held); !checked) return std::unexpected(checked.error());
      }
      if (auto admitted = parts_.control.admit(server.run_id); !admitted) return admitted;
    }
    if (auto reported = report_settings(server); !reported) return reported;
    parts_.client.admit(server.run_id);
  }
  if (!parts_.client.is_serving()) return fail(ErrorCode::kUnavailable, "a server of Redis is missing");
  return {};
}

Result<void> RedisGuard::check_version(const redis::ServerInfo& server) const {
  if (parts_.client.is_cluster() && !parts_.keys.is_tagged()) {
    return fail(ErrorCode::kInvalidArgument,
                "redis.keys: the Redis at " + server.address + " is a Cluster, which needs tagged keys; set redis.keys = tagged");
  }
  int least = parts_.client.is_cluster() ? kVersionMinCluster : kVersionMin;
  if (version_number(server.version) >= least) return {};
  return fail(ErrorCode::kInvalidArgument, "the Redis at " + server.address + " is " + server.version + "; Hearth needs " +
                                               (parts_.client.is_cluster() ? "7.0 for Cluster" : "6.2") + " or newer");
}

// On Cluster the key is on one of the servers; asking the one that holds it is enough.
Result<void> RedisGuard::check_deployment(const redis::ServerInfo& server) {
  auto slot = redis::slot_of(kDeploymentKey);
  bool is_there = std::ranges::any_of(server.slots, [&](const auto& range) { return range.first <= slot && slot <= range.second; });
  if (!is_there) return {};
  std::string ours = text_of(parts_.deployment);
  auto written = parts_.client.call_blocking(Command({"SET", kDeploymentKey, ours, "NX"}, Admission::kBeforeAdmission));
  if (!written) return std::unexpected(redis::to_error(written.error()));
  auto found = parts_.client.call_blocking(Command({"GET", kDeploymentKey}, Admission::kBeforeAdmission));
  if (!found) return std::unexpected(redis::to_error(found.error()));
  if (found->text == ours) return {};
  return fail(ErrorCode::kConflict, "the Redis at " + server.address + " belongs to another deployment than the database (it says \"" +
                                        found->text + "\", the database \"" + ours +
                                        "\"); give Hearth the Redis that goes with this database, or an empty one");
}

// Says what the server's settings mean for what is kept in it.
Result<void> RedisGuard::report_settings(const redis::ServerInfo& server) {
  auto slot = server.slots.empty() ? std::uint16_t{0} : server.slots.front().first;
  std::string info;
  for (const char* section : {"memory", "persistence"}) {
    auto reply = parts_.client.call_blocking(Command({"INFO", section}, slot, Admission::kBeforeAdmission));
    if (!reply) return std::unexpected(redis::to_error(reply.error()));
    info += "\n" + reply->text;
  }
  auto policy = info_value(info, "maxmemory_policy");
  bool has_log = info_value(info, "aof_enabled") == "1";
  log::info("likes", "found Redis",
            {{"address", server.address}, {"version", server.version}, {"eviction", policy}, {"append_only_file", has_log ? "on" : "off"}});
  if (policy != "noeviction" && !policy.empty()) {
    log::error("likes", "this Redis may evict likes when its memory is full: set maxmemory-policy noeviction",
               {{"address", server.address}, {"eviction", policy}});
  }
  if (!has_log) {
    log::warning("likes", "this Redis keeps no append-only file: a restart loses likes that have not reached SQL; set appendonly yes",
                 {{"address", server.address}});
  }
  return {};
}

Result<void> RedisGuard::drain() {
  for (bool more = true; more;) {
    auto drained = drainer_.run_once();
    if (!drained) return std::unexpected(drained.error());
    more = *drained;
  }
  return remember_keys();
}

// Before the last operations are removed: as long as one is there no node serves from Redis.
Result<void> RedisGuard::remember_keys() {
  auto answered = parts_.inbox.answered_keys();
  if (!answered) return std::unexpected(answered.error());
  auto now = parts_.clock.now();
  for (const auto& one : *answered) {
    if (remembered_.contains(one.key.scope)) continue;
    auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(kIdempotencyKept - (now - one.at));
    if (rest.count() <= 0) continue;
    auto remembered = run_to_end(parts_.store.remember(one.post, one.key, one.outcome, rest));
    if (!remembered) return remembered;
    remembered_.insert(one.key.scope);
  }
  return {};
}

}  // namespace hearth::likes
