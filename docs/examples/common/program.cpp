#include "program.hpp"

#include <tftp/socket/socket_address.hpp>

#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string_view>
#include <system_error>

namespace example {

namespace {

namespace po = boost::program_options;

constexpr std::string_view switch_mark = "!";
constexpr std::string_view rest_mark = "...";

bool is_option(std::string_view name) noexcept {
    return name.starts_with("--");
}

bool is_switch(std::string_view name) noexcept {
    return name.ends_with(switch_mark);
}

bool takes_all(std::string_view name) noexcept {
    return name.ends_with(rest_mark);
}

/// The name without what it says about its kind.
std::string plain(std::string_view name) {
    if (is_switch(name)) {
        name.remove_suffix(switch_mark.size());
    } else if (takes_all(name)) {
        name.remove_suffix(rest_mark.size());
    }
    return std::string(name);
}

/// The name without dashes, too: as Program_options knows it.
std::string key_of(std::string_view name) {
    name.remove_prefix(is_option(name) ? 2 : 0);
    return plain(name);
}

/// "usage: name ADDRESS [--count N]".
std::string usage_of(const std::string& program, std::initializer_list<argument> known) {
    std::string out = "usage: " + program;
    for (const argument& each : known) {
        std::string word(each.name);
        if (is_switch(word)) {
            word = plain(word);
        } else if (is_option(word)) {
            word += " VALUE";
        }
        const bool may_be_left_out = is_option(each.name) || each.fallback != nullptr;
        out += may_be_left_out ? " [" + word + ']' : ' ' + word;
    }
    return out + '\n';
}

void print_help(
    const std::string& program, const char* about, std::initializer_list<argument> known
) {
    std::cout << usage_of(program, known) << '\n' << about << "\n\n";
    for (const argument& each : known) {
        const std::string name = plain(each.name);
        std::cout << "  " << name << std::string(name.size() < 18 ? 18 - name.size() : 1, ' ')
                  << each.help;
        if (each.fallback != nullptr && *each.fallback != '\0') {
            std::cout << " (" << each.fallback << ')';
        }
        std::cout << '\n';
    }
}

} // namespace

arguments::arguments(const std::vector<std::string>& words, std::initializer_list<argument> known) {
    po::options_description options;
    po::positional_options_description places;
    for (const argument& each : known) {
        const std::string key = key_of(each.name);
        if (takes_all(each.name)) {
            options.add_options()(key.c_str(), po::value(&rest_), each.help);
        } else if (is_switch(each.name)) {
            options.add_options()(key.c_str(), each.help);
        } else {
            auto* const text = po::value<std::string>();
            if (each.fallback != nullptr) {
                text->default_value(each.fallback);
            }
            options.add_options()(key.c_str(), text, each.help);
        }
        if (!is_option(each.name)) {
            places.add(key.c_str(), takes_all(each.name) ? -1 : 1);
        }
    }
    try {
        // No abbreviations, and no short options: a word may begin with one dash.
        namespace style = po::command_line_style;
        po::command_line_parser parser(words);
        parser.options(options).positional(places).style(
            style::allow_long | style::long_allow_next | style::long_allow_adjacent
        );
        po::store(parser.run(), values_);
        po::notify(values_);
    } catch (const po::unknown_option& wrong) {
        throw usage_error("no such option: " + wrong.get_option_name());
    } catch (const po::too_many_positional_options_error&) {
        throw usage_error("one word too many");
    } catch (const po::error& wrong) {
        throw usage_error(wrong.what());
    }
    for (const argument& each : known) {
        const bool must_be_given = each.fallback == nullptr && !is_switch(each.name);
        if (must_be_given && values_.count(key_of(each.name)) == 0) {
            throw usage_error(plain(each.name) + " is missing");
        }
    }
}

bool arguments::given(const std::string& name) const {
    const std::string key = key_of(name);
    return values_.count(key) != 0 && !values_[key].defaulted();
}

const std::string& arguments::text(const std::string& name) const {
    return values_[key_of(name)].as<std::string>();
}

std::uint64_t
arguments::number(const std::string& name, std::uint64_t least, std::uint64_t most) const {
    const std::string& given = text(name);
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), out);
    if (error != std::errc() || end != given.data() + given.size() || out < least || out > most) {
        throw usage_error(
            name + " is a number from " + std::to_string(least) + " to " + std::to_string(most) +
            ", not '" + given + "'"
        );
    }
    return out;
}

tftp::endpoint arguments::address(const std::string& name, std::uint16_t port) const {
    const auto out = tftp::parse_endpoint(text(name), port);
    if (!out) {
        throw usage_error(name + " is an address in figures, not '" + text(name) + "'");
    }
    return *out;
}

const std::string&
arguments::one_of(const std::string& name, std::initializer_list<const char*> words) const {
    const std::string& given = text(name);
    if (std::find(words.begin(), words.end(), given) != words.end()) {
        return given;
    }
    std::string all;
    for (const char* const word : words) {
        all += all.empty() ? word : std::string(" or ") + word;
    }
    throw usage_error(name + " is " + all + ", not '" + given + "'");
}

int run(
    int argc,
    char** argv,
    const char* about,
    std::initializer_list<argument> known,
    int (*body)(const arguments& given)
) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::string program = std::filesystem::path(argv[0]).filename();
    if (std::find(words.begin(), words.end(), "--help") != words.end()) {
        print_help(program, about, known);
        return 0;
    }
    try {
        return body(arguments(words, known));
    } catch (const usage_error& wrong) {
        std::cerr << program << ": " << wrong.what() << "; see --help\n";
        return 2;
    } catch (const std::exception& failed) {
        std::cerr << program << ": " << failed.what() << '\n';
        return 1;
    }
}

} // namespace example
