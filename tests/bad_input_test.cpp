// Wrong arguments: the type of the exception, and a text that names the operator with its shapes and dtypes.
#include <catch2/catch.hpp>
#include <typeinfo>
#include "engine/creation.h"

using namespace sinter;

namespace {

Tensor F(const std::vector<int64_t>& sizes) { return ones(sizes); }
Tensor L(const std::vector<int64_t>& sizes) { return ones(sizes, kLong); }

template <class E, class Call>
void check_refused(const char* expression, const std::string& text, Call call) {
  CAPTURE(expression);
  try {
    call();
    FAIL_CHECK("accepted");
  } catch (const Error& e) {
    CHECK(typeid(e) == typeid(E));
    CHECK_THAT(e.what(), Catch::StartsWith(text));
  }
}
/// The expected text may be the start of the message.
#define REFUSED(Type, text, ...) check_refused<Type>(#__VA_ARGS__, text, [&] { (void)(__VA_ARGS__); })

}  // namespace

TEST_CASE("Shapes and dimensions") {
  REFUSED(ShapeError,
          "add(float[2, 3], float[2, 4]): The size of tensor a (3) must match the size of tensor b (4) at non-singleton dim",
          F({2, 3}) + F({2, 4}));
  REFUSED(ShapeError,
          "add(float[3], float[2, 4]): The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimens",
          F({3}) + F({2, 4}));
  REFUSED(ShapeError, "add_(float[2, 3], float[4, 2, 3]): output with shape [2, 3] doesn't match the broadcast shape [4, 2, 3]",
          F({2, 3}).add_(F({4, 2, 3})));
  REFUSED(DtypeError, "add_(long int[2], float[2]): result type float can't be cast to the desired output type long int",
          L({2}).add_(F({2})));
  REFUSED(DtypeError, "add_(long int[2], 1.5): result type float can't be cast to the desired output type long int",
          L({2}).add_(1.5));
  REFUSED(IndexError, "sum(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 2)", F({2}).sum(2));
  REFUSED(IndexError, "sum(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got -2)", F({2}).sum(-2));
  REFUSED(IndexError, "sum(float[]): Dimension out of range (expected to be in range of [-1, 0], but got 1)", F({}).sum(1));
  REFUSED(ValueError, "sum(float[2, 2]): dim 0 appears multiple times in the list of dims", F({2, 2}).sum(IntArrayRef({0, 0})));
  REFUSED(ShapeError, "mm(float[2, 3], float[4, 5]): mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
          F({2, 3}).mm(F({4, 5})));
  REFUSED(ShapeError, "mm(float[3], float[3, 2]): self must be a matrix, got 1-D tensor", F({3}).mm(F({3, 2})));
  REFUSED(ShapeError, "mm(float[2, 3], float[3]): mat2 must be a matrix, got 1-D tensor", F({2, 3}).mm(F({3})));
  REFUSED(DtypeError, "mm(float[2, 3], long int[3, 2]): expected all matrices to have the same dtype, but got: float != long int",
          F({2, 3}).mm(L({3, 2})));
  REFUSED(ShapeError, "view(float[2, 4]): shape '[3, 3]' is invalid for input of size 8", F({2, 4}).view({3, 3}));
  REFUSED(ValueError, "view(float[2, 4]): only one dimension can be inferred", F({2, 4}).view({-1, -1}));
  REFUSED(ShapeError, "view(float[2, 4]): invalid shape dimension -2", F({2, 4}).view({-2, 4}));
  REFUSED(ShapeError,
          "view(float[0]): cannot reshape tensor of 0 elements into shape [-1, 0] because the unspecified dimension size -1",
          F({0}).view({-1, 0}));
  REFUSED(ShapeError,
          "view(float[4, 2], [8]): view size is not compatible with input tensor's size and stride (at least one dimension ",
          F({2, 4}).t().view({8}));
  REFUSED(IndexError, "transpose(float[2, 3]): Dimension out of range (expected to be in range of [-2, 1], but got 2)",
          F({2, 3}).transpose(0, 2));
  REFUSED(ValueError, "permute(float[2, 3], [0, 0]): repeated dim in permute", F({2, 3}).permute({0, 0}));
  REFUSED(ShapeError,
          "permute(float[2, 3], [0]): number of dims don't match in permute: input.dim() = 2 is not equal to len(dims) = 1",
          F({2, 3}).permute({0}));
  REFUSED(ShapeError, "t(float[2, 3, 4]): t() expects a tensor with <= 2 dimensions, but self is 3D", F({2, 3, 4}).t());
  REFUSED(ShapeError,
          "expand(float[2, 3], [2, 4]): The expanded size of the tensor (4) must match the existing size (3) at non-singlet",
          F({2, 3}).expand({2, 4}));
  REFUSED(ShapeError,
          "expand(float[2, 3], [3]): the number of sizes provided (1) must be greater or equal to the number of dimensions ",
          F({2, 3}).expand({3}));
  REFUSED(ShapeError,
          "expand(float[3], [-1, 3]): The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimensi",
          F({3}).expand({-1, 3}));
  REFUSED(IndexError, "select(float[2], [2]): index 2 out of range for tensor of size [2] at dimension 0", F({2}).select(0, 2));
  REFUSED(IndexError, "select(float[2], [-3]): index -3 out of range for tensor of size [2] at dimension 0", F({2})[-3]);
  REFUSED(IndexError, "select(float[]): select cannot be applied to a 0-dim tensor.", F({})[0]);
  REFUSED(IndexError, "select(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 1)",
          F({2}).select(1, 0));
  REFUSED(IndexError, "slice(float[2]): start (1) + length (2) exceeds dimension size (2).", F({2}).narrow(0, 1, 2));
  REFUSED(IndexError, "slice(float[2]): Dimension out of range (expected to be in range of [-2, 2], but got 3)",
          F({2}).narrow(0, 3, 0));
  REFUSED(ValueError, "slice(float[2]): narrow(): length must be non-negative.", F({2}).narrow(0, 0, -1));
  REFUSED(ValueError, "slice(float[2], [0, 2, 0]): slice step must be positive", F({2}).slice(0, 0, 2, 0));
  REFUSED(IndexError, "unsqueeze(float[2]): Dimension out of range (expected to be in range of [-2, 1], but got 3)",
          F({2}).unsqueeze(3));
  REFUSED(IndexError, "squeeze(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 1)",
          F({2}).squeeze(1));
  REFUSED(ValueError, "view(float[2, 3]): flatten() has invalid args: start_dim cannot come after end_dim",
          F({2, 3}).flatten(1, 0));
}

