#pragma once

#include "server/admitted_request.hpp"
#include "server/incoming_request.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"

#include <tftp/base/error.hpp>
#include <tftp/base/time.hpp>
#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/transfer/events.hpp>

#include <cstddef>
#include <memory>
#include <unordered_map>

namespace tftp {

/// What came of opening the content of a request; one of the two counts.
struct opened_content {
    result<std::shared_ptr<source>> from;
    result<std::shared_ptr<sink>> into;
};

/// Requests whose content is being opened where that may wait for a disk. One of a client port at a
/// time.
///
/// Not thread-safe.
class open_queue {
public:
    /// Takes what was opened.
    class handler {
    public:
        /// The content of `a`, which has waited with what it was granted.
        virtual void
        on_opened(const incoming_request& a, grant granted, opened_content opened) noexcept = 0;
        /// It was given up before.
        virtual void
        on_given_up(const incoming_request& a, reason why, const error_code& what) noexcept = 0;

    protected:
        ~handler() = default;
    };

    /// Lifetime: all are borrowed.
    open_queue(shard_context& context, transfer_runner& runner, handler& by);
    open_queue(const open_queue&) = delete;
    open_queue& operator=(const open_queue&) = delete;

    /// Gives up all.
    ~open_queue() { clear(); }

    /// Opens the content of `a` in the pool. Returns false when the pool takes no more now. Throws
    /// std::bad_alloc.
    [[nodiscard]] bool open(const incoming_request& a, grant granted);

    /// Returns true when the content that a client port has asked for is being opened.
    [[nodiscard]] bool contains(const transfer_key& who) const noexcept {
        return opening_.contains(who);
    }

    /// Another request of such a client port: returns false when it takes the place of the first,
    /// which is forgotten.
    [[nodiscard]] bool absorb(const incoming_request& a) noexcept;

    /// Gives up one request of the address of `peer`. Returns false when there is none.
    [[nodiscard]] bool evict_one_of(const endpoint& peer, time_point now) noexcept;
    /// Gives up what has been waited for as long as a silent client is borne: whoever asked has
    /// gone, and their disk may never answer. Looks once a second.
    void give_up_stale(time_point now) noexcept;
    /// Gives up all.
    void clear() noexcept;

    /// Returns how many requests wait.
    [[nodiscard]] std::size_t size() const noexcept { return opening_.size(); }

    /// Gives memory back that a crowd has left.
    void shrink() noexcept;

private:
    class job;

    void on_opened(job& done) noexcept;

    shard_context& context_;
    transfer_runner& runner_;
    handler& handler_;
    /// The pool owns the jobs.
    std::unordered_map<transfer_key, job*, transfer_key_hash> opening_;
    /// When they are looked through next.
    time_point stale_at_ = time_point::min();
};

} // namespace tftp
