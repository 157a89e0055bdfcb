// Servers that lie to a client of this library, each in one way that has fooled another client.
#include "support/counting_sink.hpp"
#include "support/sim_world.hpp"

#include <tftp/client/client_transfer.hpp>

#include <catch2/catch.hpp>

#include <memory>
#include <string>

using namespace tftp;
using namespace tftp::test;

namespace {

/// A client in the hands of a server that says what the test wants.
class victim {
public:
    explicit victim(const offer& options = {}) {
        asked_.server = service_address;
        asked_.filename = "file";
        asked_.options = options;
        asked_.fall_back = false;
        server_ = network_.open(service_address);
    }

    void get() { begin(begin_get(asked_, into, host_, start)); }

    void put(source& from) { begin(begin_put(asked_, from, host_, start)); }

    void say(const datagram& octets) {
        sim_port* const port = network_.find(client_->wants().fd);
        network_.transmit(*server_, port->local_endpoint(), octets);
        while (!client_->closed() && port->readable()) {
            client_->on_readable(memory_, start);
        }
    }

    /// Returns the newest datagram of the client; empty when it said nothing.
    [[nodiscard]] datagram heard() {
        datagram last;
        while (const auto came = server_->take()) {
            last.assign(came->octets.begin(), came->octets.end());
        }
        return last;
    }

    [[nodiscard]] const transfer& client() const { return *client_; }

    counting_sink into;

private:
    void begin(result<std::unique_ptr<transfer>> made) {
        REQUIRE(made.has_value());
        client_ = std::move(*made);
        client_->start(memory_, start);
        static_cast<void>(heard());
    }

    sim_network network_;
    sim_host host_{network_, client_address};
    scratch memory_;
    client_request asked_{.options = no_options};
    std::unique_ptr<sim_port> server_;
    std::unique_ptr<transfer> client_;
};

[[nodiscard]] bool is_error(const datagram& octets, peer_errc code) {
    return octets.size() >= 4 && octets[1] == std::byte{5} &&
           std::to_integer<unsigned>(octets[3]) == static_cast<unsigned>(code);
}

} // namespace

TEST_CASE("a server that answers in the wrong direction gets no content", "[driver][client]") {
    SECTION("a read is answered as a write") {
        victim v;
        v.get();
        v.say(ack(0));
        v.say(ack(1));
        CHECK_FALSE(v.client().completed());
        // Whoever sent that, the answer that was asked for still counts.
        v.say(data(1, 10));
        CHECK(v.into.committed);
        CHECK(v.into.octets == 10);
    }
    SECTION("a write is answered as a read") {
        const std::string content(2000, 'x');
        memory_source from(as_octets(content));
        victim v;
        v.put(from);
        v.say(data(1, 512));
        v.say(data(1, 100));
        // Not acknowledged, nor taken for the answer.
        CHECK(v.heard().empty());
        CHECK_FALSE(v.client().completed());
        v.say(ack(0));
        CHECK(v.heard().size() == 4 + 512);
    }
    SECTION("either is answered by a request") {
        victim v;
        v.get();
        v.say(wrq("file"));
        v.say(rrq("file"));
        CHECK_FALSE(v.into.committed);
        CHECK(v.into.octets == 0);
    }
}

TEST_CASE("DATA larger than agreed is not stored", "[driver][client]") {
    offer options;
    SECTION("than the default") {
        victim v;
        v.get();
        v.say(data(1, 513));
        CHECK(is_error(v.heard(), peer_errc::illegal_operation));
        CHECK(v.into.octets == 0);
        CHECK(v.client().completed());
    }
    SECTION("than a blksize that was lowered") {
        options.blksize = 1428;
        victim v(options);
        v.get();
        v.say(oack({{"blksize", "8"}}));
        v.say(data(1, 8));
        v.say(data(2, 1428));
        CHECK(is_error(v.heard(), peer_errc::illegal_operation));
        CHECK(v.into.octets == 8);
        CHECK_FALSE(v.into.committed);
        CHECK(v.client().completed());
    }
}

TEST_CASE("an OACK with tsize alone leaves blocks of 512 octets", "[driver][client]") {
    offer options;
    options.blksize = 1428;
    options.tsize = 0;
    victim v(options);
    v.get();
    v.say(oack({{"tsize", "700"}}));
    CHECK(v.heard() == ack(0));
    v.say(data(1, 512));
    CHECK(v.heard() == ack(1));
    CHECK_FALSE(v.client().completed());
    v.say(data(2, 188));
    CHECK(v.heard() == ack(2));
    CHECK(v.client().completed());
    CHECK_FALSE(v.client().summary().outcome.failed());
    CHECK(v.into.committed);
    CHECK(v.into.octets == 700);
}

TEST_CASE("a file that ends before its announced size is a failure", "[driver][client]") {
    offer options;
    options.tsize = 0;
    victim v(options);
    v.get();
    v.say(oack({{"tsize", "5000"}}));
    v.say(data(1, 100));
    CHECK(v.client().completed());
    CHECK(v.client().summary().outcome.failed());
    CHECK_FALSE(v.into.committed);
}

TEST_CASE("an ERROR in the place of the last ACK fails an upload", "[driver][client]") {
    const std::string content(600, 'x');
    memory_source from(as_octets(content));
    victim v;
    v.put(from);
    v.say(ack(0));
    v.say(ack(1));
    v.say(error_packet(peer_errc::disk_full));
    CHECK(v.client().completed());
    CHECK(v.client().summary().outcome == peer_errc::disk_full);
    CHECK(v.heard() != ack(2));
}