TEST_CASE("Reductions, norms, products") {
  REFUSED(ShapeError,
          "cat(float[2, 3], float[2, 4]): Sizes of tensors must match except in dimension 0. Expected size 3 but got size 4",
          cat({F({2, 3}), F({2, 4})}));
  REFUSED(ShapeError, "cat(float[2, 3], float[2]): Tensors must have same number of dimensions: got 2 and 1",
          cat({F({2, 3}), F({2})}));
  REFUSED(ShapeError, "cat(float[], float[]): zero-dimensional tensor (at position 0) cannot be concatenated",
          cat({F({}), F({})}));
  REFUSED(IndexError, "cat(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 1)", cat({F({2})}, 1));
  REFUSED(ShapeError, "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1",
          stack({F({2}), F({3})}));
  REFUSED(ShapeError,
          "amax(float[0, 3]): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with",
          F({0, 3}).amax());
  REFUSED(IndexError, "argmax(float[0, 3]): Expected reduction dim 0 to have non-zero size.", F({0, 3}).argmax(0));
  REFUSED(ShapeError,
          "amax(float[0]): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with th",
          F({0}).max());
  REFUSED(IndexError, "argmax(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 1)",
          std::get<0>(F({2}).max(1)));
  REFUSED(DtypeError,
          "mean(long int[2]): could not infer output dtype. Input dtype must be either a floating point or complex dtype. G",
          L({2}).mean());
  REFUSED(DtypeError, "var(long int[2], [1]): std and var only support floating point and complex dtypes", L({2}).var());
  REFUSED(DtypeError, "_softmax(long int[2]): not implemented for 'long int'", L({2}).softmax(0));
  REFUSED(IndexError, "_softmax(float[2]): Dimension out of range (expected to be in range of [-1, 0], but got 1)",
          F({2}).softmax(1));
  REFUSED(ShapeError,
          "layer_norm(float[2, 4]): Given normalized_shape=[3], expected input with shape [*, 3], but got input of size[2, ",
          layer_norm(F({2, 4}), {3}));
  REFUSED(ShapeError,
          "layer_norm(float[2, 4], float[3], 1e-05): Expected weight to be of same shape as normalized_shape, but got weigh",
          layer_norm(F({2, 4}), {4}, F({3})));
  REFUSED(ShapeError, "bmm(float[2, 3], float[2, 3, 4]): batch1 must be a 3D tensor", bmm(F({2, 3}), F({2, 3, 4})));
  REFUSED(ShapeError,
          "bmm(float[2, 3, 4], float[3, 4, 2]): Expected size for first two dimensions of batch2 tensor to be: [2, 4] but g",
          bmm(F({2, 3, 4}), F({3, 4, 2})));
  REFUSED(ShapeError, "mm(float[], float[2]): matmul: both arguments to matmul need to be at least 1D, but they are 0D and 1D",
          matmul(F({}), F({2})));
  REFUSED(ShapeError, "mm(float[2, 3], float[2]): mv: size mismatch, got input (2x3), vec (2)", matmul(F({2, 3}), F({2})));
  REFUSED(ShapeError,
          "mm(float[2], float[3]): dot: inconsistent tensor size, expected tensor [2] and src [3] to have the same number o",
          dot(F({2}), F({3})));
  REFUSED(ShapeError, "mm(float[2, 1], float[3]): dot: 1D tensors expected, but got 2D and 1D tensors", dot(F({2, 1}), F({3})));
  REFUSED(ShapeError, "mm(float[2], float[2]): mv: vector + matrix @ vector expected, got 1, 1, 1", mv(F({2}), F({2})));
  REFUSED(ShapeError,
          "addmm(float[3], float[2, 3], float[3, 4], 1, 1): The expanded size of the tensor (4) must match the existing siz",
          addmm(F({3}), F({2, 3}), F({3, 4})));
}

