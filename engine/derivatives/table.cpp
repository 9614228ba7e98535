// Which formula belongs to which operator, and what it needs of the forward call.
#include "derivative.h"

namespace sinter::derivatives {
namespace {

struct Entry {
  Op op;
  Row row;
};

// {operator, {formula, {save operand 0, 1, 2, 3 when one of these arguments (bits) needs a gradient}, save the result}}
constexpr Entry kEntries[] = {
    {Op::add, {add, {}, 0}},
    {Op::sub, {sub, {}, 0}},
    {Op::mul, {mul, {0b10, 0b01}, 0}},
    {Op::div, {div, {0b10, 0b11}, 0}},
    {Op::div_trunc, {zero, {}, 0}},
    {Op::floor_divide, {zero, {}, 0}},
    {Op::remainder, {remainder, {0b10, 0b10}, 0}},
    {Op::minimum, {minimum, {0b11, 0b11}, 0}},
    {Op::maximum, {maximum, {0b11, 0b11}, 0}},
    {Op::pow, {pow, {0b11, 0b11}, 0b10}},
    {Op::neg, {neg, {}, 0}},
    {Op::abs, {abs, {1}, 0}},
    {Op::sign, {zero, {}, 0}},
    {Op::exp, {exp, {}, 1}},
    {Op::log, {log, {1}, 0}},
    {Op::log1p, {log1p, {1}, 0}},
    {Op::sqrt, {sqrt, {}, 1}},
    {Op::rsqrt, {rsqrt, {}, 1}},
    {Op::reciprocal, {reciprocal, {}, 1}},
    {Op::sin, {sin, {1}, 0}},
    {Op::cos, {cos, {1}, 0}},
    {Op::tanh, {tanh, {}, 1}},
    {Op::sigmoid, {sigmoid, {}, 1}},
    {Op::erf, {erf, {1}, 0}},
    {Op::relu, {relu, {}, 1}},
    {Op::silu, {silu, {1}, 0}},
    {Op::gelu, {gelu, {1}, 0}},
    {Op::where, {where, {0b110}, 0}},
    {Op::clamp, {clamp, {1}, 0}},
    {Op::addcmul, {addcmul, {0, 0b100, 0b010}, 0}},
    {Op::addcdiv, {addcdiv, {0, 0b100, 0b110}, 0}},
    {Op::sigmoid_backward, {sigmoid_backward, {0b10, 0b11}, 0}},
    {Op::tanh_backward, {tanh_backward, {0b10, 0b11}, 0}},
    {Op::threshold_backward, {threshold_backward, {0, 0b01}, 0}},
    {Op::gelu_backward, {gelu_backward, {0b10, 0b11}, 0}},
    {Op::to, {pass, {}, 0}},
    {Op::copy_, {copy_, {}, 0}},
    {Op::fill_, {zero, {}, 0}},
    {Op::sum, {sum, {}, 0}},
    {Op::mean, {mean, {}, 0}},
    {Op::amax, {amax, {1}, 1}},
    {Op::amin, {amax, {1}, 1}},
    {Op::var, {var, {1}, 0}},
    {Op::_softmax, {softmax, {}, 1}},
    {Op::_log_softmax, {log_softmax, {}, 1}},
    {Op::_softmax_backward_data, {softmax_backward_data, {0b10, 0b11}, 0}},
    {Op::_log_softmax_backward_data, {log_softmax_backward_data, {0b10, 0b11}, 0}},
    {Op::layer_norm, {layer_norm, {0b011, 0b001}, 0}},
    {Op::mm, {mm, {0b10, 0b01}, 0}},
    {Op::bmm, {bmm, {0b10, 0b01}, 0}},
    {Op::addmm, {addmm, {0, 0b100, 0b010}, 0}},
    {Op::linear, {linear, {0b10, 0b01}, 0}},
    {Op::scaled_dot_product_attention, {attention, {0b1111, 0b1111, 0b1011, 0b1111}, 0}},
    {Op::view, {view, {}, 0}},
    {Op::t, {t, {}, 0}},
    {Op::transpose, {transpose, {}, 0}},
    {Op::permute, {permute, {}, 0}},
    {Op::expand, {pass, {}, 0}},
    {Op::select, {select, {}, 0}},
    {Op::slice, {slice, {}, 0}},
    {Op::squeeze, {squeeze, {}, 0}},
    {Op::unsqueeze, {unsqueeze, {}, 0}},
    {Op::alias, {pass, {}, 0}},
    {Op::clone, {pass, {}, 0}},
    {Op::cat, {cat, {}, 0}},
    {Op::select_backward, {select_backward, {}, 0}},
    {Op::slice_backward, {slice_backward, {}, 0}},
    {Op::gather, {gather, {0, 0b01}, 0}},
    {Op::index_select, {index_select, {0, 0b01}, 0}},
    {Op::embedding, {embedding, {0, 0b01}, 0}},
    {Op::scatter_add, {scatter_add, {0, 0b100}, 0}},
    {Op::index_add, {index_add, {0, 0b100}, 0}},
    {Op::embedding_dense_backward, {embedding_dense_backward, {0, 0b01}, 0}},
    {Op::nll_loss, {nll_loss, {0b001, 0b001, 0b001}, 0}},
    {Op::nll_loss_backward, {nll_loss_backward, {0, 0, 0b001, 0b001}, 0}},
};

struct Table {
  Row rows[kOpCount];
  constexpr Table() {
    for (const Entry& e : kEntries) rows[static_cast<int>(e.op)] = e.row;
  }
};
constexpr Table kTable;

}  // namespace

const Row& row(Op op) { return kTable.rows[static_cast<int>(op)]; }

}  // namespace sinter::derivatives
