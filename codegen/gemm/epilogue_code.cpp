// The code of an epilogue: the loop emitter's, applied to registers that hold results of a tile instead of loads.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <map>
#include "../../runtime/kernels/gemm_plan.h"
#include "../../runtime/mutants.h"
#include "../loop/assembly.h"
#include "../loop/body_emitter.h"
#include "../loop/plan.h"
#include "epilogue.h"

namespace sinter::codegen {

namespace {

namespace I = asmjit::x86::Inst;

constexpr int kInlineInsts = 96;        // of all pieces; beyond, the expression's code is there once and called
constexpr int32_t kReturnAddress = 64;  // stack bytes that a call of it takes, rounded up to a vector
constexpr int kSpare = 3;               // registers an instruction may need beside the values that are alive

class EpilogueCode {
 public:
  EpilogueCode(x86::Assembler& assembler, const Epilogue& e, const LoopSpec& spec, Isa isa, bool along_rows,
               const std::vector<EpiloguePiece>& pieces, bool stack)
      : a_(assembler),
        e_(e),
        along_rows_(along_rows),
        pieces_(pieces),
        stack_(stack),
        f_(assembler, spec, isa, {.vectors = isa == Isa::Avx512 ? 32 : 16, .pointers = 6}, kReturnAddress),
        ir_(isa, f_.lanes, f_.pool),
        elt_(elt_of(spec.operands[static_cast<size_t>(e.product)].dtype)),
        bytes_(elt_bytes(elt_) * f_.lanes) {}

  size_t emit() {
    for (const EpiloguePiece& p : pieces_) results_ |= 1u << p.reg;
    build();
    choose_registers();
    prologue();
    for (const EpiloguePiece& p : pieces_) emit_piece(p);
    epilogue();
    for (auto& [valid, label] : bodies_) emit_body(valid, label);
    emit_cold_code(f_);
    const size_t code_bytes = a_.offset();
    a_.align(asmjit::AlignMode::kData, 64);
    a_.bind(f_.pool_label);
    a_.embed(f_.pool.bytes().data(), f_.pool.bytes().size());
    if (stack_) {
      const int32_t frame = f_.frame_bytes() - return_bytes();
      std::memcpy(a_.code()->textSection()->buffer().data() + patch_frame_, &frame, 4);
    }
    return code_bytes;
  }
  /// Emitted without a stack frame, and does with none.
  bool is_whole() const { return stack_ || (!called_ && !parked_ && f_.frame_bytes() == least_frame_); }
  double flops() const { return ir_.flops(); }

 private:
  using V = EmitBuilder::V;

  /// The expression. The product is a value whose home is a slot, pinned to a register.
  void build() {
    home_ = f_.alloc(64);
    least_frame_ = f_.frame_bytes();
    std::vector<V> values;
    EmitBuilder b(ir_);
    for (const LoopNode& n : f_.spec.nodes) {
      const Elt e = elt_of(n.dtype);
      V in[4];
      for (int i = 0; i < n.n_in; ++i) in[i] = values[static_cast<size_t>(n.in[i])];
      switch (n.kind) {
        case LoopKind::Constant:
          values.push_back(b.constant_bits(n.dtype, n.bits));
          break;
        case LoopKind::Scalar:
          values.push_back({ir_.slot(e, 0, scalar_slot(n.index), 0), e});
          break;
        case LoopKind::Load:
          values.push_back(n.index == e_.product ? V{ir_.slot(e, 0, home_, 0), e} : loaded(n.index, e));
          break;
        case LoopKind::Cast:
          values.push_back(b.cast(n.dtype, in[0]));
          break;
        default:
          values.push_back(emit_expression(b, n.op, compute_type(f_.spec, n), in, n.n_in, n.bits));
      }
    }
    ir_.push(Vop::Result, elt_, -1, values[static_cast<size_t>(f_.spec.stores[0].node)].id);
    ir_.finish();
  }
  V loaded(int32_t operand, Elt e) {
    const V v{ir_.new_reg(e), e};
    ir_.push(Vop::Load, e, v.id).index = operand;
    if (std::find(loads_.begin(), loads_.end(), operand) == loads_.end()) loads_.push_back(operand);
    return v;
  }
  int32_t scalar_slot(int32_t scalar) {
    const auto [at, is_new] = scalar_slots_.try_emplace(scalar, 0);
    if (is_new) at->second = f_.alloc(64);
    return at->second;
  }

