#include <algorithm>
#include "../../../codegen/kernel.h"
#include "../../../runtime/mutants.h"
#include "lower.h"

namespace sinter::fuse {

namespace {

/// Steps over so much memory that their own kernel would write past the caches keep it.
bool is_small(const codegen::LoopSpec& spec) {
  int64_t bytes = 0;
  for (const codegen::LoopOperand& o : spec.operands)
    if (o.output) bytes += spec.sizes[0] * static_cast<int64_t>(element_size(o.dtype));
  return bytes < codegen::stream_threshold_bytes();
}

/// Steps that one kernel can do.
struct Family {
  codegen::LoopSpec spec;
  std::vector<Lowered*> steps;
  bool sizes_differ = false;
};

}  // namespace

void share_kernels(const std::vector<Lowered*>& steps) {
  std::vector<Family> families;
  for (Lowered* step : steps) {
    codegen::LoopSpec any;
    if (!codegen::make_sized_at_run_time(step->spec, any) || !is_small(step->spec)) continue;
    const auto same = [&](const Family& f) { return f.spec == any || SINTER_MUTANT(any_size_with_other_shape); };
    auto family = std::find_if(families.begin(), families.end(), same);
    if (family == families.end()) family = families.insert(family, {std::move(any), {}, false});
    family->steps.push_back(step);
    family->sizes_differ |= step->spec.sizes != family->steps[0]->spec.sizes;
  }
  for (Family& f : families) {
    if (!f.sizes_differ) continue;  // equal specs share a kernel anyway
    const int64_t first = f.steps[0]->spec.sizes[0];
    for (Lowered* step : f.steps) {
      if (SINTER_MUTANT(any_size_of_another_step)) step->spec.sizes[0] = first;
      step->any = f.spec;
    }
  }
}

}  // namespace sinter::fuse
