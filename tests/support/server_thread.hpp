#pragma once

#include "support/loopback.hpp"
#include "support/memory_content.hpp"
#include "support/skip.hpp"

#include <tftp/server/async/server.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tftp::test {

/// A server on the loopback interface in a thread of its own, stopped at the end.
class server_thread {
public:
    explicit server_thread(std::function<void(tftp::server::config&)> adjust = {})
        : server(make_config(adjust)), thread_([this] {
              try {
                  server.run();
              } catch (...) {
                  failure_ = std::current_exception();
              }
          }) {}

    ~server_thread() {
        if (thread_.joinable()) {
            server.stop();
            thread_.join();
        }
    }

    server_thread(const server_thread&) = delete;
    server_thread& operator=(const server_thread&) = delete;

    /// Returns where it takes requests.
    [[nodiscard]] endpoint address(address_family family = address_family::ipv4) const {
        for (const endpoint& e : server.endpoints()) {
            if (e.family == family) {
                return e;
            }
        }
        return {};
    }

    /// Waits for run() to return; rethrows what it threw.
    void join() {
        thread_.join();
        if (failure_) {
            std::rethrow_exception(failure_);
        }
    }

    /// Returns the summaries of all requests that ended so far.
    [[nodiscard]] std::vector<transfer_summary> finished() const {
        const std::lock_guard lock(mutex_);
        return finished_;
    }

    std::shared_ptr<memory_content> files = std::make_shared<memory_content>();

private:
    mutable std::mutex mutex_;
    std::vector<transfer_summary> finished_;
    std::exception_ptr failure_;

    tftp::server::config make_config(const std::function<void(tftp::server::config&)>& adjust) {
        tftp::server::config setup;
        setup.listen = {loopback(address_family::ipv4)};
        if (ipv6_is_here()) { // a case that needs it says so
            setup.listen.push_back(loopback(address_family::ipv6));
        }
        setup.files = files;
        setup.workers = 2;
        setup.on_finished = [this](const transfer_summary& s) {
            const std::lock_guard lock(mutex_);
            finished_.push_back(s);
        };
        if (adjust) {
            adjust(setup);
        }
        return setup;
    }

public:
    tftp::server server;

private:
    std::thread thread_;
};

} // namespace tftp::test
