#include "config.hpp"

#include <tftp/server/limits.hpp>
#include <tftp/socket/socket_address.hpp>

#include <boost/program_options.hpp>
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

namespace tftpd {

namespace po = boost::program_options;

namespace {

constexpr std::uint16_t tftp_port = 69;

/// Sizes of files are signed in the kernel.
constexpr std::uint64_t quota_max = std::numeric_limits<std::int64_t>::max();

/// Each upload lists the versions of its name: more are no use, and would take time.
constexpr std::uint64_t versions_max = 1000;

/// Reads a whole decimal number between `least` and `most`. otherwise: what else the option takes,
/// for the message.
[[nodiscard]] std::uint64_t number(
    std::string_view option,
    std::string_view text,
    std::uint64_t least,
    std::uint64_t most,
    std::string_view otherwise = ""
) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size() || value < least ||
        value > most) {
        throw usage_error(fmt::format(
            "--{} takes {}a number from {} to {}, not '{}'", option, otherwise, least, most, text
        ));
    }
    return value;
}

[[nodiscard]] std::chrono::seconds
seconds(std::string_view option, std::string_view text, std::uint64_t least = 0) {
    return std::chrono::seconds(number(option, text, least, 86400));
}

[[nodiscard]] tftp::duration fractional_seconds(std::string_view option, std::string_view text) {
    constexpr double least = 0.01;
    constexpr double most = 255;
    double value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    // Written so that "nan" is outside too.
    const bool inside = value >= least && value <= most;
    if (failed != std::errc() || end != text.data() + text.size() || !inside) {
        throw usage_error(
            fmt::format("--{} takes seconds from {} to {}, not '{}'", option, least, most, text)
        );
    }
    return std::chrono::duration_cast<tftp::duration>(std::chrono::duration<double>(value));
}

/// Looks `text` up among the words an option takes.
template <class Value, std::size_t Count>
[[nodiscard]] Value word(
    std::string_view option,
    std::string_view text,
    const std::pair<const char*, Value> (&words)[Count]
) {
    std::string known;
    for (const auto& [name, value] : words) {
        if (text == name) {
            return value;
        }
        known += known.empty() ? name : fmt::format(", {}", name);
    }
    throw usage_error(fmt::format("--{} takes one of {}, not '{}'", option, known, text));
}

/// Requests that were sent to such an address are dropped (RFC 1123 s.4.2.3.5). The broadcast
/// addresses of networks are known to their interfaces alone.
[[nodiscard]] bool is_of_many(const tftp::endpoint& e) noexcept {
    if (e.family == tftp::address_family::ipv6) {
        return e.address[0] == 0xff;
    }
    return (e.address[0] & 0xf0U) == 0xe0 ||
           e.same_host(tftp::endpoint::ipv4(255, 255, 255, 255, 0));
}

[[nodiscard]] tftp::endpoint address(const std::string& text) {
    const auto parsed = tftp::parse_endpoint(text, tftp_port);
    if (!parsed) {
        throw usage_error(fmt::format(
            "--listen takes ADDR or ADDR:PORT with a numeric address ([ADDR]:PORT for IPv6), not "
            "'{}'",
            text
        ));
    }
    if (is_of_many(*parsed)) {
        throw usage_error(
            fmt::format("--listen takes no broadcast or multicast address, as '{}' is one", text)
        );
    }
    return *parsed;
}

[[nodiscard]] tftp::port_range range(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        throw usage_error(fmt::format("--port-range takes FIRST:LAST, not '{}'", text));
    }
    const auto port = [](std::string_view part) {
        return static_cast<std::uint16_t>(number("port-range", part, 1, 65535));
    };
    const tftp::port_range r{port(text.substr(0, colon)), port(text.substr(colon + 1))};
    if (r.first > r.last) {
        throw usage_error(fmt::format("--port-range {}: the first port is above the last", text));
    }
    return r;
}

