#include "soak/load.hpp"

#include "support/builders.hpp"
#include "support/lossy_relay.hpp"
#include "support/process.hpp"

#include <tftp/socket/socket_address.hpp>
#include <tftp/wire/packet.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include <fcntl.h>

namespace tftp::soak {

namespace asio = boost::asio;
using asio::ip::udp;
using namespace std::chrono_literals;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// Turns without an answer after which a plain client says so.
constexpr int plain_sends = 10;

/// Round trips of one transfer, so that lockstep of small blocks does not take the whole run.
constexpr std::uint64_t rounds_max = 1500;
/// A lost datagram costs a timeout, not a round trip.
constexpr std::uint64_t lossy_rounds_max = 250;

[[nodiscard]] std::uint64_t rounds_of(const client_request& asked, std::uint64_t size_bytes) {
    const std::uint64_t per_round =
        std::uint64_t{asked.options->blksize.value_or(512)} * asked.options->windowsize.value_or(1);
    return size_bytes / per_round + 1;
}

[[nodiscard]] std::string describe(const client_request& asked, const transfer_summary& summary) {
    return fmt::format(
        "{} {} blksize {} windowsize {} timeout {} tsize {}: {} bytes in {} ms, {} \"{}\"",
        summary.verb == transfer_direction::read ? "read" : "write",
        asked.filename.view(),
        asked.options->blksize.value_or(0),
        asked.options->windowsize.value_or(0),
        asked.options->timeout.value_or(0s).count(),
        asked.options->tsize.has_value(),
        summary.counters.bytes,
        std::chrono::duration_cast<std::chrono::milliseconds>(summary.elapsed).count(),
        summary.outcome.message(),
        summary.peer_text
    );
}

} // namespace

/// Loses datagrams on the way to one daemon.
struct load::relay {
    relay(const site& at, double loss, std::uint64_t seed, totals& t)
        : lossy({"127.0.0.1", at.server().port}, loss, seed), server(at.server()), counts(t) {}

    ~relay() { counts.datagrams_lost += lossy.seen().dropped; }

    relay(const relay&) = delete;
    relay& operator=(const relay&) = delete;

    test::lossy_relay lossy;
    tftp::endpoint server;
    totals& counts;
    unsigned uses = 0;
};

/// A client that is no more than its socket.
struct load::plain_peer {
    plain_peer(const asio::any_io_executor& executor, std::uint16_t port)
        : socket(executor, udp::endpoint(asio::ip::address_v4::loopback(), port)) {
        // A daemon that is started later must not keep it open.
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    }

    void send(const udp::endpoint& to, const test::datagram& octets) {
        error_code ignored; // An earlier refusal may come up here; who waits will see.
        socket.send_to(asio::buffer(octets), to, 0, ignored);
    }

    /// Returns the next datagram; empty when none comes within a second.
    [[nodiscard]] asio::awaitable<std::optional<bytes_view>> receive() {
        using asio::experimental::awaitable_operators::operator||;
        asio::steady_timer patience(socket.get_executor(), 1s);
        const auto got = co_await (
            socket.async_receive_from(asio::buffer(buffer), from, as_result) ||
            patience.async_wait(as_result)
        );
        if (got.index() != 0 || std::get<0>(std::get<0>(got)).failed()) {
            co_return std::nullopt;
        }
        co_return bytes_view(buffer).first(std::get<1>(std::get<0>(got)));
    }

    udp::socket socket;
    udp::endpoint from;
    std::array<std::byte, 1024> buffer{};
};

load::load(
    asio::any_io_executor executor,
    std::shared_ptr<site>& serving,
    totals& counts,
    double loss,
    std::uint64_t seed
)
    : executor_(std::move(executor)),
      serving_(serving),
      counts_(counts),
      loss_(loss),
      random_(seed),
      client_(executor_) {}

load::~load() = default;

