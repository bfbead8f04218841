// Sees that files have changed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace spillway::serve {

// Polled rather than told by inotify: that loses track of files that editors replace, of symbolic
// links that Kubernetes turns, and of network file systems; a stat() a second costs nothing.
class ConfigWatch {
 public:
  // Watches these from now on, as they are now.
  void watch(std::vector<std::filesystem::path> files);

  // True once after a change, when two calls in a row have seen the same: a writer may be half-way.
  bool changed();

 private:
  struct State {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t size = -1;  // -1: it is not there
    std::int64_t modified_ns = 0;
    bool operator==(const State&) const = default;
  };
  static State look(const std::filesystem::path& file);
  [[nodiscard]] std::vector<State> look_at_all() const;

  std::vector<std::filesystem::path> files_;
  std::vector<State> known_;
  std::vector<State> last_;
};

}  // namespace spillway::serve
