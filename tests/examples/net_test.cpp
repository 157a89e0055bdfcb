#include "examples/dns_responder.hpp"
#include "examples/example.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace tftp::test;
using namespace std::string_literals;
using Catch::Matchers::Contains;

TEST_CASE("the programs about addresses explain themselves", "[examples][net]") {
    for (const char* const name : {"ipcalc", "ports", "resolve", "interfaces"}) {
        check_explains_itself(name);
    }
}

TEST_CASE("ipcalc says what an address and its mask mean", "[examples][net]") {
    const run_result result = run_example({"ipcalc", "192.168.1.77/26", "192.168.1.130"});
    CHECK(result.status == 0);
    CHECK(
        result.output == "address   192.168.1.77\n"
                         "kind      private (RFC 1918)\n"
                         "netmask   255.255.255.192, /26\n"
                         "network   192.168.1.64/26\n"
                         "broadcast 192.168.1.127\n"
                         "hosts     192.168.1.65 to 192.168.1.126, 62\n"
                         "class     C\n"
                         "other     192.168.1.130: not the same subnet, through a router\n"
    );
    const run_result same = run_example({"ipcalc", "192.168.1.77/255.255.255.0", "192.168.1.130"});
    CHECK_THAT(same.output, Contains("netmask   255.255.255.0, /24\n"));
    CHECK_THAT(same.output, Contains("other     192.168.1.130: same subnet, spoken to directly\n"));
}

TEST_CASE("ipcalc counts the hosts of the smallest and the largest networks", "[examples][net]") {
    const auto [network, hosts] = GENERATE(table<std::string, std::string>({
        {"10.0.0.1/0", "0.0.0.1 to 255.255.255.254, 4294967294\n"},
        {"10.0.0.1/8", "10.0.0.1 to 10.255.255.254, 16777214\n"},
        {"10.0.0.6/30", "10.0.0.5 to 10.0.0.6, 2\n"},
        {"10.0.0.6/31", "10.0.0.6 to 10.0.0.7, 2\n"},
        {"10.0.0.6/32", "10.0.0.6 to 10.0.0.6, 1\n"},
        {"2001:db8::1/64", "2001:db8:: to 2001:db8::ffff:ffff:ffff:ffff\ncount     2^64\n"},
        {"2001:db8::9/127", "2001:db8::8 to 2001:db8::9\ncount     2^1\n"},
        {"2001:db8::9/128", "2001:db8::9 to 2001:db8::9\ncount     2^0\n"},
    }));
    INFO(network);
    const run_result result = run_example({"ipcalc", network});
    CHECK(result.status == 0);
    CHECK_THAT(result.output, Contains("\nhosts     " + hosts));
    CHECK(
        (result.output.find("none, both are hosts") != std::string::npos) ==
        network.ends_with("/31")
    );
}

TEST_CASE("ipcalc knows classes and ranges up to their edges", "[examples][net]") {
    const auto [address, kind, letter] = GENERATE(table<std::string, std::string, std::string>({
        {"0.0.0.0", "this network (RFC 1122)", "A"},
        {"8.8.8.8", "public", "A"},
        {"9.255.255.255", "public", "A"},
        {"10.0.0.0", "private (RFC 1918)", "A"},
        {"10.255.255.255", "private (RFC 1918)", "A"},
        {"100.63.255.255", "public", "A"},
        {"100.64.0.0", "shared, behind the NAT of a provider (RFC 6598)", "A"},
        {"100.127.255.255", "shared, behind the NAT of a provider (RFC 6598)", "A"},
        {"100.128.0.0", "public", "A"},
        {"127.255.255.255", "loopback (RFC 1122)", "A"},
        {"128.0.0.1", "public", "B"},
        {"169.254.1.1", "link-local (RFC 3927)", "B"},
        {"172.15.255.255", "public", "B"},
        {"172.16.0.0", "private (RFC 1918)", "B"},
        {"172.31.255.255", "private (RFC 1918)", "B"},
        {"172.32.0.0", "public", "B"},
        {"192.0.2.1", "documentation (RFC 5737)", "C"},
        {"223.255.255.255", "public", "C"},
        {"224.0.0.251", "multicast of this link (RFC 5771)", "D"},
        {"232.1.1.1", "multicast (RFC 5771)", "D"},
        {"239.1.1.1", "multicast, private (RFC 2365)", "D"},
        {"240.0.0.1", "reserved (RFC 1112)", "E"},
        {"255.255.255.255", "broadcast of this link (RFC 919)", "E"},
    }));
    const std::string output = run_example({"ipcalc", address + "/24"}).output;
    CHECK_THAT(output, Contains("address   " + address + "\nkind      " + kind + "\n"));
    CHECK_THAT(output, Contains("\nclass     " + letter + "\n"));
}

