#include "interop/peers.hpp"

#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>

#include <unistd.h>

namespace tftp::test {
namespace {

using namespace std::chrono_literals;

constexpr auto version_limit = 20s;

struct peer_entry {
    const char* name;
    /// Below TFTP_PEERS_DIR, or a name to search in PATH.
    std::vector<std::string> places;
    std::vector<std::string> version_arguments;
    /// Part of the version line that tells it from other programs of the same name.
    const char* mark;
};

const std::vector<peer_entry>& peer_table() {
    static const std::vector<peer_entry> table{
        {"atftpd", {"usr/sbin/atftpd"}, {"-V"}, "atftp-"},
        {"in.tftpd", {"usr/sbin/in.tftpd"}, {"-V"}, "tftp-hpa"},
        {"dnsmasq", {"usr/sbin/dnsmasq"}, {"--version"}, "Dnsmasq"},
        {"atftp", {"usr/bin/atftp"}, {"-V"}, "atftp-"},
        {"tftp-hpa", {"usr/bin/tftp"}, {"-V"}, "tftp-hpa"},
        {"curl", {"usr/bin/curl"}, {"--version"}, "curl"},
        {"busybox", {"usr/bin/busybox", "bin/busybox"}, {}, "BusyBox"},
    };
    return table;
}

[[noreturn]] void missing(const std::string& what) {
    const std::string message = what + " is missing: run tests/interop/fetch_peers.sh " +
                                TFTP_PEERS_DIR " and install the clients";
    if (TFTP_REQUIRE_INTEROP) {
        FAIL(message);
    }
    skip(message);
}

/// The first line without what follows name and number: libraries, build options, copyright.
std::string version_in(const run_result& result) {
    const std::string text = result.output.empty() ? result.errors : result.output;
    const std::string line = text.substr(0, text.find('\n'));
    return line.substr(0, std::min({line.find(" ("), line.find(','), line.find("  ")}));
}

/// The directories of the unpacked libraries, so that nothing needs to be installed.
std::vector<std::string> library_environment() {
    std::string path;
    for (const char* directory : {"usr/lib", "lib"}) {
        const std::filesystem::path base = std::filesystem::path{TFTP_PEERS_DIR} / directory;
        if (!std::filesystem::is_directory(base)) {
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator{base}) {
            if (entry.path().filename().string().ends_with("-linux-gnu")) {
                path += entry.path().string() + ":";
            }
        }
    }
    path.insert(0, "LD_LIBRARY_PATH=");
    return {path};
}

std::optional<program> look_up(const peer_entry& entry) {
    for (const std::string& place : entry.places) {
        for (const std::filesystem::path root : {TFTP_PEERS_DIR, "/"}) {
            program found{{(root / place).string()}, {}, {}};
            if (::access(found.argv[0].c_str(), X_OK) != 0) {
                continue;
            }
            if (root != "/") {
                found.environment = library_environment();
            }
            found.version = version_in(run(found.with(entry.version_arguments), version_limit));
            if (found.version.find(entry.mark) != std::string::npos) {
                return found;
            }
        }
    }
    return std::nullopt;
}

std::optional<program> look_up_fbtftp() {
    const std::string packages = TFTP_PEERS_DIR "/usr/lib/python3/dist-packages";
    program found{{"python3"}, {"PYTHONPATH=" + packages}, {}};
    if (!std::filesystem::is_directory(packages + "/fbtftp")) {
        return std::nullopt;
    }
    const run_result asked =
        run(found.with({"-c", "from importlib.metadata import version; print(version('fbtftp'))"}),
            version_limit);
    if (asked.status != 0) {
        return std::nullopt;
    }
    found.version = "fbtftp " + version_in(asked);
    found.argv.emplace_back(TFTP_INTEROP_SOURCE_DIR "/fbtftp_server.py");
    return found;
}

program announced(program found) {
    std::cout << found.version << " (" << found.argv.back() << ")" << std::endl;
    return found;
}

} // namespace

command program::with(const std::vector<std::string>& arguments) const {
    command what{argv, environment, {}, -1};
    what.argv.insert(what.argv.end(), arguments.begin(), arguments.end());
    return what;
}

program require_peer(const std::string& name) {
    std::optional<program> found;
    if (name == "fbtftp") {
        found = look_up_fbtftp();
    } else {
        const auto entry = std::ranges::find(peer_table(), name, &peer_entry::name);
        REQUIRE(entry != peer_table().end());
        found = look_up(*entry);
    }
    if (!found) {
        missing(name);
    }
    return announced(*found);
}

std::filesystem::path require_netboot_tree() {
    const std::filesystem::path tree = TFTP_PEERS_DIR "/netboot";
    if (!std::filesystem::is_directory(tree)) {
        missing("the netboot tree");
    }
    return tree;
}

#ifdef TFTP_TFTPD_PROGRAM

program our_tftpd() {
    program found{{TFTP_TFTPD_PROGRAM}, {}, {}};
    found.version = version_in(run(found.with({"--version"}), version_limit));
    return announced(found);
}

program our_tftp() {
    program found{{TFTP_TFTP_PROGRAM}, {}, {}};
    found.version = version_in(run(found.with({"--version"}), version_limit));
    return announced(found);
}

#endif

} // namespace tftp::test
