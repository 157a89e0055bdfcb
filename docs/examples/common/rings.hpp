#pragma once

#include <cstdint>
#include <iostream>
#include <liburing.h>
#include <system_error>

namespace example {

/// The two rings. An order carries a number that comes back with its result.
class rings {
public:
    /// Throws std::system_error, also where the system forbids io_uring.
    rings() {
        const int failed = ::io_uring_queue_init(1024, &ring_, 0);
        if (failed != 0) {
            throw std::system_error(-failed, std::generic_category(), "io_uring");
        }
    }

    ~rings() { ::io_uring_queue_exit(&ring_); }

    rings(const rings&) = delete;
    rings& operator=(const rings&) = delete;

    /// Returns an order to be filled in; the kernel sees it with the next wait().
    [[nodiscard]] ::io_uring_sqe* order(std::uint64_t number) {
        ::io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
        if (entry == nullptr) {
            ::io_uring_submit(&ring_);
            ++calls_;
            entry = ::io_uring_get_sqe(&ring_);
        }
        ::io_uring_sqe_set_data64(entry, number);
        return entry;
    }

    /// Hands all orders over, waits, and calls take(number, result, more) for each result.
    template <class Take>
    void wait(int timeout_ms, Take take) {
        ::__kernel_timespec time{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000LL};
        ::io_uring_cqe* first = nullptr;
        ::io_uring_submit_and_wait_timeout(
            &ring_, &first, 1, timeout_ms < 0 ? nullptr : &time, nullptr
        );
        ++calls_;
        while (::io_uring_peek_cqe(&ring_, &first) == 0) {
            const ::io_uring_cqe result = *first;
            ::io_uring_cqe_seen(&ring_, first);
            ++results_;
            take(result.user_data, result.res, (result.flags & IORING_CQE_F_MORE) != 0);
        }
    }

    void report() const {
        std::cout << calls_ << " system calls for " << results_ << " results" << std::endl;
    }

private:
    ::io_uring ring_{};
    std::uint64_t calls_ = 0;
    std::uint64_t results_ = 0;
};

} // namespace example
