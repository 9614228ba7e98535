// Scaled dot product attention: tiles of query rows whose scores stay in the cache. Formulas and order: attention_order.h.
#include "../ops/attention.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include "../cpu.h"
#include "../error.h"
#include "../mutants.h"
#include "../threads.h"
#include "attention_order.h"
#include "attention_tiles.h"
#include "gemm_pack.h"
#include "isa/attention_kernels.h"
#include "isa/random_kernels.h"
#include "run_kernel.h"
#include "scratch.h"

namespace sinter {

namespace {

#define SINTER_BY_LEVEL(table) level == Isa::Avx512 ? v4::table : level == Isa::Avx2 ? v3::table : v2::table
template <class T>
const AttentionKernels<T>& attention_kernels(Isa level);
template <>
const AttentionKernels<float>& attention_kernels<float>(Isa level) {
  return SINTER_BY_LEVEL(kAttentionFloat);
}
template <>
const AttentionKernels<double>& attention_kernels<double>(Isa level) {
  return SINTER_BY_LEVEL(kAttentionDouble);
}
const RandomKernels& random_kernels(Isa level) { return SINTER_BY_LEVEL(kRandom); }
#undef SINTER_BY_LEVEL

/// The leading dimensions of one operand, and the strides of its last two.
struct Batched {
  const void* data = nullptr;
  SizeVec strides;  // of the leading dimensions
  int64_t row = 0, col = 0;
};

/// Offset of leading index `i` in elements.
int64_t offset_of(const SizeVec& strides, IntArrayRef sizes, int64_t i) {
  int64_t at = 0;
  for (size_t d = sizes.size(); d-- > 0;) {
    at += i % sizes[d] * strides[d];
    i /= sizes[d];
  }
  return at;
}

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// One call: its geometry, then head by head, each on one thread.
template <class T>
class Attention {
 public:
  explicit Attention(const KernelArgs& args, const AttentionTiles* tiles = nullptr)
      : args_(args), isa_(tiles != nullptr ? tiles->isa : isa()), kernels_(attention_kernels<T>(isa_)), tiles_(tiles) {
    const TensorView &q = args.in[0], &k = args.in[1], &v = args.in[2];
    const size_t lead = q.sizes.size() - 2;
    leading_.assign({q.sizes.data(), lead});
    mask_leading_ = args.ints.empty() ? leading_ : SizeVec(args.ints);
    queries_ = q.sizes[lead], depth_ = q.sizes[lead + 1];
    keys_ = k.sizes[lead], width_ = v.sizes[lead + 1];
    q_ = split(q), k_ = split(k), v_ = split(v), out_ = split(args.out);
    if (args.in.size() > 3 && args.in[3].data) add_mask(args.in[3]);
    causal_ = args.attr & kAttentionCausal;
    plan();
  }

  bool settle(AttentionShape& s) const {
    s = {isa_, args_.out.dtype, queries_, keys_, depth_, width_, q_.row, v_.row, out_.row, score_stride_, kernels_.panel};
    return depth_ > 0 && keys_ > 0 && args_.out.numel() > 0 && query_room_ == 0 && value_room_ == 0 && out_room_ == 0;
  }

  void run() {
    const int64_t heads = numel_of(leading_);
    if (heads == 0 || queries_ == 0 || width_ == 0) return;
    scale_ = {args_.scalars[0].template to<T>(), (args_.attr & kAttentionDivides) != 0};
    if (args_.attr & kAttentionDropout) {
      p_ = args_.scalars[1].to_double();
      counter_ = static_cast<uint64_t>(args_.scalars[2].to_int64());
      seed_ = static_cast<uint64_t>(args_.scalars[3].to_int64());
    }
    const int64_t size = scores_room_ + packed_room_ + query_room_ + value_room_ + mask_room_ + out_room_;
    const int64_t flops = 2 * heads * queries_ * keys_ * (depth_ + width_ + 16);
    int64_t workers = pieces_for(estimated_ns(0, flops * static_cast<int64_t>(sizeof(T)) / 4), heads) > 1 ? get_num_threads() : 1;
    Scratch memory, of_others;
    T* const own = memory.get<T>(size);
    T* others = nullptr;
    try {
      if (workers > 1) others = of_others.get<T>((workers - 1) * size);
    } catch (const OutOfMemoryError&) { workers = 1; }
    const auto run = [&](int64_t head, int worker) { run_head(head, room_at(worker == 0 ? own : others + (worker - 1) * size)); };
    if (workers > 1) return parallel_for(heads, run);
    for (int64_t head = 0; head < heads; ++head) run(head, 0);
  }

