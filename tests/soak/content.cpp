#include "soak/content.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tftp::soak {

namespace {

/// Files are made and compared in pieces of this size.
constexpr std::size_t piece = 256 * 1024;

/// SplitMix64 of a counter: the same everywhere, and no two places look alike.
[[nodiscard]] std::uint64_t word(std::uint64_t seed, std::uint64_t index) noexcept {
    std::uint64_t z = seed * 0xd1342543de82ef95ULL + (index + 1) * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

[[noreturn]] void fail(const std::filesystem::path& what) {
    throw std::system_error(errno, std::generic_category(), what.string());
}

class descriptor {
public:
    explicit descriptor(int fd) noexcept : fd_(fd) {}

    ~descriptor() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

/// Reused: a piece is too large for a stack, and files come by the thousand.
[[nodiscard]] std::span<std::byte> buffer() noexcept {
    static thread_local std::array<std::byte, piece> octets;
    return octets;
}

} // namespace

void fill(std::uint64_t seed, std::uint64_t offset, std::span<std::byte> out) noexcept {
    while (!out.empty()) {
        const std::uint64_t octets = word(seed, offset / sizeof octets);
        const std::size_t skipped = offset % sizeof octets;
        const std::size_t part = std::min(sizeof octets - skipped, out.size());
        std::memcpy(out.data(), reinterpret_cast<const std::byte*>(&octets) + skipped, part);
        out = out.subspan(part);
        offset += part;
    }
}

bool matches(std::uint64_t seed, std::uint64_t offset, std::span<const std::byte> octets) noexcept {
    static thread_local std::array<std::byte, 65536> expected;
    while (!octets.empty()) {
        const std::size_t part = std::min(octets.size(), expected.size());
        fill(seed, offset, std::span(expected).first(part));
        if (std::memcmp(expected.data(), octets.data(), part) != 0) {
            return false;
        }
        octets = octets.subspan(part);
        offset += part;
    }
    return true;
}

void create(const std::filesystem::path& directory, const file& what) {
    const std::filesystem::path path = directory / what.name;
    const descriptor output(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (output.get() < 0 || ::fchmod(output.get(), 0644) != 0) {
        fail(path);
    }
    for (std::uint64_t at = 0; at < what.size_bytes;) {
        const std::uint64_t left = what.size_bytes - at;
        const std::span part = buffer().first(std::min<std::uint64_t>(piece, left));
        fill(what.seed, at, part);
        const ssize_t written = ::write(output.get(), part.data(), part.size());
        if (written <= 0) {
            fail(path);
        }
        at += static_cast<std::uint64_t>(written);
    }
}

std::string inspect(const std::filesystem::path& directory, const file& what) {
    const std::filesystem::path path = directory / what.name;
    const descriptor input(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));

    struct ::stat status {};

    if (input.get() < 0 || ::fstat(input.get(), &status) != 0) {
        return what.name + ": " + std::strerror(errno);
    }
    if (static_cast<std::uint64_t>(status.st_size) != what.size_bytes) {
        return what.name + ": " + std::to_string(status.st_size) + " octets instead of " +
               std::to_string(what.size_bytes);
    }
    for (std::uint64_t at = 0; at < what.size_bytes;) {
        const ssize_t got = ::read(input.get(), buffer().data(), piece);
        if (got <= 0) {
            return what.name + ": cannot be read at " + std::to_string(at);
        }
        const auto part = buffer().first(static_cast<std::size_t>(got));
        if (!matches(what.seed, at, part)) {
            return what.name + ": wrong octets from " + std::to_string(at) + " on";
        }
        at += part.size();
    }
    return {};
}

result<read_outcome>
generated_source::try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    read_outcome outcome;
    for (const ::iovec& gap : gaps) {
        const std::uint64_t left = size_bytes_ - std::min(offset, size_bytes_);
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(gap.iov_len, left));
        fill(seed_, offset, std::span(static_cast<std::byte*>(gap.iov_base), part));
        offset += part;
        outcome.bytes += part;
    }
    outcome.end = offset >= size_bytes_;
    return outcome;
}

result<read_outcome>
generated_source::read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept {
    return try_read(offset, gaps);
}

error_code checking_sink::reserve(std::uint64_t size_bytes) noexcept {
    wrong_ = wrong_ || size_bytes != size_bytes_;
    return {};
}

error_code checking_sink::write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept {
    wrong_ = wrong_ || offset != next_ || committed_;
    for (const ::iovec& payload : payloads) {
        const std::span octets(static_cast<const std::byte*>(payload.iov_base), payload.iov_len);
        wrong_ = wrong_ || next_ + octets.size() > size_bytes_ || !matches(seed_, next_, octets);
        next_ += octets.size();
    }
    return {};
}

error_code checking_sink::commit() noexcept {
    committed_ = true;
    return {};
}

} // namespace tftp::soak
