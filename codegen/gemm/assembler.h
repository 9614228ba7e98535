// Xbyak with vectors of either instruction set: the same calls make AVX-512 or AVX2 code.
#pragma once
#include <xbyak/xbyak.h>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include "../../runtime/cpu.h"
#include "../../runtime/dtype.h"
#include "epilogue.h"
#include "tile_spec.h"

namespace sinter::codegen {

/// Emits into plain memory, which never becomes executable: code memory copies it. Registers are named by number; their width
/// is that of the instruction set. @throws Xbyak::Error when `capacity` bytes do not suffice.
/// Bytes for an epilogue; a longer one is refused.
inline constexpr size_t kEpilogueRoom = 64 << 10;

class VectorAssembler : private std::unique_ptr<uint8_t[]>, public Xbyak::CodeGenerator {
 public:
  VectorAssembler(Isa isa, ScalarType dtype, size_t capacity)
      : std::unique_ptr<uint8_t[]>(new uint8_t[capacity]),
        CodeGenerator(capacity, std::unique_ptr<uint8_t[]>::get()),
        avx512_(isa == Isa::Avx512),
        f64_(dtype == ScalarType::Double) {}

  bool avx512() const { return avx512_; }
  int element_bytes() const { return f64_ ? 8 : 4; }
  int vector_bytes() const { return avx512_ ? 64 : 32; }
  int lanes() const { return vector_bytes() / element_bytes(); }
  int n_registers() const { return avx512_ ? 32 : 16; }
  Xbyak::Ymm vec(int i) const { return avx512_ ? static_cast<Xbyak::Ymm>(Xbyak::Zmm(i)) : Xbyak::Ymm(i); }
  static Xbyak::Xmm low(const Xbyak::Ymm& v) { return Xbyak::Xmm(v.getIdx()); }
  static Xbyak::Ymm low_half(const Xbyak::Ymm& v) { return Xbyak::Ymm(v.getIdx()); }

  void zero(const Xbyak::Ymm& v);
  void load(const Xbyak::Ymm& to, const Xbyak::Address& from);
  void store(const Xbyak::Address& to, const Xbyak::Ymm& from);
  void broadcast(const Xbyak::Ymm& to, const Xbyak::Address& from);
  void fma(const Xbyak::Ymm& acc, const Xbyak::Ymm& a, const Xbyak::Operand& b);  // acc += a * b, rounded once
  void add_vec(const Xbyak::Ymm& to, const Xbyak::Operand& b);

  /// Prepares for the first `count` elements of a vector: k7, or (AVX2) a mask in `mask`, which the calls below then need.
  void set_tail(int count, const Xbyak::Ymm& mask);
  void load_tail(const Xbyak::Ymm& to, const Xbyak::Address& from, const Xbyak::Ymm& mask);
  void store_tail(const Xbyak::Address& to, const Xbyak::Ymm& from, const Xbyak::Ymm& mask);
  /// The first `count` elements (4 to 16 bytes in all) of 16-byte piece `piece` of `from`; `temp` is another register.
  void store_piece(const Xbyak::Address& to, const Xbyak::Ymm& from, int piece, int count, const Xbyak::Xmm& temp);

  /// Calls the epilogue, if there is one, on results in registers; rdi points to the tile, and stays.
  void call_epilogue(const Epilogue* epilogue, bool along_rows, const std::vector<EpiloguePiece>& pieces);
  /// The code, then the constants it needs.
  EmittedTile finish();
  /// Back to the caller, with the upper halves of vector registers clean.
  void leave();

 private:
  bool avx512_, f64_;
  std::map<int, Xbyak::Label> tail_tables_;
  Xbyak::Label epilogue_label_;
  EmittedEpilogue epilogue_;
};

/// A displacement. @throws Xbyak::Error when it does not fit 31 bits.
int32_t displacement(int64_t bytes);

}  // namespace sinter::codegen