TEST_CASE("Indices, targets, values") {
  REFUSED(ShapeError, "linear(float[2, 3], float[4, 2]): mat1 and mat2 shapes cannot be multiplied (2x3 and 2x4)",
          linear(F({2, 3}), F({4, 2})));
  REFUSED(ShapeError, "linear(float[2, 3], float[4, 3], float[3]): expected a bias of shape [4], got [3]",
          linear(F({2, 3}), F({4, 3}), F({3})));
  REFUSED(DtypeError, "gather(float[2, 3], float[1, 1]): Expected dtype int64 for index, but got float",
          F({2, 3}).gather(0, F({1, 1})));
  REFUSED(ShapeError, "gather(float[2, 3], long int[1]): Index tensor must have the same number of dimensions as input tensor",
          F({2, 3}).gather(0, L({1})));
  REFUSED(ShapeError,
          "gather(float[2, 3], long int[1, 4]): Size does not match at dimension 1 expected index [1, 4] to be smaller than",
          F({2, 3}).gather(0, L({1, 4})));
  REFUSED(IndexError, "gather(): index 5 is out of bounds for dimension 0 with size 2", F({2, 3}).gather(0, L({1, 1}) * 5));
  REFUSED(IndexError, "index_select(float[2, 3], long int[1, 1]): Index is supposed to be a vector",
          F({2, 3}).index_select(0, L({1, 1})));
  REFUSED(IndexError, "index_select(): index 2 is out of bounds for dimension 0 with size 2",
          F({2, 3}).index_select(0, L({1}) * 2));
  REFUSED(ShapeError, "embedding(float[2], long int[1]): 'weight' must be 2-D", embedding(F({2}), L({1})));
  REFUSED(IndexError, "embedding(): index 7 is out of bounds for dimension 0 with size 2", embedding(F({2, 3}), L({1}) * 7));
  REFUSED(DtypeError, "embedding(float[2, 3], float[1]): Expected dtype int64 for index, but got float",
          embedding(F({2, 3}), F({1})));
  REFUSED(DtypeError,
          "scatter_add(float[2, 3], long int[1, 1], long int[1, 1]): self and source expected to have the same dtype, but g",
          F({2, 3}).scatter_add(0, L({1, 1}), L({1, 1})));
  REFUSED(IndexError, "scatter_add(): index 9 is out of bounds for dimension 0 with size 2",
          F({2, 3}).scatter_add(0, L({1, 1}) * 9, F({1, 1})));
  REFUSED(ShapeError, "index_add(float[2, 3], long int[2], float[3, 3]): source has size 3 at dimension 0, expected 2",
          F({2, 3}).index_add(0, L({2}), F({3, 3})));
  REFUSED(ShapeError, "nll_loss(float[2, 3], long int[3]): size mismatch (got input: [2, 3], target: [3])",
          nll_loss(F({2, 3}), L({3})));
  REFUSED(IndexError, "nll_loss(): Target 3 is out of bounds. (log-probabilities [2, 3])", nll_loss(F({2, 3}), L({2}) * 3));
  REFUSED(ShapeError,
          "nll_loss(float[2, 3], long int[2], float[4]): weight tensor should be defined either for all 3 classes or no cla",
          nll_loss(F({2, 3}), L({2}), F({4})));
  REFUSED(DtypeError, "nll_loss(float[2, 3], float[2]): expected scalar type Long but found float", nll_loss(F({2, 3}), F({2})));
  REFUSED(ValueError, "nll_loss(float[2, 3]): 5 is not a valid value for reduction", nll_loss(F({2, 3}), L({2}), {}, 5));
  REFUSED(ValueError,
          "add_(float[2, 3], 1): unsupported operation: more than one element of the written-to tensor refers to a single m",
          F({1, 3}).expand({2, 3}).add_(1));
}

