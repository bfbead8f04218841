#include "fleet/launcher/docker/engine.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/foreign_json.h"
#include "base/log.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet::docker {

using json::flag_at;
using json::Json;
using json::number_at;
using json::text_at;
using json::texts_at;
using json::value_at;

namespace {

constexpr std::chrono::hours kPullTime{2};  // 10 GB over a slow line

Found read_found(const Json& json) {
  Found out;
  out.id = text_at(json, {"Id"});
  out.name = text_at(json, {"Name"});
  if (out.name.starts_with('/')) out.name.erase(0, 1);
  out.image = text_at(json, {"Image"});
  out.backend = text_at(json, {"Config", "Labels", kBackendLabel});
  out.run = text_at(json, {"Config", "Labels", kRunLabel});
  const auto port = leading_number(text_at(json, {"Config", "Labels", kPortLabel}));
  if (port && *port <= 65'535) out.port = static_cast<std::uint16_t>(*port);
  const std::string prefix = std::string(kKeyVariable) + "=";
  for (const std::string& entry : texts_at(json, {"Config", "Env"})) {
    if (entry.starts_with(prefix)) out.key = entry.substr(prefix.size());
  }
  out.running = flag_at(json, {"State", "Running"});
  out.pid = static_cast<int>(number_at(json, {"State", "Pid"}));
  out.exit_code = number_at(json, {"State", "ExitCode"});
  out.out_of_memory = flag_at(json, {"State", "OOMKilled"});
  return out;
}

// "repository" and what stands behind it: a digest, a tag, else "latest". A port is no tag.
std::pair<std::string, std::string> take_apart(const std::string& image) {
  if (const std::size_t at = image.find('@'); at != std::string::npos)
    return {image.substr(0, at), image.substr(at + 1)};
  const std::size_t colon = image.rfind(':');
  if (colon != std::string::npos && image.find('/', colon) == std::string::npos)
    return {image.substr(0, colon), image.substr(colon + 1)};
  return {image, "latest"};
}

// The daemon tells how a pull goes in lines of JSON, and that it failed in the last one, with status 200.
Status pull_outcome(const Answer& answer, const std::string& image) {
  if (answer.status != 200) return refusal(answer, "cannot fetch the image " + image);
  for (const std::string_view line : lines_of(answer.body)) {
    const std::string error = text_at(Json::parse(line, nullptr, false), {"error"});
    if (!error.empty()) return Error{ErrorCode::kUnavailable, "cannot fetch the image " + image + ": " + error, {}};
  }
  return {};
}

}  // namespace

std::string image_of(const ReplicaPlan& plan) {
  return plan.backend.image.empty() ? std::string(plan.engine->capabilities().image) : plan.backend.image;
}

Task<Result<std::vector<Found>>> list_ours(std::shared_ptr<Api> api, std::string owner) {
  const Json filters{{"label", Json::array({std::string(kOwnerLabel) + "=" + owner})}};
  auto answer = co_await api->ask("GET", "/containers/json?all=1&filters=" + escape(filters.dump()));
  if (!answer) co_return answer.error();
  if (answer->status != 200) co_return refusal(*answer, "cannot list containers");
  std::vector<Found> out;
  const Json list = Json::parse(answer->body, nullptr, false);
  if (!list.is_array()) co_return out;
  for (const Json& entry : list) {
    auto one = co_await inspect(api, text_at(entry, {"Id"}));
    if (one) {
      out.push_back(std::move(one).value());
    } else if (one.error().code != ErrorCode::kNotFound) {
      co_return one.error();
    }
  }
  co_return out;
}

Task<Result<Found>> inspect(std::shared_ptr<Api> api, std::string id) {
  auto answer = co_await api->ask("GET", "/containers/" + escape(id) + "/json");
  if (!answer) co_return answer.error();
  if (answer->status != 200) co_return refusal(*answer, "cannot look at container " + id);
  co_return read_found(Json::parse(answer->body, nullptr, false));
}

Task<Status> remove(std::shared_ptr<Api> api, std::string id) {
  auto answer = co_await api->ask("DELETE", "/containers/" + escape(id) + "?force=1&v=1");
  if (!answer) co_return answer.error();
  // 409: somebody else is at it.
  if (answer->status == 204 || answer->status == 404 || answer->status == 409) co_return Status();
  co_return refusal(*answer, "cannot remove container " + id);
}

Task<Result<std::string>> create_and_start(std::shared_ptr<Api> api, ContainerSpec spec) {
  const std::string body = create_body(spec);
  auto created = co_await api->ask("POST", "/containers/create?name=" + escape(spec.name), body);
  // One that is being drained may have the name still.
  if (created && created->status == 409) {
    spec.name += "-" + spec.labels[kPortLabel];
    created = co_await api->ask("POST", "/containers/create?name=" + escape(spec.name), body);
  }
  if (!created) co_return created.error();
  if (created->status != 201) co_return refusal(*created, "cannot create container " + spec.name);
  const Json json = Json::parse(created->body, nullptr, false);
  for (const std::string& warning : texts_at(json, {"Warnings"})) log::warn(spec.name + ": Docker says: " + warning);
  std::string id = text_at(json, {"Id"});
  auto started = co_await api->ask("POST", "/containers/" + escape(id) + "/start");
  if (started && started->status == 204) co_return id;
  static_cast<void>(co_await remove(api, id));
  if (!started) co_return started.error();
  co_return refusal(*started, "cannot start container " + spec.name);
}

Task<Status> signal(std::shared_ptr<Api> api, std::string id, std::string name) {
  auto answer = co_await api->ask("POST", "/containers/" + escape(id) + "/kill?signal=" + name);
  if (!answer) co_return answer.error();
  // 409: it does not run.
  if (answer->status == 204 || answer->status == 404 || answer->status == 409) co_return Status();
  co_return refusal(*answer, "cannot signal container " + id);
}

Task<Result<Image>> look_at_image(std::shared_ptr<Api> api, std::string image, std::string digest) {
  auto answer = co_await api->ask("GET", "/images/" + escape(image) + "/json");
  if (!answer) co_return answer.error();
  if (answer->status != 200) co_return refusal(*answer, "the image " + image);
  co_return verify_image(answer->body, image, pinned_digest(image, digest));
}

Task<Result<Image>> obtain_image(std::shared_ptr<Api> api, std::string image, std::string digest) {
  auto found = co_await look_at_image(api, image, digest);
  if (found || found.error().code != ErrorCode::kNotFound) co_return found;
  const auto [repository, tag] = take_apart(image);
  log::info("fetching the image " + image);
  auto pulled = co_await api->ask("POST", "/images/create?fromImage=" + escape(repository) + "&tag=" + escape(tag), {},
                                  kPullTime);
  if (!pulled) co_return pulled.error();
  if (Status fetched = pull_outcome(*pulled, image); !fetched) co_return fetched.error();
  co_return co_await look_at_image(api, image, digest);
}

}  // namespace spillway::fleet::docker
