#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

namespace tftp::io {

/// Octets in memory that all transfers of a server may take together. Thread-safe.
class buffer_budget {
public:
    explicit buffer_budget(std::size_t octets_max) noexcept
        : capacity_(octets_max), left_(octets_max) {}

    buffer_budget(const buffer_budget&) = delete;
    buffer_budget& operator=(const buffer_budget&) = delete;
    ~buffer_budget() = default;

    /// Takes `octets`; returns false, and takes none, when so many are not left.
    [[nodiscard]] bool take(std::size_t octets) noexcept;

    /// Gives back what was taken.
    void give_back(std::size_t octets) noexcept { left_.fetch_add(octets); }

    /// Returns what it had at the start.
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// Returns what is left.
    [[nodiscard]] std::size_t left() const noexcept { return left_.load(); }

private:
    const std::size_t capacity_;
    std::atomic<std::size_t> left_;
};

/// Octets taken from a `buffer_budget`, given back at the end.
///
/// Lifetime: the budget outlives it.
class budget_share {
public:
    budget_share() = default;

    /// Takes `octets` of `from`, or none; see `held`. One that wants more than there ever is waits
    /// until it can have all of it, so that a small budget slows down what it cannot stop.
    budget_share(buffer_budget& from, std::size_t octets) noexcept
        : octets_(std::min(octets, from.capacity())) {
        from_ = from.take(octets_) ? &from : nullptr;
    }

    budget_share(budget_share&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)), octets_(other.octets_) {}

    budget_share& operator=(budget_share&& other) noexcept {
        std::swap(from_, other.from_);
        std::swap(octets_, other.octets_);
        return *this;
    }

    ~budget_share() {
        if (from_ != nullptr) {
            from_->give_back(octets_);
        }
    }

    /// Gives back all but `octets`.
    void shrink(std::size_t octets) noexcept {
        if (from_ != nullptr && octets < octets_) {
            from_->give_back(octets_ - octets);
            octets_ = octets;
        }
    }

    /// Returns true when the octets were there to take.
    [[nodiscard]] bool held() const noexcept { return from_ != nullptr; }

private:
    buffer_budget* from_ = nullptr;
    std::size_t octets_ = 0;
};

} // namespace tftp::io
