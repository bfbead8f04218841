// A Model from elsewhere into the store: asked for, fetched, verified, named. Nothing of it is to be seen before it is
// whole; what was fetched of it stays in partial/, and the next pull goes on from there.
#pragma once

#include <string>

#include "base/result.h"
#include "config/load.h"
#include "fleet/models/store.h"
#include "fleet/pull/download.h"
#include "fleet/pull/source.h"

namespace spillway::fleet {

struct PullRequest {
  Source source;
  std::string name;     // NAME or NAME:TAG; empty: after the source
  std::string sha256;   // that the weights must have; empty: what the source tells
  std::string license;  // empty: what the source tells
  DownloadOptions options;
};

struct PullResult {
  Model model;
  bool fetched = false;  // or: it was there already
};

// Blocks until it is done; waits for another pull of the same. Errors: of ask() and download(); kAlreadyExists where
// the name, which the user did not give, is that of a Model from elsewhere.
Result<PullResult> pull(Store& store, const PullRequest& request, const config::Environment& environment,
                        const DownloadWatch& watch);

// Is what its source has now another version than the Model? The Error says why that cannot be told.
struct Freshness {
  bool outdated = false;
  std::string revision;  // of the source now; may be empty
};
Result<Freshness> look_for_newer(const Model& model, const config::Environment& environment);

// Removes what pulls that were given up have left; not what is being fetched now.
struct Pruned {
  std::size_t pulls = 0;
  std::uint64_t bytes = 0;  // on the disk
};
Result<Pruned> prune(const Store& store);

}  // namespace spillway::fleet
