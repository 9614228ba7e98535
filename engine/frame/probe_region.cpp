#include "probe_region.h"
#include <numeric>
#include "../../runtime/error.h"
#include "../ambient.h"
#include "../tensor.h"
#include "interpret.h"
#include "region_builder.h"

namespace sinter {

namespace {

/// Probes are multiples of this, so that most of what divides sizes divides them, times one of the primes.
constexpr int64_t kUnit = 48;
constexpr int64_t kPrimes[kProbes][kMaxSymbols] = {
    {101, 109, 131, 151, 173, 193, 211, 229}, {103, 113, 137, 157, 179, 197, 223, 233}, {107, 127, 139, 163, 181, 199, 227, 239}};

class Prober {
 public:
  Prober(const Leaf& leaf, TensorImpl* const* slots, const Scalar* scalars, const std::vector<int64_t>& free_ints)
      : leaf_(leaf), slots_(slots), scalars_(scalars), free_ints_(free_ints) {}

  void choose_probes(SymbolicRegion& out) {
    for (const SymbolDim& d : out.dims) out.probes.count = std::max(out.probes.count, d.symbol + 1);
    find_divisors(out);
    for (size_t j = 0; j < kProbes; ++j)
      for (size_t s = 0; s < static_cast<size_t>(out.probes.count); ++s)
        out.probes.values[j][s] = kUnit * kPrimes[j][s] * out.probes.divisors[s];
  }

  /// The region at a probe: `base` with other geometries. False when an operator refuses it.
  bool run(const SymbolicRegion& symbols, size_t probe, const Region& base, Region& out) try {
    out = base;
    tensors_.assign(base.slots.size(), Tensor());
    fakes_.assign(base.slots.size(), nullptr);
    for (size_t i = 0; i < base.inputs.size(); ++i) add_input(symbols, probe, static_cast<int32_t>(i), base);
    const int64_t* next_int = free_ints_.data();
    for (size_t k = 0; k < leaf_.path.size(); ++k) {
      const Event& e = *leaf_.path[k];
      if (!add_event(e, next_int, out.events[k].ints)) return false;
      if (e.info->free_ints != 0) next_int += e.info->ints.size();
    }
    for (size_t s = 0; s < out.slots.size(); ++s) {
      if (fakes_[s] == nullptr) continue;
      TensorMeta& m = out.slots[s].meta;
      if (m.dtype != fakes_[s]->dtype() || m.sizes.size() != fakes_[s]->sizes.size()) return false;
      const int32_t root = out.slots[s].root < 0 ? static_cast<int32_t>(s) : out.slots[s].root;
      m.sizes = fakes_[s]->sizes;
      m.strides = fakes_[s]->strides;
      m.offset = fakes_[s]->offset - fakes_[static_cast<size_t>(root)]->offset;
    }
    return true;
  } catch (const OutOfMemoryError&) { throw; } catch (const Error&) {
    return false;
  }

 private:
  int32_t input_of(int32_t slot) const {
    return static_cast<int32_t>(std::find(leaf_.inputs.begin(), leaf_.inputs.end(), slot) - leaf_.inputs.begin());
  }

  /// Where sizes are divided, probes must be multiples too.
  void find_divisors(SymbolicRegion& out) const {
    out.probes.divisors.fill(1);
    for (const Event* e : leaf_.path)
      for (const SizeExpr& x : e->info->expressions) {
        if (x.kind != SizeExpr::Kind::Over) continue;
        for (const SymbolDim& d : out.dims)
          if (d.input == input_of(x.slot) && d.dim == x.dim && x.c <= kUnit) {
            int64_t& divisor = out.probes.divisors[static_cast<size_t>(d.symbol)];
            divisor = std::lcm(divisor, x.c);
          }
      }
    for (int64_t& d : out.probes.divisors)
      if (d > kUnit * kUnit) d = 1;
  }

