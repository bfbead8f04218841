#include "serve/config_watch.h"

#include <sys/stat.h>

namespace spillway::serve {

void ConfigWatch::watch(std::vector<std::filesystem::path> files) {
  files_ = std::move(files);
  known_ = last_ = look_at_all();
}

bool ConfigWatch::changed() {
  std::vector<State> seen = look_at_all();
  const bool settled = seen == last_;
  last_ = seen;
  if (!settled || seen == known_) return false;
  known_ = std::move(seen);
  return true;
}

ConfigWatch::State ConfigWatch::look(const std::filesystem::path& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec * 1'000'000'000LL + found.st_mtim.tv_nsec};
}

std::vector<ConfigWatch::State> ConfigWatch::look_at_all() const {
  std::vector<State> states;
  states.reserve(files_.size());
  for (const std::filesystem::path& file : files_) states.push_back(look(file));
  return states;
}

}  // namespace spillway::serve