TEST_CASE("ipcalc knows the scopes of IPv6", "[examples][net]") {
    const auto [address, kind] = GENERATE(table<std::string, std::string>({
        {"::", "unspecified (RFC 4291)"},
        {"::1", "loopback (RFC 4291)"},
        {"::ffff:192.0.2.1", "an IPv4 address in IPv6 form (RFC 4291)"},
        {"2001:db8::1", "documentation (RFC 3849)"},
        {"2a00::1", "global (RFC 4291)"},
        {"4000::1", "reserved (RFC 4291)"},
        {"fd00::1", "unique local, the private of IPv6 (RFC 4193)"},
        {"fe80::1", "link-local (RFC 4291)"},
        {"febf::1", "link-local (RFC 4291)"},
        {"ff02::1", "multicast of this link (RFC 4291)"},
        {"ff0e::1", "multicast, global (RFC 4291)"},
        {"ff08::1", "multicast (RFC 4291)"},
    }));
    const std::string output = run_example({"ipcalc", address + "/64"}).output;
    CHECK_THAT(output, Contains("address   " + address + "\nkind      " + kind + "\n"));
}

TEST_CASE("ipcalc refuses what is no address, mask or second address", "[examples][net]") {
    check_refuses({"ipcalc", "10.0.0.1"}, "'10.0.0.1' is no ADDRESS/PREFIX");
    check_refuses({"ipcalc", "10.0.0/8"}, "'10.0.0/8' is no ADDRESS/PREFIX");
    check_refuses({"ipcalc", "10.0.0.1/33"}, "0 to 32 nor a netmask");
    check_refuses({"ipcalc", "10.0.0.1/"}, "nor a netmask");
    check_refuses({"ipcalc", "::1/129"}, "0 to 128 nor a netmask");
    check_refuses({"ipcalc", "::1/255.0.0.0"}, "nor a netmask");
    for (const std::string mask : {"255.0.255.0", "0.0.0.255", "255.255.255.253"}) {
        check_refuses(
            {"ipcalc", "10.0.0.1/" + mask}, "the netmask " + mask + " is not ones, then zeros"
        );
    }
    check_refuses({"ipcalc", "10.0.0.1/8", "x"}, "'x' is no address");
    check_refuses({"ipcalc", "10.0.0.1/8", "::1"}, "'::1' is no address");
}

TEST_CASE("resolve asks the system for names and addresses", "[examples][net]") {
    need_host("localhost");
    CHECK_THAT(
        run_example({"resolve", "localhost"}).output,
        Contains("localhost A 127.0.0.1\n") || Contains("localhost AAAA ::1\n")
    );
    need_command({"getent", "hosts", "127.0.0.1"});
    CHECK_THAT(run_example({"resolve", "127.0.0.1"}).output, Catch::StartsWith("127.0.0.1 PTR "));
}

TEST_CASE("resolve asks a server for both kinds of address", "[examples][net]") {
    const dns_responder server([](udp_client& socket, const dns_question& asked) {
        if (asked.type == dns_type_a) {
            send_text(
                socket,
                asked.from,
                asked.answer(
                    {{dns_type_cname, dns_name("a.example.test")},
                     {dns_type_a, "\xc0\x00\x02\x07"s},
                     {dns_type_a, "short"}}
                )
            );
        } else {
            send_text(
                socket,
                asked.from,
                asked.answer({{dns_type_aaaa, "\x20\x01\x0d\xb8" + std::string(11, '\0') + '\1'}})
            );
        }
    });
    const run_result result =
        run_example({"resolve", "www.example.test", "--server", server.address()});
    CHECK(result.errors.empty());
    CHECK(result.status == 0);
    CHECK(
        result.output == "www.example.test CNAME a.example.test\n"
                         "www.example.test A 192.0.2.7\n"
                         "www.example.test A 5 bytes\n"
                         "www.example.test AAAA 2001:db8::1\n"
    );
    const auto questions = server.questions();
    REQUIRE(questions.size() == 2);
    for (const dns_question& each : questions) {
        CHECK(each.name == "www.example.test");
    }
    CHECK(questions[0].type == dns_type_a);
    CHECK(questions[1].type == dns_type_aaaa);
}

