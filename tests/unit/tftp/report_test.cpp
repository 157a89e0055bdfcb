#include "report.hpp"

#include <tftp/client/client_request.hpp>

#include <boost/system/system_category.hpp>
#include <catch2/catch.hpp>

#include <cerrno>
#include <chrono>
#include <string>

using namespace tftp;
using namespace tftp::cli;
using namespace std::chrono_literals;
using Catch::Contains;
using Catch::StartsWith;

namespace {

report good() {
    report r;
    r.asked.host = "boot";
    r.asked.remote = "dir/f";
    r.asked.local = "f";
    r.server = endpoint::ipv4(192, 0, 2, 1, 69);
    r.addresses = 1;
    r.offered = default_offer(1428);
    r.summary.peer = r.server.with_port(40000);
    r.summary.agreed = {1428, 64, std::nullopt, std::nullopt};
    r.summary.counters.bytes = 1258291;
    r.summary.counters.blocks = 882;
    r.summary.counters.retransmissions = 3;
    r.summary.elapsed = 800ms;
    return r;
}

report failed(const error_code& outcome, bool local_file = false) {
    report r = good();
    r.summary.outcome = outcome;
    r.from = origin_of(outcome, local_file);
    r.code = exit_code_for(outcome, local_file);
    return r;
}

report silent() {
    report r = failed(errc::timed_out);
    r.summary.counters = {};
    r.summary.peer = r.server;
    r.summary.elapsed = 31s;
    return r;
}

} // namespace

TEST_CASE("the summary tells size, time, rate and sizes in use", "[tftp][report]") {
    CHECK(
        summary_line(good()) ==
        "dir/f: 1.2 MiB in 0.8 s (1.5 MiB/s), blksize 1428, windowsize 64, 3 retransmitted"
    );
}

TEST_CASE("the summary tells that a server took no options", "[tftp][report]") {
    report r = good();
    r.summary.agreed = {};
    CHECK_THAT(summary_line(r), Contains("took no options"));
    r.offered = {};
    CHECK_THAT(summary_line(r), !Contains("took no options"));
}

TEST_CASE("a size that was asked for and not granted is told", "[tftp][report]") {
    report r = good();
    CHECK(refusal_line(r).empty());
    r.asked.windowsize = 64;
    CHECK(refusal_line(r).empty());
    r.asked.blksize = 9000;
    CHECK(refusal_line(r) == "boot: the server uses blksize 1428 instead of 9000");
    r.asked.windowsize = 128;
    CHECK_THAT(refusal_line(r), Contains("; the server uses windowsize 64 instead of 128"));
}

TEST_CASE("a window that our own buffer made smaller is not the server's fault", "[tftp][report]") {
    const std::string buffer =
        "this system's receive buffer holds 64 blocks of 1428 bytes (net.core.rmem_max)";
    report r = good();
    r.summary.asked = default_offer(1428);
    CHECK(refusal_line(r).empty());
    r.asked.windowsize = 128;
    CHECK(refusal_line(r) == "boot: " + buffer);
    r.summary.agreed.windowsize = 16;
    CHECK(refusal_line(r) == "boot: the server uses windowsize 16 instead of 64; " + buffer);
}

TEST_CASE("errors of a server name host, file and reason", "[tftp][report]") {
    report r = failed(peer_errc::not_found);
    CHECK_THAT(error_line(r), StartsWith("boot: dir/f: not found on the server"));
    r.summary.peer_text = "No such\x1b[2J\nfile";
    CHECK_THAT(error_line(r), Contains(R"((it says: No such\x1b[2J\x0afile))"));
    CHECK(error_line(r).find('\n') == std::string::npos);

    r = failed(peer_errc::undefined);
    CHECK(error_line(r) == "boot: dir/f: the server reports error 0");
    r.summary.peer_text = "out of order";
    CHECK(error_line(r) == "boot: dir/f: the server reports: out of order");
    r.summary.peer_text.assign(500, 'x');
    CHECK(error_line(r).size() < 300);
}

TEST_CASE("every error gives one line that is not empty", "[tftp][report]") {
    for (const transfer_direction verb : {transfer_direction::read, transfer_direction::write}) {
        for (int code = 0; code < 40; ++code) {
            for (const error_code& outcome :
                 {error_code(static_cast<peer_errc>(code)),
                  error_code(code == 0 ? 1 : code, tftp_category()),
                  error_code(code == 0 ? 1 : code, boost::system::system_category())}) {
                for (const bool local : {false, true}) {
                    report r = failed(outcome, local);
                    r.asked.verb = verb;
                    const std::string line = error_line(r);
                    CHECK(line.size() > 10);
                    CHECK(line.find('\n') == std::string::npos);
                }
            }
        }
    }
}

