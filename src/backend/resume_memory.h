// Which ways to continue an answer a Backend has been found not to know.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/resumption.h"
#include "base/mutex.h"
#include "base/time.h"

namespace spillway::backend {

// A server that is brought up to date may know tomorrow what it does not today.
inline constexpr std::chrono::minutes kRemembered{10};

// By the model asked for, since models of one provider differ. From any thread; asked only when an answer has broken.
class ResumeMemory {
 public:
  void failed(std::string_view model, api::ResumeForm form, TimePoint at) {
    const MutexLock lock(mutex_);
    failed_[{std::string(model), form}] = at;
  }
  [[nodiscard]] bool has_failed(std::string_view model, api::ResumeForm form, TimePoint at) const {
    const MutexLock lock(mutex_);
    const auto found = failed_.find({std::string(model), form});
    return found != failed_.end() && at < found->second + kRemembered;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::pair<std::string, api::ResumeForm>, TimePoint> failed_ SPILLWAY_GUARDED_BY(mutex_);
};

}  // namespace spillway::backend
