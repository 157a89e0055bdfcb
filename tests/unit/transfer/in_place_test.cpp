#include "bench.hpp"
#include "support/loopback.hpp"
#include "support/octets.hpp"

#include <tftp/file/directory_provider.hpp>
#include <tftp/file/file_mapping.hpp>
#include <tftp/runtime/epoll_loop.hpp>
#include <tftp/server/shard.hpp>
#include <tftp/socket/udp_socket.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

using namespace tftp;
using namespace tftp::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr const char* shorter = "the file became shorter";

constexpr std::size_t blksize = 2048;
/// The least that is sent in place.
constexpr std::size_t window_octets = 8 * blksize;

/// A transfer of 20 blocks and a short one, in windows of 8, whose content stands in memory.
class window_bench : public bench {
public:
    explicit window_bench(bool hosted = false)
        : bench(make_content(20 * blksize + 100, 1), options, hosted) {
        network.holds = true;
        source->placed = true;
    }

    /// Has the first window sent.
    void open() {
        begin();
        expect(oack(options));
        say(ack(0));
    }

    /// Takes the DATA that came, and returns their content.
    std::string heard() {
        std::string all;
        while (const auto came = remote->take()) {
            REQUIRE(came->octets[1] == std::byte{3});
            ++taken;
            CHECK(came->octets[3] == static_cast<std::byte>(taken));
            all += text(bytes_view(came->octets).subspan(4));
        }
        return all;
    }

    inline static const option_pairs options{
        {"blksize", std::to_string(blksize)}, {"windowsize", "8"}};
    std::string whole = make_content(20 * blksize + 100, 1);
    unsigned taken = 0;
};

} // namespace

TEST_CASE("content leaves from where it stands", "[driver][transfer][in_place]") {
    window_bench b;
    b.open();
    std::string all = b.heard();
    CHECK(all.size() == window_octets);
    b.say(ack(8));
    all += b.heard();
    CHECK(b.source->reads == 0);
    CHECK(b.network.calls(port_call::send_run) == 0);
    // The last block is short, so its window is read.
    b.say(ack(16));
    all += b.heard();
    CHECK(b.source->reads == 1);
    CHECK((all == b.whole));
    b.say(ack(21));
    b.check_closed({});
}

TEST_CASE("what cannot be held is read", "[driver][transfer][in_place]") {
    const auto why = GENERATE(port_call::cork, port_call::release, port_call::send_run);
    window_bench b;
    if (why == port_call::send_run) {
        b.network.holds = false;
    } else {
        b.network.faults = {{why, 1, EOPNOTSUPP}};
    }
    b.open();
    CHECK((b.heard() == b.whole.substr(0, window_octets)));
    CHECK(b.source->reads == 1);
    CHECK(b.network.calls(port_call::send_run) == 1);
    b.say(ack(8));
    CHECK((b.heard() == b.whole.substr(window_octets, window_octets)));
}

TEST_CASE("memory that has gone ends the transfer", "[driver][transfer][in_place]") {
    window_bench b;
    b.network.faults = {{port_call::cork, 2, EFAULT}};
    b.open();
    CHECK((b.heard() == b.whole.substr(0, window_octets)));
    b.say(ack(8));
    b.expect(error_packet(peer_errc::undefined, shorter));
    CHECK_FALSE(b.remote->take());
    b.check_closed(errc::source_shrank);
    CHECK(b.source->reads == 0);
}

TEST_CASE("a file cut off while it was copied ends the transfer", "[driver][transfer][in_place]") {
    window_bench b;
    b.open();
    CHECK((b.heard() == b.whole.substr(0, window_octets)));
    b.source->cut = true;
    b.say(ack(8));
    CHECK(b.network.calls(port_call::cork) == 2);
    CHECK(b.network.calls(port_call::release) == 1);
    b.expect(error_packet(peer_errc::undefined, shorter));
    CHECK_FALSE(b.remote->take());
    b.check_closed(errc::source_shrank);
}

TEST_CASE("a port that is full holds nothing and is tried again", "[driver][transfer][in_place]") {
    window_bench b;
    b.network.faults = {{port_call::cork, 1, EAGAIN}};
    b.open();
    CHECK(b.heard().empty());
    CHECK(b.under_test->wants().write);
    b.under_test->on_writable(b.memory, b.now);
    CHECK((b.heard() == b.whole.substr(0, window_octets)));
    CHECK_FALSE(b.under_test->wants().write);
    CHECK(b.source->reads == 0);
    CHECK(b.under_test->counters().retransmissions == 0);
}

