#pragma once

#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/time.hpp>
#include <tftp/file/file_cache.hpp>

#include <memory>
#include <optional>

namespace tftp {

/// The files that a shard keeps for a while after their last transfer, and when it gives them up.
///
/// Not thread-safe.
class kept_files {
public:
    /// Lifetime: both are borrowed.
    kept_files(const shard_context& context, transfer_runner& runner) noexcept
        : context_(context), runner_(runner) {}

    /// Returns what is kept.
    [[nodiscard]] file_cache& cache() noexcept { return cache_; }

    /// A file may have been added: has them looked through when it is time.
    void schedule_eviction(time_point now) noexcept;
    /// Gives up what nobody has asked for since the last time, if it is time.
    void evict_idle(time_point now) noexcept;
    /// Gives up all that no transfer uses.
    void clear() noexcept;

    /// Returns when they are looked through; empty while none is kept.
    [[nodiscard]] std::optional<time_point> deadline() const noexcept { return aging_at_; }

private:
    void close(std::shared_ptr<const opened_file> file) noexcept;

    const shard_context& context_;
    transfer_runner& runner_;
    file_cache cache_;
    std::optional<time_point> aging_at_;
};

} // namespace tftp