[[nodiscard]] po::options_description described() {
    const tftp::limits defaults;
    const std::string transfers_help =
        fmt::format("transfers at the same time (default: {})", defaults.transfers_max);
    const std::string per_client_help = fmt::format(
        "of these, of one client address (default: {})", defaults.transfers_per_client_max
    );
    const std::string half_open_help = fmt::format(
        "of these, whose client acknowledged nothing yet (default: {})", defaults.half_open_max
    );
    const std::string rate_help = fmt::format(
        "new requests of one client address in a second (default: {})",
        defaults.requests_per_client_per_second
    );
    const std::string total_rate_help =
        fmt::format("new requests of all in a second (default: {})", defaults.requests_per_second);
    const auto text = [](const char* name) { return po::value<std::string>()->value_name(name); };
    po::options_description all("Options");
    // clang-format off
    all.add_options()
        ("listen", po::value<std::vector<std::string>>()->value_name("ADDR[:PORT]"),
         "take requests there; repeatable; port 0 picks one (default: all addresses, port 69)")
        ("user", text("NAME"), "run as this user when started as root (default: tftp, else nobody)")
        ("writable", text("never|existing|create"),
         "what clients may write: nothing (default), files that exist, new ones too")
        ("overwrite", text("deny|replace|keep=N"),
         "an upload to a name that exists; keep=N: replace it, and keep N numbered versions "
         "(default: replace under existing, deny under create)")
        ("upload-method", text("auto|rename|in-place"),
         "how a file is replaced: by a new one where that keeps owner, rights and links, else by "
         "copying into it (auto, default); one of these always")
        ("upload-dir", text("DIR"), "where uploads go (default: DIRECTORY)")
        ("spool-dir", text("DIR"),
         "where an upload is collected when the directory of its file cannot be written to "
         "(default: the system's temporary directory)")
        ("umask", text("OCTAL"),
         "permissions that new files lack, unless the directory has a default ACL (default: 022)")
        ("quota-file", text("BYTES"), "largest upload (default: no limit)")
        ("quota-total", text("BYTES"),
         "largest sum of all files beneath the upload directory (default: no limit)")
        ("fsync", text("yes|no"), "acknowledge an upload when it is on disk (default: yes)")
        ("serve", text("world|readable"),
         "files that everybody may read (default), or all that the user may read")
        ("symlinks", text("no|inside|chroot|follow"),
         "symbolic links followed: none; those that end inside (default); all, as if the directory "
         "were /; those that end inside or in a --link-target")
        ("link-target", po::value<std::vector<std::string>>()->value_name("DIR"),
         "where links may lead to under --symlinks follow; repeatable")
        ("blksize-max", text("auto|N"),
         "largest block granted; auto: what the route takes unfragmented (default: auto)")
        ("windowsize-max", text("N"),
         "largest window granted, in blocks (default: 256, less through shared or few ports)")
        ("rollover", text("0|1|none"), "what follows block 65535 (default: 0)")
        ("timeout-policy", text("honour|ceiling|decline"),
         "what the client's timeout option sets: the interval (default), a bound, nothing")
        ("tid-mode", text("exclusive|pooled|single"),
         "ports of transfers: one each (default), a few shared ones, the port of the request")
        ("port-range", text("FIRST:LAST"), "ports of transfers (default: the system's)")
        ("sends", text("gso|batch|single"),
         "how windows leave: cut by the kernel (default), in one call, one by one")
        ("threads", text("N"), "worker threads (default: one per core)")
        ("max-transfers", text("N"), transfers_help.c_str())
        ("max-per-client", text("N"), per_client_help.c_str())
        ("max-half-open", text("N"), half_open_help.c_str())
        ("request-rate", text("N"), rate_help.c_str())
        ("total-request-rate", text("N"), total_rate_help.c_str())
        ("interval", text("SECONDS"), "always wait this long before a repetition (default: measured)")
        ("give-up", text("SECONDS"), "end a transfer without progress (default: 60)")
        ("grace", text("SECONDS"), "let transfers finish at SIGTERM or SIGINT (default: 10)")
        ("log-file", text("FILE"), "log there, not on standard error; SIGHUP opens it again")
        ("no-landlock", "do not confine files and network by Landlock")
        ("no-seccomp", "do not restrict system calls; for debuggers")
        ("check", "check the command line and the directory, then exit")
        ("verbose", "log size probes, superseded and crowded-out requests too")
        ("version", "print the version and exit")
        ("help", "print this text and exit");
    // clang-format on
    return all;
}

