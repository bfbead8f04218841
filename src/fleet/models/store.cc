#include "fleet/models/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "fleet/models/disk.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporaryPrefix = ".import-";
constexpr std::uint64_t kMaxManifest = 1u << 20;
constexpr std::size_t kCopyBlock = 1u << 20;

std::string utc_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

}  // namespace

fs::path Store::blob_path(const std::string& digest) const { return folder_ / "blobs" / ("sha256-" + digest); }

fs::path Store::manifest_path(const ModelName& name) const {
  return folder_ / "manifests" / name.name / (name.tag + ".json");
}

Result<FileDescriptor> Store::lock() const {
  const fs::path path = folder_ / ".lock";
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return system_error("cannot open", path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) log::info("waiting for another process that changes " + folder_.string());
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("cannot lock", path, errno);
  }
  return fd;
}

// What an import that was killed left behind. With the lock held: no other import is under way.
Status Store::remove_leftovers() const {
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_ / "blobs", ec)) {
    if (entry.path().filename().string().starts_with(kTemporaryPrefix)) ::unlink(entry.path().c_str());
  }
  if (ec) return system_error("cannot read folder", folder_ / "blobs", ec.value());
  return {};
}

bool Store::has_blob(const std::string& digest, std::uint64_t size) const {
  std::error_code ec;
  return fs::is_regular_file(blob_path(digest), ec) && fs::file_size(blob_path(digest), ec) == size && !ec;
}

Result<std::string> Store::copy_in(const fs::path& file, std::uint64_t size, const std::string& expected) const {
  const fs::path blobs = folder_ / "blobs";
  if (Status space = check_free_space(blobs, size); !space) return space.error();
  const FileDescriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.valid()) return system_error("cannot read", file, errno);
  TemporaryFile out(blobs / (std::string(kTemporaryPrefix) + std::to_string(random_u64())));
  if (out.fd() < 0) return system_error("cannot create", out.path(), errno);
  // Takes the space now, where the file system can, so that a full disk is told before gigabytes
  // were written.
  if (::fallocate(out.fd(), 0, 0, static_cast<off_t>(size)) != 0 && (errno == ENOSPC || errno == EDQUOT)) {
    return system_error("cannot write", out.path(), errno);
  }
  Sha256 sha256;
  std::vector<char> block(kCopyBlock);
  std::uint64_t copied = 0;
  for (;;) {
    const ssize_t got = ::read(in.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read", file, errno);
    if (got == 0) break;
    sha256.update(block.data(), static_cast<std::size_t>(got));
    if (Status written =
            write_at(out.fd(), block.data(), static_cast<std::size_t>(got), static_cast<off_t>(copied), out.path());
        !written) {
      return written.error();
    }
    copied += static_cast<std::uint64_t>(got);
  }
  if (copied != size) {
    return Error{ErrorCode::kUnavailable, file.string() + " changed while it was imported", "import it again"};
  }
  const std::string digest = sha256.finish();
  if (!expected.empty() && digest != expected) {
    return Error{ErrorCode::kCorrupt, file.string() + " has SHA-256 " + digest + ", not " + expected, "fetch it again"};
  }
  if (has_blob(digest, size)) return digest;
  if (Status renamed = out.become(blob_path(digest)); !renamed) return renamed.error();
  return digest;
}

// The digest of a file that is only read.
Result<std::string> Store::digest_of(const fs::path& file) {
  const FileDescriptor in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.valid()) return system_error("cannot read", file, errno);
  Sha256 sha256;
  std::vector<char> block(kCopyBlock);
  for (;;) {
    const ssize_t got = ::read(in.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read", file, errno);
    if (got == 0) return sha256.finish();
    sha256.update(block.data(), static_cast<std::size_t>(got));
  }
}

Result<std::string> Store::link_in(const fs::path& file, std::uint64_t size, const std::string& expected) const {
  Result<std::string> digest = digest_of(file);
  if (!digest) return digest;
  if (!expected.empty() && *digest != expected) {
    return Error{ErrorCode::kCorrupt, file.string() + " has SHA-256 " + *digest + ", not " + expected,
                 "fetch it again"};
  }
  if (has_blob(*digest, size)) return digest;
  const fs::path blob = blob_path(*digest);
  ::unlink(blob.c_str());  // a cut one
  if (::link(file.c_str(), blob.c_str()) != 0) {
    // Another file system, or one without hard links: there is no way but to copy.
    log::info("cannot link " + file.string() + " into the store; copying it");
    return copy_in(file, size, *digest);
  }
  if (Status synced = sync_folder(blob.parent_path()); !synced) return synced.error();
  return digest;
}

