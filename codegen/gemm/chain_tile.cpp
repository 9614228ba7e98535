// Tiles in which each element of the result is a chain along k: vectors run along the v side, elements of the s side are
// broadcast.
#include <algorithm>
#include <cstddef>
#include "../../runtime/kernels/gemm_order.h"
#include "../../runtime/mutants.h"
#include "assembler.h"
#include "tile_spec.h"

namespace sinter::codegen {

namespace {

using namespace Xbyak;

constexpr int kUnroll = 4;
constexpr int kFetchAhead = 8192;  // bytes: the longest way to memory, at the rate at which panels are read

/// Bytes that are enough for any tile: at most 12 an instruction.
size_t code_room(const TileSpec& spec) {
  const GemmTileShape& t = spec.shape;
  const int acc = t.rows * t.vectors;
  return static_cast<size_t>(12 * ((kUnroll + 1) * (acc + t.rows + t.vectors) + 30 * acc + 200)) +
         (spec.epilogue ? kEpilogueRoom : 0);
}

/// Registers: accumulators from 0 up, row by row; then the vectors of the v side; what is left takes broadcasts in turn.
class ChainTile : public VectorAssembler {
 public:
  explicit ChainTile(const TileSpec& spec)
      : VectorAssembler(spec.isa, spec.dtype, code_room(spec)), spec_(spec), blocks_(spec.blocks), t_(spec.shape) {}

  void emit() {
    endbr64();
    mov(v_, ptr[args_ + offsetof(GemmTile, v)]);
    mov(s_, ptr[args_ + offsetof(GemmTile, s)]);
    mov(k_, ptr[args_ + offsetof(GemmTile, k)]);
    if (t_.tail != 0 && avx512()) set_tail(t_.tail, side(0));
    if (blocks_) emit_blocks();
    else emit_chain(k_);
    if (t_.bias_s || t_.bias_v) add_bias();
    call_epilogue(spec_.epilogue.get(), spec_.swapped, pieces());
    mov(c_, ptr[args_ + offsetof(GemmTile, c)]);
    if (t_.c_v == element_bytes()) store_rows();
    else store_transposed();
    leave();
  }

 private:
  int n_acc() const { return t_.rows * t_.vectors; }
  Ymm acc(int i, int j) const { return vec(i * t_.vectors + j); }
  Ymm side(int j) const { return vec(n_acc() + j); }
  Ymm spare(int i) const {
    const int first = n_acc() + t_.vectors, n = n_registers() - first;
    return vec(first + i % n);
  }
  bool is_tail(int j) const { return t_.tail != 0 && j == t_.vectors - 1; }

  /// acc = sum over `count` steps (a register, at least 1, destroyed).
  void emit_chain(const Reg64& count) {
    for (int i = 0; i < n_acc(); ++i) zero(vec(i));
    Label four, rest, one, done;
    mov(turns_, count);
    shr(turns_, 2);
    jz(rest, T_NEAR);
    align(32);
    L(four);
    for (int u = 0; u < kUnroll; ++u) emit_step(u);
    advance(kUnroll);
    dec(turns_);
    jnz(four, T_NEAR);
    L(rest);
    and_(count, 3);
    jz(done, T_NEAR);
    L(one);
    emit_step(0);
    advance(1);
    dec(count);
    jnz(one, T_NEAR);
    L(done);
  }

  void advance(int steps) {
    add(v_, displacement(steps * t_.v_k));
    add(s_, displacement(steps * t_.s_k));
  }

  void emit_step(int u) {
    if (t_.fetch_rows)
      for (int i = u; i < t_.rows; i += kUnroll) prefetcht0(ptr[s_ + displacement((t_.rows + i) * t_.s_s)]);
    for (int j = 0; t_.fetch_v && j < t_.v_k; j += 64) prefetcht0(ptr[v_ + displacement(u * t_.v_k + j + kFetchAhead)]);
    for (int j = 0; j < t_.vectors; ++j) {
      const Address from = ptr[v_ + displacement(u * t_.v_k + j * vector_bytes())];
      if (is_tail(j) && t_.mask_loads && !SINTER_MUTANT(gemm_tail_loaded)) load_tail(side(j), from, side(j));
      else load(side(j), from);
    }
    for (int i = 0; i < t_.rows; ++i) {
      const Address from = ptr[s_ + displacement(i * t_.s_s + u * t_.s_k)];
      const Ymm b = spare(i);
      broadcast(b, from);
      for (int j = 0; j < t_.vectors; ++j) fma(acc(i, j), b, side(j));
    }
  }

  /// Blocks of kGemmBlock steps; their sums are added one after another in memory that stays in the first cache.
  void emit_blocks() {
    Label block, whole, no_earlier, finished, keep;
    mov(totals_, ptr[args_ + offsetof(GemmTile, totals)]);
    mov(earlier_, ptr[args_ + offsetof(GemmTile, earlier)]);
    L(block);
    mov(length_, SINTER_MUTANT(gemm_blocks_of_another_length) ? kGemmBlock / 2 : kGemmBlock);
    cmp(k_, length_);
    jge(whole, T_NEAR);
    mov(length_, k_);
    L(whole);
    sub(k_, length_);
    emit_chain(length_);
    test(earlier_, earlier_);
    jz(no_earlier, T_NEAR);
    for (int i = 0; i < n_acc(); ++i) add_vec(vec(i), ptr[totals_ + i * vector_bytes()]);
    L(no_earlier);
    test(k_, k_);
    jnz(keep, T_NEAR);
    cmp(qword[args_ + offsetof(GemmTile, more)], 0);
    jz(finished, T_NEAR);
    L(keep);
    for (int i = 0; i < n_acc(); ++i) store(ptr[totals_ + i * vector_bytes()], vec(i));
    if (!SINTER_MUTANT(gemm_earlier_blocks_dropped)) mov(earlier_, 1);
    test(k_, k_);
    jnz(block, T_NEAR);
    leave();
    L(finished);
  }

