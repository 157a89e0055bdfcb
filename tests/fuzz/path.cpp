// Whatever name a request holds: it is made plain as a second, simpler reading has it, openat2(2)
// and the walk step by step agree on what it leads to, and nothing outside the root is opened.
//
// Input: the policy, then the name.
#include "fuzz/fuzz.hpp"
#include "support/files.hpp"

#include <tftp/file/export_root.hpp>
#include <tftp/file/name_policy.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

using namespace tftp;
using fuzz::require;

namespace {

namespace fs = std::filesystem;

/// An exported directory with links of every kind, beside a file that nobody may reach.
class tree {
public:
    tree() : root_(fs::canonical(temporary_.path()) / "root") {
        const fs::path outside = root_.parent_path() / "outside";
        const fs::path target = root_.parent_path() / "target";
        for (const fs::path& made :
             {outside,
              target / "deep",
              root_ / "empty",
              root_ / "boot/deep/er",
              root_ / "outside",
              root_ / ("." + root_.native())}) {
            fs::create_directories(made);
        }
        test::write_file(target / "deep/tool", "tool");
        fs::create_symlink("../outside/secret", target / "out");
        fs::create_symlink(root_ / "file", target / "in");
        test::write_file(outside / "secret", "secret");
        for (const std::string& name : std::vector<std::string>{
                 "file",
                 "boot/pxe.0",
                 "boot/deep/er/x",
                 "outside/secret",
                 "a b",
                 ".tftp-partial",
                 "...",
                 "....",
                 "%2e%2e",
                 "C:",
                 "boot\\pxe.0",
                 "..\\secret",
                 "boot/\xff",
                 "boot/" + std::string(255, 'n')}) {
            test::write_file(root_ / name, name);
        }
        test::write_file(root_ / "private", "private");
        fs::permissions(root_ / "private", fs::perms(0600));
        require(::mkfifo((root_ / "fifo").c_str(), 0666) == 0, "no FIFO can be made");
        test::write_file(root_ / ("." + root_.native()) / "file", "the longer name");
        make_links(outside, target);
    }

    [[nodiscard]] const std::string& root() const { return root_.native(); }

    [[nodiscard]] std::string target() const { return root_.parent_path() / "target"; }

private:
    void make_links(const fs::path& outside, const fs::path& beside) const {
        const std::pair<const char*, std::string> links[] = {
            {"in", "file"},
            {"indir", "boot"},
            {"chain", "boot/up/in"},
            {"boot/up", ".."},
            {"boot/top", "../file"},
            {"boot/here", "."},
            {"detour", "boot/deep/../here//./pxe.0"},
            {"trailing", "boot/"},
            {"filedir", "file/"},
            {"fileparent", "file/.."},
            {"self", "self"},
            {"ping", "pong"},
            {"pong", "ping"},
            {"dangling", "nothing"},
            {"tofifo", "fifo"},
            {"out", "../outside/secret"},
            {"outdir", "../outside"},
            {"back", "../root/file"},
            {"parent", ".."},
            {"boot/escape", "../../outside/secret"},
            {"absolute", (outside / "secret").native()},
            {"absolutein", (root_ / "file").native()},
            {"absolutedir", (root_ / "boot/deep").native() + "//er/../"},
            {"asserved", "/boot/pxe.0"},
            {"asserveddir", "/boot"},
            {"asservedself", "/asservedself"},
            {"around", (outside / "../root/file").native()},
            {"boot/around", "../../root/boot/pxe.0"},
            {"totarget", beside.native()},
            {"totargetfile", "../target/deep/tool"},
            {"top", root_.native()},
            {"slash", "/"},
            {"proc", "/proc/self/root"},
        };
        for (const auto& [name, target] : links) {
            fs::create_symlink(target, root_ / name);
        }
    }

