#pragma once

#include <tftp/file/file_identity.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <unordered_map>

namespace tftp {

/// What those who use the same file share, for as long as one of them lives.
///
/// Holds nothing alive by itself. Not thread-safe.
template <class Value>
class shared_by_file {
public:
    /// Returns what is shared of that file; when nothing is, what `make` returns, from now on.
    ///
    /// Throws std::bad_alloc, and what `make` throws.
    template <class Make>
    [[nodiscard]] std::shared_ptr<Value> share(const file_identity& which, Make make) {
        if (entries_.size() >= sweep_at_) {
            sweep();
        }
        std::weak_ptr<Value>& entry = entries_[which];
        std::shared_ptr<Value> shared = entry.lock();
        if (shared == nullptr) {
            shared = make();
            entry = shared;
        }
        return shared;
    }

    /// Returns how many are shared.
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(std::count_if(
            entries_.begin(),
            entries_.end(),
            [](const auto& entry) { return !entry.second.expired(); }
        ));
    }

private:
    void sweep() noexcept {
        std::erase_if(entries_, [](const auto& entry) { return entry.second.expired(); });
        // Each sweep is paid for by as many insertions as it leaves entries behind.
        sweep_at_ = std::max<std::size_t>(64, 2 * entries_.size());
    }

    std::unordered_map<file_identity, std::weak_ptr<Value>, file_identity_hash> entries_;
    /// Entries at which the next sweep removes those that nobody uses.
    std::size_t sweep_at_ = 64;
};

} // namespace tftp
