#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tftp::test {

/// A new directory below the system's temporary directory, removed with all it holds at the end.
class temp_dir {
public:
    /// Throws std::system_error when it cannot be made. Any user may read it and write into it,
    /// for servers that give up their identity.
    temp_dir();
    ~temp_dir();
    temp_dir(const temp_dir&) = delete;
    temp_dir& operator=(const temp_dir&) = delete;

    /// Absolute path of the directory.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

/// Returns `size` bytes that look random and depend on `seed` only.
[[nodiscard]] std::string make_content(std::size_t size, std::uint64_t seed);

/// Returns the whole file. Throws std::runtime_error when it cannot be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& file);

/// Creates or replaces a file, readable and writable for all. Throws when it cannot be written.
void write_file(const std::filesystem::path& file, std::string_view content);

/// Tells whether `file` holds exactly `expected`; a missing file does not.
[[nodiscard]] bool holds(const std::filesystem::path& file, std::string_view expected);

/// Waits until `file` holds exactly `expected`, at most `limit`, driven by the file system's own
/// events. False when the time is over.
[[nodiscard]] bool wait_until_holds(
    const std::filesystem::path& file, std::string_view expected, std::chrono::milliseconds limit
);

} // namespace tftp::test
