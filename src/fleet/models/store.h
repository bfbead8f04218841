// The Models on disk:
//
//   FOLDER/blobs/sha256-HEX          weights, named by their own digest, never changed
//   FOLDER/manifests/NAME/TAG.json   a name for a blob, and what is known of it
//   FOLDER/partial/                  what is being fetched (pull/)
//   FOLDER/.lock                     held by whoever changes any of it
//
// Several processes may use a store at once. A manifest is written after its blob is safely on
// disk, so that what find() returns is always whole. Calls block; importing takes as long as
// reading and writing the file. A Store may be used from any thread, and holds nothing open.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "fleet/models/manifest.h"

namespace spillway::fleet {

// How a file comes into the store.
enum class Taking {
  kCopy,
  kLink,  // a hard link, where the file system can; else a copy
  kMove,  // renamed: it is in the store's folder, and `sha256` is known to be its digest
};

struct ImportRequest {
  std::filesystem::path file;
  std::string name;    // NAME or NAME:TAG
  std::string sha256;  // 64 hexadecimal digits that the file must have; empty: any
  std::string license;
  std::string source;
  Pulled pulled = {};
  Taking taking = Taking::kCopy;
};

class Store {
 public:
  // `folder` is DATA/models; made when something is first imported.
  explicit Store(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Takes the file in and names it. The same content under the same name is fine and cheap; other
  // content takes the name over. Waits for another process that is changing the store. Errors:
  // what read_gguf says; kCorrupt for another digest than asked for; kResourceExhausted for a full
  // disk. Nothing of a failed import stays behind.
  Result<Model> import(const ImportRequest& request);

  // Names weights that are in the store already; of `request` all but the file holds. kNotFound: they are not.
  Result<Model> name_blob(std::string_view digest, const ImportRequest& request) const;

  // A second name for the same weights; takes no space.
  Result<Model> copy(std::string_view from, std::string_view to);

  [[nodiscard]] bool has_blob(const std::string& digest, std::uint64_t size) const;

  // By name. A manifest that cannot be read is told in the log and left out.
  [[nodiscard]] Result<std::vector<Model>> list() const;

  // kNotFound, with what is there; kCorrupt when manifest or blob is broken.
  [[nodiscard]] Result<Model> find(std::string_view name) const;

  // Forgets the name, and its weights when no other name has them. A running engine keeps them
  // until it ends.
  Status remove(std::string_view name);

  // What a config's `model` means: the path of a GGUF file (has a '/' or ends in ".gguf"; its
  // header is checked), or a name in the store.
  [[nodiscard]] Result<Model> resolve(std::string_view model) const;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  [[nodiscard]] std::filesystem::path blob_path(const std::string& digest) const;
  [[nodiscard]] std::filesystem::path manifest_path(const ModelName& name) const;
  [[nodiscard]] Result<FileDescriptor> lock() const;
  Status remove_leftovers() const;
  static Result<std::string> digest_of(const std::filesystem::path& file);
  // Into blobs/; each returns the digest.
  Result<std::string> take_in(const ImportRequest& request, std::uint64_t size, const std::string& expected) const;
  Result<std::string> link_in(const std::filesystem::path& file, std::uint64_t size, const std::string& expected) const;
  Result<std::string> move_in(const std::filesystem::path& file, std::uint64_t size, const std::string& digest) const;
  Result<std::string> copy_in(const std::filesystem::path& file, std::uint64_t size, const std::string& expected) const;
  Result<Model> name_it(Model model) const;
  Result<Model> read_manifest(const ModelName& name) const;
  Status drop_blob_if_unused(const std::string& digest) const;

  std::filesystem::path folder_;
};

}  // namespace spillway::fleet
