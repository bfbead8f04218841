#include "serve/config_watch.h"

namespace spillway::serve {

void ConfigWatch::watch(std::vector<config::SeenFile> files) {
  files_.clear();
  known_.clear();
  for (config::SeenFile& file : files) {
    files_.push_back(std::move(file.path));
    known_.push_back(file.state);
  }
  last_ = known_;
}

bool ConfigWatch::changed() {
  std::vector<FileState> seen = look();
  const bool settled = seen == last_;
  last_ = seen;
  if (!settled || seen == known_) return false;
  known_ = std::move(seen);
  return true;
}

std::vector<FileState> ConfigWatch::look() const {
  std::vector<FileState> states;
  states.reserve(files_.size());
  for (const std::filesystem::path& file : files_) states.push_back(file_state(file));
  return states;
}

}  // namespace spillway::serve