Result<std::string> Store::move_in(const fs::path& file, std::uint64_t size, const std::string& digest) const {
  if (has_blob(digest, size)) {
    ::unlink(file.c_str());
    return digest;
  }
  const fs::path blob = blob_path(digest);
  if (::rename(file.c_str(), blob.c_str()) != 0) return system_error("cannot move into the store", file, errno);
  if (Status synced = sync_folder(blob.parent_path()); !synced) return synced.error();
  return digest;
}

Result<std::string> Store::take_in(const ImportRequest& request, std::uint64_t size,
                                   const std::string& expected) const {
  switch (request.taking) {
    case Taking::kMove: return move_in(request.file, size, expected);
    case Taking::kLink: return link_in(request.file, size, expected);
    case Taking::kCopy: break;
  }
  if (!expected.empty() && has_blob(expected, size)) return expected;
  return copy_in(request.file, size, expected);
}

Result<Model> Store::import(const ImportRequest& request) {
  Result<ModelName> name = parse_model_name(request.name);
  if (!name) return name.error();
  const std::string expected = to_lower(request.sha256);
  if ((!expected.empty() || request.taking == Taking::kMove) && !is_sha256_hex(expected)) {
    return Error{ErrorCode::kInvalidArgument, "\"" + request.sha256 + "\" is not a SHA-256 digest",
                 "give its 64 hexadecimal digits"};
  }
  Result<GgufInfo> gguf = read_gguf(request.file);
  if (!gguf) return gguf.error();
  if (gguf->split_count > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 request.file.string() + " is one of " + std::to_string(gguf->split_count) + " parts of a model",
                 "join them first with `llama-gguf-split --merge`"};
  }
  for (const fs::path& folder : {folder_ / "blobs", folder_ / "manifests"}) {
    if (Status made = make_writable_directory(folder); !made) return made.error();
  }
  const Result<FileDescriptor> locked = lock();
  if (!locked) return locked.error();
  if (Status cleaned = remove_leftovers(); !cleaned) return cleaned.error();
  Model model;
  model.name = *name;
  model.size = gguf->file_size;
  model.license = request.license;
  model.source = request.source;
  model.pulled = request.pulled;
  model.imported_at = utc_now();
  model.gguf = *gguf;
  Result<std::string> digest = take_in(request, model.size, expected);
  if (!digest) return digest.error();
  model.digest = *digest;
  return name_it(std::move(model));
}

// With the lock held: from now on the name means these weights, which are in blobs/.
Result<Model> Store::name_it(Model model) const {
  const fs::path manifest = manifest_path(model.name);
  // Under the lock: a remove() takes a name's empty folder away.
  if (Status made = make_writable_directory(manifest.parent_path()); !made) return made.error();
  const Result<Model> before = read_manifest(model.name);
  model.path = blob_path(model.digest);
  Status written = write_file_atomically(manifest, manifest_to_json(model));
  if (written) written = sync_folder(manifest.parent_path());
  if (!written) {
    std::error_code ignored;
    fs::remove(manifest.parent_path(), ignored);
    if (Status dropped = drop_blob_if_unused(model.digest); !dropped) log::warn(dropped.error().message);
    return written.error();
  }
  if (before && before->digest != model.digest) {
    if (Status dropped = drop_blob_if_unused(before->digest); !dropped) log::warn(dropped.error().message);
  }
  return model;
}

Result<Model> Store::name_blob(std::string_view digest, const ImportRequest& request) const {
  const Result<ModelName> name = parse_model_name(request.name);
  if (!name) return name.error();
  if (!is_sha256_hex(digest)) return Error{ErrorCode::kInvalidArgument, "that is no SHA-256 digest", {}};
  const Result<FileDescriptor> locked = lock();
  if (!locked) return locked.error();
  Model model;
  model.name = *name;
  model.digest = digest;
  Result<GgufInfo> gguf = read_gguf(blob_path(model.digest));
  if (!gguf) return gguf.error();
  model.size = gguf->file_size;
  model.license = request.license;
  model.source = request.source;
  model.pulled = request.pulled;
  model.imported_at = utc_now();
  model.gguf = *std::move(gguf);
  return name_it(std::move(model));
}

Result<Model> Store::copy(std::string_view from, std::string_view to) {
  const Result<ModelName> name = parse_model_name(to);
  if (!name) return name.error();
  const Result<Model> there = find(from);
  if (!there) return there.error();
  const Result<FileDescriptor> locked = lock();
  if (!locked) return locked.error();
  // Again, under the lock: its weights may be gone by now.
  Result<Model> model = find(from);
  if (!model) return model;
  model->name = *name;
  return name_it(*std::move(model));
}

