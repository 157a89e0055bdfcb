#pragma once

#include "transfer/transfer_job.hpp"

#include <tftp/base/error.hpp>
#include <tftp/content/source.hpp>
#include <tftp/runtime/memory_budget.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <sys/uio.h>

namespace tftp {

/// Reads the content of a transfer for its blocks: at once what is at hand, by the pool what is
/// not.
class content_reader {
public:
    /// jobs: outlives this.
    content_reader(job_slot& jobs, std::shared_ptr<source> from) noexcept;

    [[nodiscard]] source& content() const noexcept { return *source_; }

    /// Fills `gaps`, of `wanted` bytes in all, with the content from byte `offset` on: with what
    /// the pool has read last, if that covers them. Errors: as `source::try_read`; with
    /// `errc::would_block` only when there is a host, so start_cold_read() is next.
    [[nodiscard]] result<read_outcome>
    fill(std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps) noexcept;

    /// Has the pool read `wanted` bytes from byte `offset` on, and perhaps more around them.
    /// Returns false when there is no room in the pool, or no memory. Precondition: there is a
    /// host, and no job is away.
    [[nodiscard]] bool start_cold_read(std::uint64_t offset, std::size_t wanted) noexcept;

    /// Returns true while there is something that the pool has read, or failed to read, and fill()
    /// has not taken.
    [[nodiscard]] bool has_cold_read() const noexcept {
        return cold_.bytes != nullptr || cold_.error.failed();
    }

    /// Gives up the source, if remote through the host.
    void release() noexcept;

private:
    class cold_read;

    struct cold_read_result {
        budget_share share;
        std::unique_ptr<std::byte[]> bytes;
        std::uint64_t offset = 0;
        read_outcome outcome;
        error_code error;
    };

    [[nodiscard]] result<read_outcome> take_cold_read(
        std::uint64_t offset, std::size_t wanted, std::span<const ::iovec> gaps
    ) noexcept;
    void on_cold_read(cold_read_result brought) noexcept;

    job_slot& jobs_;
    std::shared_ptr<source> source_;
    cold_read_result cold_;
};

} // namespace tftp
