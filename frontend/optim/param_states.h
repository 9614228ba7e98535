// What an optimizer remembers of each parameter.
#pragma once
#include <utility>
#include <vector>
#include "../../engine/tensor.h"

namespace sinter::optim {

/// States in the order of the parameters, so that a step finds each by index. Groups may be edited between steps:
/// then the state is searched by the tensor's identity.
template <class State>
class ParamStates {
 public:
  State& at(size_t index, const Tensor& param) {
    if (index < entries_.size() && entries_[index].param.is_same(param)) [[likely]]
      return entries_[index].state;
    return locate(index, param);
  }
  /// Null when the parameter was never updated.
  State* find(const Tensor& param) { return const_cast<State*>(std::as_const(*this).find(param)); }
  const State* find(const Tensor& param) const {
    for (const Entry& e : entries_)
      if (e.param.is_same(param)) return &e.state;
    return nullptr;
  }

 private:
  struct Entry {
    Tensor param;
    State state;
  };

  State& locate(size_t index, const Tensor& param) {
    // Places before `index` may belong to parameters that never had a gradient.
    if (entries_.size() <= index) entries_.resize(index + 1);
    for (Entry& e : entries_) {
      if (!e.param.is_same(param)) continue;
      std::swap(e, entries_[index]);
      return entries_[index].state;
    }
    if (entries_[index].param.defined()) entries_.push_back(std::move(entries_[index]));
    entries_[index] = Entry{param, State{}};
    return entries_[index].state;
  }

  std::vector<Entry> entries_;
};

}  // namespace sinter::optim
