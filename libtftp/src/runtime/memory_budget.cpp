#include <tftp/base/assert.hpp>
#include <tftp/runtime/memory_budget.hpp>

#include <algorithm>
#include <exception>

namespace tftp {

namespace {

/// Room for as many users without an allocation: uses, and disks that are read or written at once.
constexpr std::size_t users_at_first = 16;

} // namespace

memory_budget::memory_budget(std::size_t bytes_max) : capacity_(bytes_max), left_(bytes_max) {
    users_.reserve(users_at_first);
}

memory_budget::user* memory_budget::find(budget_use use, std::uint64_t lane) noexcept {
    const auto found = std::ranges::find_if(users_, [&](const user& each) {
        return each.use == use && each.lane == lane;
    });
    return found == users_.end() ? nullptr : &*found;
}

bool memory_budget::take(std::size_t bytes, budget_use use, std::uint64_t lane) noexcept {
    if (bytes == 0) {
        return true;
    }
    const std::scoped_lock lock(mutex_);
    if (bytes > left_) {
        return false;
    }
    std::size_t& in_all = taken_[static_cast<std::size_t>(use)];
    user* taker = find(use, lane);
    const std::size_t had = taker != nullptr ? taker->taken : 0;
    const bool fair = in_all + bytes <= capacity_ / 2 && had + bytes <= left_ - bytes;
    if (!fair && left_ != capacity_) {
        return false;
    }
    if (taker == nullptr) {
        try {
            taker = &users_.emplace_back(user{use, lane, 0});
        } catch (const std::exception&) {
            return false;
        }
    }
    taker->taken += bytes;
    in_all += bytes;
    left_ -= bytes;
    return true;
}

void memory_budget::give_back(std::size_t bytes, budget_use use, std::uint64_t lane) noexcept {
    if (bytes == 0) {
        return;
    }
    const std::scoped_lock lock(mutex_);
    user* const taker = find(use, lane);
    TFTP_ASSERT(taker != nullptr && taker->taken >= bytes);
    taker->taken -= bytes;
    taken_[static_cast<std::size_t>(use)] -= bytes;
    left_ += bytes;
    if (taker->taken == 0) {
        *taker = users_.back();
        users_.pop_back();
    }
}

std::size_t memory_budget::left() const noexcept {
    const std::scoped_lock lock(mutex_);
    return left_;
}

} // namespace tftp
