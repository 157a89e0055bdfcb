#include "arguments.hpp"

#include "escape.hpp"

#include <tftp/client/resolver.hpp>
#include <tftp/wire/options.hpp>
#include <tftp/wire/uri.hpp>

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/variables_map.hpp>
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

namespace tftp::cli {

namespace {

namespace options = boost::program_options;

constexpr std::string_view standard_stream = "-";

/// The engine counts the sends of an opening up to here.
constexpr std::uint32_t retries_max = 255;

/// Sizes of files are signed numbers of 64 bits.
constexpr std::uint64_t size_max = std::numeric_limits<std::int64_t>::max();

constexpr double seconds_min = 0.001;
constexpr double seconds_max = 3600;

/// A month: longer than any transfer that somebody means to end.
constexpr double max_time_max = 2'678'400;

[[nodiscard]] options::options_description visible_options() {
    options::options_description list("Options", 100, 70);
    const auto text = [] { return options::value<std::string>(); };
    list.add_options()(
        "output,o", text()->value_name("FILE"), "get: store into FILE; - is standard output"
    )("port", text()->value_name("N"), "port of the server (69)"
    )("mode", text()->value_name("MODE"), "octet (default) or netascii"
    )("blksize", text()->value_name("N"), "bytes in a block, 8..65464 (what the route carries)"
    )("windowsize", text()->value_name("N"), "blocks in a window, 1..32767 (64)"
    )("timeout",
      text()->value_name("SECONDS"),
      "wait before the first repetition, until a round trip is known (1)"
    )("interval",
      text()->value_name("SECONDS"),
      "always wait this long before a repetition, whatever is measured"
    )("retries", text()->value_name("N"), "times the request is sent, 1..255 (5)"
    )("give-up", text()->value_name("SECONDS"), "end a transfer that stands still (60)"
    )("max-time", text()->value_name("SECONDS"), "end a transfer that takes longer (no limit)"
    )("max-size",
      text()->value_name("SIZE"),
      "get: take no larger file; bytes, or with K, M, G or T (no limit)"
    )("sends", text()->value_name("HOW"), "put: how windows leave: gso (default), batch or single"
    )("no-options", "plain RFC 1350: 512 bytes, one block at a time")("ipv4,4", "use IPv4 only")(
        "ipv6,6", "use IPv6 only"
    )("quiet", "no progress and no summary; errors are still shown"
    )("json", "print one JSON object about the transfer on standard output"
    )("version", "print the version")("help", "print this text");
    return list;
}

/// The value of one option, by name.
class values {
public:
    explicit values(const options::variables_map& map) noexcept : map_(map) {}

    [[nodiscard]] bool has(const char* name) const { return map_.count(name) != 0; }

    [[nodiscard]] const std::string& text(const char* name) const {
        return map_[name].as<std::string>();
    }

    [[nodiscard]] std::optional<std::uint32_t>
    number(const char* name, std::uint32_t least, std::uint32_t most) const {
        if (!has(name)) {
            return std::nullopt;
        }
        const std::string& given = text(name);
        std::uint32_t value = 0;
        const char* const end = given.data() + given.size();
        const auto [stop, error] = std::from_chars(given.data(), end, value);
        if (error != std::errc{} || stop != end || value < least || value > most) {
            throw usage_error(fmt::format(
                "--{} takes a number from {} to {}, not '{}'",
                name,
                least,
                most,
                escape_for_terminal(given)
            ));
        }
        return value;
    }

    [[nodiscard]] std::optional<duration>
    seconds(const char* name, double most = seconds_max) const {
        if (!has(name)) {
            return std::nullopt;
        }
        const std::string& given = text(name);
        double value = 0;
        const char* const end = given.data() + given.size();
        const auto [stop, error] = std::from_chars(given.data(), end, value);
        // Written so that "nan" is outside too.
        const bool inside = value >= seconds_min && value <= most;
        if (error != std::errc{} || stop != end || !inside) {
            throw usage_error(fmt::format(
                "--{} takes seconds from {} to {}, not '{}'",
                name,
                seconds_min,
                most,
                escape_for_terminal(given)
            ));
        }
        return std::chrono::duration_cast<duration>(std::chrono::duration<double>(value));
    }