/// The values given, by option name.
class values {
public:
    values(int argc, const char* const* argv) {
        po::options_description all = described();
        all.add_options()("directory", po::value<std::vector<std::string>>());
        po::positional_options_description positional;
        positional.add("directory", -1);
        // No guessing: an abbreviation would change its meaning when an option is added.
        const int style =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        po::store(
            po::command_line_parser(argc, argv)
                .options(all)
                .positional(positional)
                .style(style)
                .run(),
            map_
        );
    }

    [[nodiscard]] bool has(const char* option) const { return map_.count(option) != 0; }

    [[nodiscard]] const std::string* text(const char* option) const {
        return has(option) ? &map_[option].as<std::string>() : nullptr;
    }

    [[nodiscard]] std::vector<std::string> list(const char* option) const {
        return has(option) ? map_[option].as<std::vector<std::string>>()
                           : std::vector<std::string>();
    }

private:
    po::variables_map map_;
};

void read_overwrite(const std::string& text, tftp::access_policy& out) {
    using tftp::overwrite;
    constexpr std::string_view keep = "keep=";
    if (text.starts_with(keep)) {
        out.overwrite = overwrite::keep;
        out.versions_max = number("overwrite keep", text.substr(keep.size()), 1, versions_max);
        return;
    }
    out.overwrite = word<overwrite>(
        "overwrite",
        text,
        {{"deny", overwrite::deny}, {"replace", overwrite::replace}, {"keep=N", overwrite::keep}}
    );
}

/// Reads permission bits as umask(1) takes them.
[[nodiscard]] ::mode_t permissions(std::string_view option, std::string_view text) {
    constexpr unsigned most = 0777;
    unsigned value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (failed != std::errc() || end != text.data() + text.size() || value > most) {
        throw usage_error(
            fmt::format("--{} takes an octal number from 0 to 777, not '{}'", option, text)
        );
    }
    return value;
}

/// Who says what becomes of uploads expects some: without --writable there are none.
void refuse_upload_options(const values& given) {
    for (const char* option :
         {"overwrite",
          "upload-method",
          "upload-dir",
          "spool-dir",
          "umask",
          "quota-file",
          "quota-total"}) {
        if (given.has(option)) {
            throw usage_error(
                fmt::format("--{} needs --writable existing or --writable create", option)
            );
        }
    }
}

void read_links(const values& given, tftp::access_policy& out) {
    using tftp::symlinks;
    if (const auto* text = given.text("symlinks")) {
        out.symlinks = word<symlinks>(
            "symlinks",
            *text,
            {{"no", symlinks::no},
             {"inside", symlinks::inside},
             {"chroot", symlinks::chroot},
             {"follow", symlinks::follow}}
        );
    }
    out.link_targets = given.list("link-target");
    const bool follows = out.symlinks == symlinks::follow;
    if (follows && out.link_targets.empty()) {
        throw usage_error("--symlinks follow needs --link-target DIR: where may links lead to?");
    }
    if (!follows && !out.link_targets.empty()) {
        throw usage_error("--link-target needs --symlinks follow");
    }
    for (const std::string& each : out.link_targets) {
        if (each.empty()) {
            throw usage_error("--link-target takes a directory, not ''");
        }
    }
}

