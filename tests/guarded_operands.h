// A kernel run on operands that end at, or begin after, a page that faults, at any alignment, with canaries around them.
#pragma once
#include <map>
#include "codegen_families.h"
#include "watched_call.h"

namespace sinter::codegen::reference {

/// Where an operand lies. End, Start: flush with a faulting page. Offset: `step` elements past a multiple of 64 bytes (operands
/// apart from each other). Odd: at an address of no alignment at all.
struct Placement {
  enum Kind { End, Start, Offset, Odd } kind;
  int step = 0;
};

/// Reused memory between two faulting pages, one for each number of pages and each operand of a kernel.
class GuardedMemory {
 public:
  static constexpr uint8_t kCanary = 0xa5;
  explicit GuardedMemory(size_t pages) : usable_(pages * kPage) {
    map_ = static_cast<uint8_t*>(mmap(nullptr, usable_ + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(map_ + kPage, usable_, PROT_READ | PROT_WRITE);
  }
  ~GuardedMemory() { munmap(map_, usable_ + 2 * kPage); }
  GuardedMemory(const GuardedMemory&) = delete;

  static GuardedMemory& of(size_t which, size_t bytes) {
    static std::map<std::pair<size_t, size_t>, std::unique_ptr<GuardedMemory>> all;
    const size_t pages = (bytes + 192 + kPage - 1) / kPage;
    auto& m = all[{which, pages}];
    if (!m) m = std::make_unique<GuardedMemory>(pages);
    return *m;
  }
  /// Copies the content to its place, canaries into all the rest.
  uint8_t* place(const std::vector<uint8_t>& content, Placement p, size_t element, size_t which) {
    bytes_ = content.size();
    uint8_t* const begin = map_ + kPage;
    const size_t apart = static_cast<size_t>(p.step) + 5 * which;
    data_ = begin;
    if (p.kind == Placement::End) data_ = begin + usable_ - bytes_;
    else if (p.kind == Placement::Offset) data_ = begin + 64 + (element == 1 ? apart * 5 % 64 : apart * element % 64);
    else if (p.kind == Placement::Odd) data_ = begin + 65 + 2 * which % 32;
    std::memset(begin, kCanary, usable_);
    if (bytes_) std::memcpy(data_, content.data(), bytes_);
    return data_;
  }
  bool canaries_intact() const {
    const uint8_t *begin = map_ + kPage, *data_end = data_ + bytes_;
    return all_canaries(begin, data_) && all_canaries(data_end, begin + usable_);
  }
  const uint8_t* data() const { return data_; }

 private:
  static constexpr size_t kPage = 4096;
  /// Each byte equals the next one: memcmp is fast in sanitizer builds too.
  static bool all_canaries(const uint8_t* from, const uint8_t* to) {
    return from == to || (*from == kCanary && std::memcmp(from, from + 1, static_cast<size_t>(to - from) - 1) == 0);
  }
  size_t usable_, bytes_ = 0;
  uint8_t *map_, *data_ = nullptr;
};

/// Runs one spec in many placements. Every output byte: what the interpreter says where something is stored (and the same bits
/// in every run), the bytes from before elsewhere. Outputs and registers start as one NaN, then as another.
class GuardedRun {
 public:
  GuardedRun(const LoopSpec& spec, const std::vector<std::pair<int, int>>& shared, uint64_t seed) : spec_(spec), seed_(seed) {
    std::mt19937_64 rng(seed);
    const size_t n = spec.operands.size();
    owner_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      const LoopOperand& o = spec.operands[i];
      extents_.push_back(extent_of(spec, o));
      content_.emplace_back(static_cast<size_t>(extents_[i].elements) * element_size(o.dtype));
      written_.emplace_back(static_cast<size_t>(extents_[i].elements), false);
      owner_[i] = i;
      for (int64_t e = 0; e < extents_[i].elements; ++e) write(content_[i].data(), o.dtype, e, random_value(rng, o.dtype));
    }
    for (const auto& [out, in] : shared) owner_[static_cast<size_t>(out)] = static_cast<size_t>(in);
    for (const LoopStore& s : spec.stores) mark_written(static_cast<size_t>(s.operand), 0, 0);
    for (ScalarType t : spec.scalars) scalars_.push_back(random_value(rng, t).bits);
    interpret();
  }

  /// The first complaint, or nothing.
  std::string check(const Kernel& kernel, const std::vector<Placement>& placements) {
    for (const Placement& p : placements)
      for (uint32_t nan : {0x7ff8deadu, 0xfff4beefu}) {
        const std::string wrong = run(kernel, p, nan);
        if (wrong.empty()) continue;
        static const char* const names[] = {"end", "start", "offset", "odd"};
        return wrong + " (" + names[p.kind] + " " + std::to_string(p.step) + ", seed " + std::to_string(seed_) + ")";
      }
    return "";
  }

 private:
  bool output(size_t i) const { return spec_.operands[i].output && owner_[i] == i; }
  size_t element(size_t i) const { return element_size(spec_.operands[i].dtype); }

  void mark_written(size_t operand, size_t dim, int64_t at) {
    if (dim == spec_.sizes.size()) {
      if (extents_[operand].elements) written_[owner_[operand]][static_cast<size_t>(at + extents_[operand].first)] = true;
      return;
    }
    const int64_t stride = spec_.operands[operand].strides[dim];
    const int64_t count = stride == 0 ? std::min<int64_t>(spec_.sizes[dim], 1) : spec_.sizes[dim];
    const bool once = stride == 0 && spec_.mode != LoopMode::Pointwise &&
                      dim == spec_.sizes.size() - (spec_.mode == LoopMode::Column ? 2 : 1);  // also of an empty reduction
    for (int64_t i = 0; i < (once ? 1 : count); ++i) mark_written(operand, dim + 1, at + i * stride);
  }

  void interpret() {
    expected_ = content_;
    std::vector<void*> operands;
    for (size_t i = 0; i < content_.size(); ++i)
      operands.push_back(expected_[owner_[i]].data() + static_cast<size_t>(extents_[i].first) * element(i));
    Interpreter(spec_, operands, scalars_).run();
  }

  std::string run(const Kernel& kernel, Placement p, uint32_t nan) {
    const size_t n = content_.size();
    std::vector<GuardedMemory*> memory(n);
    std::vector<void*> operands(n);
    std::vector<uint8_t> filled;
    for (size_t i = 0; i < n; ++i) {
      if (owner_[i] != i) continue;
      filled = content_[i];
      if (output(i))
        for (size_t b = 0; b < filled.size(); ++b) filled[b] = static_cast<uint8_t>(nan >> 8 * (b % 4));
      memory[i] = &GuardedMemory::of(i, filled.size());
      operands[i] = memory[i]->place(filled, p, element(i), i) + static_cast<size_t>(extents_[i].first) * element(i);
    }
    for (size_t i = 0; i < n; ++i) operands[i] = operands[owner_[i]];
    const Placement end{Placement::End};
    const size_t scratch_bytes = kernel.scratch_for(spec_.sizes.back());
    GuardedMemory& scratch = GuardedMemory::of(1000, scratch_bytes);
    GuardedMemory& pointers = GuardedMemory::of(1001, n * 8);
    std::vector<uint64_t> values = scalars_;
    for (int64_t v : size_values(kernel.spec, spec_.sizes, spec_.operands)) values.push_back(static_cast<uint64_t>(v));
    GuardedMemory& scalars = GuardedMemory::of(1002, values.size() * 8);
    const auto bytes_of = [](const auto& v) {
      const auto* b = reinterpret_cast<const uint8_t*>(v.data());
      return std::vector<uint8_t>(b, b + v.size() * sizeof(v[0]));
    };
    const std::string state = test::watched_call(
        kernel, reinterpret_cast<void* const*>(pointers.place(bytes_of(operands), end, 8, 0)),
        reinterpret_cast<const uint64_t*>(scalars.place(bytes_of(values), end, 8, 0)),
        scratch.place(std::vector<uint8_t>(scratch_bytes, static_cast<uint8_t>(nan)), end, 64, 0), uint64_t{nan} << 32 | nan);
    if (!state.empty()) return state;
    if (!scratch.canaries_intact() || !pointers.canaries_intact() || !scalars.canaries_intact()) return "written beside scratch";
    for (size_t i = 0; i < n; ++i)
      if (owner_[i] == i)
        if (std::string wrong = compare(i, *memory[i], nan); !wrong.empty()) return "operand " + std::to_string(i) + wrong;
    first_run_ = false;
    return "";
  }

  std::string compare(size_t i, const GuardedMemory& memory, uint32_t nan) {
    if (!memory.canaries_intact()) return ": written outside";
    const ScalarType t = spec_.operands[i].dtype;
    const size_t size = element(i);
    if (first_run_) {
      if (bits_.size() <= i) bits_.resize(content_.size());
      bits_[i].assign(memory.data(), memory.data() + content_[i].size());
    }
    for (size_t e = 0; e < written_[i].size(); ++e) {
      const auto at = static_cast<int64_t>(e);
      const Value got = read(memory.data(), t, at);
      const std::string where = " element " + std::to_string(e);
      if (written_[i][e]) {
        if (!same(got, read(expected_[i].data(), t, at)))
          return where + ": " + hex(got) + " for " + hex(read(expected_[i].data(), t, at));
        if (got.bits != read(bits_[i].data(), t, at).bits) return where + ": other bits than in the first run";
        continue;
      }
      for (size_t b = e * size; b < (e + 1) * size; ++b)
        if (memory.data()[b] != (output(i) ? static_cast<uint8_t>(nan >> 8 * (b % 4)) : content_[i][b]))
          return where + ": changed";
    }
    return "";
  }
  static std::string hex(Value v) {
    char text[24];
    std::snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(v.bits));
    return text;
  }

  const LoopSpec& spec_;
  uint64_t seed_;
  std::vector<Extent> extents_;
  std::vector<size_t> owner_;
  std::vector<std::vector<uint8_t>> content_, expected_, bits_;
  std::vector<std::vector<bool>> written_;
  std::vector<uint64_t> scalars_;
  bool first_run_ = true;
};

}  // namespace sinter::codegen::reference
