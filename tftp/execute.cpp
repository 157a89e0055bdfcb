#include "execute.hpp"

#include "escape.hpp"
#include "progress.hpp"

#include <tftp/client/blocking.hpp>
#include <tftp/client/resolver.hpp>
#include <tftp/file/file_sink.hpp>
#include <tftp/file/file_source.hpp>

#include <boost/system/errc.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include <unistd.h>

namespace tftp::cli {

namespace {

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
    offer offered = default_offer(asked.blksize ? *asked.blksize : default_blksize(server));
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

void conclude(report& r, const error_code& outcome, bool local_file) noexcept {
    r.summary.outcome = outcome;
    r.summary.failed = side_of(outcome, local_file);
    r.from = origin_of(outcome, local_file);
    r.code = exit_code_for(outcome, r.from);
}

/// Asks one address after the other. transfer(request): carries it out and returns the summary.
template <class Transfer>
void try_addresses(report& r, const std::vector<endpoint>& addresses, Transfer transfer) {
    const time_point begun = clock::now();
    for (const endpoint& server : addresses) {
        client_request request = make_request(r.asked, server);
        if (r.asked.max_time) {
            // All addresses share it.
            request.timeout = *r.asked.max_time - (clock::now() - begun);
        }
        r.server = server;
        r.offered = *request.options;
        r.summary = transfer(request);
        conclude(r, r.summary.outcome, r.summary.failed == failing_side::content);
        if (!worth_another_address(r.summary)) {
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
    sink& file = **opened;
    transfer_monitor monitor(stop, terminal, escape_for_terminal(r.asked.remote), std::nullopt);
    try_addresses(r, addresses, [&](const tftp::client_request& request) {
        error_code error;
        return get(request, file, error, &monitor);
    });
}

void put(
    report& r, const std::vector<endpoint>& addresses, int terminal, const std::atomic<int>& stop
) {
    result<std::unique_ptr<source>> opened = make_file_source(r.asked.local.c_str());
    if (!opened) {
        conclude(r, opened.error(), true);
        return;
    }
    source& file = **opened;
    transfer_monitor monitor(stop, terminal, escape_for_terminal(r.asked.remote), file.size());
    try_addresses(r, addresses, [&](const tftp::client_request& request) {
        error_code error;
        return put(request, file, error, &monitor);
    });
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