 private:
  /// Memory of one worker.
  struct Room {
    T *scores, *packed, *query_copy, *value_copy, *mask_row, *out_copy;
  };
  Room room_at(T* at) const {
    Room r{};
    const auto take = [&at](int64_t n) { return std::exchange(at, at + n); };
    r.scores = take(scores_room_), r.packed = take(packed_room_), r.query_copy = take(query_room_);
    r.value_copy = take(value_room_), r.mask_row = take(mask_room_), r.out_copy = take(out_room_);
    return r;
  }

  Batched split(const TensorView& v) const {
    const size_t lead = v.sizes.size() - 2;
    return {v.data, SizeVec(IntArrayRef(v.strides.data(), lead)), v.strides[lead], v.strides[lead + 1]};
  }

  /// The mask's strides over all of [*, L, S]; 0 where it broadcasts.
  void add_mask(const TensorView& m) {
    SizeVec strides;
    strides.resize(mask_leading_.size() + 2);
    for (size_t i = 0; i < strides.size(); ++i) strides[i] = 0;
    for (size_t i = 1; i <= m.sizes.size(); ++i)
      if (m.sizes[m.sizes.size() - i] != 1) strides[strides.size() - i] = m.strides[m.sizes.size() - i];
    mask_ = {m.data, SizeVec(IntArrayRef(strides.data(), mask_leading_.size())), strides[mask_leading_.size()],
             strides[mask_leading_.size() + 1]};
    mask_is_bool_ = m.dtype == ScalarType::Bool;
  }

  /// Rows of a tile, and how much room it takes.
  void plan() {
    constexpr int64_t kTileBytes = 48 * 1024;  // of scores: they are gone through several times
    const int64_t panel = kernels_.panel;
    score_stride_ = round_up(std::max<int64_t>(keys_, 1), panel);
    rows_ = std::clamp<int64_t>(kTileBytes / static_cast<int64_t>(sizeof(T)) / score_stride_ / 8 * 8, 16, 64);
    if (causal_) rows_ = kCausalRows;
    rows_ = std::min(rows_, queries_);
    const bool again = rows_ < queries_;  // tiles after the first find the keys packed
    keep_packed_ = again;
    scores_room_ = rows_ * score_stride_;
    packed_room_ = depth_ * (again ? score_stride_ : panel);
    query_room_ = q_.col == 1 || depth_ == 1 ? 0 : round_up(rows_ * depth_, 16);
    value_room_ = v_.col == 1 || width_ == 1 ? 0 : round_up(keys_ * width_, 16);
    const bool copies_mask = mask_.data && mask_.col != 1;
    mask_room_ = copies_mask ? round_up(keys_, 16) : 0;
    out_room_ = out_.col == 1 || width_ == 1 ? 0 : rows_ * width_;
  }

  template <class Operand>
  static const T* start(const Operand& o, IntArrayRef leading, int64_t head) {
    return static_cast<const T*>(o.data) + offset_of(o.strides, leading, head);
  }

