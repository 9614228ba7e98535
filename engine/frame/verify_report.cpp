#include "verify_report.h"
#include <filesystem>
#include <fstream>
#include "../../runtime/env.h"
#include "../../runtime/log.h"
#include "context.h"
#include "region_builder.h"
#include "report.h"

namespace sinter {
namespace {

std::string describe(const Scalar& s) {
  return s.type() == ScalarType::Double ? fmt::format("double {:.17g} ({:#018x})", s.to_double(), s.bits())
                                        : fmt::format("{} {}", dtype_short_name(s.type()), s.to_int64());
}

std::string list_scalars(const VerifiedRun& run) {
  std::string text;
  for (int32_t i = 0; i < run.leaf.end->info->n_scalars_after; ++i) text += fmt::format("s{} {}\n", i, describe(run.scalars[i]));
  return text;
}

std::string list_inputs(const VerifiedRun& run) {
  std::string text;
  for (size_t i = 0; i < run.leaf.inputs.size(); ++i) {
    const TensorImpl& t = *run.slots[run.leaf.inputs[i]];
    text += fmt::format("i{} {}{} strides {}\n", i, dtype_short_name(t.dtype()), to_string(t.sizes), to_string(t.strides));
  }
  return text;
}

/// Returns the folder, or why it could not be written.
std::string write_reproducer(const VerifiedRun& run, const PrivateRegion& copies, const Region& region, const std::string& what) {
  const std::filesystem::path dir = std::filesystem::path(env().debug_dir) / (region.name + "_verify");
  std::error_code failure;
  std::filesystem::create_directories(dir, failure);
  bool written = !failure;
  const auto file = [&](const std::string& name, const std::string& bytes) {
    std::ofstream out(dir / name, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    written &= out.good();
  };
  file("region.txt", to_string(region));
  file("graph.txt", run.program.graph.str());
  file("program.txt", run.program.str());
  file("difference.txt", what);
  file("inputs.txt", list_inputs(run));
  file("scalars.txt", list_scalars(run));
  for (size_t i = 0; i < run.leaf.inputs.size(); ++i) file(fmt::format("input_{}.bin", i), copies.input_bytes(i));
  return written ? dir.string() : "could not write " + dir.string();
}

}  // namespace

std::string describe(const Difference& d, const std::string& name, const TensorImpl& t) {
  return fmt::format("{} {}{}: {} of {} elements differ, the first at {}: compiled {}, eager {}, {} ULP apart (at most {})", name,
                     dtype_short_name(t.dtype()), to_string(t.sizes), d.count, t.numel, to_string(IntArrayRef(d.first)),
                     d.compiled, d.eager, d.ulps, d.most_ulps);
}

void report_difference(const VerifiedRun& run, const PrivateRegion& copies, const std::string& what) {
  const std::string name = region_name(run.context.owner(), run.leaf);
  const Region region = build_region(run.leaf, run.slots, run.scalars, run.free_ints, run.entry.live, name);
  const std::string folder = env().debug_dir.empty() ? "set SINTER_DEBUG_DIR to have the inputs written to files"
                                                     : write_reproducer(run, copies, region, what);
  warn(fmt::format(
           "SINTER_VERIFY: region {} of {}: the compiled program differs from the eager kernels. The eager values are used, "
           "and from now on the region is interpreted.{}\n{}{}reproducer: {}",
           run.leaf.number, run.context.owner().where(), what, to_string(region), list_scalars(run), folder),
       fmt::format("verify region {} {}", run.context.owner().id, run.leaf.number));
}

}  // namespace sinter
