#pragma once

#include <tftp/content/sink.hpp>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <tftp.h>

namespace tftp::capi {

/// Frees what malloc() returned.
struct free_memory {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

/// Collects the content in memory of malloc(), which a C program can take over without a copy.
class malloc_sink final : public sink {
public:
    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    /// Appends the NUL.
    [[nodiscard]] error_code commit() noexcept override;

    /// Returns the size of the content in bytes, the NUL not counted.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// Hands the content over; not null once committed.
    [[nodiscard]] void* release() noexcept { return content_.release(); }

private:
    [[nodiscard]] error_code make_room(std::size_t more) noexcept;

    std::unique_ptr<void, free_memory> content_;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// Passes the content on to a function of the user.
class callback_sink final : public sink {
public:
    /// function: not null.
    callback_sink(tftp_write_function* function, void* user) noexcept
        : function_(function), user_(user) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override;
    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override;
    [[nodiscard]] error_code commit() noexcept override;

private:
    tftp_write_function* function_;
    void* user_;
};

} // namespace tftp::capi