void read_access(const values& given, tftp::access_policy& out) {
    using tftp::writable;
    if (const auto* text = given.text("serve")) {
        out.require_world_readable =
            word<bool>("serve", *text, {{"world", true}, {"readable", false}});
    }
    read_links(given, out);
    if (const auto* text = given.text("writable")) {
        out.writable = word<writable>(
            "writable",
            *text,
            {{"never", writable::never},
             {"existing", writable::existing},
             {"create", writable::create}}
        );
    }
    if (const auto* text = given.text("overwrite")) {
        read_overwrite(*text, out);
    }
    if (const auto* text = given.text("upload-method")) {
        using tftp::upload_method;
        out.method = word<upload_method>(
            "upload-method",
            *text,
            {{"auto", upload_method::automatic},
             {"rename", upload_method::rename},
             {"in-place", upload_method::in_place}}
        );
    }
    if (const auto* text = given.text("quota-file")) {
        out.file_size_max = number("quota-file", *text, 1, quota_max);
    }
    if (const auto* text = given.text("quota-total")) {
        out.total_size_max = number("quota-total", *text, 1, quota_max);
    }
    if (const auto* text = given.text("fsync")) {
        out.fsync = word<bool>("fsync", *text, {{"yes", true}, {"no", false}});
    }
    if (out.writable == writable::never) {
        refuse_upload_options(given);
    }
}

void read_protocol(const values& given, config& out) {
    if (const auto* text = given.text("blksize-max"); text != nullptr && *text != "auto") {
        out.blksize_max = static_cast<std::uint16_t>(
            number("blksize-max", *text, tftp::blksize_min, tftp::blksize_max, "auto or ")
        );
    }
    if (const auto* text = given.text("windowsize-max")) {
        out.windowsize_max =
            static_cast<std::uint16_t>(number("windowsize-max", *text, 1, tftp::windowsize_max));
    }
    if (const auto* text = given.text("rollover")) {
        out.engine.wrap = word<tftp::rollover>(
            "rollover",
            *text,
            {{"0", tftp::rollover::to_zero},
             {"1", tftp::rollover::to_one},
             {"none", tftp::rollover::forbidden}}
        );
    }
    if (const auto* text = given.text("timeout-policy")) {
        enum class policy { honour, ceiling, decline };
        const auto chosen = word<policy>(
            "timeout-policy",
            *text,
            {{"honour", policy::honour}, {"ceiling", policy::ceiling}, {"decline", policy::decline}}
        );
        out.allow_timeout = chosen != policy::decline;
        out.engine.timeouts = chosen == policy::ceiling ? tftp::timeout_policy::ceiling
                                                        : tftp::timeout_policy::honour;
    }
    if (const auto* text = given.text("interval")) {
        out.engine.fixed_interval = fractional_seconds("interval", *text);
    }
    if (const auto* text = given.text("give-up")) {
        out.engine.give_up = seconds("give-up", *text, 1);
    }
}

void read_limits(const values& given, tftp::limits& out) {
    constexpr std::uint64_t most = 1'000'000;
    if (const auto* text = given.text("max-transfers")) {
        out.transfers_max = number("max-transfers", *text, 1, most);
    }
    if (const auto* text = given.text("max-per-client")) {
        out.transfers_per_client_max = number("max-per-client", *text, 1, most);
    }
    if (const auto* text = given.text("max-half-open")) {
        out.half_open_max = number("max-half-open", *text, 1, most);
    }
    if (const auto* text = given.text("request-rate")) {
        out.requests_per_client_per_second =
            static_cast<std::uint32_t>(number("request-rate", *text, 1, most));
    }
    if (const auto* text = given.text("total-request-rate")) {
        out.requests_per_second =
            static_cast<std::uint32_t>(number("total-request-rate", *text, 1, most));
    }
}

