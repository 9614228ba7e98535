#include "region_key.h"
#include "../../runtime/cpu.h"
#include "../../runtime/mutants.h"
#include "../../runtime/stress.h"

namespace sinter {

namespace {

/// A part of the key, which a mutant leaves out.
constexpr uint64_t part(bool forgotten, uint64_t w) { return forgotten ? 0 : w; }

class Writer {
 public:
  explicit Writer(std::vector<uint64_t>& out) : out_(out) {}
  void word(uint64_t w) { out_.push_back(w); }
  template <class List>
  void list(const List& values) {  // the length keeps lists apart
    word(values.size());
    for (const auto& v : values) word(static_cast<uint64_t>(v));
  }
  void meta(const TensorMeta& m) {
    word(part(SINTER_MUTANT(region_key_without_dtype), static_cast<uint64_t>(m.dtype)));
    list(SINTER_MUTANT(region_key_without_sizes) ? SizeVec() : m.sizes);
    for (int64_t s : m.strides) word(part(SINTER_MUTANT(region_key_without_strides), static_cast<uint64_t>(s)));
    word(static_cast<uint64_t>(m.offset));
  }
  void event(const RegionEvent& e) {
    word(part(SINTER_MUTANT(region_key_without_op), static_cast<uint64_t>(e.op)) |
         part(SINTER_MUTANT(region_key_without_flags), e.flags) << 16 | static_cast<uint64_t>(e.n_scalars) << 24 |
         part(SINTER_MUTANT(region_key_without_compute), static_cast<uint64_t>(e.compute)) << 32);
    if (!SINTER_MUTANT(region_key_without_operands)) list(e.in);
    word(static_cast<uint64_t>(e.out));
    word(part(SINTER_MUTANT(region_key_without_attr), e.attr));
    if (!SINTER_MUTANT(region_key_without_ints)) list(e.ints);
    if (e.n_scalars == 0) return;
    word(static_cast<uint64_t>(e.first_scalar));
    for (int i = 0; i < e.n_scalars; ++i)
      word(part(SINTER_MUTANT(region_key_without_scalar_types), static_cast<uint64_t>(e.scalar_types[i])));
  }

 private:
  std::vector<uint64_t>& out_;
};

}  // namespace

std::vector<uint64_t> region_key(const Region& region) {
  std::vector<uint64_t> words;
  words.reserve(16 + region.events.size() * 10 + region.slots.size() * 12);
  Writer w(words);
  w.word(part(SINTER_MUTANT(region_key_without_isa), static_cast<uint64_t>(isa())) << 1 |
         part(SINTER_MUTANT(region_key_without_overlap), region.overlapping_writes));
  w.word(static_cast<uint64_t>(stress().skip_passes) << 1 | static_cast<uint64_t>(stress().fuse));
  w.word(stress().kernel_seed);
  w.word(region.events.size());
  for (const auto& e : region.events) w.event(e);
  w.word(region.slots.size());
  for (const auto& s : region.slots) {
    w.meta(s.meta);
    w.word(part(SINTER_MUTANT(region_key_without_roots), static_cast<uint32_t>(s.root)) << 32 | static_cast<uint32_t>(s.input));
    w.word(s.wrapped);
  }
  w.list(region.inputs);
  if (!SINTER_MUTANT(region_key_without_live)) w.list(region.live);
  if (!SINTER_MUTANT(region_key_without_scalar_types)) w.list(region.scalars);
  return words;
}

std::vector<uint64_t> region_key(const SymbolicRegion& region) {
  std::vector<uint64_t> words = region_key(region.regions[0]);
  words.push_back(static_cast<uint64_t>(region.probes.count));
  for (const SymbolDim& d : region.dims)
    words.push_back(static_cast<uint64_t>(d.input) << 32 | static_cast<uint64_t>(d.dim) << 8 | static_cast<uint64_t>(d.symbol));
  return words;
}

uint64_t hash_words(const std::vector<uint64_t>& words) {
  uint64_t h = 0x9e3779b97f4a7c15ull;
  for (uint64_t w : words) h = (h ^ w) * 0xff51afd7ed558ccdull + (h >> 29);
  return h;
}

}  // namespace sinter