TEST_CASE("a held run that is not sent counts as lost", "[driver][transfer][in_place]") {
    const auto where = GENERATE(port_call::cork, port_call::release);
    window_bench b;
    b.network.faults = {{where, 2, EPERM}};
    b.open();
    REQUIRE((b.heard() == b.whole.substr(0, window_octets)));
    b.say(ack(8));
    CHECK(b.heard().empty());
    CHECK_FALSE(b.under_test->closed());
    // The last block asks what is missing: all of it.
    b.pass(200ms);
    b.taken = 15;
    constexpr std::size_t block = window_octets / 8;
    CHECK((b.heard() == b.whole.substr(2 * window_octets - block, block)));
    b.pass(1ms);
    b.say(ack(8));
    b.taken = 8;
    CHECK((b.heard() == b.whole.substr(window_octets, window_octets)));
    CHECK(b.under_test->counters().retransmissions == 9);
}

TEST_CASE("what the pool has read is not looked for in place", "[driver][transfer][in_place]") {
    window_bench b(true);
    b.source->placed = false;
    b.source->cold = true;
    b.open();
    REQUIRE(b.host.jobs.size() == 1);
    b.source->placed = true;
    b.host.work();
    CHECK((b.heard() == b.whole.substr(0, window_octets)));
    CHECK(b.source->shown == 0);
    b.say(ack(8));
    CHECK((b.heard() == b.whole.substr(window_octets, window_octets)));
    CHECK(b.source->shown == 1);
}

namespace {

/// A directory that counts how its files are read.
class counted_directory final : public content_provider {
public:
    explicit counted_directory(const fs::path& root)
        : files_(export_root::open(root.c_str(), {}).value()) {}

    [[nodiscard]] result<std::shared_ptr<source>> open_read(const content_request& wanted
    ) noexcept override {
        auto opened = files_.open_read(wanted);
        if (!opened) {
            return opened.error();
        }
        return std::make_shared<counted_source>(*this, std::move(*opened));
    }

    [[nodiscard]] result<std::shared_ptr<sink>>
    open_write(const content_request&) noexcept override {
        return make_error_code(peer_errc::access_violation);
    }

    std::size_t octets_read = 0;
    std::size_t octets_shown = 0;

private:
    class counted_source final : public source {
    public:
        counted_source(counted_directory& owner, std::shared_ptr<source> file)
            : owner_(owner), file_(std::move(file)) {}

        [[nodiscard]] std::optional<std::uint64_t> size() const noexcept override {
            return file_->size();
        }

        [[nodiscard]] std::shared_ptr<const void> share(file_cache& cache) noexcept override {
            return file_->share(cache);
        }

        void unshare() noexcept override { file_->unshare(); }

        [[nodiscard]] bytes_view
        in_place(std::uint64_t offset, std::size_t size) noexcept override {
            const bytes_view shown = file_->in_place(offset, size);
            owner_.octets_shown += shown.size();
            return shown;
        }

        [[nodiscard]] bool intact() const noexcept override { return file_->intact(); }

        [[nodiscard]] result<read_outcome>
        try_read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
            return count(file_->try_read(offset, gaps));
        }

        [[nodiscard]] result<read_outcome>
        read(std::uint64_t offset, std::span<const ::iovec> gaps) noexcept override {
            return count(file_->read(offset, gaps));
        }

    private:
        result<read_outcome> count(result<read_outcome> outcome) noexcept {
            owner_.octets_read += outcome ? outcome->bytes : 0;
            return outcome;
        }

        counted_directory& owner_;
        std::shared_ptr<source> file_;
    };

    directory_provider files_;
};

struct no_observer final : observer {
    void on_finished(const transfer_summary&) noexcept override {}
};

/// A service of a directory, on the loopback interface, in the thread of the test.
struct directory_bench {
    directory_bench() {
        auto port = udp_socket::open(loopback(address_family::ipv4), {}).value();
        address = port->local_endpoint();
        REQUIRE_FALSE(service.listen(std::move(port)));
    }

    /// Lets the service hear what was just said.
    void turn() { service.step(loop.run_once(std::nullopt)); }

    temp_dir root;
    counted_directory files{root.path()};
    udp_socket_factory ports;
    epoll_loop loop;
    no_observer observer;
    tftp::shard service{{files, ports, loop, observer}, {}, clock::now()};
    endpoint address;
};

