#pragma once

#include "server/incoming_request.hpp"
#include "server/shrink_table.hpp"

#include <tftp/base/endpoint.hpp>
#include <tftp/server/half_open.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tftp {

/// The transfers of a shard: found by the client port and the address it asked, or by both ends of
/// what they send when they share a port; and those of them that are half open. Owns them.
///
/// Transfer: has `who`, `pair()`, `half_open`, `rival` and `holder` as `server_transfer` has them.
/// Not thread-safe.
template <class Transfer>
class transfer_table {
public:
    /// seed: one that strangers cannot guess.
    explicit transfer_table(std::uint64_t seed)
        : half_open_(seed),
          all_(0, transfer_key_hash{seed}),
          by_pair_(0, transfer_key_hash{seed}) {}

    /// Transfers of one client port to one of our addresses: one that holds the port, and its
    /// rival.
    class same_port {
    public:
        [[nodiscard]] auto begin() const noexcept { return found_.begin(); }

        [[nodiscard]] auto end() const noexcept {
            return found_.begin() + static_cast<std::ptrdiff_t>(count_);
        }

    private:
        friend class transfer_table;

        std::array<Transfer*, 2> found_{};
        std::size_t count_ = 0;
    };

    /// Takes `added` in, as half open. Returns it. Throws std::bad_alloc, and then it is destroyed
    /// and nothing else has changed.
    Transfer& add(std::unique_ptr<Transfer> added) {
        // Room for all to end in one turn, so that remove() never allocates.
        const std::size_t room = ended_.size() + all_.size() + 1;
        if (ended_.capacity() < room) {
            ended_.reserve(2 * room);
        }
        Transfer& t = *added;
        const auto at = all_.emplace(t.who, std::move(added));
        try {
            half_open_.add(t, t.half_open, t.who.peer);
            if (const auto pair = t.pair()) {
                by_pair_.emplace(*pair, &t);
            }
        } catch (const std::bad_alloc&) {
            half_open_.remove(t.half_open);
            all_.erase(at);
            throw;
        }
        return t;
    }

    /// Takes `ended` out and keeps it until destroy_ended(). Returns false when it is out already.
    bool remove(Transfer& ended) noexcept {
        const auto [first, last] = all_.equal_range(ended.who);
        const auto found = std::find_if(first, last, [&ended](const auto& each) {
            return each.second.get() == &ended;
        });
        if (found == last) {
            return false;
        }
        half_open_.remove(ended.half_open);
        if (const auto pair = ended.pair()) {
            by_pair_.erase(*pair);
        }
        // Room was reserved when it began, so this cannot throw.
        ended_.push_back(std::move(found->second));
        all_.erase(found);
        return true;
    }

    /// Destroys what was taken out, each after `f(transfer)`. Returns false when there was nothing.
    template <class Function>
    bool destroy_ended(Function&& f) noexcept {
        for (const auto& each : ended_) {
            f(*each);
        }
        const bool any = !ended_.empty();
        ended_.clear();
        return any;
    }

    /// Returns the transfer that holds the port of a client; null when there is none.
    [[nodiscard]] Transfer* holder_of(const transfer_key& who) const noexcept {
        const auto [first, last] = all_.equal_range(who);
        const auto found = std::find_if(first, last, [](const auto& each) {
            return each.second->holder == nullptr;
        });
        return found == last ? nullptr : found->second.get();
    }

    /// Returns the transfers of a client port.
    [[nodiscard]] same_port of(const transfer_key& who) const noexcept {
        same_port found;
        for (auto [at, last] = all_.equal_range(who); at != last; ++at) {
            found.found_[found.count_++] = at->second.get();
        }
        return found;
    }

    /// Returns true when a client port has a transfer.
    [[nodiscard]] bool contains(const transfer_key& who) const noexcept {
        return all_.contains(who);
    }

    /// Returns the transfer that sends through a shared port between these ends; null when there is
    /// none.
    [[nodiscard]] Transfer* find_pair(const transfer_key& ends) const noexcept {
        const auto found = by_pair_.find(ends);
        return found == by_pair_.end() ? nullptr : found->second;
    }

    /// Calls `f(transfer)` for each.
    template <class Function>
    void for_each(Function&& f) const {
        for (const auto& [who, transfer] : all_) {
            f(*transfer);
        }
    }

    /// Returns how many there are.
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

    /// Returns how many send through shared ports.
    [[nodiscard]] std::size_t pairs() const noexcept { return by_pair_.size(); }

    /// Gives memory back that a crowd has left.
    void shrink() noexcept {
        ended_.shrink_to_fit();
        shrink_table(all_);
        shrink_table(by_pair_);
        half_open_.shrink();
    }

    /// Returns those whose client has acknowledged nothing. remove() takes a transfer out of it.
    [[nodiscard]] half_open_set<Transfer>& half_open() noexcept { return half_open_; }

private:
    half_open_set<Transfer> half_open_;
    /// It holds at most two of one key.
    std::unordered_multimap<transfer_key, std::unique_ptr<Transfer>, transfer_key_hash> all_;
    std::unordered_map<transfer_key, Transfer*, transfer_key_hash> by_pair_;
    std::vector<std::unique_ptr<Transfer>> ended_;
};

} // namespace tftp
