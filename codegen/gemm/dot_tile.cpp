// Tiles in which lanes run along k: both operands are read as they lie, each element of the result is the sum of its lanes.
#include <algorithm>
#include <cstddef>
#include "../../runtime/kernels/gemm_order.h"
#include "../../runtime/mutants.h"
#include "assembler.h"
#include "tile_spec.h"

namespace sinter::codegen {

namespace {

using namespace Xbyak;

constexpr int kUnroll = 2;

size_t code_room(const GemmTileShape& t, int parts) {
  const int acc = t.rows * t.vectors * parts;
  return static_cast<size_t>(12 * ((kUnroll + 2) * (acc + t.rows * parts + t.vectors * parts) + 12 * acc + 100));
}

/// `parts` registers hold the 64 bytes of lanes of one element of the result.
class DotTile : public VectorAssembler {
 public:
  explicit DotTile(const TileSpec& spec)
      : VectorAssembler(spec.isa, spec.dtype, code_room(spec.shape, 2) + (spec.epilogue ? kEpilogueRoom : 0)),
        spec_(spec),
        t_(spec.shape),
        k_(spec.dot_k),
        parts_(kDotBytes / vector_bytes()) {}

  void emit() {
    endbr64();
    mov(v_, ptr[args_ + offsetof(GemmTile, v)]);
    mov(s_, ptr[args_ + offsetof(GemmTile, s)]);
    for (int i = 0; i < n_acc(); ++i) zero(vec(i));
    const int64_t lanes = kDotBytes / element_bytes(), full = k_ / lanes;
    if (full >= 2 * kUnroll) emit_loop(full / kUnroll);
    const int64_t rest = full >= 2 * kUnroll ? full % kUnroll : full;
    for (int64_t i = 0; i < rest; ++i) emit_step(i * kDotBytes);
    if (k_ % lanes && !SINTER_MUTANT(gemm_dot_without_rest)) emit_tail(rest * kDotBytes, static_cast<int>(k_ % lanes));
    mov(c_, ptr[args_ + offsetof(GemmTile, c)]);
    if (t_.bias_s || t_.bias_v) mov(v_, ptr[args_ + offsetof(GemmTile, bias)]);
    for (int i = 0; i < t_.rows; ++i)
      for (int j = 0; j < t_.vectors; ++j) {
        finish_element(i, j);
        if (!spec_.epilogue) store_element(i, j);
      }
    if (spec_.epilogue) {
      call_epilogue();
      mov(c_, ptr[args_ + offsetof(GemmTile, c)]);
      store_groups();
    }
    leave();
  }

 private:
  int n_acc() const { return t_.rows * t_.vectors * parts_; }
  Ymm acc(int i, int j, int part) const { return vec((i * t_.vectors + j) * parts_ + part); }
  Ymm s_side(int i) const { return vec(n_acc() + i); }
  Ymm spare(int i) const { return vec(n_acc() + t_.rows + i % 2); }
  Address s_at(int i, int64_t offset) const { return ptr[s_ + displacement(i * t_.s_s + offset)]; }
  Address v_at(int j, int64_t offset) const { return ptr[v_ + displacement(j * t_.v_k + offset)]; }

  void emit_loop(int64_t turns) {
    Label loop;
    mov(turns_, turns);
    align(32);
    L(loop);
    for (int u = 0; u < kUnroll; ++u) emit_step(u * kDotBytes);
    add(v_, kUnroll * kDotBytes);
    add(s_, kUnroll * kDotBytes);
    dec(turns_);
    jnz(loop, T_NEAR);
  }

  void emit_step(int64_t offset) {
    for (int part = 0; part < parts_; ++part, offset += vector_bytes()) {
      for (int i = 0; i < t_.rows; ++i) load(s_side(i), s_at(i, offset));
      for (int j = 0; j < t_.vectors; ++j) {
        if (t_.rows == 1) {
          fma(acc(0, j, part), s_side(0), v_at(j, offset));
          continue;
        }
        load(spare(j), v_at(j, offset));
        for (int i = 0; i < t_.rows; ++i) fma(acc(i, j, part), s_side(i), spare(j));
      }
    }
  }

  void emit_tail(int64_t offset, int count) {
    for (int part = 0; part < parts_ && count > 0; ++part, offset += vector_bytes(), count -= lanes()) {
      const Ymm mask = spare(1);
      if (count < lanes()) set_tail(count, mask);
      const auto load_part = [&](const Ymm& to, const Address& from) {
        if (count < lanes()) load_tail(to, from, mask);
        else load(to, from);
      };
      for (int i = 0; i < t_.rows; ++i) load_part(s_side(i), s_at(i, offset));
      for (int j = 0; j < t_.vectors; ++j) {
        load_part(spare(0), v_at(j, offset));
        for (int i = 0; i < t_.rows; ++i) fma(acc(i, j, part), s_side(i), spare(0));
      }
    }
  }

