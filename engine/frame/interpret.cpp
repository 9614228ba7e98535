#include "interpret.h"
#include <algorithm>
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../eager.h"

namespace sinter {

namespace {
void allocate_results(Event* const* path, size_t n, TensorImpl* const* slots) {
  size_t done = 0;
  try {
    for (; done < n; ++done) {
      const EventInfo& info = *path[done]->info;
      if (info.view || info.inplace) continue;
      TensorImpl* t = slots[path[done]->out];
      t->storage->acquire_bytes(static_cast<size_t>(t->numel) * element_size(t->dtype()));
    }
  } catch (...) {
    while (done-- > 0) {
      const EventInfo& info = *path[done]->info;
      if (!info.view && !info.inplace) slots[path[done]->out]->storage->release_bytes();
    }
    throw;
  }
}
}  // namespace

void interpret(Event* const* path, size_t n, TensorImpl* const* slots, const Scalar* scalars, const int64_t* free_ints) {
  const struct Restore {
    uint32_t before = ambient::word;
    ~Restore() { ambient::word = before; }
  } restore;
  size_t most = 0;
  for (size_t k = 0; k < n; ++k) most = std::max(most, path[k]->info->in.size());
  std::vector<TensorImpl*> operands;
  operands.reserve(most);
  allocate_results(path, n, slots);  // the last step that may run out of memory before something is written
  for (size_t k = 0; k < n; ++k) {
    const Event& e = *path[k];
    const EventInfo& info = *e.info;
    IntArrayRef ints(info.ints);
    if (info.free_ints != 0) {
      if (!SINTER_MUTANT(interpreter_keeps_integers)) ints = IntArrayRef(free_ints, info.ints.size());
      free_ints += info.ints.size();
    }
    if (info.view) continue;
    operands.clear();
    for (int32_t s : info.in) operands.push_back(s < 0 ? nullptr : slots[s]);
    OpCall c{.op = static_cast<Op>(e.key & event_key::kOpMask), .loc = info.loc};
    c.flags = static_cast<uint8_t>(e.key >> event_key::kFlagShift);
    c.n_in = static_cast<uint16_t>(operands.size());
    c.in = operands.data();
    c.attr = e.attr;
    c.ints = ints;
    c.n_scalars = static_cast<uint8_t>(info.n_scalars);
    for (int i = 0; i < info.n_scalars; ++i) c.scalars[i] = scalars[info.first_scalar + i];
    if (!SINTER_MUTANT(interpreter_ignores_ambient)) ambient::word = static_cast<uint16_t>(e.key >> 32);
    run_eager_into(c, slots[e.out]);
  }
}

}  // namespace sinter
