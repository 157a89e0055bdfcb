#pragma once

#include "server/incoming_request.hpp"
#include "server/shard_context.hpp"
#include "server/transfer_runner.hpp"
#include "support/sim_world.hpp"

#include <tftp/server/held_requests.hpp>

#include <catch2/catch.hpp>

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <variant>

namespace tftp::test {

/// An event loop whose events are made by a test.
class manual_loop final : public event_loop {
public:
    [[nodiscard]] error_code
    watch(const interest& wanted, event_handler& handler) noexcept override {
        watched[wanted.fd] = {wanted, &handler};
        return {};
    }

    void unwatch(int fd) noexcept override { watched.erase(fd); }

    /// Tells the handler of a descriptor that it is readable. Returns false when it is not watched.
    bool readable(int fd, time_point now) {
        const auto found = watched.find(fd);
        if (found == watched.end()) {
            return false;
        }
        found->second.second->on_event(true, false, now);
        return true;
    }

    std::map<int, std::pair<interest, event_handler*>> watched;
};

/// A job runner that keeps jobs until a test has them run.
class manual_pool final : public job_runner {
public:
    ~manual_pool() override {
        for (auto& job : waiting) {
            discard(std::move(job));
        }
    }

    [[nodiscard]] bool submit(
        std::unique_ptr<blocking_job> job, completion_queue& completions, queueing how
    ) noexcept override {
        if (full && how == queueing::bounded) {
            return false;
        }
        accept(*job, completions);
        waiting.push_back(std::move(job));
        return true;
    }

    /// Runs the oldest job.
    void run_one() {
        REQUIRE_FALSE(waiting.empty());
        std::unique_ptr<blocking_job> job = std::move(waiting.front());
        waiting.pop_front();
        job->run();
        finish(std::move(job));
    }

    std::deque<std::unique_ptr<blocking_job>> waiting;
    bool full = false;
};

/// What a part of a shard stands on, in virtual time.
class shard_parts {
public:
    explicit shard_parts(const service_config& config = sim_config(), job_runner* pool = nullptr)
        : context({files, host, loop, heard, pool}, std::make_shared<const service_config>(config)),
          runner(context, held, now) {
        socket_options options;
        options.local_addresses = true;
        listening = network.open(service_address, options);
    }

    sim_network network;
    sim_host host{network, service_address};
    manual_loop loop;
    memory_content files;
    finished_list heard;
    time_point now = start;
    shard_context context;
    held_requests held;
    transfer_runner runner;
    std::unique_ptr<sim_port> listening;

    /// Returns a request as the acceptor makes it of `octets`, from `port` of the client.
    [[nodiscard]] incoming_request request(datagram octets, std::uint16_t port = 2000) {
        const datagram& kept = datagrams_.emplace_back(std::move(octets));
        return {
            *listening,
            service_address.with_port(0),
            kept,
            {client_address.with_port(port), service_address},
            std::get<request_view>(*decode(kept)),
            now,
            {}};
    }

private:
    std::deque<datagram> datagrams_;
};

} // namespace tftp::test
