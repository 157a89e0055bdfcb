#include "support/builders.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "system/daemon.hpp"
#include "system/forged.hpp"

#include <tftp/socket/socket_address.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

/// A link that carries less than both ends could, with a queue before it: the only delay there is,
/// and the only loss. tftpd has the far end of it, in a network of its own.
using namespace tftp::test;

namespace {

struct narrow {
    double rate_bits;
    /// What the queue takes, in milliseconds of the link.
    unsigned queue_ms;
    std::vector<std::string> options;
    std::size_t size_bytes;
    std::size_t clients = 1;
};

std::vector<std::string> shaping(const narrow& how, const std::string& device) {
    // One packet may leave at once: less than that, and none does.
    return {
        "tc",
        "qdisc",
        "add",
        "dev",
        device,
        "root",
        "tbf",
        "rate",
        std::to_string(static_cast<std::uint64_t>(how.rate_bits)) + "bit",
        "burst",
        "1600",
        "latency",
        std::to_string(how.queue_ms) + "ms"};
}

std::string joined(const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& each : words) {
        line += each + ' ';
    }
    return line;
}

/// Gives the whole test program a network of its own in which links can be made and narrowed.
void need_narrow_links() {
    need_root();
    static const bool entered = [] {
        need(enter_daemon_network);
        return true;
    }();
    REQUIRE(entered);
    need_command({"unshare", "--net", "true"});
    need([] { add_link_pair("try0", "try1"); });
    const run_result narrowed = run(command_of(shaping({8e6, 100, {}, 0}, "try0")), daemon_limit);
    run_ip({"link", "delete", "try0"});
    if (narrowed.status != 0) {
        skip("tbf: " + narrowed.errors.substr(0, narrowed.errors.find('\n')));
    }
}

/// tftpd behind a link.
class narrow_link {
public:
    explicit narrow_link(const narrow& how)
        : daemon_({"--writable", "create", "--fsync", "no"}, {"0.0.0.0:0"}, far_end(how)) {
        run_ip({"address", "add", "192.0.2.1/24", "dev", "near"});
        run_ip({"link", "set", "near", "up"});
        const run_result shaped = run(command_of(shaping(how, "near")), daemon_limit);
        INFO(shaped.errors);
        REQUIRE(shaped.status == 0);
        // A new link may lose what is sent at once.
        REQUIRE(
            wait_for_answer({"192.0.2.2", daemon_.server().port}, daemon_.process(), daemon_limit)
        );
    }

    ~narrow_link() {
        // The network of the daemon ends some time after the daemon.
        static_cast<void>(run(command_of({"ip", "link", "delete", "near"}), daemon_limit));
    }

    narrow_link(const narrow_link&) = delete;
    narrow_link& operator=(const narrow_link&) = delete;

    daemon_process& daemon() { return daemon_; }

    std::string server() const { return "192.0.2.2:" + std::to_string(daemon_.server().port); }

private:
    /// What makes the network that tftpd is started in.
    static std::vector<std::string> far_end(const narrow& how) {
        const std::string script = "ip link set lo up && "
                                   "ip link add far type veth peer name near netns " +
                                   std::to_string(::getpid()) +
                                   " && ip address add 192.0.2.2/24 dev far && "
                                   "ip link set far up && " +
                                   joined(shaping(how, "far")) + "&& exec \"$0\" \"$@\"";
        return {"unshare", "--net", "sh", "-c", script};
    }

    daemon_process daemon_;
};

/// Returns the number behind `key` in a line of JSON or of the log.
double number_behind(std::string_view line, const std::string& key) {
    const std::size_t at = line.find(key);
    INFO(line << ": " << key);
    REQUIRE(at != std::string_view::npos);
    return std::stod(std::string(line.substr(at + key.size())));
}

/// Returns how many packets an interface has received, or sent.
std::uint64_t packets(std::string_view device, bool received) {
    std::ifstream table("/proc/thread-self/net/dev");
    std::string line;
    while (std::getline(table, line)) {
        std::istringstream words(line);
        std::string name;
        words >> name;
        std::vector<std::uint64_t> numbers(16);
        for (std::uint64_t& each : numbers) {
            words >> each;
        }
        if (name == std::string(device) + ":") {
            return numbers[received ? 1 : 9];
        }
    }
    FAIL("no interface " << device);
    return 0;
}

/// What came of the transfers over a link.
struct carried {
    double blocks = 0;
    /// DATA that was sent again, as the sender tells it.
    double repeats = 0;
    /// Packets that have passed in the direction of DATA.
    double packets = 0;
    /// Of what the link could have carried in that time.
    double goodput = 0;
};

