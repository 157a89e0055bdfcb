#pragma once

#include <tftp/base/bytes.hpp>
#include <tftp/base/error.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace tftp::soak {

/// A file whose bytes are a function of seed and position, so that none is ever stored here.
struct file {
    std::string name;
    std::uint64_t seed = 0;
    std::uint64_t size_bytes = 0;
};

/// Fills `out` with the bytes from `offset` on of the content of `seed`.
void fill(std::uint64_t seed, std::uint64_t offset, std::span<std::byte> out) noexcept;

/// Returns whether `octets` are those from `offset` on of the content of `seed`.
[[nodiscard]] bool
matches(std::uint64_t seed, std::uint64_t offset, std::span<const std::byte> octets) noexcept;

/// Writes the whole file below `directory`, readable for all. Throws std::system_error.
void create(const std::filesystem::path& directory, const file& what);

/// Returns what is wrong with that file below `directory`; empty when it is whole and right.
[[nodiscard]] std::string inspect(const std::filesystem::path& directory, const file& what);

/// Offers the content of a file to an upload.
class generated_source final : public source {
public:
    explicit generated_source(const file& what) noexcept
        : seed_(what.seed), size_bytes_(what.size_bytes) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return size_bytes_;
    }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;
    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override;

private:
    std::uint64_t seed_;
    std::uint64_t size_bytes_;
};

/// Compares what a download brings, octet by octet, and keeps nothing.
class checking_sink final : public sink {
public:
    explicit checking_sink(const file& what) noexcept
        : seed_(what.seed), size_bytes_(what.size_bytes) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

    /// Returns whether an octet was wrong, or stood where none belongs.
    [[nodiscard]] bool wrong() const noexcept { return wrong_; }

    /// Returns whether all of the file came, and was committed.
    [[nodiscard]] bool whole() const noexcept { return committed_ && next_ == size_bytes_; }

private:
    std::uint64_t seed_;
    std::uint64_t size_bytes_;
    std::uint64_t next_ = 0;
    bool wrong_ = false;
    bool committed_ = false;
};

} // namespace tftp::soak