  /// The tree over the lanes, and bias: in the first lane.
  void finish_element(int i, int j) {
    const Ymm x = acc(i, j, 0);
    const Ymm half = low_half(x), other = low_half(spare(0));
    if (parts_ == 2) {
      add_vec(half, acc(i, j, 1));
    } else {
      vextractf64x4(other, Zmm(x.getIdx()), 1);
      add_vec(half, other);
    }
    const Xmm sum = low(x), high = low(other);
    avx512() ? vextractf32x4(high, half, 1) : vextractf128(high, half, 1);
    add_low(sum, high);
    if (element_bytes() == 4) {
      vpermilpd(high, sum, 1);
      add_low(sum, high);
      vmovshdup(high, sum);
    } else {
      vpermilpd(high, sum, 1);
    }
    add_one(sum, high);
    if (t_.bias_s) add_one(sum, ptr[v_ + i * element_bytes()]);
    if (t_.bias_v) add_one(sum, ptr[v_ + j * element_bytes()]);
  }
  void store_element(int i, int j) {
    const Address to = ptr[c_ + displacement(i * t_.c_s + j * t_.c_v)];
    const Xmm sum = low(acc(i, j, 0));
    element_bytes() == 8 ? vmovsd(to, sum) : vmovss(to, sum);
  }

  // With an epilogue, elements that are neighbours in a row of the result share a register.
  int groups() const { return spec_.swapped ? t_.vectors : t_.rows; }
  int group_size() const { return spec_.swapped ? t_.rows : t_.vectors; }
  Ymm element(int group, int n) const { return spec_.swapped ? acc(n, group, 0) : acc(group, n, 0); }

  void call_epilogue() {
    std::vector<EpiloguePiece> pieces;
    for (int g = 0; g < groups(); ++g) {
      gather(g, 0, group_size());
      pieces.push_back({element(g, 0).getIdx(), g, 0, group_size()});
    }
    VectorAssembler::call_epilogue(spec_.epilogue.get(), /*along_rows=*/false, pieces);
  }
  /// Elements [first, first + count) of a group, at most a vector of them, into the register of the first.
  void gather(int g, int first, int count) {
    const int half = 16 / element_bytes();
    const Ymm to = element(g, first);
    for (int n = 1; n < std::min(count, half); ++n) {
      const Xmm x = low(element(g, first + n));
      element_bytes() == 8 ? vunpcklpd(low(to), low(to), x) : vinsertps(low(to), low(to), x, static_cast<uint8_t>(n << 4));
    }
    if (count <= half) return;
    const int rest = count - half;
    gather(g, first + half, std::min(rest, half));
    const Xmm upper = low(element(g, first + half));
    avx512() ? vinsertf32x4(low_half(to), low_half(to), upper, 1) : vinsertf128(low_half(to), low_half(to), upper, 1);
    if (rest <= half) return;
    gather(g, first + 2 * half, rest - half);  // AVX-512 and doubles
    vinsertf64x4(Zmm(to.getIdx()), Zmm(to.getIdx()), low_half(element(g, first + 2 * half)), 1);
  }
  void store_groups() {
    const Ymm mask = spare(0);
    if (group_size() < lanes()) set_tail(group_size(), mask);
    for (int g = 0; g < groups(); ++g) {
      const Address to = ptr[c_ + displacement(g * (spec_.swapped ? t_.c_v : t_.c_s))];
      group_size() < lanes() ? store_tail(to, element(g, 0), mask) : store(to, element(g, 0));
    }
  }
  void add_low(const Xmm& to, const Operand& b) { element_bytes() == 8 ? vaddpd(to, to, b) : vaddps(to, to, b); }
  void add_one(const Xmm& to, const Operand& b) { element_bytes() == 8 ? vaddsd(to, to, b) : vaddss(to, to, b); }

  const TileSpec& spec_;
  const GemmTileShape t_;
  const int64_t k_;
  const int parts_;
  const Reg64 args_ = rdi, v_ = rsi, s_ = rdx, turns_ = rax, c_ = r8;
};

}  // namespace

EmittedTile emit_dot_tile(const TileSpec& spec) {
  DotTile tile(spec);
  tile.emit();
  return tile.finish();
}

}  // namespace sinter::codegen
