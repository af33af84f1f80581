#pragma once

// A bucket of an S3-compatible store: Amazon's, MinIO, R2, Supabase … Requests are signed (AWS Signature Version 4), path style.

#include <string>

#include "hearth/base/clock.h"
#include "hearth/drivers/web/web_client.h"
#include "hearth/media/media_store.h"

namespace hearth::media {

struct S3Options {
  std::string endpoint;  // https://s3.eu-central-1.amazonaws.com
  std::string bucket;
  std::string region = "us-east-1";
  std::string access_key;
  std::string secret_key;
  std::string prefix = {};      // of every name: "images/"
  std::string public_url = {};  // of the bucket, for pages; empty: pages get /media/{name}, which Hearth reads from the store
};

class S3MediaStore final : public MediaStore {
 public:
  S3MediaStore(S3Options options, web::WebClient& web, const Clock& clock) : options_(std::move(options)), web_(web), clock_(clock) {}

  Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) override;
  Result<std::optional<StoredMedia>> get(std::string_view name) override;

 private:
  S3Options options_;
  web::WebClient& web_;
  const Clock& clock_;
};

}  // namespace hearth::media
