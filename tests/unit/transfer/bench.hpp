#pragma once

#include "support/builders.hpp"
#include "support/engines.hpp"
#include "support/files.hpp"
#include "support/octets.hpp"
#include "support/sim_port.hpp"

#include <tftp/transfer/make_transfer.hpp>

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// One transfer on a network in memory, its file and its pool as moody as a test wants them.
namespace tftp::test {

[[nodiscard]] inline error_code system_error(int number) {
    return {number, boost::system::system_category()};
}

/// Content that can be cold, fail, or turn out shorter than promised.
class moody_source final : public source {
public:
    explicit moody_source(std::string content)
        : content_(std::move(content)), promised(content_.size()) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override { return promised; }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        if (cold) {
            return make_error_code(errc::would_block);
        }
        return read(offset, gaps);
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        ++reads;
        if (error || cut) {
            return error ? error : make_error_code(errc::source_shrank);
        }
        return memory_source(std::as_bytes(std::span(content_))).read(offset, gaps);
    }

    [[nodiscard]] bytes_view in_place(std::uint64_t offset, std::size_t size) noexcept override {
        const bytes_view all = std::as_bytes(std::span(content_));
        if (!placed || offset > all.size() || size > all.size() - offset) {
            return {};
        }
        ++shown;
        return all.subspan(static_cast<std::size_t>(offset), size);
    }

    [[nodiscard]] bool intact() const noexcept override { return !cut; }

    [[nodiscard]] bool remote() const noexcept override { return far; }

    void unshare() noexcept override { unshared = true; }

    [[nodiscard]] extent around(std::uint64_t offset, std::size_t size) const noexcept override {
        return all_at_once ? extent{0, content_.size()} : extent{offset, size};
    }

    void keep(std::uint64_t offset, bytes_view octets) noexcept override {
        kept = std::string(offset, '?') + text(octets);
    }

private:
    std::string content_;

public:
    std::optional<std::uint64_t> promised;
    bool cold = false;
    bool far = false;
    bool unshared = false;
    /// Shows its octets where they stand; somebody cuts them off meanwhile.
    bool placed = false;
    bool cut = false;
    /// The host reads all of it, whatever is wanted.
    bool all_at_once = false;
    std::string kept;
    error_code error;
    int reads = 0;
    int shown = 0;
};

/// A place for content that can fail at any step.
class moody_sink final : public sink {
public:
    [[nodiscard]] bool remote() const noexcept override { return far; }

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        reserved = size_bytes;
        return reserve_error;
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        ++writes;
        if (write_error) {
            return write_error;
        }
        REQUIRE(offset == content.size());
        for (const ::iovec& payload : payloads) {
            content.append(static_cast<const char*>(payload.iov_base), payload.iov_len);
        }
        return {};
    }

    [[nodiscard]] error_code commit() noexcept override {
        ++commits;
        return commit_error;
    }

    bool far = false;
    std::optional<std::uint64_t> reserved;
    error_code reserve_error;
    error_code write_error;
    error_code commit_error;
    std::string content;
    int writes = 0;
    int commits = 0;
};

/// A host whose pool works when the test says so.
class manual_host final : public transfer_host {
public:
    explicit manual_host(scratch& memory) : memory_(memory) {}

    [[nodiscard]] bool offload(std::unique_ptr<blocking_job> job, queueing how) noexcept override {
        if (gone || (full && how == queueing::bounded)) {
            return false;
        }
        jobs.push_back(std::move(job));
        return true;
    }

    void resumed(transfer& owner) noexcept override { owner.on_resumed(memory_, now); }

    [[nodiscard]] memory_budget& buffers() noexcept override { return *budget; }

    void dispose(std::shared_ptr<const void> content, std::uint64_t) noexcept override {
        disposed.push_back(std::move(content));
    }

    /// Does the oldest job.
    void work() {
        REQUIRE_FALSE(jobs.empty());
        const auto job = std::move(jobs.front());
        jobs.erase(jobs.begin());
        job->run();
        job->done();
    }

    /// Outlives the jobs that have taken of it.
    std::optional<memory_budget> budget{std::in_place, std::size_t{64} << 20};
    std::vector<std::unique_ptr<blocking_job>> jobs;
    std::vector<std::shared_ptr<const void>> disposed;
    time_point now = start;
    /// No room for what may be turned away.
    bool full = false;
    /// No thread at all.
    bool gone = false;

private:
    scratch& memory_;
};

/// One transfer, a peer that the test speaks for, and the network between them.
class bench {
public:
    explicit bench(std::string content, const option_pairs& options = {}, bool hosted = false)
        : source(std::make_shared<moody_source>(std::move(content))) {
        under_test = make_transfer(
            setup(transfer_direction::read, hosted),
            serve_read(options, source->size()),
            source,
            start
        );
    }

    explicit bench(const option_pairs& options, bool hosted = false)
        : sink(std::make_shared<moody_sink>()) {
        under_test = make_transfer(
            setup(transfer_direction::write, hosted), serve_write(options), sink, start
        );
    }

    void begin() { under_test->start(memory, now); }

    /// The peer sends; the transfer hears it at once.
    void say(const datagram& octets) {
        network.transmit(*remote, local, octets);
        readable();
    }

    void readable() { under_test->on_readable(memory, now); }

    void pass(duration d) {
        now += d;
        host.now = now;
        under_test->on_deadline(memory, now);
    }

    /// Block numbers of all DATA that came, in order.
    std::vector<unsigned> blocks() {
        std::vector<unsigned> all;
        while (const auto came = remote->take()) {
            REQUIRE(came->octets[1] == std::byte{3});
            all.push_back(
                std::to_integer<unsigned>(came->octets[2]) << 8 |
                std::to_integer<unsigned>(came->octets[3])
            );
        }
        return all;
    }

    /// The code of the ERROR that came last, and nothing after it.
    peer_errc error_code_sent() {
        const auto came = remote->take();
        REQUIRE(came);
        REQUIRE(came->octets[1] == std::byte{5});
        CHECK_FALSE(remote->take());
        return static_cast<peer_errc>(came->octets[3]);
    }

    void expect(const datagram& octets) {
        const auto came = remote->take();
        REQUIRE(came);
        CHECK(to_text(came->octets) == to_text(octets));
    }

    /// The transfer is over, with this outcome.
    void check_closed(const error_code& outcome) {
        CHECK(under_test->closed());
        CHECK(under_test->completed());
        CHECK(under_test->summary().outcome == outcome);
    }

    sim_network network;
    scratch memory;
    manual_host host{memory};
    time_point now = start;
    std::unique_ptr<sim_port> remote = network.open(peer);
    std::shared_ptr<moody_source> source;
    std::shared_ptr<moody_sink> sink;
    endpoint local;
    std::unique_ptr<transfer> under_test;

private:
    transfer_setup setup(transfer_direction what, bool hosted) {
        socket_options options;
        options.refusals = true;
        auto port = network.open(endpoint::ipv4(192, 0, 2, 2, 0), options);
        local = port->local_endpoint();
        return {what, "file", transfer_mode::octet, std::move(port), hosted ? &host : nullptr};
    }
};

} // namespace tftp::test
