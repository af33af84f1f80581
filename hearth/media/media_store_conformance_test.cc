#include "hearth/media/media_store_conformance.h"

#include "hearth/drivers/sqlite/temporary_folder.h"
#include "hearth/media/stores/disk_media_store.h"
#include "hearth/media/stores/test_s3_server.h"

namespace hearth::media {
namespace {

class DiskUnderTest final : public MediaStoreUnderTest {
 public:
  DiskUnderTest() { reopen(); }
  MediaStore& store() override { return *store_; }
  void reopen() override { store_ = DiskMediaStore::open(folder_.path() / "media").value(); }

 private:
  sqlite::TemporaryFolder folder_;
  std::unique_ptr<DiskMediaStore> store_;
};

class S3UnderTest final : public MediaStoreUnderTest {
 public:
  explicit S3UnderTest(S3Options options) : options_(std::move(options)) { reopen(); }
  MediaStore& store() override { return *store_; }
  void reopen() override { store_ = std::make_unique<S3MediaStore>(options_, web_, clock_); }

 private:
  web::WebClient web_;
  SystemClock clock_;
  S3Options options_;
  std::unique_ptr<S3MediaStore> store_;
};

MediaStoreMaker s3(std::string name, void (*change)(S3Options&)) {
  return {std::move(name), [change] {
            auto options = s3_server().options();
            change(options);
            return std::make_unique<S3UnderTest>(options);
          }};
}

MediaStoreMaker disk() {
  return {"disk", [] { return std::make_unique<DiskUnderTest>(); }};
}

INSTANTIATE_TEST_SUITE_P(
    Stores, MediaStoreConformance,
    testing::Values(disk(), s3("s3", [](S3Options&) {}), s3("s3_with_prefix", [](S3Options& options) { options.prefix = "images/of_us/"; }),
                    s3("s3_public", [](S3Options& options) { options.public_url = options.endpoint + "/public/hearth-media/"; })),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace hearth::media
