#include "support/sim_world.hpp"

#include <tftp/client/client_transfer.hpp>

#include <catch2/catch.hpp>

#include <cerrno>
#include <string>

using namespace tftp;
using namespace tftp::test;

namespace {

client_request ask(std::string name) {
    client_request asked;
    asked.options = no_options;
    asked.server = service_address;
    asked.filename = std::move(name);
    return asked;
}

} // namespace

TEST_CASE("a client's port hears of refusals and has room for windows", "[driver][client]") {
    sim_world w;
    memory_sink into(100);
    client_request asked = ask("file");
    SECTION("lockstep") {
        REQUIRE(begin_get(asked, into, w.client_host, w.now));
        CHECK_FALSE(w.client_host.last_options.coalesce);
        CHECK(w.client_host.last_options.receive_buffer == 0);
    }
    SECTION("windows") {
        asked.options = default_offer(1428);
        REQUIRE(begin_get(asked, into, w.client_host, w.now));
        CHECK(w.client_host.last_options.coalesce);
        CHECK(w.client_host.last_options.receive_buffer >= 64 * 1428);
    }
    CHECK(w.client_host.last_options.refusals);
    // The port closed with the transfer that was never started.
    CHECK(w.network.open_ports() == 1);
}

TEST_CASE("the summary tells what the request asked for", "[driver][client]") {
    sim_world w;
    memory_sink into(100);
    client_request asked = ask("file");
    asked.options = default_offer(1428);
    const auto get = begin_get(asked, into, w.client_host, w.now);
    REQUIRE(get.has_value());
    CHECK((*get)->summary().asked == asked.options);
    asked.options = no_options;
    const auto plain = begin_get(asked, into, w.client_host, w.now);
    REQUIRE(plain.has_value());
    CHECK((*plain)->summary().asked.empty());
}

TEST_CASE("what cannot begin says why", "[driver][client]") {
    sim_world w;
    memory_sink into(100);
    memory_source from({});
    CHECK(begin_get(ask(""), into, w.client_host, w.now).error() == errc::bad_name);
    CHECK(
        begin_put(ask(std::string(600, 'x')), from, w.client_host, w.now).error() == errc::too_long
    );
    w.network.faults = {{port_call::open, w.network.calls(port_call::open) + 1, EMFILE, 0}};
    CHECK(
        begin_get(ask("file"), into, w.client_host, w.now).error() ==
        boost::system::errc::too_many_files_open
    );
}

TEST_CASE("a request without a server, or from a wrong address, says so", "[driver][client]") {
    sim_world w;
    memory_sink into(100);
    client_request asked = ask("file");
    SECTION("no server") {
        asked.server = {};
        CHECK(begin_get(asked, into, w.client_host, w.now).error() == errc::no_server);
    }
    SECTION("a local name") {
        asked.local = "here";
        CHECK(begin_get(asked, into, w.client_host, w.now).error() == errc::bad_local_address);
    }
    SECTION("a local port that is none") {
        asked.local = ":70000";
        CHECK(begin_get(asked, into, w.client_host, w.now).error() == errc::bad_local_address);
    }
    SECTION("another family") {
        asked.local = "::1";
        CHECK(begin_get(asked, into, w.client_host, w.now).error() == errc::bad_local_address);
    }
    SECTION("an interface that cannot be") {
        asked.device = std::string(16, 'x');
        memory_source from({});
        const auto no_device = boost::system::errc::no_such_device;
        CHECK(begin_get(asked, into, w.client_host, w.now).error() == no_device);
        CHECK(begin_put(asked, from, w.client_host, w.now).error() == no_device);
    }
}

TEST_CASE("a write announces its size, but not in netascii", "[driver][client][rfc2349]") {
    sim_world w;
    w.serving->close_listeners();
    const auto listener = w.network.open(service_address);
    const std::string text = "12345\n";
    memory_source from(as_octets(text));
    client_request asked = ask("file");
    asked.options->tsize = 0;
    SECTION("octet") {
        const auto t = begin_put(asked, from, w.client_host, w.now).value();
        t->start(w.memory, w.now);
        CHECK(listener->take()->octets == wrq("file", {{"tsize", "6"}}));
    }
    SECTION("netascii") {
        asked.mode = transfer_mode::netascii;
        const auto t = begin_put(asked, from, w.client_host, w.now).value();
        t->start(w.memory, w.now);
        CHECK(listener->take()->octets == wrq("file", {}, "netascii"));
    }
}

TEST_CASE("a netascii write goes on when the server ignores a small blksize", "[driver][client]") {
    sim_world w;
    w.serving->close_listeners();
    const auto service_port = w.network.open(service_address);
    const std::string text(2000, 'x');
    memory_source from(as_octets(text));
    client_request asked = ask("file");
    asked.mode = transfer_mode::netascii;
    asked.options->blksize = 64;
    const auto t = begin_put(asked, from, w.client_host, w.now).value();
    t->start(w.memory, w.now);
    const endpoint client = service_port->take()->from;
    w.network.transmit(*service_port, client, ack(0));
    t->on_readable(w.memory, w.now);
    CHECK(service_port->take()->octets.size() == 516);
    // And reads it again when it was lost.
    t->on_deadline(w.memory, w.now + std::chrono::seconds(1));
    CHECK(service_port->take()->octets.size() == 516);
}

TEST_CASE("a request that cannot be sent fails at once", "[driver][client]") {
    sim_world w;
    memory_sink into(100);
    const auto made = begin_get(ask("file"), into, w.client_host, w.now).value();
    transfer& t = *made;
    SECTION("when the system refuses") {
        w.network.faults = {{port_call::send, 1, EPERM, 0}, {port_call::send, 2, EPERM, 0}};
        t.start(w.memory, w.now);
        CHECK(t.closed());
        CHECK(t.summary().outcome == boost::system::errc::operation_not_permitted);
    }
    SECTION("but not for a full buffer") {
        w.network.faults = {{port_call::send, 1, EAGAIN, 0}};
        t.start(w.memory, w.now);
        CHECK_FALSE(t.closed());
        CHECK(t.opening());
    }
    SECTION("nor for what an earlier datagram met") {
        w.network.faults = {{port_call::send, 1, ECONNREFUSED, 0}};
        t.start(w.memory, w.now);
        CHECK_FALSE(t.closed());
    }
}
