#pragma once

// What `hearth import` and `hearth export` ask of a server that holds their data folder:
//
//   POST /api/admin/import?firstLine=N   a piece of NDJSON, whole lines → the import's report
//   POST /api/admin/flush                returns once SQL has everything that was answered

#include <functional>
#include <string>

#include "hearth/api/routes.h"
#include "hearth/app/dataset/importer.h"

namespace hearth::app::dataset {

struct DatasetApi {
  ImportTarget target;
  std::function<Task<Result<void>>()> flush;
};

// `api` outlives the router.
void add_dataset_routes(api::Routes& routes, DatasetApi& api);

// {lines, users, posts, stories, chapters, ratings, unchanged, badTotal, bad: [{line, reason}]}
std::string to_json(const ImportReport& report);
Result<ImportReport> parse_report(std::string json);

}  // namespace hearth::app::dataset
