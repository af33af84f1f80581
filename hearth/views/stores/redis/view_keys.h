#pragma once

// The names of Redis' keys of views (docs/redis-keys.md). A story or chapter belongs to the partition of its id (key_names.h).
//
// Hours, marks and viewers are asked for by what their names begin with: scripts append the rest.

#include <string>
#include <string_view>

#include "hearth/drivers/redis/key_names.h"
#include "hearth/views/view.h"

namespace hearth::views {

class ViewKeys : public redis::KeyNames {
 public:
  using KeyNames::KeyNames;
  explicit ViewKeys(const redis::KeyNames& names) : KeyNames(names) {}

  // Of what is kept for all items of a partition together; without tags that is one for all.
  Partition partition(const ViewedItem& item) const { return is_tagged() ? partition_of(item.id.view()) : 0; }
  Partition partitions() const { return is_tagged() ? KeyNames::partitions() : 1; }

  std::string count(const ViewedItem& item) const { return of(item, ":count:", item.id.view()); }
  std::string buffer(const ViewedItem& item) const { return of(item, ":buffer:", item.id.view()); }
  std::string direct(const ViewedItem& item) const { return of(item, ":direct:", item.id.view()); }
  std::string last_sync(const ViewedItem& item) const { return of(item, ":last_sync:", item.id.view()); }
  std::string seen(const ViewedItem& item) const { return of(item, ":seen:", ""); }
  std::string hours(ViewedKind kind, Partition partition) const { return name(kind_prefix(kind) + ":hour:", partition, ""); }
  std::string hour(ViewedKind kind, Partition partition, UtcHour hour) const {
    return hours(kind, partition) + std::to_string(hour.time_since_epoch().count());
  }
  std::string marks(Partition partition) const {
    return is_tagged() ? "views:dirty:{" + std::to_string(partition) + "}" : std::string("views:dirty");
  }
  // Of the item in the marks.
  static std::string member(const ViewedItem& item) { return std::string(name_of(item.kind)) + ":" + item.id.str(); }

 private:
  static std::string kind_prefix(ViewedKind kind) { return "views:" + std::string(name_of(kind)); }
  std::string of(const ViewedItem& item, std::string_view what, std::string_view id) const {
    return name(kind_prefix(item.kind).append(what), partition(item), id);
  }
};

}  // namespace hearth::views
