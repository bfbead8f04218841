// Sees that files have changed.
#pragma once

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "config/load.h"

namespace spillway::serve {

// Polled rather than told by inotify: that loses track of files that editors replace, of symbolic
// links that Kubernetes turns, and of network file systems; a stat() a second costs nothing.
class ConfigWatch {
 public:
  // Watches these from now on. A file is taken to be as it was when it was read: what was written to it since is a
  // change.
  void watch(std::vector<config::SeenFile> files);

  // True once after a change, when two calls in a row have seen the same: a writer may be half-way.
  bool changed();

 private:
  [[nodiscard]] std::vector<FileState> look() const;

  std::vector<std::filesystem::path> files_;
  std::vector<FileState> known_;
  std::vector<FileState> last_;
};

}  // namespace spillway::serve