  void run_head(int64_t head, const Room& room) const {
    const T *q = start(q_, leading_, head), *k = start(k_, leading_, head), *v = start(v_, leading_, head);
    T* out = const_cast<T*>(start(out_, leading_, head));
    int64_t v_row = v_.row;
    if (value_room_) {
      for (int64_t j = 0; j < keys_; ++j)
        for (int64_t c = 0; c < width_; ++c) room.value_copy[j * width_ + c] = v[j * v_.row + c * v_.col];
      v = room.value_copy, v_row = width_;
    }
    for (int64_t first = 0; first < queries_; first += rows_) {
      const int64_t rows = std::min(rows_, queries_ - first), keys = causal_ ? std::min(keys_, first + rows) : keys_;
      score(room, q + first * q_.row, k, first, rows, keys);
      if (mask_.data) mask_rows(room, head, first, rows);
      if (causal_) hide_later(room, first, rows, keys);
      if (keys > 0) kernels_.softmax(room.scores, score_stride_, rows, keys, args_.attr & kAttentionPlain);
      if (args_.attr & kAttentionDropout) drop(room, head, first, rows, keys);
      give(room, rows, keys, v, v_row, out + first * out_.row);
    }
  }

  void score(const Room& room, const T* q, const T* k, int64_t first, int64_t rows, int64_t keys) const {
    int64_t q_row = q_.row;
    if (query_room_) {
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t e = 0; e < depth_; ++e) room.query_copy[i * depth_ + e] = q[i * q_.row + e * q_.col];
      q = room.query_copy, q_row = depth_;
    }
    const int64_t panel = kernels_.panel;
    for (int64_t j = 0; j < keys; j += panel) {
      T* packed = keep_packed_ ? room.packed + j * depth_ : room.packed;
      // Tiles after the first find keys packed: all of them, or with causal those before their own rows.
      const bool there = first > 0 && (!causal_ || j < first || SINTER_MUTANT(causal_attention_with_old_keys));
      if (!there) {
        constexpr int64_t kBytes = sizeof(T);
        const PackSource from{reinterpret_cast<const char*>(k + j * k_.row), k_.col * kBytes, k_.row * kBytes, kBytes};
        pack_panel(from, depth_, std::min(panel, keys_ - j), panel, packed);
      }
      const int64_t n = std::min(panel, keys_ - j);
      if (tiles_ == nullptr) kernels_.scores(rows, n, depth_, q, q_row, packed, room.scores + j, score_stride_, scale_);
      else run_tiles(tiles_->scores[n < panel], rows, depth_, packed, q, q_row, room.scores + j, score_stride_);
    }
    for (int64_t i = 0; tiles_ != nullptr && i < rows; ++i) kernels_.scale(room.scores + i * score_stride_, keys, scale_);
  }

  /// Emitted tiles down the rows of `s`, of one panel of `v`.
  void run_tiles(const GemmTileFn* fn, int64_t rows, int64_t k, const T* v, const T* s, int64_t s_row, T* c,
                 int64_t c_row) const {
    alignas(64) char totals[kTotalsBytes];
    GemmTile tile{v, s, c, k, nullptr, totals, 0, 0, nullptr};
    for (int64_t i = 0; i < rows; i += tiles_->rows) {
      tile.s = s + i * s_row;
      tile.c = c + i * c_row;
      fn[rows - i < tiles_->rows](&tile);
    }
  }

  void mask_rows(const Room& room, int64_t head, int64_t first, int64_t rows) const {
    const int64_t at = offset_of(mask_.strides, mask_leading_, head);
    for (int64_t i = 0; i < rows; ++i) {
      T* s = room.scores + i * score_stride_;
      const int64_t row = at + (first + i) * mask_.row;
      if (mask_is_bool_) {
        const bool* m = dense_mask(room, static_cast<const bool*>(mask_.data) + row);
        if (args_.attr & kAttentionFills) kernels_.fill(s, m, args_.scalars[1].template to<T>(), keys_);
        else kernels_.keep(s, m, keys_);
      } else {
        kernels_.add_mask(s, dense_mask(room, static_cast<const T*>(mask_.data) + row), keys_);
      }
    }
  }
  /// A row of the mask with its elements side by side.
  template <class M>
  const M* dense_mask(const Room& room, const M* m) const {
    if (!mask_room_) return m;
    M* copy = reinterpret_cast<M*>(room.mask_row);
    for (int64_t j = 0; j < keys_; ++j) std::memcpy(copy + j, m + j * mask_.col, sizeof(M));  // at any address
    return copy;
  }

