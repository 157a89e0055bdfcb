#include "support/content_io.hpp"
#include "support/directory_race.hpp"
#include "support/files.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/file_source.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

using namespace tftp;
using namespace tftp::test;

namespace {

/// How long each way of resolving is under attack.
constexpr auto attack = std::chrono::milliseconds(2500);

std::string content_of(const export_root& root, const std::string& name) {
    const auto file = root.open_read(name);
    if (!file) {
        return {};
    }
    file_source source(file.value());
    return read(source, 0, 100).octets;
}

bool upload(const export_root& root, const std::string& name) {
    auto sink = root.create(name, {});
    return sink && !write(*sink.value(), 0, "upload") && !sink.value()->commit();
}

} // namespace

TEST_CASE("nothing outside is read or written while names change", "[io][export_root][race]") {
    struct variant {
        lookup how;
        symlinks links;
        overwrite existing;
    };

    for (const auto [how, links, existing] :
         {variant{lookup::automatic, symlinks::inside, overwrite::replace},
          variant{lookup::automatic, symlinks::chroot, overwrite::keep},
          variant{lookup::automatic, symlinks::follow, overwrite::keep},
          variant{lookup::walk, symlinks::inside, overwrite::keep},
          variant{lookup::walk, symlinks::chroot, overwrite::replace}}) {
        CAPTURE(static_cast<int>(how), static_cast<int>(links));
        const temp_dir inside;
        const temp_dir outside;
        const temp_dir target;
        access_policy policy;
        policy.symlinks = links;
        if (links == symlinks::follow) {
            policy.link_targets = {target.path()};
        }
        policy.writable = writable::create;
        policy.overwrite = existing;
        policy.fsync = false;
        auto root = export_root::open(inside.path().c_str(), policy, how);
        REQUIRE(root.has_value());
        directory_race race(inside.path(), outside.path());
        std::map<std::string, int> got;
        int stored = 0;
        const std::string own = inside.path().native() + "/file";
        const auto end = std::chrono::steady_clock::now() + attack / 2;
        for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
            for (const char* name : directory_race::files) {
                ++got[content_of(*root, name)];
            }
            ++got[content_of(*root, own)];
            for (const char* directory : directory_race::directories) {
                const std::string name = "/new" + std::to_string(round % 8);
                stored += upload(*root, directory + name) ? 1 : 0;
                // That name stands for a file outside too.
                stored += upload(*root, directory + std::string("/file")) ? 1 : 0;
            }
            static_cast<void>(upload(*root, "flipped"));
        }
        race.stop();
        CHECK(race.written_outside() == std::vector<std::string>());
        CHECK(stored > 0);
        CHECK(got["inside"] + got["upload"] > 0);
        // Refused, or a whole file from inside.
        for (const auto& [content, count] : got) {
            CAPTURE(content);
            CHECK((content.empty() || content == "inside" || content == "upload"));
        }
    }
}