TEST_CASE("In place, types, creation") {
  const Tensor b = F({4});
  REFUSED(ValueError,
          "copy_(float[2, 3], float[2, 3]): unsupported operation: more than one element of the written-to tensor refers to",
          F({1, 3}).expand({2, 3}).copy_(F({2, 3})));
  REFUSED(ValueError,
          "add_(float[3], float[3]): unsupported operation: some elements of the input tensor and the written-to tensor ref",
          b.slice(0, 0, 3).add_(b.slice(0, 1, 4)));
  REFUSED(ValueError,
          "copy_(float[3], float[3]): unsupported operation: some elements of the input tensor and the written-to tensor re",
          b.slice(0, 0, 3).copy_(b.slice(0, 1, 4)));
  const Tensor own = F({2, 3}), rows = tensor({1, 0});  // eager would add rows it has just changed
  REFUSED(ValueError,
          "index_add_(float[2, 3], long int[2], float[2, 3]): unsupported operation: some elements of the input tensor and the ",
          own.index_add_(0, rows, own));
  REFUSED(ValueError,
          "index_add_(float[2, 3], long int[2], float[2, 3]): unsupported operation: some elements of the input tensor and the ",
          own.index_add_(0, rows, own.view({2, 3})));
  REFUSED(ValueError,
          "scatter_add_(float[2, 3], long int[2, 3], float[2, 3]): unsupported operation: some elements of the input tensor and ",
          own.scatter_add_(0, zeros({2, 3}, kLong), own));
  REFUSED(ValueError, "floor_divide(): ZeroDivisionError: integer division by zero (long int [2])",
          L({2}).floor_divide(L({2}) * 0));
  REFUSED(ValueError, "remainder(): ZeroDivisionError: integer division by zero (long int [2])", L({2}).remainder(0));
  REFUSED(ValueError, "pow(long int[2], -1): Integers to negative integer powers are not allowed.", L({2}).pow(-1));
  REFUSED(ValueError, "div(float[2]): div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
          F({2}).div(2, "up"));
  REFUSED(ValueError, "clamp(float[2]): At least one of 'min' or 'max' must not be None", F({2}).clamp(std::nullopt));
  REFUSED(DtypeError,
          "neg(bool[2]): Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask,",
          -(F({2}) > 0));
  REFUSED(DtypeError,
          "sub(bool[2], bool[2]): Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `lo",
          (F({2}) > 0) - (F({2}) > 0));
  REFUSED(DtypeError, "add(float[2], bool[2], true): Boolean alpha only supported for Boolean results.",
          F({2}).add(F({2}) > 0, true));
  REFUSED(DtypeError,
          "add(long int[2], long int[2], 1.5): For integral input tensors, argument alpha must not be a floating point numb",
          L({2}).add(L({2}), 1.5));
  REFUSED(DtypeError,
          "where(float[2], float[2], float[2]): where expected condition to be a boolean tensor, but got a tensor with dtyp",
          where(F({2}), F({2}), F({2})));
  REFUSED(ValueError, "dropout probability has to be between 0 and 1, but got 1.5", dropout(F({2}), 1.5, true));
  REFUSED(ValueError, "arange: step must be nonzero", arange(0, 5, 0));
  REFUSED(ValueError, "arange: upper bound and larger bound inconsistent with step sign", arange(0, 5, -1));
  REFUSED(ShapeError, "full(0, [-1]): Trying to create tensor with negative dimension -1: [-1]", zeros({-1}));
  REFUSED(ShapeError, "empty: Trying to create tensor with negative dimension -3: [2, -3]", empty({2, -3}));
  REFUSED(ShapeError,
          "full(0, [4611686018427387904, 4]): Storage size calculation overflowed with sizes=[4611686018427387904, 4]",
          zeros({int64_t(1) << 62, 4}));
  REFUSED(ShapeError, "empty: Storage size calculation overflowed with sizes=[1099511627776, 1099511627776]",
          empty({int64_t(1) << 40, int64_t(1) << 40}));
  REFUSED(ShapeError,
          "expand(float[1], [1099511627776, 1099511627776]): Storage size calculation overflowed with sizes=[1099511627776,",
          F({1}).expand({int64_t(1) << 40, int64_t(1) << 40}));
  REFUSED(ShapeError,
          "add(float[1099511627776, 1], float[1, 1099511627776]): Storage size calculation overflowed with sizes=[109951162",
          F({1, 1}).expand({int64_t(1) << 40, 1}) + F({1, 1}).expand({1, int64_t(1) << 40}));
  REFUSED(ValueError, "randint: random_ expects 'from' to be less than 'to', but got from=5 >= to=5", randint(5, 5, {2}));
  REFUSED(ShapeError, "item(float[2]): a Tensor with 2 elements cannot be converted to Scalar", F({2}).item());
  REFUSED(ValueError, "slice(float[2]): split expects split_size be non-negative, but got split_size=0 for a dimension of size 2",
          F({2}).split(0));
  REFUSED(ShapeError, "tensor: Expected all sub-lists to have sizes: [2], but got a sub-list with sizes: [1]",
          tensor({{1, 2}, {3}}));
  REFUSED(ShapeError, "view(float[2, 3]): shape '[5]' is invalid for input of size 6", F({2, 3}).view_as(F({5})));
  REFUSED(ValueError, "cat: expected a non-empty list of Tensors", cat(std::vector<Tensor>{}));
  REFUSED(ShapeError, "empty_strided: negative strides are not supported: [-1]", empty_strided({2}, {-1}));
  REFUSED(Error, "sum(undefined): Expected a proper Tensor but got an undefined one for argument #0", Tensor().sum());
  REFUSED(Error, "add(float[2], undefined): Expected a proper Tensor but got an undefined one", F({2}) + Tensor());
  REFUSED(ValueError, "gelu(float[2]): approximate argument must be either none or tanh.", gelu(F({2}), "x"));
  REFUSED(DtypeError, "addcdiv(long int[2], long int[2], long int[2], 1): Integer division with addcdiv is no longer supported",
          addcdiv(L({2}), L({2}), L({2})));
  REFUSED(ValueError, "linspace: number of steps must be non-negative", linspace(0, 1, -1));
  REFUSED(ShapeError, "fill_(float[2]): fill_ only supports 0-dimension value tensor but got tensor with 1 dimensions.",
          F({2}).fill_(F({2})));
  REFUSED(ValueError, "rand(float[2]): uniform_ expects to return a [from, to) range, but found from=2 > to=1",
          F({2}).uniform_(2, 1));
  REFUSED(ValueError, "randn(float[2]): normal expects std >= 0.0, but found std -1", F({2}).normal_(0, -1));
  REFUSED(ValueError, "bernoulli: expects p to be in [0, 1], but got p=2", F({2}).bernoulli_(2));
  REFUSED(DtypeError, "rand: not implemented for 'long int'", rand({2}, kLong));
  REFUSED(ShapeError,
          "maximum(float[2, 3], float[2]): The size of tensor a (3) must match the size of tensor b (2) at non-singleton di",
          F({2, 3}).max(F({2})));
}

