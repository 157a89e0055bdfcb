// One server and one client in one thread, on real sockets and files and a clock of their own: the
// same calls each time, so that their instructions can be counted. See instructions.py.
#include "support/counting_sink.hpp"
#include "support/files.hpp"
#include "support/loopback.hpp"

#include <tftp/client/client_transfer.hpp>
#include <tftp/file/directory_provider.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <poll.h>

using namespace tftp;
using namespace std::chrono_literals;

namespace {

struct workload {
    std::string_view name;
    transfer_direction verb;
    std::size_t size;
    std::uint16_t blksize;
    std::uint16_t windowsize;
    unsigned transfers;
};

constexpr std::size_t mebi = std::size_t{1} << 20;

constexpr workload workloads[] = {
    {"read-512", transfer_direction::read, mebi, 512, 1, 1},
    {"read-1468", transfer_direction::read, 3 * mebi, 1468, 1, 1},
    {"read-1468x16", transfer_direction::read, 8 * mebi, 1468, 16, 1},
    {"read-1468x64", transfer_direction::read, 16 * mebi, 1468, 64, 1},
    {"read-65464", transfer_direction::read, 16 * mebi, 65464, 1, 1},
    {"read-small", transfer_direction::read, 300, 512, 1, 500},
    {"write-1468", transfer_direction::write, 3 * mebi, 1468, 1, 1},
    {"write-1468x16", transfer_direction::write, 8 * mebi, 1468, 16, 1},
};

class silent final : public observer {
    void on_finished(const transfer_summary&) noexcept override {}
};

[[nodiscard]] directory_provider open_root(const std::string& path) {
    access_policy policy;
    policy.writable = writable::create;
    policy.overwrite = overwrite::replace;
    return directory_provider(export_root::open(path.c_str(), policy).value());
}

} // namespace

// Instructions are counted from their first to their last: they are found by name.
extern "C" {
[[gnu::noinline]] bool count_server(epoll_loop& loop, tftp::shard& service, time_point now);
[[gnu::noinline]] bool count_client(transfer& client, scratch& memory, time_point now);
}

bool count_server(epoll_loop& loop, tftp::shard& service, time_point now) {
    const bool any = loop.dispatch(now) > 0;
    service.step(now);
    return any;
}

bool count_client(transfer& client, scratch& memory, time_point now) {
    client.on_readable(memory, now);
    return true;
}

namespace {

class pair {
public:
    explicit pair(const workload& what)
        : what_(what), content_(test::make_content(what.size, 1)), files_(open_root(root_.path())) {
        test::write_file(root_.path() / "file", content_);
        socket_options options;
        options.local_addresses = true;
        options.waiting_times = true;
        auto port = udp_socket::open(test::loopback(address_family::ipv4), options).value();
        asked_.server = port->local_endpoint();
        asked_.filename = what.verb == transfer_direction::read ? "file" : "upload";
        if (what.windowsize > 1 || what.blksize != 512) {
            asked_.options->blksize = what.blksize;
            asked_.options->windowsize = what.windowsize;
        }
        if (shard_.listen(std::move(port))) {
            throw std::runtime_error("cannot listen");
        }
    }

    /// Runs all transfers; returns how many blocks they had.
    [[nodiscard]] std::uint64_t run() {
        std::uint64_t blocks = 0;
        for (unsigned i = 0; i < what_.transfers; ++i) {
            blocks += transfer();
        }
        return blocks;
    }

private:
    [[nodiscard]] std::uint64_t transfer() {
        test::counting_sink into;
        memory_source from(std::as_bytes(std::span(content_)));
        const auto client = what_.verb == transfer_direction::read
                                ? begin_get(asked_, into, ports_, now_).value()
                                : begin_put(asked_, from, ports_, now_).value();
        client->start(memory_, now_);
        for (bool busy = true; busy || shard_.transfers() != 0;) {
            now_ += 10us;
            busy = count_server(loop_, shard_, now_);
            ::pollfd ready{client->wants().fd, POLLIN, 0};
            if (!client->closed() && ::poll(&ready, 1, 0) == 1) {
                busy = count_client(*client, memory_, now_);
            }
            if (!busy) {
                // Only the last ACK of an upload, which is not answered, is waited for.
                now_ += 1s;
                shard_.step(now_);
                client->on_deadline(memory_, now_);
            }
        }
        const transfer_summary summary = client->summary();
        if (summary.outcome || summary.counters.bytes != what_.size ||
            summary.counters.retransmissions != 0) {
            throw std::runtime_error("a transfer failed, or lost something");
        }
        return summary.counters.blocks;
    }

    workload what_;
    test::temp_dir root_;
    std::string content_;
    udp_socket_factory ports_;
    epoll_loop loop_;
    directory_provider files_;
    silent observer_;
    scratch memory_;
    time_point now_ = clock::now();
    client_request asked_{.options = no_options};
    shard shard_{{files_, ports_, loop_, observer_}, {}, now_};
};

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: bench_instructions list|WORKLOAD\n");
        return 2;
    }
    const std::string_view wanted = argv[1];
    if (wanted == "list") {
        for (const workload& each : workloads) {
            std::printf("%s\n", each.name.data());
        }
        return 0;
    }
    for (const workload& each : workloads) {
        if (each.name != wanted) {
            continue;
        }
        try {
            std::printf("%llu\n", static_cast<unsigned long long>(pair(each).run()));
            return 0;
        } catch (const std::exception& failed) {
            std::fprintf(stderr, "bench_instructions: %s\n", failed.what());
            return 1;
        }
    }
    std::fprintf(stderr, "bench_instructions: there is no workload '%s'\n", argv[1]);
    return 2;
}
