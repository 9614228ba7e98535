// Parts of attention for one element type at one ISA level, as called by attention.cpp. Order: attention_order.h.
#pragma once
#include <cstdint>

namespace sinter {

/// What becomes of a score before its mask: times or divided by `scale`.
template <class T>
struct ScoreScale {
  T scale = 1;
  bool divides = false;
};

template <class T>
struct AttentionKernels {
  int64_t panel;  // keys that are packed side by side: packed[e][j] = k[j][e] for j < panel, 0 where there is no key
  /// s[i][j] = scaled chain over e of q[i][e] * packed[e][j] for i < rows, j < keys (up to a whole vector). q dense along e.
  void (*scores)(int64_t rows, int64_t keys, int64_t depth, const T* q, int64_t q_stride, const T* packed, T* s, int64_t s_stride,
                 ScoreScale<T> scale);
  void (*scale)(T* s, int64_t n, ScoreScale<T> by);
  /// s[j] += mask[j]; s[j] = keep[j] ? s[j] + 0 : -inf added; s[j] = replace[j] ? fill : s[j].
  void (*add_mask)(T* s, const T* mask, int64_t n);
  void (*keep)(T* s, const bool* keep, int64_t n);
  void (*fill)(T* s, const bool* replace, T fill, int64_t n);
  /// s = softmax(s) for each row; `plain`: also where all are -inf.
  void (*softmax)(T* s, int64_t s_stride, int64_t rows, int64_t n, bool plain);
  /// o[i][c] = chain over j of s[i][j] * v[j][c] for i < rows, j < keys, c < width. v and o dense along c.
  void (*values)(int64_t rows, int64_t keys, int64_t width, const T* s, int64_t s_stride, const T* v, int64_t v_stride, T* o,
                 int64_t o_stride);
};

#define SINTER_ATTENTION_LEVEL(level)                     \
  namespace level {                                       \
  extern const AttentionKernels<float> kAttentionFloat;   \
  extern const AttentionKernels<double> kAttentionDouble; \
  }
SINTER_ATTENTION_LEVEL(v2)
SINTER_ATTENTION_LEVEL(v3)
SINTER_ATTENTION_LEVEL(v4)
#undef SINTER_ATTENTION_LEVEL

}  // namespace sinter