TEST_CASE("An error changes nothing") {
  const Tensor x = F({3});
  const uint32_t version = x._version();
  CHECK_THROWS_AS(x.add_(F({2, 3})), ShapeError);
  CHECK_THROWS_AS(x.index_add_(0, tensor({5}), F({1})), IndexError);
  CHECK(x._version() == version);
  CHECK(equal(x, F({3})));
}

TEST_CASE("Operators on empty and rank-0 tensors") {
  for (const auto& sizes : {std::vector<int64_t>{0}, {2, 0}, {0, 3}, {}, {1}}) {
    const Tensor x = F(sizes);
    CAPTURE(to_string(x.sizes()));
    for (const Tensor& y : {neg(x),
                            abs(x),
                            sign(x),
                            exp(x),
                            log(x),
                            log1p(x),
                            sqrt(x),
                            rsqrt(x),
                            reciprocal(x),
                            sin(x),
                            cos(x),
                            tanh(x),
                            sigmoid(x),
                            erf(x),
                            relu(x),
                            gelu(x),
                            logical_not(x),
                            square(x),
                            x + x,
                            x * 2,
                            1 - x,
                            x / x,
                            floor_divide(x, x),
                            remainder(x, x),
                            pow(x, x),
                            pow(x, 3),
                            minimum(x, x),
                            maximum(x, x),
                            x == x,
                            x < 1,
                            where(x > 0, x, x),
                            clamp(x, 0, 1),
                            addcmul(x, x, x),
                            addcdiv(x, x, x),
                            x.to(kDouble),
                            clone(x),
                            detach(x),
                            contiguous(x),
                            softmax(x, -1),
                            log_softmax(x, 0),
                            x.sum(0, true).expand(x.sizes()),
                            zeros_like(x),
                            rand_like(x),
                            randn_like(x),
                            bernoulli(x, 0.5),
                            dropout(x, 0.5, true),
                            L(sizes) % 2}) {
      CHECK(y.sizes() == x.sizes());
    }
    CHECK(x.sum().item<float>() == static_cast<float>(x.numel()));
    CHECK(all(x == 1).item<bool>());
    CHECK(any(x == 1).item<bool>() == (x.numel() > 0));
    CHECK(x.flatten().dim() == 1);
    CHECK(x.unsqueeze(0).squeeze(0).sizes() == x.sizes());
    CHECK(reshape(x, {x.numel()}).numel() == x.numel());
    CHECK(equal(x.clone().fill_(2).sub_(1), x));
    CHECK(stack({x, x}).numel() == 2 * x.numel());
  }
  CHECK(mm(F({0, 3}), F({3, 0})).numel() == 0);
  CHECK(equal(mm(F({2, 0}), F({0, 2})), zeros({2, 2})));
  CHECK(equal(addmm(F({2}), F({2, 0}), F({0, 2})), F({2, 2})));
  CHECK(bmm(F({0, 2, 3}), F({0, 3, 4})).sizes() == IntArrayRef({0, 2, 4}));
  CHECK(linear(F({0, 3}), F({2, 3}), F({2})).sizes() == IntArrayRef({0, 2}));
  CHECK(cat({F({0}), F({0})}).numel() == 0);
  CHECK(F({3, 2}).index_select(0, L({0})).sizes() == IntArrayRef({0, 2}));
  CHECK(F({3, 2}).gather(0, L({0, 2})).numel() == 0);
  CHECK(embedding(F({3, 2}), L({0})).sizes() == IntArrayRef({0, 2}));
  CHECK(layer_norm(F({0, 4}), {4}).numel() == 0);
  CHECK(arange(0).numel() == 0);
}
