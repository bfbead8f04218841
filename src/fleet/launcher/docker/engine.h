// What is done with our containers, one step of it each: the daemon's answers as Results.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fleet/launcher/docker/api.h"
#include "fleet/launcher/docker/container.h"
#include "fleet/launcher/docker/image.h"

namespace spillway::fleet::docker {

// One of our containers, as it is.
struct Found {
  std::string id;
  std::string name;
  std::string backend;
  std::string run;
  std::string image;  // its Id
  std::uint16_t port = 0;
  std::string key;
  bool running = false;
  int pid = 0;  // of its first process, as the daemon sees it
  std::int64_t exit_code = 0;
  bool out_of_memory = false;
};

// Those of `owner`, running or not.
Task<Result<std::vector<Found>>> list_ours(std::shared_ptr<Api> api, std::string owner);
// kNotFound: there is none of that id or name.
Task<Result<Found>> inspect(std::shared_ptr<Api> api, std::string id);
// Nothing where it is gone already. Ends what runs in it.
Task<Status> remove(std::shared_ptr<Api> api, std::string id);
// Creates and starts it; nothing is left behind where that fails. Its id.
Task<Result<std::string>> create_and_start(std::shared_ptr<Api> api, ContainerSpec spec);
Task<Status> signal(std::shared_ptr<Api> api, std::string id, std::string name);

// The image of a Backend, fetched where it is missing, and verified by its digest.
Task<Result<Image>> obtain_image(std::shared_ptr<Api> api, std::string image, std::string digest);
// The same without fetching it.
Task<Result<Image>> look_at_image(std::shared_ptr<Api> api, std::string image, std::string digest);

// The image that a plan names.
std::string image_of(const ReplicaPlan& plan);

}  // namespace spillway::fleet::docker
