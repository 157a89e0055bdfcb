#include "server/kept_files.hpp"

#include <chrono>
#include <cstddef>
#include <malloc.h>
#include <utility>

namespace tftp {

namespace {

/// A file is kept for one to two of these after its last transfer.
constexpr auto kept_interval = std::chrono::milliseconds(2500);

/// More than this is unmapped by the pool: it takes longer than 0.2 ms.
constexpr std::size_t unmapped_here_max = std::size_t{16} << 20;

} // namespace

void kept_files::schedule_eviction(time_point now) noexcept {
    if (!aging_at_ && cache_.size() != 0) {
        aging_at_ = now + kept_interval;
    }
}

void kept_files::evict_idle(time_point now) noexcept {
    if (!aging_at_ || *aging_at_ > now) {
        return;
    }
    const std::size_t before = cache_.size();
    cache_.age([this](auto file) { close(std::move(file)); });
    if (cache_.size() < before) {
        // The allocator would keep what was read ahead.
        ::malloc_trim(0);
    }
    aging_at_.reset();
    schedule_eviction(now);
}

void kept_files::clear() noexcept {
    cache_.clear([this](auto file) { close(std::move(file)); });
}

void kept_files::close(std::shared_ptr<const opened_file> file) noexcept {
    if (context_.needs.pool != nullptr && file->map().mapped() > unmapped_here_max) {
        runner_.dispose(std::move(file), 0);
    }
}

} // namespace tftp