asio::awaitable<void> load::one() {
    const std::uint64_t kind = random_.below(100);
    if (serving_->terminating()) {
        co_await pause(10'000);
    } else if (kind < 38) {
        co_await read({});
    } else if (kind < 67) {
        co_await write({});
    } else if (kind < 75) {
        co_await read({true, false});
    } else if (kind < 81) {
        co_await write({true, false});
    } else if (kind < 86) {
        co_await read({false, true});
    } else if (kind < 90) {
        co_await write({false, true});
    } else if (kind < 93) {
        co_await killed();
    } else if (kind < 96) {
        co_await silent();
    } else {
        co_await same_port();
    }
}

void load::end_silent() {
    for (const auto& peer : silent_) {
        peer->send(peer->from, test::error_packet(peer_errc::undefined));
    }
    silent_.clear();
}

asio::awaitable<void> load::pause(std::uint64_t most_us) {
    asio::steady_timer timer(executor_, std::chrono::microseconds(random_.below(most_us) + 1));
    co_await timer.async_wait(as_result);
}

void load::defect(std::string what) {
    counts_.defects.push_back(std::move(what));
}

std::shared_ptr<load::relay> load::a_relay(const site& at) {
    // A relay remembers each client, so none serves many.
    constexpr unsigned uses_max = 32;
    if (!relay_ || relay_->server != at.server() || relay_->uses == uses_max) {
        relay_ = std::make_shared<relay>(at, loss_, random_.next(), counts_);
    }
    ++relay_->uses;
    return relay_;
}

client_request load::request_for(const site& at, const file& what, how_to how) {
    client_request asked;
    asked.options = no_options;
    asked.server = at.server();
    asked.filename = what.name;
    asked.mode = random_.below(8) == 0 ? transfer_mode::netascii : transfer_mode::octet;
    constexpr std::array<std::uint16_t, 10> blksizes{
        8, 16, 64, 512, 1024, 1428, 1468, 8192, 16384, blksize_max};
    constexpr std::array<std::uint16_t, 9> windowsizes{1, 2, 3, 4, 8, 16, 45, 64, 256};
    if (random_.below(4) != 0) {
        asked.options->blksize = random_.below(3) == 0
                                     ? static_cast<std::uint16_t>(random_.between(8, blksize_max))
                                     : blksizes[random_.below(blksizes.size())];
    }
    if (random_.below(3) != 0) {
        asked.options->windowsize = windowsizes[random_.below(windowsizes.size())];
    }
    if (random_.below(2) == 0) {
        asked.options->tsize = 0;
    }
    if (random_.below(8) == 0 && !how.lossy) {
        asked.options->timeout = std::chrono::seconds(random_.between(1, 3));
    }
    constexpr std::uint64_t past_rollover = 8 * 65'536;
    if (what.size_bytes > past_rollover && random_.below(64) == 0 && !how.lossy) {
        asked.options->blksize = 8;
        asked.options->windowsize = 64;
        return asked;
    }
    const std::uint64_t most = how.lossy ? lossy_rounds_max : rounds_max;
    while (rounds_of(asked, what.size_bytes) > most) {
        const unsigned larger = asked.options->blksize.value_or(512) * 2U;
        if (larger > blksize_max) {
            asked.options->windowsize = static_cast<std::uint16_t>(
                std::min(asked.options->windowsize.value_or(1) * 2U, 256U)
            );
        }
        asked.options->blksize =
            static_cast<std::uint16_t>(std::min<unsigned>(larger, blksize_max));
    }
    return asked;
}

bool load::ended(
    const site& at, const client_request& asked, const transfer_summary& summary, how_to how
) {
    counts_.retransmissions += summary.counters.retransmissions;
    if (summary.elapsed > counts_.slowest_took) {
        counts_.slowest_took = summary.elapsed;
        counts_.slowest = describe(asked, summary) + (how.lossy ? ", through loss" : "");
    }
    if (!summary.outcome.failed()) {
        ++counts_.whole;
        counts_.bytes += summary.counters.bytes;
        ++(summary.verb == transfer_direction::read ? counts_.reads : counts_.writes);
        counts_.netascii += summary.mode == transfer_mode::netascii ? 1 : 0;
        counts_.windows += summary.agreed.windowsize > 1 ? 1 : 0;
        counts_.rollovers += summary.counters.blocks > 65'535 ? 1 : 0;
        counts_.lossy += how.lossy ? 1 : 0;
        return true;
    }
    if (how.cancel && summary.outcome == asio::error::operation_aborted) {
        ++counts_.cancelled;
    } else if (at.terminating()) {
        ++counts_.cut;
    } else {
        defect("failed: " + describe(asked, summary));
    }
    return false;
}

asio::awaitable<void> load::read(how_to how) {
    const std::shared_ptr<site> at = serving_;
    const file& what = at->pick(random_);
    client_request asked = request_for(*at, what, how);
    std::shared_ptr<relay> through;
    if (how.lossy) {
        through = a_relay(*at);
        asked.server.port = through->lossy.address().port;
    }
    checking_sink sink(what);
    const auto stop = std::make_shared<asio::cancellation_signal>();
    asio::steady_timer when(executor_);
    if (how.cancel) {
        when.expires_after(std::chrono::microseconds(random_.below(20'000)));
        when.async_wait([stop](const error_code& failed) {
            if (!failed) {
                stop->emit(asio::cancellation_type::terminal);
            }
        });
    }
    const auto [failed, summary] = co_await client_.async_get(
        asked, sink, asio::bind_cancellation_slot(stop->slot(), as_result)
    );
    if (sink.wrong() || (!failed && !sink.whole())) {
        defect("wrong octets: " + describe(asked, summary));
    }
    ended(*at, asked, summary, how);
}

asio::awaitable<void> load::write(how_to how) {
    const std::shared_ptr<site> at = serving_;
    const file upload = at->new_upload({{}, random_.next(), at->pick(random_).size_bytes});
    client_request asked = request_for(*at, upload, how);
    std::shared_ptr<relay> through;
    if (how.lossy) {
        through = a_relay(*at);
        asked.server.port = through->lossy.address().port;
    }
    generated_source source(upload);
    const auto stop = std::make_shared<asio::cancellation_signal>();
    asio::steady_timer when(executor_);
    if (how.cancel) {
        when.expires_after(std::chrono::microseconds(random_.below(20'000)));
        when.async_wait([this, stop, at, upload](const error_code& failed) {
            if (failed) {
                return;
            }
            if (const std::string wrong = at->peek(upload); !wrong.empty()) {
                defect("not whole while it runs: " + wrong);
            }
            stop->emit(asio::cancellation_type::terminal);
        });
    }
    const auto [failed, summary] = co_await client_.async_put(
        asked, source, asio::bind_cancellation_slot(stop->slot(), as_result)
    );
    if (ended(*at, asked, summary, how)) {
        if (const std::string wrong = at->finish(upload); !wrong.empty()) {
            defect("wrong file: " + wrong + ": " + describe(asked, summary));
        }
    }
}

/// The client's process is killed, most often in the middle.
asio::awaitable<void> load::killed() {
    const std::shared_ptr<site> at = serving_;
    const test::temp_dir local;
    file what = at->pick(random_);
    test::command line;
    const std::string server = to_string(at->server());
    if (random_.below(2) == 0) {
        line = test::command_of(
            {TFTP_TFTP_PROGRAM, "get", server, what.name, "-o", local.path() / what.name}
        );
    } else {
        const file upload = at->new_upload(what);
        line =
            test::command_of({TFTP_TFTP_PROGRAM, "put", server, at->root() / what.name, upload.name}
            );
    }
    {
        const test::child_process client(line);
        co_await pause(30'000);
    }
    if (std::filesystem::exists(local.path() / what.name)) {
        if (const std::string wrong = inspect(local.path(), what); !wrong.empty()) {
            defect("left by a killed client: " + wrong);
        }
    } else if (!std::filesystem::is_empty(local.path())) {
        defect("a killed client left a temporary file");
    }
    ++counts_.killed;
}

/// The client says no more, and its port stays open.
asio::awaitable<void> load::silent() {
    constexpr std::size_t silent_max = 64;
    const std::shared_ptr<site> at = serving_;
    const file upload = at->new_upload({{}, random_.next(), at->pick(random_).size_bytes});
    const bool reads = random_.below(2) == 0;
    auto peer = std::make_unique<plain_peer>(executor_, std::uint16_t{0});
    const udp::endpoint server(asio::ip::address_v4::loopback(), at->server().port);
    peer->send(server, reads ? test::rrq(at->pick(random_).name) : test::wrq(upload.name));
    const auto first = co_await peer->receive();
    if (first && random_.below(2) == 0) {
        // One block further, so that the upload has a file of its own.
        const test::datagram block = test::data(1, 512);
        peer->send(peer->from, reads ? test::ack(1) : block);
    }
    silent_.push_back(std::move(peer));
    if (silent_.size() > silent_max) {
        silent_.pop_front();
    }
    ++counts_.silent;
}

/// A client is started again on the port of a transfer that it left, as boot firmware does.
asio::awaitable<void> load::same_port() {
    const std::shared_ptr<site> at = serving_;
    const udp::endpoint server(asio::ip::address_v4::loopback(), at->server().port);
    std::uint16_t port = 0;
    udp::endpoint old;
    {
        plain_peer first(executor_, 0);
        port = first.socket.local_endpoint().port();
        first.send(server, test::rrq(at->pick(random_).name));
        static_cast<void>(co_await first.receive());
        old = first.from;
        first.send(old, test::ack(1));
    }
    file what = at->pick(random_);
    while (what.size_bytes > 64 * 1024) {
        what = at->pick(random_);
    }
    std::optional<plain_peer> peer;
    try {
        peer.emplace(executor_, port);
    } catch (const boost::system::system_error&) {
        co_return; // Another socket has got the port by now.
    }
    checking_sink sink(what);
    udp::endpoint transfer;
    test::datagram last = test::rrq(what.name);
    peer->send(server, last);
    int sends = 1;
    std::uint64_t taken = 0;
    for (bool end = false; !end && sends < plain_sends;) {
        const auto came = co_await peer->receive();
        const auto packet = came ? decode(*came) : result<packet_view>(errc::timed_out);
        const auto* const data = packet ? std::get_if<data_view>(&*packet) : nullptr;
        if (!came) {
            ++sends;
            peer->send(taken == 0 ? server : transfer, last);
        } else if (peer->from == old || data == nullptr || data->block != taken + 1) {
            continue; // Of the transfer that was left, or a repeated block.
        } else {
            transfer = peer->from;
            const ::iovec part{const_cast<std::byte*>(data->payload.data()), data->payload.size()};
            static_cast<void>(sink.write(taken * 512, std::span(&part, 1)));
            ++taken;
            last = test::ack(static_cast<std::uint16_t>(taken));
            peer->send(transfer, last);
            end = data->payload.size() < 512;
            sends = 1;
        }
    }
    static_cast<void>(sink.commit());
    if (sends == plain_sends && at->terminating()) {
        ++counts_.cut;
    } else if (sink.wrong() || !sink.whole()) {
        defect("read from a port used before: " + what.name);
    } else {
        ++counts_.whole;
        ++counts_.reads;
        ++counts_.same_port;
        counts_.bytes += what.size_bytes;
    }
}

} // namespace tftp::soak