/// Moves a file for each client, all at the same time. Fails the test when one does not arrive.
carried carry(const narrow& how, bool get) {
    narrow_link link(how);
    const temp_dir here;
    const std::filesystem::path& from = get ? link.daemon().root() : here.path();
    const std::filesystem::path& to = get ? here.path() : link.daemon().root();
    const std::string content = make_content(how.size_bytes, 3);
    const auto before = packets("near", get);
    std::vector<std::unique_ptr<child_process>> clients;
    for (std::size_t i = 0; i < how.clients; ++i) {
        const std::string name = "file" + std::to_string(i);
        const std::string local = (here.path() / name).string();
        write_file(from / name, content);
        command what = command_of({TFTP_TFTP_PROGRAM, get ? "get" : "put", "--json"});
        what.argv.insert(what.argv.end(), how.options.begin(), how.options.end());
        what.argv.insert(what.argv.end(), {link.server(), get ? name : local, get ? local : name});
        clients.push_back(std::make_unique<child_process>(what));
    }
    carried sum;
    double seconds = 0;
    double octets = 0;
    for (std::size_t i = 0; i < how.clients; ++i) {
        CHECK(clients[i]->wait(daemon_limit) == 0);
        const std::string name = "file" + std::to_string(i);
        const std::string told = clients[i]->output();
        const std::string log = link.daemon().line('"' + name + '"');
        INFO(told << clients[i]->errors() << log);
        CHECK(holds(to / name, content));
        const auto size = static_cast<double>(how.size_bytes);
        const double blocks = std::floor(size / number_behind(told, "\"blksize\":")) + 1;
        // 4 bytes of TFTP, 28 of UDP and IP, and the 14 of the interface, which tbf counts.
        octets += size + blocks * (4 + 28 + 14);
        seconds = std::max(seconds, number_behind(told, "\"seconds\":"));
        sum.blocks += blocks;
        sum.repeats += get ? number_behind(log, " retransmitted ")
                           : number_behind(told, "\"retransmissions\":");
    }
    sum.packets = static_cast<double>(packets("near", get) - before);
    sum.goodput = octets * 8 / how.rate_bits / seconds;
    return sum;
}

void check(const narrow& how, double repeats_max, double goodput_min) {
    const bool get = GENERATE(true, false);
    const carried seen = carry(how, get);
    INFO(
        (get ? "get, " : "put, ") << how.rate_bits << " bit/s, queue of " << how.queue_ms << " ms, "
                                  << how.clients << " clients " << joined(how.options) << ": "
                                  << seen.repeats << " repeats in " << seen.blocks << " blocks, "
                                  << seen.packets << " packets, goodput " << seen.goodput
    );
    CHECK(seen.repeats <= repeats_max * seen.blocks);
    CHECK(seen.goodput >= goodput_min);
    // What the programs tell is true. The rest: requests, answers to them, ARP, and what IPv6 says
    // on a new link.
    CHECK(seen.packets <= seen.blocks + seen.repeats + 4 * static_cast<double>(how.clients) + 12);
}

} // namespace

TEST_CASE("a link whose queue holds the window carries each block once", "[system][slow][link]") {
    need_narrow_links();
    const narrow how = GENERATE(
        narrow{8e6, 400, {"--windowsize", "16"}, 600'000},
        narrow{8e6, 400, {}, 600'000},
        narrow{2e6, 400, {"--windowsize", "4"}, 200'000},
        narrow{2e6, 2000, {}, 300'000},
        narrow{256e3, 2000, {"--windowsize", "1"}, 60'000},
        narrow{256e3, 2000, {"--no-options"}, 30'000}
    );
    check(how, 0, 0.90);
}

TEST_CASE("a link whose queue does not hold the window is used", "[system][slow][link]") {
    need_narrow_links();
    const narrow how =
        GENERATE(narrow{8e6, 50, {}, 2'000'000}, narrow{2e6, 50, {"--windowsize", "16"}, 600'000});
    check(how, 0.05, 0.80);
}

TEST_CASE("transfers that share a link each send a block once", "[system][slow][link]") {
    need_narrow_links();
    const narrow how = GENERATE(
        narrow{8e6, 400, {"--windowsize", "16"}, 300'000, 4},
        narrow{8e6, 400, {"--windowsize", "1"}, 150'000, 4}
    );
    check(how, 0, 0.90);
}
