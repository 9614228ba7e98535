// LoopSpec::split: a call does a range of one dimension. An outer one begins elsewhere; along the last one whole rounds of the
// loop are divided, and what is left after them belongs to the range that ends where the dimension does.
#include "../../runtime/mutants.h"
#include "nest.h"

namespace sinter::codegen {

/// rsi points to the scalars.
void NestEmitter::load_range() {
  if (f_.spec.split < 0) return;
  f_.range_slot = f_.alloc(24);
  const auto after_scalars = static_cast<int32_t>(8 * f_.spec.scalars.size());
  a_.mov(kTemp, x86::ptr(x86::rsi, after_scalars));
  a_.mov(f_.range_begin(), kTemp);
  a_.mov(kTemp, x86::ptr(x86::rsi, after_scalars + 8));
  a_.mov(f_.range_end(), kTemp);
}

/// Every operand moves forth by `begin` steps along the dimension, or back by `end - begin`.
void NestEmitter::move_along_range(bool back) {
  const auto dim = static_cast<size_t>(f_.spec.split);
  for (size_t i = 0; i < f_.spec.operands.size(); ++i) {
    const LoopOperand& o = f_.spec.operands[i];
    const int64_t bytes = o.strides[dim] * static_cast<int64_t>(element_size(o.dtype));
    if (bytes == 0) continue;
    a_.mov(kTemp, back ? f_.range_end() : f_.range_begin());
    if (back) a_.sub(kTemp, f_.range_begin());
    if (bytes == static_cast<int32_t>(bytes)) {
      a_.imul(kTemp, kTemp, bytes);
    } else {
      a_.mov(kIndex, bytes);
      a_.imul(kTemp, kIndex);
    }
    if (f_.pointer_reg[i] >= 0) {
      const x86::Gp p = x86::gpq(static_cast<uint32_t>(f_.pointer_reg[i]));
      back ? a_.sub(p, kTemp) : a_.add(p, kTemp);
    } else {
      const x86::Mem p = x86::qword_ptr(x86::rsp, f_.pointer_slot[i]);
      back ? a_.sub(p, kTemp) : a_.add(p, kTemp);
    }
  }
}

/// The index starts at `begin`; jumps to `after` when no whole round of `step` elements lies in the range, else falls into the
/// loop.
void NestEmitter::start_rounds(int64_t step, int64_t rounds, const asmjit::Label& top, const asmjit::Label& after) {
  f_.split_step = step;
  const asmjit::Label found = a_.newLabel();
  a_.mov(kTemp, step * rounds);
  a_.cmp(kTemp, f_.range_end());
  a_.jb(found);
  a_.mov(kTemp, f_.range_end());
  a_.bind(found);
  a_.mov(f_.range_rounds(), kTemp);
  a_.mov(kIndex, f_.range_begin());
  next_round(top);
  a_.jmp(after);
}

void NestEmitter::next_round(const asmjit::Label& top) {
  a_.cmp(kIndex, f_.range_rounds());
  a_.jb(top);
}

/// What follows the rounds of the whole dimension is done by the range that has its end.
void NestEmitter::skip_rest_inside(int64_t extent, const asmjit::Label& end) {
  a_.mov(kTemp, extent);
  a_.cmp(f_.range_end(), kTemp);
  if (!SINTER_MUTANT(kernel_range_rest_everywhere)) a_.jb(end);
}

}  // namespace sinter::codegen