  void put(int32_t slot, ScalarType t, IntArrayRef sizes, IntArrayRef strides, int64_t offset, Storage* storage) {
    tensors_[static_cast<size_t>(slot)] = Tensor::adopt(TensorImpl::make(t, sizes, strides, offset, storage));
    fakes_[static_cast<size_t>(slot)] = tensors_[static_cast<size_t>(slot)].impl();
  }

  void add_input(const SymbolicRegion& symbols, size_t probe, int32_t input, const Region& base) {
    const int32_t slot = base.inputs[static_cast<size_t>(input)];
    const TensorImpl* t = slots_[slot];
    SizeVec sizes = t->sizes, strides = t->strides;
    bool symbolic = false;
    for (const SymbolDim& d : symbols.dims) {
      if (d.input != input) continue;
      symbolic = true;
      sizes[static_cast<size_t>(d.dim)] = symbols.probes.values[probe][static_cast<size_t>(d.symbol)];
    }
    if (symbolic) strides = contiguous_strides(sizes);  // free dimensions are those of row-major tensors
    put(slot, t->dtype(), sizes, strides, 0, Storage::empty());
    if (t->has(head::kWrapped)) fakes_[static_cast<size_t>(slot)]->set(head::kWrapped, true);
  }

  bool add_event(const Event& e, const int64_t* next_int, std::vector<int64_t>& ints) {
    const EventInfo& info = *e.info;
    std::vector<TensorImpl*> operands;
    for (int32_t s : info.in) operands.push_back(s < 0 ? nullptr : fakes_[static_cast<size_t>(s)]);
    for (size_t i = 0; i < info.ints.size() && info.free_ints != 0; ++i) {
      const bool explained = i < 64 && (info.free_ints >> i & 1) && info.expressions[i].kind != SizeExpr::Kind::None;
      ints[i] = explained ? info.expressions[i].value(fakes_.data()) : next_int[i];
    }
    const OpCall c = call_of(e, operands, ints, scalars_);
    const bool doubles = static_cast<uint16_t>(e.key >> 32) & ambient::kDefaultDouble;
    const TensorMeta meta = infer(c, doubles ? ScalarType::Double : ScalarType::Float);
    if (info.inplace) return true;
    Storage* storage = info.view ? operands[0]->storage : Storage::empty();
    if (info.view) storage->retain();
    put(e.out, meta.dtype, meta.sizes, meta.strides, meta.offset, storage);
    return true;
  }

  const Leaf& leaf_;
  TensorImpl* const* slots_;
  const Scalar* scalars_;
  const std::vector<int64_t>& free_ints_;
  std::vector<Tensor> tensors_;
  std::vector<TensorImpl*> fakes_;
};

}  // namespace

std::vector<SymbolDim> symbols_of(const Leaf& leaf, TensorImpl* const* slots, bool ones) {
  std::vector<SymbolDim> dims;
  std::vector<int64_t> sizes;  // of each symbol, in this call
  for (size_t i = 0; i < leaf.inputs.size(); ++i)
    for (const auto& [slot, dim] : leaf.free_dims) {
      const int64_t size = slots[slot]->sizes[static_cast<size_t>(dim)];
      if (slot != leaf.inputs[i] || (size == 1 && !ones)) continue;
      size_t s = 0;
      while (s < sizes.size() && sizes[s] != size) ++s;
      if (s == sizes.size()) sizes.push_back(size);
      if (s == kMaxSymbols) return {};
      dims.push_back({static_cast<int32_t>(i), dim, static_cast<int32_t>(s)});
    }
  return dims;
}

std::unique_ptr<SymbolicRegion> make_symbolic_region(const Leaf& leaf, std::vector<SymbolDim> symbols, TensorImpl* const* slots,
                                                     const Scalar* scalars, const std::vector<int64_t>& free_ints,
                                                     const Region& now) {
  auto out = std::make_unique<SymbolicRegion>();
  out->dims = std::move(symbols);
  Prober prober(leaf, slots, scalars, free_ints);
  prober.choose_probes(*out);
  for (size_t j = 0; j < kProbes; ++j)
    if (!prober.run(*out, j, now, out->regions[j])) return nullptr;
  return out;
}

}  // namespace sinter
