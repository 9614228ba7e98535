// The models of the fixtures in tests/data, with PyTorch's names of parameters.
#pragma once
#include <sinter/nn.h>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

namespace sinter::test {

struct MnistMLPImpl : nn::Module {
  explicit MnistMLPImpl(int64_t width = 128) {
    fc1 = register_module("fc1", nn::Linear(784, width));
    fc2 = register_module("fc2", nn::Linear(width, width));
    fc3 = register_module("fc3", nn::Linear(width, 10));
  }
  Tensor forward(const Tensor& x) { return fc3(relu(fc2(relu(fc1(x.view({-1, 784})))))); }

  nn::Linear fc1{nullptr}, fc2{nullptr}, fc3{nullptr};
};
SINTER_MODULE(MnistMLP);

struct SelfAttentionImpl : nn::Module {
  SelfAttentionImpl(int64_t d, int64_t heads) : heads(heads) {
    query = register_module("query", nn::Linear(d, d));
    key = register_module("key", nn::Linear(d, d));
    value = register_module("value", nn::Linear(d, d));
    out = register_module("out", nn::Linear(d, d));
  }
  Tensor forward(const Tensor& x, const Tensor& mask) {
    const Tensor q = split(query(x)), k = split(key(x)), v = split(value(x));
    Tensor s = matmul(q, k.transpose(-2, -1)) / std::sqrt(static_cast<double>(q.size(3)));
    s = s.masked_fill(mask.unsqueeze(1).unsqueeze(1) == 0, -std::numeric_limits<double>::infinity());
    return out(matmul(softmax(s, -1), v).permute({0, 2, 1, 3}).contiguous().view(x.sizes()));
  }
  Tensor split(const Tensor& x) const { return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2); }

  int64_t heads;
  nn::Linear query{nullptr}, key{nullptr}, value{nullptr}, out{nullptr};
};
SINTER_MODULE(SelfAttention);

struct EncoderLayerImpl : nn::Module {
  EncoderLayerImpl(int64_t d, int64_t heads, int64_t ff) {
    attn = register_module("attn", SelfAttention(d, heads));
    ln1 = register_module("ln1", nn::LayerNorm(nn::LayerNormOptions({d}).eps(1e-12)));
    fc1 = register_module("fc1", nn::Linear(d, ff));
    fc2 = register_module("fc2", nn::Linear(ff, d));
    ln2 = register_module("ln2", nn::LayerNorm(nn::LayerNormOptions({d}).eps(1e-12)));
    drop = register_module("drop", nn::Dropout(0.1));
  }
  Tensor forward(const Tensor& x, const Tensor& mask) {
    const Tensor y = ln1(x + drop(attn(x, mask)));
    return ln2(y + drop(fc2(gelu(fc1(y)))));
  }

  SelfAttention attn{nullptr};
  nn::LayerNorm ln1{nullptr}, ln2{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr};
  nn::Dropout drop{nullptr};
};
SINTER_MODULE(EncoderLayer);

struct EncoderImpl : nn::Module {
  EncoderImpl(int64_t layers, int64_t d, int64_t heads, int64_t ff) {
    for (int64_t i = 0; i < layers; ++i) all.push_back(register_module(std::to_string(i), EncoderLayer(d, heads, ff)));
  }
  Tensor forward(Tensor x, const Tensor& mask) {
    for (const auto& layer : all) x = layer->forward(x, mask);
    return x;
  }

  std::vector<std::shared_ptr<EncoderLayerImpl>> all;
};
SINTER_MODULE(Encoder);

/// Gives the hidden states and the pooled first one.
struct BertLikeImpl : nn::Module {
  BertLikeImpl() {
    tok = register_module("tok", nn::Embedding(nn::EmbeddingOptions(128, d).padding_idx(0)));
    pos = register_module("pos", nn::Embedding(32, d));
    typ = register_module("typ", nn::Embedding(2, d));
    ln = register_module("ln", nn::LayerNorm(nn::LayerNormOptions({d}).eps(1e-12)));
    layers = register_module("layers", Encoder(2, d, 4, 256));
    pooler = register_module("pooler", nn::Linear(d, d));
  }
  std::tuple<Tensor, Tensor> forward(const Tensor& ids, const Tensor& types, const Tensor& mask) {
    const Tensor p = arange(ids.size(1), kLong).unsqueeze(0);
    const Tensor x = layers(ln(tok(ids) + pos(p) + typ(types)), mask);
    return {x, tanh(pooler(x.select(1, 0)))};
  }