TEST_CASE("resolve turns an address around to ask for its name", "[examples][net]") {
    const auto [address, name] = GENERATE(table<std::string, std::string>({
        {"192.0.2.7", "7.2.0.192.in-addr.arpa"},
        {"2001:db8::12",
         "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
    }));
    const dns_responder server([](udp_client& socket, const dns_question& asked) {
        send_text(
            socket, asked.from, asked.answer({{dns_type_ptr, dns_name("h\x1b[2J.example.test")}})
        );
    });
    const run_result result = run_example({"resolve", address, "--server", server.address()});
    CHECK(result.status == 0);
    REQUIRE(server.questions().size() == 1);
    CHECK(server.questions()[0].type == dns_type_ptr);
    // What could drive the terminal does not reach it.
    CHECK(result.output == name + " PTR h\\027[2J.example.test\n");
}

TEST_CASE(
    "resolve asks again when an answer is lost, and ignores what is none", "[examples][net]"
) {
    int count = 0;
    const dns_responder server([&](udp_client& socket, const dns_question& asked) {
        ++count;
        if (count == 1) {
            return; // lost
        }
        if (count == 2) {
            std::string wrong_id = asked.answer({{dns_type_a, "\xc6\x33\x64\x01"}});
            wrong_id[0] = static_cast<char>(wrong_id[0] ^ 1);
            send_text(socket, asked.from, wrong_id);
            // From another port: the kernel drops it, as the socket is connected.
            udp_client stranger;
            send_text(stranger, asked.from, asked.answer({{dns_type_a, "\xc6\x33\x64\x02"}}));
        }
        const bool ipv4 = asked.type == dns_type_a;
        send_text(
            socket,
            asked.from,
            asked.answer(
                ipv4 ? std::vector<dns_record>{{dns_type_a, "\x7f\x01\x01\x01"}}
                     : std::vector<dns_record>{}
            )
        );
    });
    const run_result result = run_example(
        {"resolve", "www.example.test", "--server", server.address(), "--timeout", "200"}
    );
    CHECK(result.status == 0);
    CHECK(result.output == "www.example.test A 127.1.1.1\n");
    CHECK_THAT(result.errors, Catch::StartsWith("ignored: a datagram that has ID "));
    const auto questions = server.questions();
    REQUIRE(questions.size() >= 3);
    // The same question with the same ID, from the same port.
    CHECK((questions[0].octets == questions[1].octets));
    CHECK(questions[0].from == questions[1].from);
}

TEST_CASE("resolve says why there is no address", "[examples][net]") {
    const auto ask = [](const dns_responder& server) {
        run_result out = run_example(
            {"resolve", "www.example.test", "--server", server.address(), "--timeout", "20"}
        );
        CHECK(out.status == 1);
        CHECK(out.output.empty());
        return out.errors;
    };
    const dns_responder unknown([](udp_client& socket, const dns_question& asked) {
        send_text(socket, asked.from, asked.answer({}, dns_nxdomain));
    });
    CHECK(ask(unknown) == "resolve: www.example.test: NXDOMAIN\n");
    const dns_responder empty([](udp_client& socket, const dns_question& asked) {
        send_text(socket, asked.from, asked.answer({}));
    });
    CHECK_THAT(ask(empty), Contains("the name is known, but nothing of that kind"));
    const dns_responder cut([](udp_client& socket, const dns_question& asked) {
        const std::string whole = asked.answer({{dns_type_a, "\x7f\x01\x01\x01"}});
        send_text(socket, asked.from, whole.substr(0, whole.size() - 1));
    });
    CHECK(ask(cut) == "resolve: the answer is no whole DNS message\n");
    const dns_responder silent([](udp_client&, const dns_question&) {});
    CHECK(ask(silent) == "resolve: " + silent.address() + " does not answer\n");
}

TEST_CASE("resolve refuses what is no name, server or time", "[examples][net]") {
    check_refuses({"resolve", "a..b", "--server", "127.0.0.1"}, "'a..b' is no name");
    check_refuses({"resolve", "a", "--server", "b"}, "--server is an address");
    check_refuses({"resolve", "a", "--timeout", "0"}, "--timeout is a number");
    check_refuses({"resolve"}, "NAME is missing");
}

TEST_CASE("interfaces lists the addresses of this machine", "[examples][net]") {
    const run_result result = run_example({"interfaces"});
    CHECK(result.status == 0);
    CHECK_THAT(result.output, Contains("lo: up, carrier, MTU "));
    CHECK_THAT(result.output, Contains(", MAC 00:00:00:00:00:00\n"));
    CHECK_THAT(result.output, Contains("lo: 127.0.0.1/8, netmask 255.0.0.0\n"));
}

TEST_CASE("interfaces refuses what cannot be set", "[examples][net]") {
    for (const std::string wrong : {"192.0.2.1", "192.0.2.1/", "192.0.2.1/33", "x/24", "", "/"}) {
        INFO(wrong);
        check_refuses({"interfaces", "--set", wrong, "--on", "lo"}, "--set is ADDRESS/PREFIX");
    }
    check_refuses({"interfaces", "--on", "lo"}, "belong together");
    check_refuses({"interfaces", "--set", "192.0.2.1/24"}, "belong together");
    check_refuses({"interfaces", "--gateway", "192.0.2.1"}, "belong together");
    check_refuses(
        {"interfaces", "--set", "192.0.2.1/24", "--on", "none-such"},
        "there is no interface 'none-such'"
    );
    check_refuses(
        {"interfaces", "--set", "192.0.2.1/24", "--on", "lo", "--gateway", "::1"},
        "--gateway is of the other kind"
    );
    check_refuses(
        {"interfaces", "--set", "192.0.2.1/24", "--on", "lo", "--gateway", "x"},
        "--gateway is an address in figures"
    );
}