  /// In the registers the results are in, or, when those leave too few, one by one from the stack. A long expression is written
  /// once and called with its operand in a fixed register.
  void choose_registers() {
    const int n = f_.avx512() ? 32 : 16, free = n - std::popcount(results_);
    called_ = ir_.live_insts * static_cast<int>(pieces_.size()) > kInlineInsts && pieces_.size() > 2;
    parked_ = free < ir_.pressure + kSpare + called_;
    if (parked_) {
      own_ = 0;
      park_ = f_.alloc(64 * static_cast<int32_t>(pieces_.size()));
      f_.reserved_vectors = 1u << own_;
    } else {
      for (own_ = 0; called_ && (results_ >> own_ & 1);) ++own_;
      f_.reserved_vectors = results_ | (called_ ? 1u << own_ : 0);
    }
    f_.used_vectors |= results_ | f_.reserved_vectors;
  }
  int32_t return_bytes() const { return called_ ? 8 : 0; }
  x86::Mem parked(size_t i) const { return x86::ptr(x86::rsp, park_ + 64 * static_cast<int32_t>(i) - return_bytes()); }
  x86::Vec vec(int reg) { return f_.vec(reg, bytes_); }

  /// Called code finds the stack pointer 8 bytes lower: the frame is aligned as it sees it.
  void prologue() {
    if (stack_) {
      a_.push(x86::rbp);
      a_.mov(x86::rbp, x86::rsp);
      a_.and_(x86::rsp, -64);
      a_.sub(x86::rsp, 0x12345678);
      patch_frame_ = a_.offset() - 4;
    }
    for (size_t i = 0; parked_ && i < pieces_.size(); ++i) a_.emit(I::kIdVmovaps, parked(i), vec(pieces_[i].reg));
    load_scalars();
    load_pointers();
  }
  /// Through a register that holds no result.
  void load_scalars() {
    if (scalar_slots_.empty()) return;
    int temp = 0;
    while (!parked_ && (results_ >> temp & 1)) ++temp;
    a_.mov(kTemp, x86::ptr(x86::rdi, offsetof(GemmTile, scalars)));
    for (const auto& [scalar, slot] : scalar_slots_) {
      a_.emit(elt_bytes(elt_) == 8 ? I::kIdVbroadcastsd : I::kIdVbroadcastss, vec(temp), x86::ptr(kTemp, 8 * scalar));
      a_.emit(I::kIdVmovaps, x86::ptr(x86::rsp, slot - return_bytes()), vec(temp));
    }
  }
  /// To the tile's first element.
  void load_pointers() {
    const x86::Gp pool[] = {x86::rsi, x86::rdx, x86::r8, x86::r9, x86::r10, x86::r11};
    position_.assign(f_.spec.operands.size(), 0);
    size_t next = 0;
    for (const int32_t operand : loads_) {
      const auto i = static_cast<size_t>(operand);
      const x86::Gp to = pool[next++];
      f_.pointer_reg[i] = static_cast<int8_t>(to.id());
      const EpilogueOperand kind = e_.kind(i);
      a_.mov(kTemp, x86::ptr(x86::rdi, offsetof(GemmTile, operands)));
      a_.mov(to, x86::ptr(kTemp, 8 * operand));
      if (kind == EpilogueOperand::Element || SINTER_MUTANT(epilogue_operand_of_first_tile)) continue;
      a_.mov(kTemp, x86::ptr(x86::rdi, kind == EpilogueOperand::Whole ? offsetof(GemmTile, at) : offsetof(GemmTile, column)));
      a_.lea(to, x86::ptr(to, kTemp, static_cast<uint32_t>(std::countr_zero(element_size(f_.spec.operands[i].dtype)))));
    }
  }

  /// Pointers and the index register go to the piece's first element.
  void move_to(const EpiloguePiece& p) {
    if (loads_.empty()) return;
    for (const int32_t operand : loads_) {
      const auto i = static_cast<size_t>(operand);
      const EpilogueOperand kind = e_.kind(i);
      const int64_t elements = kind == EpilogueOperand::Whole                ? p.row * f_.spec.sizes[1]
                               : kind == EpilogueOperand::Row && along_rows_ ? p.column
                                                                             : 0;
      const int64_t at = elements * static_cast<int64_t>(element_size(f_.spec.operands[i].dtype));
      f_.bump(operand, at - position_[i]);
      position_[i] = at;
    }
    if (along_rows_ || index_ == p.column) return;
    a_.mov(x86::ecx, static_cast<uint32_t>(p.column));
    index_ = p.column;
  }