    /// Reads bytes; K, M, G and T behind the number stand for powers of 1024.
    [[nodiscard]] std::optional<std::uint64_t> size(const char* name) const {
        if (!has(name)) {
            return std::nullopt;
        }
        const std::string& given = text(name);
        std::uint64_t value = 0;
        const char* const end = given.data() + given.size();
        const auto [stop, error] = std::from_chars(given.data(), end, value);
        const std::optional<unsigned> shift =
            shift_of({stop, static_cast<std::size_t>(end - stop)});
        if (error != std::errc{} || !shift || value == 0 || value > size_max >> *shift) {
            throw usage_error(fmt::format(
                "--{} takes a number of bytes from 1, or one with K, M, G or T behind it, not '{}'",
                name,
                escape_for_terminal(given)
            ));
        }
        return value << *shift;
    }

private:
    /// Returns the power of 2 that a suffix stands for; empty for what is none.
    [[nodiscard]] static std::optional<unsigned> shift_of(std::string_view suffix) noexcept {
        constexpr std::string_view letters = "KMGT";
        if (suffix.empty()) {
            return 0;
        }
        const std::size_t at = letters.find(static_cast<char>(suffix.front() & ~0x20));
        if (suffix.size() != 1 || at == std::string_view::npos) {
            return std::nullopt;
        }
        return 10 * static_cast<unsigned>(at + 1);
    }

    const options::variables_map& map_;
};

[[nodiscard]] std::optional<std::uint16_t> narrow(std::optional<std::uint32_t> value) noexcept {
    if (!value) {
        return std::nullopt;
    }
    return static_cast<std::uint16_t>(*value);
}

[[nodiscard]] transfer_mode parse_mode(const std::string& text) {
    if (text == to_string(transfer_mode::octet)) {
        return transfer_mode::octet;
    }
    if (text == to_string(transfer_mode::netascii)) {
        return transfer_mode::netascii;
    }
    throw usage_error(
        fmt::format("--mode is octet or netascii, not '{}'", escape_for_terminal(text))
    );
}

[[nodiscard]] segmentation parse_sends(const std::string& text) {
    if (text == "gso") {
        return segmentation::gso;
    }
    if (text == "batch") {
        return segmentation::batch;
    }
    if (text == "single") {
        return segmentation::single;
    }
    throw usage_error(
        fmt::format("--sends is gso, batch or single, not '{}'", escape_for_terminal(text))
    );
}

/// Takes the operands off one by one.
class operand_list {
public:
    explicit operand_list(std::vector<std::string> words) : words_(std::move(words)) {}

    [[nodiscard]] std::optional<std::string> next() {
        if (taken_ == words_.size()) {
            return std::nullopt;
        }
        return std::move(words_[taken_++]);
    }

    [[nodiscard]] std::string need(std::string_view what) {
        std::optional<std::string> word = next();
        if (!word || word->empty()) {
            throw usage_error(fmt::format("{} is missing", what));
        }
        return std::move(*word);
    }

