#include "program.hpp"

#include <tftp/io/socket_address.hpp>

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
    std::vector<const argument*> places;
    for (const argument& each : known) {
        if (!is_option(each.name)) {
            places.push_back(&each);
        }
    }
    auto place = places.begin();
    bool options_over = false;
    for (auto word = words.begin(); word != words.end(); ++word) {
        if (!options_over && *word == "--") {
            options_over = true;
        } else if (!options_over && is_option(*word)) {
            const auto same = [&](const argument& each) { return plain(each.name) == *word; };
            const auto* const option = std::find_if(known.begin(), known.end(), same);
            if (option == known.end()) {
                throw usage_error("no such option: " + *word);
            }
            if (is_switch(option->name)) {
                values_.push_back({*word, "", true});
            } else if (std::next(word) == words.end()) {
                throw usage_error(*word + " needs a value");
            } else {
                values_.push_back({*word, *std::next(word), true});
                ++word;
            }
        } else if (place == places.end()) {
            throw usage_error("one word too many: " + *word);
        } else if (takes_all((*place)->name)) {
            rest_.push_back(*word);
        } else {
            values_.push_back({(*place)->name, *word, true});
            ++place;
        }
    }
    for (const argument& each : known) {
        const std::string name = plain(each.name);
        const auto same = [&](const value& v) { return v.name == name; };
        if (std::any_of(values_.begin(), values_.end(), same) ||
            (takes_all(each.name) && !rest_.empty())) {
            continue;
        }
        if (each.fallback == nullptr && !is_switch(each.name)) {
            throw usage_error(name + " is missing");
        }
        values_.push_back({name, each.fallback == nullptr ? "" : each.fallback, false});
    }
}

const arguments::value& arguments::find(const std::string& name) const {
    // The last one counts, as with other programs.
    const auto same = [&](const value& v) { return v.name == name; };
    const auto found = std::find_if(values_.rbegin(), values_.rend(), same);
    if (found == values_.rend()) {
        throw std::logic_error("the program knows no argument " + name);
    }
    return *found;
}

bool arguments::given(const std::string& name) const {
    return find(name).given;
}

const std::string& arguments::text(const std::string& name) const {
    return find(name).text;
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
    const auto out = tftp::io::parse_endpoint(text(name), port);
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
