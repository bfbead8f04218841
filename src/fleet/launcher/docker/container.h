// What an engine's container is to be like, and how that is said: to the daemon, on a command line, in a compose file.
// Pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/launcher/launcher.h"
#include "fleet/plan.h"

namespace spillway::fleet::docker {

// Labels of our containers.
inline constexpr const char* kOwnerLabel = "spillway.owner";        // whose: owner_of()
inline constexpr const char* kBackendLabel = "spillway.backend";    // the Backend's name
inline constexpr const char* kRunLabel = "spillway.run";            // ContainerSpec::run
inline constexpr const char* kPortLabel = "spillway.port";          // on 127.0.0.1
inline constexpr const char* kKeyVariable = "SPILLWAY_ENGINE_KEY";  // in its environment, for who adopts it

// Stands for the key in what is exported: the reader's shell, or compose, fills it in.
inline constexpr std::string_view kKeyReference = "${SPILLWAY_ENGINE_KEY}";

struct ContainerSpec {
  std::string name;
  std::string image;  // what is run: an Id or a reference
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"
  std::map<std::string, std::string> labels;
  std::vector<std::string> read_only;  // paths of this machine, at the same place in the container
  std::vector<std::string> gpus;       // "all", or indices and UUIDs
  double cpus = 0;                     // 0: no bound, as below
  std::uint64_t memory = 0;            // bytes, swap included
  bool compiles =
      false;         // it writes code into /tmp and runs it, and shares memory between processes, as GPU engines do
  std::string user;  // "uid:gid": who may read the model here
  // SHA-256 of all of this but name, labels, port and key, with the image's digest in its Id's place: containers of the
  // same are run alike.
  std::string run;
};

// Who owns containers: the Spillway that has its data in `data`, which is a path of this machine.
std::string owner_of(const std::filesystem::path& data);

// `image` is what to run, `digest` what it was verified by.
ContainerSpec make_container(const ReplicaPlan& plan, const std::string& image, const std::string& digest,
                             const std::string& owner, const Access& access);

// The body of POST /containers/create.
std::string create_body(const ContainerSpec& spec);
// One `docker run` command for a POSIX shell, over several lines.
std::string run_command(const ContainerSpec& spec);
// A compose file (https://github.com/compose-spec/compose-spec) with a service for each.
std::string compose_file(std::span<const ContainerSpec> specs);

}  // namespace spillway::fleet::docker
