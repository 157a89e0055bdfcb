#include "interop/exchange.hpp"

#include "support/process.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iomanip>
#include <iostream>

namespace tftp::test {
namespace {

using namespace std::chrono_literals;

constexpr auto transfer_limit = 60s;
constexpr auto late_write_limit = 10s;
constexpr unsigned every_position = 512;

std::string column_of(const setting& options) {
    if (!options.blksize && !options.windowsize) {
        return "no options";
    }
    std::string text = options.blksize ? std::to_string(*options.blksize) : "512";
    if (options.windowsize) {
        text += " w" + std::to_string(*options.windowsize);
    }
    return text;
}

std::string row_of(direction way, const std::string& what, const endpoint& at) {
    return (way == direction::read ? "read " : "write ") + what + (at.is_v6() ? " IPv6" : "");
}

void print_row(
    const std::string& head,
    const std::vector<std::string>& cells,
    const std::vector<std::size_t>& widths
) {
    constexpr int head_width = 24;
    std::cout << std::left << std::setw(head_width) << head;
    for (std::size_t at = 0; at < cells.size(); ++at) {
        std::cout << ' ' << std::setw(static_cast<int>(widths[at])) << cells[at];
    }
    std::cout << '\n';
}

} // namespace

std::vector<setting>
settings(const std::vector<unsigned>& blksizes, const std::vector<unsigned>& windowsizes) {
    std::vector<setting> list;
    for (const unsigned blksize : blksizes) {
        for (const unsigned windowsize : windowsizes) {
            list.push_back({blksize, windowsize});
        }
    }
    return list;
}

exchange::exchange(std::string title) : title_{std::move(title)} {
    pin_to_this_cpu();
}

exchange::~exchange() {
    std::vector<std::size_t> widths;
    for (const std::string& column : columns_) {
        widths.push_back(std::max<std::size_t>(column.size(), 4));
    }
    std::cout << "\n" << title_ << ": " << cells_ << " transfers\n";
    print_row("", columns_, widths);
    for (const std::string& row : rows_) {
        std::vector<std::string> cells;
        for (const std::string& column : columns_) {
            const auto& line = outcomes_.at(row);
            const auto found = line.find(column);
            cells.push_back(found == line.end() ? "." : found->second);
        }
        print_row(row, cells, widths);
    }
    std::cout << std::flush;
}

const std::string& exchange::content(std::size_t size) {
    const auto [entry, added] = contents_.try_emplace(size);
    if (added) {
        entry->second = make_content(size, size);
    }
    return entry->second;
}

void exchange::record(const std::string& row, const setting& options, const std::string& outcome) {
    const std::string column = column_of(options);
    if (std::ranges::find(rows_, row) == rows_.end()) {
        rows_.push_back(row);
    }
    if (std::ranges::find(columns_, column) == columns_.end()) {
        columns_.push_back(column);
    }
    outcomes_[row][column] = outcome;
    ++cells_;
}

std::string exchange::run(transfer what, const contents& file, const client& by) {
    const bool reads = what.way == direction::read;
    what.remote = "file-" + std::to_string(cells_);
    what.local = local_.path() / what.remote;
    const std::filesystem::path remote = root() / what.remote;
    const std::filesystem::path& from = reads ? remote : what.local;
    const std::filesystem::path& to = reads ? what.local : remote;
    write_file(from, file.source);

    const command line = by(what);
    const run_result result = tftp::test::run(line, transfer_limit);
    std::string outcome = "ok";
    if (!result.status) {
        outcome = "no end";
    } else if (*result.status != 0) {
        outcome = "exit " + std::to_string(*result.status);
    } else if (!holds(to, file.expected) && (reads || !writes_late_ || !wait_until_holds(to, file.expected, late_write_limit))) {
        outcome = "differs";
    }
    INFO(to_string(line) << "\n" << result.output << result.errors);
    CHECK(outcome == "ok");
    std::filesystem::remove(from);
    std::filesystem::remove(to);
    return outcome;
}

void exchange::octet(
    direction way, std::size_t size, const setting& options, const client& by, const endpoint& at
) {
    labelled(std::to_string(size), way, size, options, by, at);
}

void exchange::labelled(
    const std::string& label,
    direction way,
    std::size_t size,
    const setting& options,
    const client& by,
    const endpoint& at
) {
    const std::string& bytes = content(size);
    const transfer what{way, at, {}, {}, options.blksize, options.windowsize, false};
    record(row_of(way, label, at), options, run(what, {bytes, bytes}, by));
}

void exchange::netascii(
    direction way,
    const contents& file,
    const setting& options,
    const client& by,
    const endpoint& at
) {
    const transfer what{way, at, {}, {}, options.blksize, options.windowsize, true};
    record(row_of(way, "netascii", at), options, run(what, file, by));
}

void exchange::every_size(
    direction way, const std::vector<setting>& list, const client& by, const endpoint& at
) {
    for (const std::size_t size : cell_sizes) {
        for (const setting& options : list) {
            octet(way, size, options, by, at);
        }
    }
}

std::string make_line_ends() {
    // Each line is one octet longer or shorter than a divisor of the block, so that its end wanders
    // over all positions, in the wire form at another pace than in the local one.
    constexpr std::string_view ends[] = {"\n", "\r", "\r\n", "\n\n", "\r\r", "\n\r"};
    constexpr std::size_t line_sizes[] = {31, 33, 37};
    std::string text;
    for (std::size_t line = 0; line < every_position * std::size(line_sizes); ++line) {
        text.append(line_sizes[line % std::size(line_sizes)], static_cast<char>('a' + line % 26));
        text += ends[line % std::size(ends)];
    }
    return text;
}

std::string netascii_wire_form(std::string_view text) {
    std::string wire;
    for (const char octet : text) {
        if (octet == '\n') {
            wire += "\r\n";
        } else if (octet == '\r') {
            wire += std::string_view{"\r\0", 2};
        } else {
            wire += octet;
        }
    }
    return wire;
}

} // namespace tftp::test
