// An optimizer's options and states as data: to go back to them, or to hand them to another optimizer of the kind.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>
#include "../../engine/tensor.h"
#include "options.h"

namespace sinter::optim {

/// A number of steps or the like, or a tensor.
using StateValue = std::variant<int64_t, double, Tensor>;
/// Named as in PyTorch: "step", "exp_avg", ...
using StateFields = std::map<std::string, StateValue>;

struct OptimizerStateDict {
  struct Group {
    Group(std::unique_ptr<OptimizerOptions> o, std::vector<size_t> p) : options(std::move(o)), params(std::move(p)) {}
    Group(const Group& o) : options(o.options->clone()), params(o.params) {}
    Group(Group&&) noexcept = default;
    Group& operator=(Group o) noexcept {
      options.swap(o.options);
      params.swap(o.params);
      return *this;
    }
    std::unique_ptr<OptimizerOptions> options;
    std::vector<size_t> params;  // their numbers, counted through all groups
  };
  std::vector<Group> param_groups;
  std::map<size_t, StateFields> state;  // by number of the parameter
};

}  // namespace sinter::optim
