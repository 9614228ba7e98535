#include "sequential.h"
#include <ostream>

namespace sinter::nn {

Tensor SequentialImpl::forward(const Tensor& input, Loc loc) {
  if (modules_.empty()) raise<Error>("Cannot call forward() on an empty Sequential");
  Tensor x = modules_[0].forward(input, loc);
  for (size_t i = 1; i < modules_.size(); ++i) x = modules_[i].forward(x, loc);
  return x;
}

void SequentialImpl::push_back(std::string name, AnyModule module) try {
  modules_.reserve(modules_.size() + 1);  // before it is registered: both or neither
  register_module(std::move(name), module.ptr());
  modules_.push_back(std::move(module));
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

const AnyModule& SequentialImpl::require(size_t i) const {
  if (i >= modules_.size()) raise<IndexError>("Sequential has {} modules, index {} is out of range", modules_.size(), i);
  return modules_[i];
}

std::shared_ptr<Module> SequentialImpl::ptr(size_t i) const { return require(i).ptr(); }

std::shared_ptr<Module> SequentialImpl::clone() const {
  auto copy = std::make_shared<SequentialImpl>();
  for (size_t i = 0; i < modules_.size(); ++i) copy->push_back(children_[i].key(), modules_[i].clone());
  copy->train(is_training());
  return copy;
}

void SequentialImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::Sequential"; }

}  // namespace sinter::nn