    test::temp_dir temporary_;
    fs::path root_;
};

bool is_separator(char c) {
    return c == '/' || c == '\\';
}

/// Temporary files have such names, in any letter case; who knows what a file system takes bytes
/// beyond US-ASCII for.
bool is_temporary(const std::string& component) {
    std::string plain;
    for (const char c : component) {
        if (static_cast<unsigned char>(c) < 0x80) {
            plain += static_cast<char>(std::tolower(c));
        }
    }
    return plain.rfind(".tftp-", 0) == 0;
}

/// The plain name, or why there is none.
result<std::string> plain(std::string_view requested, std::size_t room, separators between) {
    const bool control = std::any_of(requested.begin(), requested.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    const auto separates = [between](char c) {
        return between == separators::both ? is_separator(c) : c == '/';
    };
    std::string joined;
    std::string component;
    std::string last;
    bool bad = control;
    for (const char c : std::string(requested) + '/') {
        if (!separates(c)) {
            component += c;
            continue;
        }
        bad = bad || component.size() > 255 || is_temporary(component) ||
              (component == ".." && joined.empty());
        if (!component.empty() && component != ".") {
            joined += (joined.empty() ? "" : "/") + component;
            last = component;
        }
        component.clear();
    }
    if (bad || joined.empty() || joined.size() > std::min<std::size_t>(room, 1024)) {
        return make_error_code(errc::bad_name);
    }
    if (separates(requested.back()) || last == "..") {
        return make_error_code(errc::not_regular);
    }
    return joined;
}

void check_name(std::string_view requested, std::size_t room, separators between) {
    std::vector<char> out(room);
    const result<std::size_t> size = normalise_name(requested, out, between);
    const result<std::string> expected = plain(requested, room, between);
    require(size.has_value() == expected.has_value(), "a bad name passes, or a good one does not");
    if (!size) {
        require(size.error() == expected.error(), "another error");
        return;
    }
    const std::string_view name(out.data(), *size);
    require(name == *expected, "another name");
    std::vector<char> again(room);
    const result<std::size_t> same = normalise_name(name, again, between);
    require(same.has_value() && name == std::string_view(again.data(), *same), "not idempotent");
}

using opened = result<std::shared_ptr<const opened_file>>;

void check_inside(const opened& file, const tree& exported, bool targets) {
    if (file) {
        const std::string link = "/proc/self/fd/" + std::to_string((*file)->native_handle());
        const std::string path = fs::read_symlink(link);
        require(
            path.starts_with(exported.root() + '/') ||
                (targets && path.starts_with(exported.target() + '/')),
            "a file outside the root"
        );
    }
}

void check_same(const opened& a, const opened& b) {
    require(a.has_value() == b.has_value(), "one way of lookup refuses what the other opens");
    require(a ? (*a)->identity() == (*b)->identity() : a.error() == b.error(), "two answers");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const tree exported;
    fuzz::input in(data, size);
    const std::uint8_t flags = in.u8();
    const symlinks kinds[] = {symlinks::inside, symlinks::no, symlinks::chroot, symlinks::follow};
    access_policy policy;
    policy.symlinks = kinds[(flags & 1U) | (flags >> 4U & 2U)];
    const bool targets = policy.symlinks == symlinks::follow;
    if (targets) {
        policy.link_targets = {exported.target()};
    }
    policy.writable = (flags & 2U) == 0 ? writable::create : writable::existing;
    policy.require_world_writable = (flags & 4U) != 0;
    policy.overwrite = (flags & 8U) == 0 ? overwrite::replace : overwrite::deny;
    const std::size_t room = (flags & 16U) == 0 ? name_octets_max : flags >> 3U;
    std::string name(fuzz::as_text(in.rest()));
    if ((flags & 64U) != 0) {
        name.insert(0, exported.root());
    }
    check_name(name, room, separators::slashes);
    check_name(name, room, separators::both);

    const char* const root = exported.root().c_str();
    const auto by_kernel = export_root::open(root, policy).value();
    const auto by_walk = export_root::open(root, policy, lookup::walk).value();
    const opened read = by_kernel.open_read(name);
    check_inside(read, exported, targets);
    check_same(read, by_walk.open_read(name));
    const opened cached = by_kernel.try_open_read(name);
    if (cached || cached.error() != errc::would_block) {
        check_same(read, cached);
    }

    const auto written = by_kernel.create(name, std::nullopt);
    const auto walked = by_walk.create(name, std::nullopt);
    require(written.has_value() == walked.has_value(), "an upload depends on the way of lookup");
    require(written.has_value() || written.error() == walked.error(), "two refusals");
    const bool any = plain(name, name_octets_max, separators::slashes).has_value() ||
                     plain(name, name_octets_max, separators::both).has_value();
    require(any || !(read || written), "a bad name opens");
    return 0;
}
