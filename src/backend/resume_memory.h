// Which ways to continue an answer a Backend has been found not to know.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "api/resumption.h"
#include "base/time.h"

namespace spillway::backend {

// A server that is brought up to date may know tomorrow what it does not today.
inline constexpr std::chrono::minutes kRemembered{10};

// By the model asked for, since models of one provider differ. From any thread; asked only when an answer has broken.
class ResumeMemory {
 public:
  void failed(std::string_view model, api::ResumeForm form, TimePoint at) {
    const std::lock_guard lock(mutex_);
    failed_[{std::string(model), form}] = at;
  }
  [[nodiscard]] bool has_failed(std::string_view model, api::ResumeForm form, TimePoint at) const {
    const std::lock_guard lock(mutex_);
    const auto found = failed_.find({std::string(model), form});
    return found != failed_.end() && at < found->second + kRemembered;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, api::ResumeForm>, TimePoint> failed_;
};

}  // namespace spillway::backend
