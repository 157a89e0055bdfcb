#pragma once

#include <tftp/base/endpoint.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <unordered_map>
#include <vector>

namespace tftp {

/// Transfers that have to make room for others: nothing that was sent to their client has been
/// acknowledged yet. Finds the oldest of one client, and one by chance, in constant time.
///
/// Transfer: anything; only its address is used. Not thread-safe.
template <class Transfer>
class half_open_set {
public:
    /// What a transfer keeps for its place in the set.
    class hook {
    public:
        /// Returns true while the transfer is in the set.
        [[nodiscard]] bool linked() const noexcept { return index_ != none; }

    private:
        friend class half_open_set;
        static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

        std::size_t index_ = none;
        std::uint64_t added_ = 0;
        endpoint client_;
        typename std::list<Transfer*>::iterator turn_;
    };

    /// seed: one that strangers cannot guess.
    explicit half_open_set(std::uint64_t seed) : by_client_(0, keyed_hash{seed}) {}

    /// Adds a transfer of `peer`, whose port says nothing. Throws std::bad_alloc, and then nothing
    /// has changed.
    void add(Transfer& added, hook& place, const endpoint& peer) {
        const endpoint client = peer.with_port(0);
        if (all_.size() == all_.capacity()) {
            all_.reserve(2 * all_.size() + 1);
        }
        auto& turns = by_client_[client];
        try {
            turns.push_back(&added);
        } catch (...) {
            if (turns.empty()) {
                by_client_.erase(client);
            }
            throw;
        }
        place.index_ = all_.size();
        place.added_ = ++added_;
        place.client_ = client;
        place.turn_ = std::prev(turns.end());
        all_.push_back({&added, &place});
    }

    /// Takes a transfer out; nothing happens when it is not in the set.
    void remove(hook& place) noexcept {
        if (!place.linked()) {
            return;
        }
        const auto turns = by_client_.find(place.client_);
        turns->second.erase(place.turn_);
        if (turns->second.empty()) {
            by_client_.erase(turns);
        }
        // The last one moves to its place.
        all_[place.index_] = all_.back();
        all_[place.index_].place->index_ = place.index_;
        all_.pop_back();
        place.index_ = hook::none;
    }

    /// Returns the oldest transfer of the address of `peer`; null when it has none.
    [[nodiscard]] Transfer* oldest_of(const endpoint& peer) const noexcept {
        const auto turns = by_client_.find(peer.with_port(0));
        return turns == by_client_.end() ? nullptr : turns->second.front();
    }

    /// Returns the older of the two transfers that these random numbers choose; null when the set
    /// is empty. Say that a flood replaces the whole set in a time T. A transfer whose client
    /// answers after x * T then survives with the probability 1 - tanh(x)^2: 0.99 for x = 0.1.
    /// Evicting any one at random gives 0.90; evicting the oldest shuts out every client slower
    /// than T.
    [[nodiscard]] Transfer* one_of_two(std::uint64_t first, std::uint64_t second) const noexcept {
        if (all_.empty()) {
            return nullptr;
        }
        const entry& a = all_[first % all_.size()];
        const entry& b = all_[second % all_.size()];
        return a.place->added_ < b.place->added_ ? a.transfer : b.transfer;
    }

    /// Returns how many there are.
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

    /// Gives memory back that a crowd has left.
    void shrink() {
        if (all_.size() < all_.capacity() / 4) {
            all_.shrink_to_fit();
        }
        if (by_client_.empty()) {
            by_client_.rehash(0);
        }
    }

private:
    struct keyed_hash {
        std::uint64_t seed;

        [[nodiscard]] std::size_t operator()(const endpoint& e) const noexcept {
            return static_cast<std::size_t>(mix(e, seed));
        }
    };

    struct entry {
        Transfer* transfer;
        hook* place;
    };

    std::uint64_t added_ = 0;
    std::vector<entry> all_;
    /// Those of one client, the oldest first.
    std::unordered_map<endpoint, std::list<Transfer*>, keyed_hash> by_client_;
};

} // namespace tftp