  void add_bias() {
    mov(s_, ptr[args_ + offsetof(GemmTile, bias)]);
    if (t_.bias_v && t_.tail != 0 && !avx512()) set_tail(t_.tail, spare(0));
    if (t_.bias_v && !SINTER_MUTANT(gemm_bias_of_the_other_side)) {
      for (int j = 0; j < t_.vectors; ++j) {
        const Address from = ptr[s_ + j * vector_bytes()];
        if (is_tail(j)) load_tail(side(j), from, spare(0));
        else load(side(j), from);
        for (int i = 0; i < t_.rows; ++i) add_vec(acc(i, j), side(j));
      }
      return;
    }
    for (int i = 0; i < t_.rows; ++i) {
      broadcast(spare(i), ptr[s_ + i * element_bytes()]);
      for (int j = 0; j < t_.vectors; ++j) add_vec(acc(i, j), spare(i));
    }
  }

  /// The sums, in the rows and columns of the result.
  std::vector<EpiloguePiece> pieces() const {
    std::vector<EpiloguePiece> all;
    for (int i = 0; i < t_.rows; ++i)
      for (int j = 0; j < t_.vectors; ++j) {
        const int64_t s = i, v = j * lanes();
        all.push_back({acc(i, j).getIdx(), spec_.swapped ? v : s, spec_.swapped ? s : v, is_tail(j) ? t_.tail : lanes()});
      }
    return all;
  }

  void store_rows() {
    if (t_.tail != 0 && (!avx512() || spec_.epilogue)) set_tail(t_.tail, side(0));
    for (int i = 0; i < t_.rows; ++i)
      for (int j = 0; j < t_.vectors; ++j) {
        const Address to = ptr[c_ + displacement(i * t_.c_s + j * vector_bytes())];
        if (is_tail(j) && !SINTER_MUTANT(gemm_tail_stored)) store_tail(to, acc(i, j), side(0));
        else store(to, acc(i, j));
      }
  }

  /// Groups of as many rows as 16 bytes have elements become columns: within each 16 bytes of the vectors, then piece by piece.
  void store_transposed() {
    const int group = 16 / element_bytes();
    for (int i = 0; i < t_.rows; i += group)
      for (int j = 0; j < t_.vectors; ++j) {
        const int rows = std::min(group, t_.rows - i),
                  columns = is_tail(j) && !SINTER_MUTANT(gemm_transposed_tail_stored) ? t_.tail : lanes();
        Ymm out[4];
        if (group == 2) transpose2(i, j, rows, out);
        else if (rows <= 2) transpose4_half(i, j, rows, out);
        else transpose4(i, j, rows, out);
        for (int m = 0; m < columns; ++m)
          store_piece(ptr[c_ + displacement(i * t_.c_s + (j * lanes() + m) * t_.c_v)], out[m % group], m / group, rows,
                      low(free_[2]));
      }
  }

  /// out[q]: elements q of three or four rows, in each 16 bytes. The rows' registers are used up.
  void transpose4(int i, int j, int rows, Ymm* out) {
    const Ymm r0 = acc(i, j), r1 = acc(i + 1, j), r2 = acc(i + 2, j), r3 = acc(i + rows - 1, j);
    vunpcklps(free_[0], r0, r1);
    vunpckhps(r0, r0, r1);
    vunpcklps(free_[1], r2, r3);
    vunpckhps(r2, r2, r3);
    vunpcklpd(r1, free_[0], free_[1]);
    vunpckhpd(free_[0], free_[0], free_[1]);
    vunpcklpd(free_[1], r0, r2);
    vunpckhpd(r0, r0, r2);
    out[0] = r1, out[1] = free_[0], out[2] = free_[1], out[3] = r0;
  }

  /// One or two rows: only the low 8 bytes of each 16 matter.
  void transpose4_half(int i, int j, int rows, Ymm* out) {
    const Ymm r0 = acc(i, j), r1 = acc(i + rows - 1, j);
    vunpcklps(free_[0], r0, r1);
    vunpckhps(r0, r0, r1);
    vunpckhpd(free_[1], free_[0], free_[0]);
    out[0] = free_[0], out[1] = free_[1], out[2] = r0;
    out[3] = rows == 2 ? r1 : free_[3];
    vunpckhpd(out[3], r0, r0);
  }

  void transpose2(int i, int j, int rows, Ymm* out) {
    const Ymm r0 = acc(i, j), r1 = acc(i + rows - 1, j);
    vunpcklpd(free_[0], r0, r1);
    vunpckhpd(free_[1], r0, r1);
    out[0] = free_[0], out[1] = free_[1];
  }

  const TileSpec& spec_;
  const bool blocks_;
  const GemmTileShape t_;
  const Ymm free_[4] = {vec(n_acc()), vec(n_acc() + 1), vec(n_acc() + 2), vec(n_acc() + 3)};  // once the sums are done
  const Reg64 args_ = rdi, v_ = rsi, s_ = rdx, k_ = rcx, turns_ = rax, c_ = r8, totals_ = r9, length_ = r10, earlier_ = r11;
};

}  // namespace

EmittedTile emit_chain_tile(const TileSpec& spec) {
  ChainTile tile(spec);
  tile.emit();
  return tile.finish();
}

}  // namespace sinter::codegen