/// A client that fetches "file", window by window.
class fetching {
public:
    fetching(directory_bench& from, std::size_t size, std::size_t count)
        : from_(from), blksize_(size), windowsize_(count) {
        peer_.say(
            from.address,
            rrq("file", {{"blksize", std::to_string(size)}, {"windowsize", std::to_string(count)}})
        );
        from.turn();
        transfer_ = peer_.hear().value().first;
    }

    /// Acknowledges what has come and takes the next window; returns false at the end.
    bool next() {
        peer_.say(transfer_, ack(block_));
        from_.turn();
        // They are there once the turn is over; a window that the socket could not hold is not
        // taken for the end.
        for (std::size_t i = 0; i < windowsize_ && !ended; ++i) {
            const auto came = peer_.hear();
            REQUIRE(came);
            if (came->second[1] == std::byte{5}) {
                error_text = text(bytes_view(came->second).subspan(4));
                error_text->pop_back();
                ended = true;
                break;
            }
            REQUIRE(came->second[1] == std::byte{3});
            ++block_;
            CHECK(came->second[2] == static_cast<std::byte>(block_ >> 8));
            CHECK(came->second[3] == static_cast<std::byte>(block_ & 0xff));
            content += text(bytes_view(came->second).subspan(4));
            ended = came->second.size() < blksize_ + 4;
        }
        return !ended;
    }

    /// Fetches the rest.
    void finish() {
        while (next()) {
        }
        if (!error_text) {
            peer_.say(transfer_, ack(block_));
            from_.turn();
        }
    }

    /// Returns whether nothing else has come.
    bool is_over() { return !peer_.hear(0ms); }

    std::string content;
    std::optional<std::string> error_text;
    bool ended = false;

private:
    directory_bench& from_;
    loopback_peer peer_;
    std::size_t blksize_;
    std::size_t windowsize_;
    endpoint transfer_;
    std::uint16_t block_ = 0;
};

} // namespace

TEST_CASE("the second transfer of a file reads its end alone", "[driver][service][in_place]") {
    const auto [size, count] = GENERATE(
        table<std::size_t, std::size_t>({{1428, 16}, {512, 64}, {16384, 1}, {32768, 2}, {65464, 1}})
    );
    directory_bench b;
    const std::string content = make_content(10 * file_mapping::piece + 777, 1);
    write_file(b.root.path() / "file", content);
    // A file that was just written is kept only while it is in use.
    const fetching holder(b, 512, 1);

    fetching first(b, size, count);
    first.finish();
    CHECK((first.content == content));
    CHECK(b.files.octets_shown == 0);
    b.files.octets_read = 0;

    fetching second(b, size, count);
    second.finish();
    CHECK((second.content == content));
    CHECK(b.files.octets_read <= size * count);
    CHECK(b.files.octets_shown + b.files.octets_read == content.size());
    CHECK(b.service.running() == 1);
}

TEST_CASE("small windows are read, even of a file that is mapped", "[driver][service][in_place]") {
    directory_bench b;
    const std::string content = make_content(100'000, 1);
    write_file(b.root.path() / "file", content);
    const fetching holder(b, 512, 1);
    fetching large(b, 512, 32);
    large.finish();
    fetching small(b, 512, 31);
    small.finish();
    CHECK((small.content == content));
    CHECK(b.files.octets_shown == 0);
}

TEST_CASE("a file cut off under its second transfer ends it", "[driver][service][in_place]") {
    // All of it, whose memory has gone then; and one octet, whose memory is still there.
    const std::string content = make_content(10 * file_mapping::piece, 1);
    const std::size_t left = GENERATE_COPY(std::size_t{0}, content.size() - 1);
    const auto [size, count] = GENERATE(table<std::size_t, std::size_t>({{1428, 16}, {65464, 1}}));
    directory_bench b;
    write_file(b.root.path() / "file", content);
    const fetching holder(b, 512, 1);
    fetching first(b, size, count);
    first.finish();

    fetching second(b, size, count);
    REQUIRE(second.next());
    REQUIRE(second.next());
    const std::string before = second.content;
    CHECK(b.files.octets_shown == before.size());
    fs::resize_file(b.root.path() / "file", left);
    b.files.octets_read = 0;
    second.finish();
    CHECK(second.error_text == shorter);
    CHECK(second.content == before);
    CHECK(content.starts_with(before));
    CHECK(b.files.octets_read == 0);
    CHECK(second.is_over());
}