Result<Model> Store::read_manifest(const ModelName& name) const {
  const Result<std::string> text = read_file(manifest_path(name), kMaxManifest);
  if (!text) return text.error();
  Result<Model> model = manifest_from_json(*text, name);
  if (model) model->path = blob_path(model->digest);
  return model;
}

Result<std::vector<Model>> Store::list() const {
  std::vector<Model> models;
  const fs::path manifests = folder_ / "manifests";
  std::error_code ec;
  if (!fs::exists(manifests, ec)) return models;
  for (fs::directory_iterator folder(manifests, ec), last; !ec && folder != last; folder.increment(ec)) {
    // Another process may remove the folder, or a file in it, meanwhile: then it is not there.
    std::error_code gone;
    for (fs::directory_iterator file(folder->path(), gone), end; !gone && file != end; file.increment(gone)) {
      if (file->path().extension() != ".json") continue;
      const Result<ModelName> name =
          parse_model_name(folder->path().filename().string() + ":" + file->path().stem().string());
      if (!name) continue;
      Result<Model> model = read_manifest(*name);
      if (model) {
        models.push_back(std::move(model).value());
      } else if (model.error().code != ErrorCode::kNotFound) {
        log::warn(model.error().message);
      }
    }
  }
  if (ec) return system_error("cannot read folder", manifests, ec.value());
  std::ranges::sort(models, {}, &Model::name);
  return models;
}

Result<Model> Store::find(std::string_view text) const {
  const Result<ModelName> name = parse_model_name(text);
  if (!name) return name.error();
  Result<Model> model = read_manifest(*name);
  if (model) {
    if (has_blob(model->digest, model->size)) return model;
    return Error{ErrorCode::kCorrupt,
                 "the weights of model " + name->to_string() + " are missing or cut: " + model->path.string(),
                 "import the model again"};
  }
  if (model.error().code != ErrorCode::kNotFound) return model;
  std::string there;
  if (const Result<std::vector<Model>> all = list(); all) {
    for (const Model& each : *all) there += (there.empty() ? "" : ", ") + each.name.to_string();
  }
  return Error{
      ErrorCode::kNotFound,
      "model " + name->to_string() + " is not in " + folder_.string() + "; there: " + (there.empty() ? "none" : there),
      "run script/setup for the default model, or `spillway import FILE " + name->to_string() + "`"};
}

Status Store::drop_blob_if_unused(const std::string& digest) const {
  const fs::path manifests = folder_ / "manifests";
  std::error_code ec;
  for (fs::recursive_directory_iterator it(manifests, ec), end; !ec && it != end; it.increment(ec)) {
    if (it.depth() != 1 || it->path().extension() != ".json") continue;
    const Result<std::string> text = read_file(it->path(), kMaxManifest);
    // One that cannot be read may mean this blob. A search in the text finds it in broken JSON too.
    if (!text || text->find(digest) != std::string::npos) return {};
  }
  if (ec) return system_error("cannot read folder", manifests, ec.value());
  if (::unlink(blob_path(digest).c_str()) != 0 && errno != ENOENT) {
    return system_error("cannot remove", blob_path(digest), errno);
  }
  return {};
}

Status Store::remove(std::string_view text) {
  const Result<ModelName> name = parse_model_name(text);
  if (!name) return name.error();
  if (const Result<Model> model = find(text); !model && model.error().code == ErrorCode::kNotFound) {
    return model.error();
  }
  const Result<FileDescriptor> locked = lock();
  if (!locked) return locked.error();
  const Result<Model> model = read_manifest(*name);
  const fs::path manifest = manifest_path(*name);
  if (::unlink(manifest.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove", manifest, errno);
  std::error_code ignored;
  fs::remove(manifest.parent_path(), ignored);  // only when it is empty
  return model ? drop_blob_if_unused(model->digest) : Status{};
}

Result<Model> Store::resolve(std::string_view model) const {
  if (!is_model_path(model)) return find(model);
  std::error_code ec;
  const fs::path path = fs::absolute(fs::path(model), ec);
  if (ec) return system_error("cannot find", fs::path(model), ec.value());
  Result<GgufInfo> gguf = read_gguf(path);
  if (!gguf && gguf.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, "there is no model file " + path.string(),
                 "check the path, or name a model in the store"};
  }
  if (!gguf) return gguf.error();
  Model out;
  out.path = path;
  out.size = gguf->file_size;
  out.gguf = *gguf;
  return out;
}

}  // namespace spillway::fleet
