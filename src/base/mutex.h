// Mutexes that the compiler watches (clang.llvm.org/docs/ThreadSafetyAnalysis.html): what is marked GUARDED_BY is not
// touched without its lock.
#pragma once

#include <mutex>

#define SPILLWAY_GUARDED_BY(mutex) __attribute__((guarded_by(mutex)))
#define SPILLWAY_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))

namespace spillway {

class __attribute__((capability("mutex"))) Mutex {
 public:
  void lock() __attribute__((acquire_capability())) { mutex_.lock(); }
  void unlock() __attribute__((release_capability())) { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class __attribute__((scoped_lockable)) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) __attribute__((acquire_capability(mutex))) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() __attribute__((release_capability())) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace spillway
