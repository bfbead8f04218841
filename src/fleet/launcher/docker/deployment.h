// The containers that a Config wants, against those that are there: what `spillway deploy` tells and does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fleet/launcher/docker/engine.h"
#include "fleet/models/disk.h"

namespace spillway::fleet::docker {

// Of starting and removing the containers of a data folder: a gateway has it as long as it runs, `deploy` while it
// works. kUnavailable: somebody else has it.
Result<FileLock> take_charge(const std::filesystem::path& data);

struct Change {
  enum class Kind {
    kKeep,     // it runs as it is wanted
    kCreate,   // there is none
    kReplace,  // there is one, run otherwise or not running
    kRemove,   // nobody wants it
  };
  Kind kind = Kind::kKeep;
  std::string backend;
  ContainerSpec spec;      // of what is to run; kRemove: only its name
  bool fetch = false;      // the image is not there yet: whether its digest is right is seen when it is
  std::vector<Found> old;  // what goes
};

// "keep", "create", "replace", "remove".
std::string_view to_string(Change::Kind kind);

// One for each of `plans`, in their order, then what is to be removed of `owner`. An image of another digest than its
// pinned one is an Error.
Task<Result<std::vector<Change>>> plan_changes(std::shared_ptr<Api> api, std::vector<ReplicaPlan> plans,
                                               std::string owner);

// Carries one out: fetches and verifies the image, removes the old ones, starts the new one with a port and key of its
// own. kKeep is nothing to do.
Task<Status> carry_out(std::shared_ptr<Api> api, Change change, ReplicaPlan plan, std::string owner);

// Removes all containers of `owner`; their names.
Task<Result<std::vector<std::string>>> destroy(std::shared_ptr<Api> api, std::string owner);

// As they would run without Spillway: ports from `first_port` on, the key as a variable, no labels of ours but the
// Backend's name.
std::vector<ContainerSpec> exported(const std::vector<ReplicaPlan>& plans, std::uint16_t first_port);

}  // namespace spillway::fleet::docker
