#pragma once

#include <tftp/base/endpoint.hpp>

#include <boost/program_options/variables_map.hpp>

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace example {

/// A command line that asks for nothing that can be done; `what()` is one line that says what to
/// change. The program ends with status 2.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One word or value of a command line.
struct argument {
    /// Names without dashes are given by their place: "ADDRESS". "--count" is an option with a
    /// value, and "--once!" a switch. "WORD..." is the last place and takes all that is left.
    const char* name = nullptr;
    /// What --help says.
    const char* help = nullptr;
    /// What counts when it is not given; null for what must be given, and for switches.
    const char* fallback = nullptr;
};

/// The values of a command line.
class arguments {
public:
    /// Reads the words behind the name of the program. Throws usage_error.
    arguments(const std::vector<std::string>& words, std::initializer_list<argument> known);

    /// Returns whether an argument, such as the switch "--once", was given.
    [[nodiscard]] bool given(const std::string& name) const;

    /// Returns the text of an argument, such as "ADDRESS" or "--count". Lifetime: this object's.
    [[nodiscard]] const std::string& text(const std::string& name) const;

    /// Returns the words of the place that takes all.
    [[nodiscard]] const std::vector<std::string>& rest() const noexcept { return rest_; }

    /// Returns it as a number. Throws usage_error for any other text, and outside the bounds.
    [[nodiscard]] std::uint64_t
    number(const std::string& name, std::uint64_t least, std::uint64_t most) const;

    /// Returns it as ADDRESS, ADDRESS:PORT, or [IPv6]:PORT, in figures, and the port behind it or
    /// `port`. Throws usage_error for any other text.
    [[nodiscard]] tftp::endpoint address(const std::string& name, std::uint16_t port = 0) const;

    /// Returns it if it is one of `words`. Throws usage_error for any other text.
    [[nodiscard]] const std::string&
    one_of(const std::string& name, std::initializer_list<const char*> words) const;

private:
    boost::program_options::variables_map values_;
    std::vector<std::string> rest_;
};

/// The frame of every example: reads the command line, runs `body`, returns the exit status.
///
/// --help prints the usage and returns 0. A usage_error is printed as one line, status 2; any
/// other exception likewise, status 1. about: one sentence for --help. body: returns the status.
[[nodiscard]] int
run(int argc,
    char** argv,
    const char* about,
    std::initializer_list<argument> known,
    int (*body)(const arguments& given));

} // namespace example