void read_process(const values& given, config& out) {
    for (const std::string& text : given.list("listen")) {
        out.listen.push_back(address(text));
    }
    if (const auto* text = given.text("user")) {
        out.user = *text;
    }
    if (const auto* text = given.text("tid-mode")) {
        using tftp::tid_mode;
        out.tids = word<tid_mode>(
            "tid-mode",
            *text,
            {{"exclusive", tid_mode::exclusive},
             {"pooled", tid_mode::pooled},
             {"single", tid_mode::single}}
        );
    }
    if (const auto* text = given.text("sends")) {
        using tftp::segmentation;
        out.sends = word<segmentation>(
            "sends",
            *text,
            {{"gso", segmentation::gso},
             {"batch", segmentation::batch},
             {"single", segmentation::single}}
        );
    }
    if (const auto* text = given.text("port-range")) {
        if (out.tids == tftp::tid_mode::single) {
            throw usage_error("--port-range has no meaning with --tid-mode single");
        }
        out.port_range = range(*text);
    }
    if (const auto* text = given.text("threads")) {
        out.threads = static_cast<unsigned>(number("threads", *text, 1, 1024));
    }
    read_limits(given, out.limits);
    if (const auto* text = given.text("grace")) {
        out.grace = seconds("grace", *text);
    }
    out.verbose = given.has("verbose");
    if (const auto* text = given.text("log-file")) {
        out.log_file = *text;
    }
    out.landlock = !given.has("no-landlock");
    out.seccomp = !given.has("no-seccomp");
}

/// Reads where uploads go, and where they are collected.
void read_places(const values& given, config& out) {
    if (const auto* text = given.text("upload-dir")) {
        out.upload_directory = *text;
    }
    if (const auto* text = given.text("spool-dir")) {
        if (out.access.method == tftp::upload_method::rename) {
            throw usage_error("--spool-dir has no meaning with --upload-method rename");
        }
        out.spool_directory = *text;
    }
    if (const auto* text = given.text("umask")) {
        out.umask = permissions("umask", *text);
    }
}

[[nodiscard]] config read(const values& given) {
    config out;
    if (given.has("help")) {
        out.what = config::action::help;
        return out;
    }
    if (given.has("version")) {
        out.what = config::action::version;
        return out;
    }
    out.what = given.has("check") ? config::action::check : config::action::serve;
    read_process(given, out);
    read_access(given, out.access);
    read_protocol(given, out);
    const auto directories = given.list("directory");
    if (directories.size() != 1 || directories.front().empty()) {
        throw usage_error(
            directories.empty()
                ? "which directory is to be served? Usage: tftpd [OPTIONS] DIRECTORY"
                : "exactly one directory is served: tftpd [OPTIONS] DIRECTORY"
        );
    }
    out.directory = directories.front();
    read_places(given, out);
    return out;
}

/// Returns what() of `failed`, put together here: Program_options never ends to replace its
/// placeholders when the name of an option holds one of them.
[[nodiscard]] std::string text_of(const po::error_with_option_name& failed) {
    constexpr std::string_view placeholder = "%canonical_option%";
    std::string text = failed.m_error_template;
    if (const std::size_t at = text.find(placeholder); at != std::string::npos) {
        text.replace(at, placeholder.size(), failed.get_option_name());
    }
    return text;
}

} // namespace

config parse(int argc, const char* const* argv) {
    try {
        return read(values(argc, argv));
    } catch (const po::error_with_option_name& failed) {
        throw usage_error(fmt::format("{} (see tftpd --help)", text_of(failed)));
    } catch (const po::error& failed) {
        throw usage_error(fmt::format("{} (see tftpd --help)", failed.what()));
    }
}

std::string help() {
    std::ostringstream out;
    out << "Usage: tftpd [OPTIONS] DIRECTORY\n"
           "Serves the files of DIRECTORY by TFTP, in the foreground.\n\n"
        << described()
        << "\nExit status: 0 after SIGTERM or SIGINT, 2 when it cannot start, 1 otherwise.\n";
    return out.str();
}

} // namespace tftpd
