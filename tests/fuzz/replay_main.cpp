#include "fuzz/fuzz.hpp"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

/// Runs a fuzz target once for each file of the folders named, and for each file named: for
/// compilers without libFuzzer.
int main(int argc, char** argv) {
    namespace fs = std::filesystem;
    std::vector<fs::path> files;
    try {
        for (int i = 1; i < argc; ++i) {
            if (!fs::is_directory(argv[i])) {
                files.emplace_back(argv[i]);
                continue;
            }
            for (const auto& entry : fs::directory_iterator(argv[i])) {
                files.push_back(entry.path());
            }
        }
        for (const fs::path& file : files) {
            std::ifstream stream(file, std::ios::binary);
            const std::vector<std::uint8_t> octets{std::istreambuf_iterator<char>(stream), {}};
            if (!stream) {
                std::fprintf(stderr, "cannot read %s\n", file.c_str());
                return 1;
            }
            // Shown before it runs: a violation ends the process.
            std::printf("%s: %zu octets\n", file.c_str(), octets.size());
            std::fflush(stdout);
            LLVMFuzzerTestOneInput(octets.data(), octets.size());
        }
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "%s\n", failed.what());
        return 1;
    }
    std::printf("%zu inputs, no violation\n", files.size());
    // A corpus that was not found must not pass for one that holds.
    return files.empty() ? 1 : 0;
}
