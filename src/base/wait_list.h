// Coroutines that wait for the same thing.
#pragma once

#include <cstdint>

#include "base/event.h"

namespace spillway {

// Single thread. A coroutine that is resumed runs inside the call, up to its next wait: it may end others that wait
// here, or come back itself. So the list is taken from the front one by one, and a Node leaves it when it is
// destroyed; a copy of the pointers would go stale.
class WaitList {
 public:
  class Node {
   public:
    Node() = default;
    ~Node() { unlink(); }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    Event event;

    void unlink() {
      if (list_ == nullptr) return;
      (previous_ != nullptr ? previous_->next_ : list_->first_) = next_;
      (next_ != nullptr ? next_->previous_ : list_->last_) = previous_;
      --list_->size_;
      list_ = nullptr;
      previous_ = next_ = nullptr;
    }

   private:
    friend class WaitList;
    WaitList* list_ = nullptr;
    Node* previous_ = nullptr;
    Node* next_ = nullptr;
    std::uint64_t round_ = 0;
  };

  WaitList() = default;
  ~WaitList() {
    while (first_ != nullptr) first_->unlink();
  }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  // Behind all others; the caller then waits for `node.event`.
  void add(Node& node) {
    node.unlink();
    node.list_ = this;
    node.round_ = round_;
    node.previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = &node;
    last_ = &node;
    ++size_;
  }

  // Resumes those that wait now, in their order; who comes during the call waits for the next one.
  void notify_all() {
    const std::uint64_t now = ++round_;
    while (first_ != nullptr && first_->round_ < now) {
      Node& node = *first_;
      node.unlink();
      node.event.notify();
    }
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t round_ = 0;
};

}  // namespace spillway
