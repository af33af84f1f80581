#pragma once

// A bucket of an S3-compatible store: Amazon's, MinIO, R2, Supabase … Requests are signed (AWS Signature Version 4), path style.
//
// The key must be allowed to get and put objects, and on Amazon's to list the bucket: without that a name that is not there is answered
// like one that may not be read. The operator names the endpoint, so it may have a private address.

#include <string>
#include <string_view>

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

// Whether a store could be at it; kInvalidArgument names the option, as s3_endpoint. No request is made.
Result<void> check(const S3Options& options);

class S3MediaStore final : public MediaStore {
 public:
  // REQUIRES: check(options).
  S3MediaStore(S3Options options, web::WebClient& web, const Clock& clock);

  Result<std::string> put(std::string_view name, std::string_view bytes, std::string_view media_type) override;
  Result<std::optional<StoredMedia>> get(std::string_view name) override;

 private:
  // Fills in all but method, body and the headers to be signed.
  Result<web::WebResponse> send(web::WebRequest request, std::string_view name);

  S3Options options_;
  web::Url bucket_;  // its path without a '/' at the end
  web::WebClient& web_;
  const Clock& clock_;
};

}  // namespace hearth::media
