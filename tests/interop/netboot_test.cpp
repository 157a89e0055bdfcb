// A real netboot package, file by file, from our server with every client.
#include "interop/clients.hpp"
#include "interop/exchange.hpp"
#include "interop/servers.hpp"
#include "support/files.hpp"
#include "support/network.hpp"
#include "support/skip.hpp"

#include <catch2/catch.hpp>

#include <iostream>
#include <utility>

using namespace tftp::test;
using namespace std::chrono_literals;

namespace {

constexpr auto file_limit = 30s;

/// Names of all regular files below `root`, relative to it.
std::vector<std::string> files_below(const std::filesystem::path& root) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root}) {
        if (entry.is_regular_file() && !entry.is_symlink()) {
            names.push_back(entry.path().lexically_relative(root).string());
        }
    }
    return names;
}

} // namespace

TEST_CASE("every client reads every file of a netboot tree from our server", "[interop][netboot]") {
    std::vector<std::pair<client, setting>> clients{
        {tftp_client(our_tftp()), {1468, 16}},
        {atftp_client(require_peer("atftp")), {1468, 4}},
        {curl_client(require_peer("curl")), {1468, {}}},
        {busybox_client(require_peer("busybox")), {1468, {}}},
    };
    if (has_address_beside("127.0.0.1")) {
        clients.emplace_back(tftp_hpa_client(require_peer("tftp-hpa")), setting{});
    }
    // A copy, because our server gives up its identity and the place of the original may be closed
    // to others.
    const temp_dir root;
    const std::filesystem::path tree = root.path() / "netboot";
    std::filesystem::copy(
        require_netboot_tree(),
        tree,
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_symlinks
    );
    const std::vector<std::string> names = files_below(tree);
    REQUIRE(names.size() > 100);

    pin_to_this_cpu();
    const running_server server = start_tftpd(our_tftpd(), "127.0.0.1", tree);
    const temp_dir local;
    for (const auto& [by, options] : clients) {
        std::size_t equal = 0;
        std::string line;
        for (const std::string& name : names) {
            const transfer what{
                direction::read,
                server.address(),
                name,
                local.path() / "file",
                options.blksize,
                options.windowsize,
                false};
            const command one = by(what);
            line = one.argv[0];
            const run_result result = run(one, file_limit);
            const bool same = holds(what.local, read_file(tree / name));
            INFO(to_string(one) << "\n" << result.output << result.errors);
            CHECK(result.status == 0);
            CHECK(same);
            equal += same ? 1 : 0;
            std::filesystem::remove(what.local);
        }
        std::cout << line << ": " << equal << " of " << names.size() << " files equal\n";
        CHECK(equal == names.size());
    }
}
