// A fuzz target without libFuzzer: over the files of its corpus, or over random bytes.
//   TARGET FILE-OR-FOLDER...          TARGET --random SEED COUNT
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

/// Half of the bytes from a small range, so that small numbers and equal choices are frequent. The input at work is kept in
/// the file "fuzz_input", to be looked at when it crashes.
int run_random(uint64_t seed, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    std::mt19937_64 random(seed + i);
    std::vector<uint8_t> bytes(20 + random() % 1000);
    const uint64_t few = 8 << random() % 6;
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random() % (random() % 2 ? few : 256));
    std::ofstream("fuzz_input", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("ran %llu random inputs\n", static_cast<unsigned long long>(count));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--random") return run_random(std::stoull(argv[2]), std::stoull(argv[3]));
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) files.emplace_back(argv[i]);
    else
      for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
    if (!in) return std::fprintf(stderr, "cannot read %s\n", file.c_str()), 2;
    std::fprintf(stderr, "%s\n", file.c_str());  // the last line names the culprit
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  std::printf("replayed %zu inputs\n", files.size());
  return files.empty() ? 2 : 0;
}
