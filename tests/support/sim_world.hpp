#pragma once

#include "support/builders.hpp"
#include "support/memory_content.hpp"
#include "support/script.hpp"
#include "support/sim_port.hpp"

#include <tftp/client/client_transfer.hpp>
#include <tftp/runtime/thread_pool.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/scratch.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tftp::test {

/// The address where the server of a `sim_world` takes requests.
inline constexpr endpoint service_address = endpoint::ipv4(192, 0, 2, 2, 69);
/// Where its clients are.
inline constexpr endpoint client_address = endpoint::ipv4(192, 0, 2, 1, 0);

/// Keeps what an observer heard.
class finished_list final : public observer {
public:
    /// A request that was refused or dropped.
    struct turned_away {
        reason why;
        endpoint peer;
        /// Empty for one that was dropped.
        std::string rule{};
        error_code what{};
    };

    std::vector<transfer_summary> all;
    std::vector<std::string> requested;
    std::vector<std::string> started;
    std::vector<turned_away> dropped;
    std::vector<turned_away> refused;

    void on_requested(const request_event& asked) noexcept override {
        requested.emplace_back(asked.filename);
    }

    void on_dropped(reason why, const endpoint& from, const endpoint&) noexcept override {
        dropped.push_back({why, from});
    }

    void
    on_refused(const request_event& asked, reason why, const error_code& what) noexcept override {
        refused.push_back({why, asked.peer, std::string(asked.rule), what});
    }

    void on_started(const request_event& asked, const parameters& agreed) noexcept override {
        started.push_back(
            std::string(asked.filename) + " " + std::string(asked.rule) + " " +
            std::to_string(agreed.blksize)
        );
    }

    void on_finished(const transfer_summary& summary) noexcept override { all.push_back(summary); }
};

/// Options of a service in memory, where no route can be asked for its MTU.
[[nodiscard]] inline service_config sim_config() {
    service_config config;
    config.blksize_auto = false;
    return config;
}

/// One server and its clients in virtual time: nothing here waits.
class sim_world {
public:
    explicit sim_world(
        const service_config& config = sim_config(),
        job_runner* pool = nullptr,
        const request_policy* policy = nullptr
    )
        : serving(std::make_unique<shard>(
              shard_dependencies{files, server_host, loop, finished, pool, nullptr, policy},
              config,
              now
          )) {
        socket_options options;
        options.local_addresses = true;
        options.waiting_times = true;
        auto port = network.open(service_address, options);
        listener = port.get();
        REQUIRE_FALSE(serving->listen(std::move(port)));
    }

    sim_network network;
    sim_host server_host{network, service_address};
    sim_host client_host{network, client_address};
    sim_loop loop{network};
    memory_content files;
    finished_list finished;
    time_point now = start;
    std::unique_ptr<shard> serving;
    sim_port* listener = nullptr;
    scratch memory;
    /// Driven with the server until they close. Borrowed.
    std::vector<transfer*> clients;

    /// Opens a port that a test speaks through.
    [[nodiscard]] std::unique_ptr<sim_port> peer(std::uint16_t port = 2000) {
        return network.open(client_address.with_port(port));
    }

    /// Sends one datagram and lets the server answer.
    void say(sim_port& from, const datagram& octets, const endpoint& to = service_address) {
        network.transmit(from, to, octets);
        settle();
    }

    /// One turn of everybody's event loop. Returns false when nothing was ready.
    bool turn() {
        bool any = loop.dispatch(*serving, now);
        for (transfer* const t : clients) {
            if (t->closed()) {
                continue;
            }
            const sim_port* const port = network.find(t->wants().fd);
            if (port->readable()) {
                any = true;
                t->on_readable(memory, now);
            } else if (t->wants().write) {
                any = true;
                t->on_writable(memory, now);
            }
        }
        return any;
    }

    /// Lets everybody act until all wait.
    void settle() {
        for (unsigned turns = 0; turn(); ++turns) {
            REQUIRE(turns < 1'000'000);
        }
    }

    /// Lets time pass, deadline by deadline.
    void advance(duration d) {
        const time_point end = now + d;
        settle();
        for (auto due = next_deadline(); due && *due <= end; due = next_deadline()) {
            REQUIRE(++deadlines < 1'000'000);
            now = std::max(now, *due);
            serving->step(now);
            for (transfer* const t : clients) {
                if (!t->closed() && t->deadline() && *t->deadline() <= now) {
                    t->on_deadline(memory, now);
                }
            }
            settle();
        }
        now = end;
    }

    /// Starts a client's transfer and drives it, with the server, until it is over.
    transfer_summary drive(transfer& client) {
        clients.push_back(&client);
        client.start(memory, now);
        settle();
        for (int minutes = 0; !client.closed() && minutes < 10; ++minutes) {
            advance(std::chrono::minutes(1));
        }
        std::erase(clients, &client);
        REQUIRE(client.closed());
        return client.summary();
    }

    /// Reads a file of the server as the client of this library does.
    transfer_summary get(client_request asked, sink& into) {
        asked.server = service_address;
        const auto t = begin_get(asked, into, client_host, now);
        REQUIRE(t.has_value());
        return drive(**t);
    }

    /// Writes a file to the server.
    transfer_summary put(client_request asked, source& from) {
        asked.server = service_address;
        const auto t = begin_put(asked, from, client_host, now);
        REQUIRE(t.has_value());
        return drive(**t);
    }

    /// Times that time was advanced to, over all calls.
    unsigned deadlines = 0;

private:
    [[nodiscard]] std::optional<time_point> next_deadline() const {
        std::optional<time_point> earliest = serving->deadline();
        for (const transfer* const t : clients) {
            const auto due = t->closed() ? std::nullopt : t->deadline();
            if (due && (!earliest || *due < *earliest)) {
                earliest = due;
            }
        }
        return earliest;
    }
};

/// Octets as text, to compare and to print.
[[nodiscard]] inline std::string as_text(bytes_view octets) {
    return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

[[nodiscard]] inline bytes_view as_octets(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// The newest datagram that `port` received is `expected`; it came from the port returned.
inline endpoint expect(sim_port& port, const datagram& expected) {
    const auto received = port.take();
    REQUIRE(received);
    CHECK(to_text(received->octets) == to_text(expected));
    return received->from;
}

} // namespace tftp::test
