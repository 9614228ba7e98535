#include "interpret.h"
#include <algorithm>
#include "../../runtime/allocator.h"
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../eager.h"
#include "../program/arena.h"

namespace sinter {

namespace {

/// The memory of a region's results while its operators run: storages of their own for what is wanted, one block for the rest.
class ResultMemory {
 public:
  /// Allocates everything. @throws OutOfMemoryError, nothing is left then.
  ResultMemory(Event* const* path, size_t n, TensorImpl* const* slots, const std::vector<bool>* wanted) {
    try {
      if (wanted != nullptr) place_temporaries(path, n, slots, *wanted);
      for (size_t k = 0; k < n; ++k) {
        const EventInfo& info = *path[k]->info;
        if (info.view || info.inplace || is_temporary(wanted, path[k]->out)) continue;
        TensorImpl* t = slots[path[k]->out];
        t->storage->acquire_bytes(static_cast<size_t>(t->nbytes()));
        own_.push_back(t->storage);
      }
    } catch (...) {
      for (Storage* s : own_) s->release_bytes();
      take_back();
      throw;
    }
  }
  ~ResultMemory() { take_back(); }
  ResultMemory(const ResultMemory&) = delete;
  ResultMemory& operator=(const ResultMemory&) = delete;

 private:
  static bool is_temporary(const std::vector<bool>* wanted, int32_t slot) {
    return wanted != nullptr && !(*wanted)[static_cast<size_t>(slot)];
  }

  void place_temporaries(Event* const* path, size_t n, TensorImpl* const* slots, const std::vector<bool>& wanted) {
    std::vector<int32_t> root(wanted.size(), -1);  // of results; inputs have none
    std::vector<size_t> last_use(wanted.size(), 0);
    for (size_t k = 0; k < n; ++k) {
      const EventInfo& info = *path[k]->info;
      for (int32_t s : info.in)
        if (s >= 0 && root[static_cast<size_t>(s)] >= 0) last_use[static_cast<size_t>(root[static_cast<size_t>(s)])] = k;
      if (info.inplace) continue;
      const auto out = static_cast<size_t>(path[k]->out);
      root[out] = info.view ? root[static_cast<size_t>(info.in[0])] : path[k]->out;
      if (!info.view) last_use[out] = k;
    }
    Arena arena;
    std::vector<std::vector<int32_t>> dying(n);
    std::vector<int64_t> at(wanted.size(), -1);
    for (size_t k = 0; k < n; ++k) {
      const EventInfo& info = *path[k]->info;
      if (const int32_t s = path[k]->out; !info.view && !info.inplace && !wanted[static_cast<size_t>(s)]) {
        at[static_cast<size_t>(s)] = arena.take(slots[s]->nbytes());
        dying[SINTER_MUTANT(interpreted_temporary_freed_early) ? k : last_use[static_cast<size_t>(s)]].push_back(s);
      }
      for (int32_t s : dying[k]) arena.give(at[static_cast<size_t>(s)], slots[s]->nbytes());
    }
    bytes_ = static_cast<size_t>(arena.size());
    block_ = static_cast<char*>(allocate_bytes(bytes_));
    for (size_t s = 0; s < at.size(); ++s) {
      if (at[s] < 0) continue;
      temporary_.push_back(slots[s]->storage);
      slots[s]->storage->data = block_ + at[s];
      slots[s]->storage->nbytes = static_cast<size_t>(slots[s]->nbytes());
    }
  }

  void take_back() noexcept {
    for (Storage* s : temporary_) s->data = nullptr, s->nbytes = 0;
    if (block_ != nullptr) free_bytes(block_, bytes_);
  }

  char* block_ = nullptr;
  size_t bytes_ = 0;
  std::vector<Storage*> temporary_, own_;
};

}  // namespace

OpCall call_of(const Event& e, std::span<TensorImpl* const> operands, IntArrayRef ints, const Scalar* scalars) {
  const EventInfo& info = *e.info;
  OpCall c{.op = op_of(e), .loc = info.loc};
  c.flags = static_cast<uint8_t>(e.key >> event_key::kFlagShift);
  c.n_in = static_cast<uint16_t>(operands.size());
  c.in = operands.data();
  c.attr = e.attr;
  c.ints = ints;
  c.n_scalars = static_cast<uint8_t>(info.n_scalars);
  for (int i = 0; i < info.n_scalars; ++i) c.scalars[i] = scalars[info.first_scalar + i];
  return c;
}

void interpret(Event* const* path, size_t n, TensorImpl* const* slots, const Scalar* scalars, const int64_t* free_ints,
               const std::vector<bool>* wanted) {
  const struct Restore {
    uint32_t before = ambient::word;
    ~Restore() { ambient::word = before; }
  } restore;
  size_t most = 0;
  for (size_t k = 0; k < n; ++k) most = std::max(most, path[k]->info->in.size());
  std::vector<TensorImpl*> operands;
  operands.reserve(most);
  const ResultMemory memory(path, n, slots, wanted);  // the last step that may run out of memory before something is written
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
    const OpCall c = call_of(e, operands, ints, scalars);
    if (!SINTER_MUTANT(interpreter_ignores_ambient)) ambient::word = static_cast<uint16_t>(e.key >> 32);
    run_eager_into(c, slots[e.out]);
  }
}

}  // namespace sinter
