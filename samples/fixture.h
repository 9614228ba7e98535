// Reads a fixture: a manifest (json) with expectations made by PyTorch, and its tensors (raw bytes).
#pragma once
#include <sinter/nn.h>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace samples {

using sinter::Tensor;

/// samples/data beside this file, or `argv1` when given.
inline std::filesystem::path data_folder(const char* argv1 = nullptr) {
  return argv1 ? std::filesystem::path(argv1) : std::filesystem::path(SINTER_SAMPLE_DATA);
}

class Fixture {
 public:
  /// Opens `<folder>/<name>.json` and `.bin`. @throws sinter::Error when one cannot be read.
  Fixture(const std::filesystem::path& folder, const std::string& name) {
    manifest = nlohmann::json::parse(read(folder / (name + ".json")));
    bytes_ = read(folder / manifest["bin"].get<std::string>());
  }

  /// A copy of the tensor with this key.
  Tensor tensor(const std::string& key) const {
    const auto& entry = manifest["tensors"].at(key);
    const size_t offset = entry["offset"], nbytes = entry["nbytes"];
    Tensor t = sinter::empty(entry["shape"].get<std::vector<int64_t>>(), dtype(entry["dtype"]));
    if (offset + nbytes > bytes_.size() || nbytes != static_cast<size_t>(t.numel()) * t.element_size()) {
      sinter::raise("fixture tensor {} does not fit its file", key);
    }
    if (nbytes > 0) std::memcpy(t.data_ptr(), bytes_.data() + offset, nbytes);
    return t;
  }
  /// The tensors of a case's "inputs" or "outputs".
  std::vector<Tensor> tensors(const nlohmann::json& values) const {
    std::vector<Tensor> out;
    for (const auto& value : values) out.push_back(tensor(value["v"]));
    return out;
  }

  /// The tensor's key of each entry of the state dict.
  nlohmann::json state_keys() const {
    nlohmann::json keys;
    for (const auto& entry : manifest["state_dict"]) keys[entry["name"].get<std::string>()] = entry["tensor"];
    return keys;
  }
  /// Sets a module's parameters and buffers to the tensors which `keys` names.
  void load(sinter::nn::Module& module, const nlohmann::json& keys) const {
    sinter::NoGradGuard no_grad;
    for (auto& item : module.named_parameters()) item.value().copy_(tensor(keys.at(item.key())));
    for (auto& item : module.named_buffers()) item.value().copy_(tensor(keys.at(item.key())));
  }

  nlohmann::json manifest;

 private:
  static std::string read(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) sinter::raise("cannot open {}", path.string());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static sinter::ScalarType dtype(const std::string& name) {
    if (name == "float32") return sinter::kFloat;
    if (name == "float64") return sinter::kDouble;
    if (name == "int64") return sinter::kLong;
    if (name == "bool") return sinter::kBool;
    sinter::raise("fixture dtype {} is not supported", name);
  }

  std::string bytes_;
};

/// How far a result is from the expected one, under |got - want| <= atol + rtol * |want|, NaN equal to NaN.
struct Difference {
  double largest = 0;
  bool ok = true;

  void add(double got, double want, double rtol, double atol) {
    if ((std::isnan(got) && std::isnan(want)) || got == want) return;
    const double d = std::abs(got - want);
    if (!(d <= largest)) largest = d;
    if (!(d <= atol + rtol * std::abs(want))) ok = false;
  }
  void add(const Difference& other) {
    if (!(other.largest <= largest)) largest = other.largest;
    ok = ok && other.ok;
  }
};

/// Compares dtype, sizes and every element.
inline Difference compare(const Tensor& got, const Tensor& want, double rtol, double atol) {
  Difference diff;
  if (!got.defined() || got.dtype() != want.dtype() || !(got.sizes() == want.sizes()))
    return {std::numeric_limits<double>::infinity(), false};
  const Tensor a = got.detach().to(sinter::kDouble).contiguous(), b = want.to(sinter::kDouble).contiguous();
  const double* p = a.const_data_ptr<double>();
  const double* q = b.const_data_ptr<double>();
  for (int64_t i = 0; i < a.numel(); ++i) diff.add(p[i], q[i], rtol, atol);
  return diff;
}

/// Compares with an entry of "grads" or "final": the tensor, or where that was too large for the file its sums and first
/// elements.
inline Difference compare(const Tensor& got, const Fixture& fixture, const nlohmann::json& want, double rtol, double atol) {
  if (want.contains("tensor")) return compare(got, fixture.tensor(want["tensor"]), rtol, atol);
  if (!got.defined() || !(got.sizes() == want["shape"].get<std::vector<int64_t>>()))
    return {std::numeric_limits<double>::infinity(), false};
  const Tensor all = got.detach().to(sinter::kDouble).flatten();
  const double abs_sum = want["abs_sum"];
  Difference diff;
  diff.add(all.sum().item<double>(), want["sum"], 0, atol + rtol * abs_sum);
  diff.add(all.abs().sum().item<double>(), abs_sum, rtol, atol);
  diff.add(all.square().sum().sqrt().item<double>(), want["l2"], rtol, atol);
  for (size_t i = 0; i < want["head"].size(); ++i)
    diff.add(all[static_cast<int64_t>(i)].item<double>(), want["head"][i], rtol, atol);
  return diff;
}

}  // namespace samples