  void hide_later(const Room& room, int64_t first, int64_t rows, int64_t keys) const {
    if (SINTER_MUTANT(causal_attention_sees_later_keys)) return;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = first + i + 1; j < keys; ++j) room.scores[i * score_stride_ + j] = -INFINITY;
  }

  /// The weights of this tile times what a bernoulli call over all of them gives, over 1 - p.
  void drop(const Room& room, int64_t head, int64_t first, int64_t rows, int64_t keys) const {
    const double kept = 1 - p_;
    const T factor = kept > 0 ? T(1) / static_cast<T>(kept) : T(0);
    const auto limit = static_cast<uint64_t>(std::ceil(std::clamp(kept, 0.0, 1.0) * 0x1p32));
    constexpr int64_t kBlock = 512;
    alignas(64) uint32_t words[kBlock];
    for (int64_t i = 0; i < rows; ++i) {
      T* w = room.scores + i * score_stride_;
      const int64_t element = (head * queries_ + first + i) * keys_;
      for (int64_t j = 0; j < keys;) {
        const int64_t skip = (element + j) % 4, n = std::min(kBlock - skip, keys - j);
        random_kernels(isa_).words(seed_, counter_ + static_cast<uint64_t>((element + j) / 4), (skip + n + 3) / 4, words);
        for (int64_t x = 0; x < n; ++x) w[j + x] *= words[skip + x] < limit ? factor : T(0);
        j += n;
      }
    }
  }

  void give(const Room& room, int64_t rows, int64_t keys, const T* v, int64_t v_row, T* out) const {
    T* to = out_room_ ? room.out_copy : out;
    const int64_t to_row = out_room_ ? width_ : out_.row;
    if (keys == 0) {
      for (int64_t i = 0; i < rows; ++i) std::fill_n(to + i * to_row, width_, T(0));
    } else {
      weigh(room, rows, keys, v, v_row, to, to_row);
    }
    if (!out_room_) return;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < width_; ++c) out[i * out_.row + c * out_.col] = to[i * width_ + c];
  }

  void weigh(const Room& room, int64_t rows, int64_t keys, const T* v, int64_t v_row, T* to, int64_t to_row) const {
    if (tiles_ == nullptr) return kernels_.values(rows, keys, width_, room.scores, score_stride_, v, v_row, to, to_row);
    for (int64_t c = 0; c < width_; c += tiles_->panel) {
      const bool last = width_ - c < tiles_->panel;
      run_tiles(tiles_->values[last], rows, keys, v + c, room.scores, score_stride_, to + c, to_row);
    }
  }

  static constexpr size_t kTotalsBytes = 16 * 64;  // sums of a tile

  const KernelArgs& args_;
  const Isa isa_;
  const AttentionKernels<T>& kernels_;
  const AttentionTiles* tiles_;
  SizeVec leading_, mask_leading_;
  int64_t queries_ = 0, keys_ = 0, depth_ = 0, width_ = 0;
  Batched q_, k_, v_, out_, mask_;
  bool mask_is_bool_ = false, causal_ = false, keep_packed_ = false;
  ScoreScale<T> scale_;
  double p_ = 0;
  uint64_t counter_ = 0, seed_ = 0;
  int64_t rows_ = 1, score_stride_ = 0;
  int64_t scores_room_ = 0, packed_room_ = 0, query_room_ = 0, value_room_ = 0, mask_room_ = 0, out_room_ = 0;
};

}  // namespace

void run_attention(const KernelArgs& args) {
  args.out.dtype == ScalarType::Float ? Attention<float>(args).run() : Attention<double>(args).run();
}

void run_attention(const KernelArgs& args, const AttentionTiles& tiles) {
  args.out.dtype == ScalarType::Float ? Attention<float>(args, &tiles).run() : Attention<double>(args, &tiles).run();
}

bool settle_attention(const KernelArgs& args, AttentionShape& shape) {
  if (args.op != Op::scaled_dot_product_attention || isa() == Isa::None) return false;
  return args.out.dtype == ScalarType::Float ? Attention<float>(args).settle(shape) : Attention<double>(args).settle(shape);
}

}  // namespace sinter