  static constexpr int64_t d = 64;
  nn::Embedding tok{nullptr}, pos{nullptr}, typ{nullptr};
  nn::LayerNorm ln{nullptr};
  Encoder layers{nullptr};
  nn::Linear pooler{nullptr};
};
SINTER_MODULE(BertLike);

/// x [T, B, I] to all hidden states and the last h and c.
struct LSTMLoopImpl : nn::Module {
  LSTMLoopImpl(int64_t in, int64_t hidden) {
    w_ih = register_parameter("w_ih", empty({4 * hidden, in}));
    w_hh = register_parameter("w_hh", empty({4 * hidden, hidden}));
    b = register_parameter("b", empty({4 * hidden}));
  }
  std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& x, Tensor h, Tensor c) {
    std::vector<Tensor> all;
    for (int64_t t = 0; t < x.size(0); ++t) {
      const auto gates = (mm(x[t], w_ih.t()) + mm(h, w_hh.t()) + b).chunk(4, 1);
      c = sigmoid(gates[1]) * c + sigmoid(gates[0]) * tanh(gates[2]);
      h = sigmoid(gates[3]) * tanh(c);
      all.push_back(h);
    }
    return {stack(all), h, c};
  }

  Tensor w_ih, w_hh, b;
};
SINTER_MODULE(LSTMLoop);

/// One layer of nn.LSTM (4 gates) or nn.GRU (3), batch first, from zeros; there is no such module yet.
struct RecurrentImpl : nn::Module {
  RecurrentImpl(int64_t gates, int64_t in, int64_t hidden) : gates(gates), hidden(hidden) {
    w_ih = register_parameter("weight_ih_l0", empty({gates * hidden, in}));
    w_hh = register_parameter("weight_hh_l0", empty({gates * hidden, hidden}));
    b_ih = register_parameter("bias_ih_l0", empty({gates * hidden}));
    b_hh = register_parameter("bias_hh_l0", empty({gates * hidden}));
  }
  /// All hidden states [B, T, H], the last h and, of an LSTM, c.
  std::tuple<Tensor, Tensor, Tensor> forward(const Tensor& x) {
    Tensor h = zeros({x.size(0), hidden}), c = h;
    std::vector<Tensor> all;
    for (int64_t t = 0; t < x.size(1); ++t) {
      const auto in = linear(x.select(1, t), w_ih, b_ih).chunk(gates, 1), state = linear(h, w_hh, b_hh).chunk(gates, 1);
      const Tensor first = sigmoid(in[0] + state[0]), second = sigmoid(in[1] + state[1]);
      if (gates == 4) {
        c = second * c + first * tanh(in[2] + state[2]);
        h = sigmoid(in[3] + state[3]) * tanh(c);
      } else {
        h = (1 - second) * tanh(in[2] + first * state[2]) + second * h;
      }
      all.push_back(h);
    }
    return {stack(all, 1), h, c};
  }

  int64_t gates, hidden;
  Tensor w_ih, w_hh, b_ih, b_hh;
};
SINTER_MODULE(Recurrent);

struct SeqNNImpl : nn::Module {
  SeqNNImpl(int64_t in, int64_t hidden) {
    lstm = register_module("lstm", Recurrent(4, in, hidden));
    gru = register_module("gru", Recurrent(3, hidden, hidden));
    fc = register_module("fc", nn::Linear(hidden, 3));
  }
  std::tuple<Tensor, Tensor> forward(const Tensor& x) {
    const auto [y, h, c] = lstm->forward(x);
    const auto [z, g, unused] = gru->forward(y);
    return {fc(z), h + c + g};
  }

  Recurrent lstm{nullptr}, gru{nullptr};
  nn::Linear fc{nullptr};
};
SINTER_MODULE(SeqNN);

}  // namespace sinter::test
