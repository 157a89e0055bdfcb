#pragma once

#include "support/loopback.hpp"
#include "support/memory_content.hpp"
#include "support/skip.hpp"

#include <tftp/base/unique_fd.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace tftp::test {

/// A `service` on the loopback interface behind an `epoll_loop`, in a thread of its own: the
/// smallest server there is.
class service_thread {
public:
    service_thread() : stop_(::eventfd(0, EFD_CLOEXEC)) {
        for (const auto family : {address_family::ipv4, address_family::ipv6}) {
            if (family == address_family::ipv6 && !ipv6_is_here()) {
                continue; // a case that needs it says so
            }
            auto port = udp_socket::open(loopback(family), {}).value();
            addresses_[family == address_family::ipv4 ? 0 : 1] = port->local_endpoint();
            REQUIRE_FALSE(shard_.listen(std::move(port)));
        }
        thread_ = std::thread([this] { run(); });
    }

    ~service_thread() {
        const std::uint64_t one = 1;
        CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
        thread_.join();
    }

    service_thread(const service_thread&) = delete;
    service_thread& operator=(const service_thread&) = delete;

    [[nodiscard]] endpoint address(address_family family) const {
        return addresses_[family == address_family::ipv4 ? 0 : 1];
    }

    memory_content files;

private:
    class silent final : public observer {
        void on_finished(const transfer_summary&) noexcept override {}
    };

    void run() {
        for (;;) {
            std::array<::pollfd, 2> wait{
                ::pollfd{loop_.native_handle(), POLLIN, 0}, ::pollfd{stop_.get(), POLLIN, 0}};
            const auto due = shard_.deadline();
            const auto patience =
                due ? std::chrono::ceil<std::chrono::milliseconds>(*due - clock::now())
                    : std::chrono::milliseconds(10'000);
            const auto limit = std::clamp<std::int64_t>(patience.count(), 0, 10'000);
            ::poll(wait.data(), wait.size(), static_cast<int>(limit));
            if (wait[1].revents != 0) {
                return;
            }
            const time_point now = clock::now();
            loop_.dispatch(now);
            shard_.step(now);
        }
    }

    unique_fd stop_;
    udp_socket_factory ports_;
    epoll_loop loop_;
    silent observer_;
    shard shard_{{files, ports_, loop_, observer_}, {}, clock::now()};
    std::array<endpoint, 2> addresses_{};
    std::thread thread_;
};

} // namespace tftp::test
