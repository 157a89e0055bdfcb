#include "execute.hpp"

#include "escape.hpp"
#include "progress.hpp"
#include "resolve.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/file_source.hpp>
#include <tftp/socket/route_table.hpp>

#include <boost/system/errc.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <unistd.h>

namespace tftp::cli {

namespace {

/// What fits an Ethernet frame with IPv6 and a little encapsulation; RFC 2348 measures with it.
constexpr std::uint16_t blksize_of_unknown_route = 1428;

/// Larger blocks are sent only to who asks for them: many servers and queues do not take them.
constexpr std::uint16_t blksize_unasked_max = 8192;

/// Keeps in mind what the file answered, since its errors look like those of a socket.
class observed_sink final : public sink {
public:
    explicit observed_sink(std::unique_ptr<sink> file) noexcept : file_(std::move(file)) {}

    [[nodiscard]] error_code reserve(std::uint64_t size_bytes) noexcept override {
        return failure_ = file_->reserve(size_bytes);
    }

    [[nodiscard]] error_code
    write(std::uint64_t offset, std::span<const ::iovec> payloads) noexcept override {
        return failure_ = file_->write(offset, payloads);
    }

    [[nodiscard]] error_code commit() noexcept override { return failure_ = file_->commit(); }

    [[nodiscard]] const error_code& failure() const noexcept { return failure_; }

private:
    std::unique_ptr<sink> file_;
    error_code failure_;
};

/// As `observed_sink`.
class observed_source final : public source {
public:
    explicit observed_source(std::unique_ptr<source> file) noexcept : file_(std::move(file)) {}

    [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
        return file_->size();
    }

    [[nodiscard]] result<read_outcome>
    try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return observe(file_->try_read(offset, gaps));
    }

    [[nodiscard]] result<read_outcome>
    read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
        return observe(file_->read(offset, gaps));
    }

    [[nodiscard]] const error_code& failure() const noexcept { return failure_; }

private:
    [[nodiscard]] result<read_outcome> observe(result<read_outcome> outcome) noexcept {
        if (!outcome) {
            failure_ = outcome.error();
        }
        return outcome;
    }

    std::unique_ptr<source> file_;
    error_code failure_;
};

/// Files are written in pieces of this size: twice as fast on a disk as in pieces of 64 KiB, four
/// times as fast as in pages.
constexpr std::size_t piece_octets = std::size_t{256} << 10;

[[nodiscard]] result<std::unique_ptr<sink>> open_sink(const arguments& asked) {
    if (asked.local.empty()) {
        return std::unique_ptr<sink>(std::make_unique<fd_sink>(STDOUT_FILENO));
    }
    file_sink_options options;
    // As cp(1) and curl(1) do: whoever needs the file on the disk now calls sync(1).
    options.fsync = false;
    options.permissions.reset();
    options.piece_octets = piece_octets;
    return make_file_sink(asked.local.c_str(), options);
}

[[nodiscard]] offer make_offer(const arguments& asked, const endpoint& server) {
    if (asked.no_options) {
        return {};
    }
    std::uint16_t blksize = blksize_of_unknown_route;
    if (asked.blksize) {
        blksize = *asked.blksize;
    } else if (const result<std::uint32_t> mtu = route_mtu(server)) {
        blksize = std::min(blksize_for_mtu(*mtu, server.family), blksize_unasked_max);
    }
    offer offered = default_offer(blksize);
    if (asked.windowsize) {
        offered.windowsize = *asked.windowsize;
    }
    return offered;
}

[[nodiscard]] client_request make_request(const arguments& asked, const endpoint& server) {
    client_request request;
    request.server = server;
    request.filename = asked.remote;
    request.mode = asked.mode;
    request.options = make_offer(asked, server);
    request.engine.rto.initial = asked.timeout;
    request.engine.rto.max = std::max(request.engine.rto.max, asked.timeout);
    request.engine.opening_sends = asked.retries;
    request.engine.fixed_interval = asked.interval.value_or(duration::zero());
    request.sends = asked.sends;
    request.size_max_bytes = asked.max_size.value_or(0);
    if (asked.give_up) {
        request.engine.give_up = *asked.give_up;
    }
    return request;
}

/// Returns true when another address of the host may do better.
[[nodiscard]] bool worth_another_address(const report& r) noexcept {
    namespace conditions = boost::system::errc;
    const error_code& outcome = r.summary.outcome;
    return r.code == exit_code::network && r.summary.counters.blocks == 0 &&
           (outcome == conditions::connection_refused ||
            outcome == conditions::network_unreachable || outcome == conditions::host_unreachable ||
            outcome == conditions::address_family_not_supported ||
            outcome == conditions::address_not_available);
}

void conclude(report& r, const error_code& outcome, bool local_file) noexcept {
    r.summary.outcome = outcome;
    r.from = origin_of(outcome, local_file);
    r.code = exit_code_for(outcome, r.from);
}

/// Asks one address after the other. transfer(request): carries it out and returns the summary.
/// failure(): what the local file answered.
template <class Transfer, class Failure>
void try_addresses(
    report& r, const std::vector<endpoint>& addresses, Transfer transfer, Failure failure
) {
    const time_point begun = clock::now();
    for (const endpoint& server : addresses) {
        client_request request = make_request(r.asked, server);
        if (r.asked.max_time) {
            // All addresses share it.
            request.time_max = *r.asked.max_time - (clock::now() - begun);
        }
        r.server = server;
        r.offered = request.options;
        r.summary = transfer(request);
        const error_code outcome = r.summary.outcome;
        conclude(r, outcome, outcome.failed() && outcome == failure());
        if (!worth_another_address(r)) {
            return;
        }
    }
}

void get(
    report& r, const std::vector<endpoint>& addresses, int terminal, const std::atomic<int>& stop
) {
    result<std::unique_ptr<sink>> opened = open_sink(r.asked);
    if (!opened) {
        conclude(r, opened.error(), true);
        return;
    }
    observed_sink file(std::move(*opened));
    transfer_monitor monitor(stop, terminal, escape_for_terminal(r.asked.remote), std::nullopt);
    try_addresses(
        r,
        addresses,
        [&](const tftp::client_request& request) {
            error_code error;
            return get(request, file, error, &monitor);
        },
        [&file] { return file.failure(); }
    );
}

void put(
    report& r, const std::vector<endpoint>& addresses, int terminal, const std::atomic<int>& stop
) {
    result<std::unique_ptr<source>> opened = make_file_source(r.asked.local.c_str());
    if (!opened) {
        conclude(r, opened.error(), true);
        return;
    }
    observed_source file(std::move(*opened));
    transfer_monitor monitor(stop, terminal, escape_for_terminal(r.asked.remote), file.size());
    try_addresses(
        r,
        addresses,
        [&](const tftp::client_request& request) {
            error_code error;
            return put(request, file, error, &monitor);
        },
        [&file] { return file.failure(); }
    );
}

} // namespace

report execute(const arguments& asked, int terminal, const std::atomic<int>& stop) {
    report r;
    r.asked = asked;
    const resolution found = resolve(asked.host, asked.port, asked.family);
    if (found.addresses.empty()) {
        r.unresolved = found.problem;
        r.from = origin::network;
        r.code = exit_code::network;
        return r;
    }
    r.addresses = found.addresses.size();
    r.server = found.addresses.front();
    if (asked.verb == transfer_direction::read) {
        get(r, found.addresses, terminal, stop);
    } else {
        put(r, found.addresses, terminal, stop);
    }
    return r;
}

} // namespace tftp::cli
