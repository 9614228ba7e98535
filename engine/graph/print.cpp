#include <fmt/format.h>
#include "geometry.h"
#include "graph.h"

namespace sinter {

namespace {

std::string number_text(const Graph& graph, int64_t n) {
  const auto name = graph.size_names.find(n);
  return name == graph.size_names.end() ? std::to_string(n) : name->second;
}

std::string type_text(const Graph& graph, const TensorMeta& meta) {
  std::string s = dtype_short_name(meta.dtype) + graph.text_of(meta.sizes);
  if (!is_contiguous(meta.sizes, meta.strides)) s += " strides " + graph.text_of(meta.strides);
  if (meta.offset != 0) s += " offset " + number_text(graph, meta.offset);
  return s;
}

std::string scalar_text(const ScalarRef& s) {
  if (s.input >= 0) return fmt::format("s{}", s.input);
  return s.constant.is_floating_point() ? fmt::format("{}", s.constant.to_double()) : fmt::format("{}", s.constant.to_int64());
}

std::string loc_text(Loc loc) {
  if (loc.line == 0) return "";
  const std::string_view file = loc.file;
  const size_t slash = file.rfind('/');
  return fmt::format("  # {}:{}", slash == file.npos ? file : file.substr(slash + 1), loc.line);
}

}  // namespace

std::string Graph::text_of(IntArrayRef sizes) const {
  std::string text = "[";
  for (size_t d = 0; d < sizes.size(); ++d) text += (d ? ", " : "") + number_text(*this, sizes[d]);
  return text + "]";
}

std::string Graph::str(ValueId v) const {
  const GraphNode& n = nodes[v];
  if (n.is_input()) return fmt::format("%{} = input {} : {}", v, n.input, type_text(*this, n.meta));
  std::string args;
  for (ValueId operand : n.in)
    args += fmt::format("{}{}", args.empty() ? "" : ", ", operand < 0 ? "none" : fmt::format("%{}", operand));
  for (const auto& s : n.scalars) args += fmt::format("{}{}", args.empty() ? "" : ", ", scalar_text(s));
  if (!n.ints.empty()) args += fmt::format("{}{}", args.empty() ? "" : ", ", text_of(n.ints));
  if (n.attr != 0) args += fmt::format("; {:#x}", n.attr);
  return fmt::format("%{} = {}({}) : {}{}", v, op_info(n.op).name, args, type_text(*this, n.meta), loc_text(n.loc));
}

std::string Graph::str() const {
  std::string s = fmt::format("graph {}\n", name);
  for (size_t v = 0; v < nodes.size(); ++v)
    if (!nodes[v].dead) s += fmt::format("  {}\n", str(static_cast<ValueId>(v)));
  s += "  return";
  for (const auto& out : outputs)
    s += out.input >= 0 ? fmt::format(" %{}->input {}", out.value, out.input) : fmt::format(" %{}", out.value);
  return s + "\n";
}

}  // namespace sinter
