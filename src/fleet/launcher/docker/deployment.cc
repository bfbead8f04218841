#include "fleet/launcher/docker/deployment.h"

#include <algorithm>
#include <utility>

namespace spillway::fleet::docker {

Result<FileLock> take_charge(const std::filesystem::path& data) {
  if (Status made = make_writable_directory(data); !made) return made.error();
  std::optional<FileLock> lock = FileLock::try_take(data / "containers.lock");
  if (lock) return *std::move(lock);
  return Error{ErrorCode::kUnavailable,
               "a gateway, or `spillway deploy`, already looks after the containers of " + data.string(),
               "reload that gateway after a change of its config (SIGHUP), or end it first"};
}

std::string_view to_string(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::kKeep: return "keep";
    case Change::Kind::kCreate: return "create";
    case Change::Kind::kReplace: return "replace";
    case Change::Kind::kRemove: return "remove";
  }
  return "?";
}

Task<Result<std::vector<Change>>> plan_changes(std::shared_ptr<Api> api, std::vector<ReplicaPlan> plans,
                                               std::string owner) {
  auto ours = co_await list_ours(api, owner);
  if (!ours) co_return ours.error();
  std::vector<Change> out;
  for (const ReplicaPlan& plan : plans) {
    const std::string name = image_of(plan);
    const auto image = co_await look_at_image(api, name, plan.backend.image_digest);
    if (!image && image.error().code != ErrorCode::kNotFound) co_return image.error();
    Change change;
    change.backend = plan.backend.name;
    change.fetch = !image;
    change.spec =
        make_container(plan, image ? image->id : name, pinned_digest(name, plan.backend.image_digest), owner, Access{});
    bool kept = false;
    for (Found& found : *ours) {
      if (found.backend != plan.backend.name) continue;
      const bool wanted = !kept && found.running && found.run == change.spec.run;
      kept = kept || wanted;
      if (!wanted) change.old.push_back(found);
    }
    change.kind = !change.old.empty() ? Change::Kind::kReplace : kept ? Change::Kind::kKeep : Change::Kind::kCreate;
    if (kept && !change.old.empty()) change.kind = Change::Kind::kRemove;  // only what is too many
    out.push_back(std::move(change));
  }
  for (const Found& found : *ours) {
    const bool wanted =
        std::ranges::any_of(plans, [&](const ReplicaPlan& plan) { return plan.backend.name == found.backend; });
    if (wanted) continue;
    Change change;
    change.kind = Change::Kind::kRemove;
    change.backend = found.backend;
    change.spec.name = found.name;
    change.old.push_back(found);
    out.push_back(std::move(change));
  }
  co_return out;
}

Task<Status> carry_out(std::shared_ptr<Api> api, Change change, ReplicaPlan plan, std::string owner) {
  const bool starts = change.kind == Change::Kind::kCreate || change.kind == Change::Kind::kReplace;
  Result<Image> image = Image{};
  if (starts) image = co_await obtain_image(api, image_of(plan), plan.backend.image_digest);
  if (!image) co_return image.error();
  for (const Found& found : change.old) {
    if (Status removed = co_await remove(api, found.id); !removed) co_return removed;
  }
  if (!starts) co_return Status();
  if (Status room = check_room(plan, memory_for_engines(true), "there is room for"); !room) co_return room;
  const Result<Access> access = make_access();
  if (!access) co_return access.error();
  const auto id = co_await create_and_start(api, make_container(plan, image->id, image->digest, owner, *access));
  co_return id ? Status() : Status(id.error());
}

Task<Result<std::vector<std::string>>> destroy(std::shared_ptr<Api> api, std::string owner) {
  auto ours = co_await list_ours(api, owner);
  if (!ours) co_return ours.error();
  std::vector<std::string> names;
  for (const Found& found : *ours) {
    if (Status removed = co_await remove(api, found.id); !removed) co_return removed.error();
    names.push_back(found.name);
  }
  co_return names;
}

std::vector<ContainerSpec> exported(const std::vector<ReplicaPlan>& plans, std::uint16_t first_port) {
  std::vector<ContainerSpec> out;
  std::uint16_t port = first_port;
  for (const ReplicaPlan& plan : plans) {
    const std::string digest = pinned_digest(image_of(plan), plan.backend.image_digest);
    ContainerSpec spec = make_container(plan, image_of(plan), digest, "export", {port++, std::string(kKeyReference)});
    spec.labels = {{kBackendLabel, plan.backend.name}};
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace spillway::fleet::docker