  void emit_piece(const EpiloguePiece& p) {
    move_to(p);
    const int tail = p.valid == f_.lanes ? 0 : p.valid;
    if (tail != 0 && f_.avx512() && !loads_.empty() && mask_ != tail) {
      a_.mov(x86::eax, (1u << tail) - 1);
      a_.kmovd(x86::k7, x86::eax);
      mask_ = tail;
    }
    const auto i = static_cast<size_t>(&p - pieces_.data());
    const int reg = parked_ || called_ ? own_ : p.reg;
    if (parked_) a_.emit(I::kIdVmovaps, vec(reg), parked(i));
    else if (called_) a_.emit(I::kIdVmovaps, vec(reg), vec(p.reg));
    if (called_) {
      const auto [body, is_new] = bodies_.try_emplace(loads_.empty() ? 0 : tail);
      if (is_new) body->second = a_.newLabel();
      a_.call(body->second);
    } else {
      emit_expression_at(reg, tail);
    }
    if (parked_) a_.emit(I::kIdVmovaps, parked(i), vec(reg));
    else if (called_) a_.emit(I::kIdVmovaps, vec(p.reg), vec(reg));
  }

  void emit_expression_at(int reg, int tail) {
    f_.pins = {
        {Home::Slot, home_, static_cast<uint8_t>(bytes_), static_cast<uint8_t>(elt_bytes(elt_)), static_cast<int8_t>(reg)}};
    BodyEmitter(f_).emit(ir_, {.tail = tail, .result = reg});
  }
  void emit_body(int tail, const asmjit::Label& label) {
    a_.align(asmjit::AlignMode::kCode, 16);
    a_.bind(label);
    emit_expression_at(own_, tail);
    a_.ret();
  }

  void epilogue() {
    for (size_t i = 0; parked_ && i < pieces_.size(); ++i) a_.emit(I::kIdVmovaps, vec(pieces_[i].reg), parked(i));
    if (stack_) {
      a_.mov(x86::rsp, x86::rbp);
      a_.pop(x86::rbp);
    }
    a_.ret();
  }

  x86::Assembler& a_;
  const Epilogue& e_;
  const bool along_rows_;
  const std::vector<EpiloguePiece>& pieces_;
  const bool stack_;
  KernelFrame f_;
  Ir ir_;
  const Elt elt_;
  const int bytes_;  // of a vector
  std::vector<int32_t> loads_;
  std::map<int32_t, int32_t> scalar_slots_;
  std::map<int, asmjit::Label> bodies_;  // by the lanes that exist, 0: all
  std::vector<int64_t> position_;        // per operand: bytes its pointer is past the tile's first element
  uint32_t results_ = 0;
  bool called_ = false, parked_ = false;
  int own_ = 0, mask_ = 0;
  int64_t index_ = -1;
  int32_t home_ = 0, park_ = 0, least_frame_ = 0;
  size_t patch_frame_ = 0;
};

/// As the emitter is to see operands: down the rows, what is the same for all of them is one element.
LoopSpec spec_of(const Epilogue& e, bool along_rows) {
  LoopSpec spec = e.spec;
  for (LoopOperand& o : spec.operands)
    if (along_rows && o.strides[0] == 0) o.strides[1] = 0;
  return spec;
}

/// Nothing is known yet of registers that do not suffice.
bool may_do_without_stack(const Epilogue& e) {
  const auto is_bool = [](const LoopOperand& o) { return o.dtype == ScalarType::Bool; };
  return !e.is_long() && e.spec.scalars.empty() && std::none_of(e.spec.operands.begin(), e.spec.operands.end(), is_bool);
}

}  // namespace

EmittedEpilogue emit_epilogue(const Epilogue& epilogue, Isa isa, bool along_rows, const std::vector<EpiloguePiece>& pieces) {
  if (along_rows && epilogue.has_whole()) raise("epilogue: operands are read across rows");
  const LoopSpec spec = spec_of(epilogue, along_rows);
  EmittedEpilogue out;
  bool done = false;
  for (const bool stack : {false, true}) {
    if (done || (!stack && !may_do_without_stack(epilogue))) continue;
    assemble(out.bytes, [&](x86::Assembler& assembler) {
      EpilogueCode code(assembler, epilogue, spec, isa, along_rows, pieces, stack);
      out.code_bytes = code.emit();
      out.element_flops = code.flops();
      done = code.is_whole();
    });
  }
  return out;
}

}  // namespace sinter::codegen