    void end() const {
        if (taken_ != words_.size()) {
            throw usage_error(
                fmt::format("'{}' is one name too many", escape_for_terminal(words_[taken_]))
            );
        }
    }

private:
    std::vector<std::string> words_;
    std::size_t taken_ = 0;
};

[[nodiscard]] bool is_uri(std::string_view word) noexcept {
    return word.find("://") != std::string_view::npos;
}

void take_uri(const std::string& word, arguments& out) {
    std::string buffer(word.size(), '\0');
    const result<uri> parsed = parse_uri(word, buffer);
    if (!parsed) {
        throw usage_error(fmt::format(
            "'{}' does not have the form tftp://host[:port]/file[;mode=octet|netascii]",
            escape_for_terminal(word)
        ));
    }
    out.host = unescape_zone(parsed->host);
    out.port = parsed->port;
    out.remote = parsed->file;
    out.mode = parsed->mode;
}

void take_host(const std::string& word, arguments& out) {
    const host_and_port split = split_host(word);
    out.host = split.host;
    out.port = split.port.value_or(out.port);
}

void take_get(operand_list& operands, const values& given, arguments& out) {
    out.verb = transfer_direction::read;
    const std::string where = operands.need("HOST");
    if (is_uri(where)) {
        take_uri(where, out);
    } else {
        take_host(where, out);
        out.remote = operands.need("FILE");
    }
    std::optional<std::string> local = operands.next();
    operands.end();
    if (given.has("output")) {
        if (local) {
            throw usage_error("the local file is named twice: leave out LOCAL or --output");
        }
        local = given.text("output");
    }
    if (local && local->empty()) {
        throw usage_error("the name of the local file is empty");
    }
    if (!local && local_name_for(out.remote) == standard_stream) {
        throw usage_error("the local file would be named '-', which is standard output: name it");
    }
    if (local != standard_stream) {
        out.local = local ? std::move(*local) : local_name_for(out.remote);
    } else if (out.json) {
        throw usage_error("the file and --json cannot both go to standard output");
    }
}

void take_put(operand_list& operands, const values& given, arguments& out) {
    out.verb = transfer_direction::write;
    if (given.has("output")) {
        throw usage_error("--output is for get; the second name of put is the name on the server");
    }
    const std::string where = operands.need("HOST");
    const bool named = is_uri(where);
    if (named) {
        take_uri(where, out);
    } else {
        take_host(where, out);
    }
    out.local = operands.need("LOCAL");
    if (out.local == standard_stream) {
        throw usage_error("standard input cannot be sent, because blocks are read again when they "
                          "are lost: store it in a file first (a file named - is ./-)");
    }
    if (!named) {
        std::optional<std::string> remote = operands.next();
        if (remote && remote->empty()) {
            throw usage_error("the name on the server is empty");
        }
        out.remote = remote ? std::move(*remote) : local_name_for(out.local);
    }
    operands.end();
}

void take_options(const values& given, arguments& out) {
    // An option says more than what is written into HOST or a URI.
    if (const auto port = given.number("port", 1, 65535)) {
        out.port = static_cast<std::uint16_t>(*port);
    }
    if (given.has("mode")) {
        out.mode = parse_mode(given.text("mode"));
    }
    out.blksize = narrow(given.number("blksize", blksize_min, blksize_max));
    out.windowsize = narrow(given.number("windowsize", 1, windowsize_max));
    out.timeout = given.seconds("timeout").value_or(out.timeout);
    out.interval = given.seconds("interval");
    if (out.interval && given.has("timeout")) {
        throw usage_error("--interval fixes every wait: leave out --timeout");
    }
    out.give_up = given.seconds("give-up");
    out.max_time = given.seconds("max-time", max_time_max);
    out.max_size = given.size("max-size");
    if (out.max_size && out.verb == transfer_direction::write) {
        throw usage_error("--max-size is for get: put sends a file whose size is known here");
    }
    out.retries = static_cast<std::uint8_t>(given.number("retries", 1, retries_max).value_or(5));
    if (given.has("sends")) {
        if (out.verb == transfer_direction::read) {
            throw usage_error("--sends is for put: get receives whatever the server sends");
        }
        out.sends = parse_sends(given.text("sends"));
    }
    out.no_options = given.has("no-options");
    if (out.no_options && (out.blksize || out.windowsize)) {
        throw usage_error("--no-options leaves no room for --blksize and --windowsize");
    }
    if (given.has("ipv4") && given.has("ipv6")) {
        throw usage_error("-4 and -6 exclude each other");
    }
    if (given.has("ipv4")) {
        out.family = address_family::ipv4;
    } else if (given.has("ipv6")) {
        out.family = address_family::ipv6;
    }
}

/// Returns what() of `wrong`, put together here: Program_options never ends to replace its
/// placeholders when the name of an option holds one of them.
[[nodiscard]] std::string text_of(const options::error_with_option_name& wrong) {
    constexpr std::string_view placeholder = "%canonical_option%";
    std::string text = wrong.m_error_template;
    if (const std::size_t at = text.find(placeholder); at != std::string::npos) {
        text.replace(at, placeholder.size(), wrong.get_option_name());
    }
    return text;
}

/// The words of a command line, sorted.
struct sorted_words {
    options::variables_map options;
    std::vector<std::string> operands;
};

[[nodiscard]] sorted_words sort_words(std::span<const char* const> words) {
    // Abbreviations would change their meaning with the next option that begins alike.
    constexpr int style =
        options::command_line_style::unix_style & ~options::command_line_style::allow_guessing;
    const options::options_description known = visible_options();
    sorted_words out;
    try {
        const options::parsed_options parsed =
            options::command_line_parser(std::vector<std::string>(words.begin(), words.end()))
                .options(known)
                .style(style)
                .run();
        for (const options::option& word : parsed.options) {
            if (word.position_key >= 0) {
                out.operands.insert(out.operands.end(), word.value.begin(), word.value.end());
            }
        }
        options::store(parsed, out.options);
    } catch (const options::error_with_option_name& wrong) {
        throw usage_error(escape_for_terminal(text_of(wrong)));
    } catch (const options::error& wrong) {
        throw usage_error(escape_for_terminal(wrong.what()));
    }
    return out;
}

} // namespace

arguments parse_arguments(std::span<const char* const> words) {
    sorted_words sorted = sort_words(words);
    const values given(sorted.options);
    arguments out;
    if (given.has("help")) {
        out.action = action::show_help;
        return out;
    }
    if (given.has("version")) {
        out.action = action::show_version;
        return out;
    }
    operand_list operands(std::move(sorted.operands));
    out.quiet = given.has("quiet");
    out.json = given.has("json");
    const std::string verb = operands.need("get or put");
    if (verb == "get") {
        take_get(operands, given, out);
    } else if (verb == "put") {
        take_put(operands, given, out);
    } else {
        throw usage_error(fmt::format("'{}' is neither get nor put", escape_for_terminal(verb)));
    }
    take_options(given, out);
    return out;
}

host_and_port split_host(std::string_view text) {
    const auto wrong = [text] {
        return usage_error(fmt::format(
            "'{}' is no HOST, HOST:PORT, [IPV6] or [IPV6]:PORT", escape_for_terminal(text)
        ));
    };
    host_and_port out;
    std::string_view rest;
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos) {
            throw wrong();
        }
        out.host = text.substr(1, close - 1);
        rest = text.substr(close + 1);
        if (!rest.empty() && rest.front() != ':') {
            throw wrong();
        }
    } else {
        const std::size_t colon = text.find(':');
        const bool bare_ipv6 =
            colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos;
        out.host = bare_ipv6 ? text : text.substr(0, colon);
        rest = bare_ipv6 ? std::string_view() : text.substr(out.host.size());
    }
    if (!rest.empty()) {
        rest.remove_prefix(1);
        std::uint16_t port = 0;
        const char* const end = rest.data() + rest.size();
        const auto [stop, error] = std::from_chars(rest.data(), end, port);
        if (error != std::errc{} || stop != end || port == 0) {
            throw wrong();
        }
        out.port = port;
    }
    if (out.host.empty()) {
        throw wrong();
    }
    return out;
}

std::string local_name_for(std::string_view remote) {
    const std::size_t slash = remote.rfind('/');
    const std::string_view name =
        slash == std::string_view::npos ? remote : remote.substr(slash + 1);
    if (name.empty() || name == "." || name == "..") {
        throw usage_error(fmt::format(
            "'{}' does not end with the name of a file: give both names",
            escape_for_terminal(remote)
        ));
    }
    return std::string(name);
}

std::string_view usage_text() noexcept {
    return "usage: tftp get HOST[:PORT] FILE [LOCAL]\n"
           "       tftp get tftp://HOST[:PORT]/FILE[;mode=MODE] [LOCAL]\n"
           "       tftp put HOST[:PORT] LOCAL [REMOTE]\n"
           "       tftp put tftp://HOST[:PORT]/REMOTE[;mode=MODE] LOCAL\n";
}

std::string help_text() {
    std::ostringstream out;
    out << usage_text() << '\n' << visible_options();
    return out.str();
}

} // namespace tftp::cli