TEST_CASE("silence before the first answer is told from silence later", "[tftp][report]") {
    report r = silent();
    CHECK_THAT(error_line(r), Contains("no answer from 192.0.2.1:69 in 31 s"));
    CHECK_THAT(error_line(r), !Contains("-4 or -6"));
    r.addresses = 2;
    CHECK_THAT(error_line(r), Contains("-4 or -6"));

    CHECK_THAT(error_line(failed(errc::timed_out)), Contains("fell silent after 1.2 MiB"));

    r = silent();
    r.summary.peer.port = 40000;
    CHECK_THAT(error_line(r), Contains("--blksize 512"));

    r = failed(errc::timed_out);
    r.asked.verb = transfer_direction::write;
    r.summary.counters.all_sent = true;
    CHECK_THAT(error_line(r), Contains("may have the whole file"));
}

TEST_CASE("a server that answers from the port of the requests is not silent", "[tftp][report]") {
    report r = silent();
    r.summary.answered = true;
    CHECK_THAT(error_line(r), Contains("the server answered, but no block went through"));
    r = failed({ECONNREFUSED, boost::system::system_category()});
    r.summary.counters = {};
    r.summary.peer = r.server;
    r.summary.answered = true;
    CHECK_THAT(error_line(r), Contains("the server closed its port"));
}

TEST_CASE("what --max-size and --max-time end names them", "[tftp][report]") {
    report r = failed(errc::too_large);
    r.asked.max_size = 1000;
    CHECK(
        error_line(r) ==
        "boot: dir/f: larger than the 1000 bytes that --max-size allows: nothing was stored"
    );
    r.asked.local.clear();
    CHECK(error_line(r) == "boot: dir/f: larger than the 1000 bytes that --max-size allows");
    r = failed(errc::out_of_time);
    CHECK(
        error_line(r) ==
        "boot: dir/f: not done in the time that --max-time allows, 0.8 s: 1.2 MiB went through; "
        "nothing was stored"
    );
    r.asked.verb = transfer_direction::write;
    CHECK_THAT(error_line(r), !Contains("stored"));
    r = silent();
    r.summary.outcome = errc::out_of_time;
    CHECK_THAT(
        error_line(r), Contains("no answer from 192.0.2.1:69 in the time that --max-time allows")
    );
}

TEST_CASE("errors of the network name the address", "[tftp][report]") {
    report r = failed({ECONNREFUSED, boost::system::system_category()});
    r.summary.counters = {};
    r.summary.peer = r.server;
    CHECK(
        error_line(r) == "boot: dir/f: connection refused: no TFTP server listens at 192.0.2.1:69"
    );
    r = failed({ENETUNREACH, boost::system::system_category()});
    CHECK_THAT(error_line(r), Contains("192.0.2.1:69 cannot be reached"));
}

TEST_CASE("errors of a file name the file", "[tftp][report]") {
    report r = failed({ENOSPC, boost::system::system_category()}, true);
    CHECK_THAT(error_line(r), StartsWith("f: no room"));
    r.asked.local.clear();
    CHECK_THAT(error_line(r), StartsWith("standard output: "));
    r = failed({EACCES, boost::system::system_category()}, true);
    CHECK_THAT(error_line(r), Contains("or the name is a link of another user"));
    r.asked.verb = transfer_direction::write;
    CHECK(error_line(r) == "f: permission denied");
}

TEST_CASE("a host that is not found is named", "[tftp][report]") {
    report r = failed({});
    r.server = {};
    r.from = origin::network;
    r.code = exit_code::network;
    r.unresolved = "no such host: check the name";
    CHECK(error_line(r) == "boot: no such host: check the name");
    CHECK_THAT(json_object(r), Contains(R"("address":null)"));
    CHECK_THAT(
        json_object(r),
        Contains(R"("result":"network","error":{"code":null,"source":"network","message":"no such)")
    );
}

TEST_CASE("the JSON object of a success is complete", "[tftp][report]") {
    CHECK(
        json_object(good()) ==
        R"({"verb":"get","host":"boot","address":"192.0.2.1:69","file":"dir/f","local":"f",)"
        R"("bytes":1258291,"seconds":0.800000,"rate":1572864,"blksize":1428,"windowsize":64,)"
        R"("retransmissions":3,"timeouts":0,"mode":"octet","result":"ok","error":null})"
    );
}

TEST_CASE("the JSON object of a failure tells code, source and message", "[tftp][report]") {
    report r = failed(peer_errc::disk_full);
    r.summary.peer_text = "quota \"x\"\n";
    CHECK_THAT(
        json_object(r),
        Contains(
            R"("result":"disk_full","error":{"code":3,"source":"server","message":"quota \"x\"\u000a"}})"
        )
    );
    r = failed({ENOSPC, boost::system::system_category()}, true);
    CHECK_THAT(
        json_object(r), Contains(R"("result":"local_file","error":{"code":28,"source":"local")")
    );
    r = failed(errc::timed_out);
    CHECK_THAT(json_object(r), Contains(R"("error":{"code":5,"source":"client")"));
}
