// Is an image what the Config says that it is?
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::fleet::docker {

// What is run: the image's Id, so that a tag that moves meanwhile changes nothing.
struct Image {
  std::string id;
  std::string digest;  // what it was verified by
};

// `inspected`: the daemon's answer about `name` (GET /images/NAME/json). It passes if `digest` ("sha256:…") is that of
// a manifest in a repository (RepoDigests), or the chain ID of its layers. kCorrupt, with what it has.
Result<Image> verify_image(std::string_view inspected, const std::string& name, const std::string& digest);

// "sha256:…" of layers, from the lowest on, each by the digest of its uncompressed tar. Of one layer: its own digest.
// https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md#layer-chainid
std::string chain_id(std::span<const std::string> layers);

// The digest that an image is pinned by: of "repository@sha256:…", else `given`.
std::string pinned_digest(const std::string& image, const std::string& given);

}  // namespace spillway::fleet::docker
