#pragma once

#include "interop/clients.hpp"
#include "support/files.hpp"
#include "support/network.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tftp::test {

/// What the client asks for; an empty member is an option that is not sent.
struct setting {
    std::optional<unsigned> blksize;
    std::optional<unsigned> windowsize;
};

/// Sizes around the default block, and one that takes many blocks.
inline constexpr std::size_t cell_sizes[] = {0, 1, 511, 512, 513, 1 << 20};

/// More than 65,535 blocks of 512 bytes: the block number wraps.
inline constexpr std::size_t wrap_size = 65'600 * 512;

/// Every blksize with every windowsize.
[[nodiscard]] std::vector<setting>
settings(const std::vector<unsigned>& blksizes, const std::vector<unsigned>& windowsizes);

/// The directories of one client and one server, the transfers made between them, and their table.
class exchange {
public:
    /// title: who talks to whom. Ties the test to one CPU, see pin_to_this_cpu().
    explicit exchange(std::string title);

    /// Prints one line for each kind of transfer and a column for each setting.
    ~exchange();
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    /// What the server is to serve.
    [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_.path(); }

    /// What stands for a file before and after the transfer; both equal in octet mode.
    struct contents {
        std::string_view source;
        std::string_view expected;
    };

    /// Moves `size` bytes with `by` to or from `at` and checks that exactly these arrive.
    void octet(
        direction way,
        std::size_t size,
        const setting& options,
        const client& by,
        const endpoint& at
    );

    /// Moves `file` in netascii and checks that `file.expected` arrives.
    void netascii(
        direction way,
        const contents& file,
        const setting& options,
        const client& by,
        const endpoint& at
    );

    /// As octet(), recorded in a line of its own under `label`.
    void labelled(
        const std::string& label,
        direction way,
        std::size_t size,
        const setting& options,
        const client& by,
        const endpoint& at
    );

    /// octet() for every size of cell_sizes and every setting.
    void every_size(
        direction way, const std::vector<setting>& list, const client& by, const endpoint& at
    );

    /// How many transfers ran.
    [[nodiscard]] std::size_t cells() const noexcept { return cells_; }

    /// From now on an upload may appear shortly after its last ACK: for servers that acknowledge
    /// first and write afterwards.
    void server_writes_late() noexcept { writes_late_ = true; }

private:
    std::string run(transfer what, const contents& file, const client& by);
    void record(const std::string& row, const setting& options, const std::string& outcome);
    const std::string& content(std::size_t size);

    std::string title_;
    temp_dir root_;
    temp_dir local_;
    bool writes_late_ = false;
    std::size_t cells_ = 0;
    std::map<std::size_t, std::string> contents_;
    std::vector<std::string> rows_;
    std::vector<std::string> columns_;
    std::map<std::string, std::map<std::string, std::string>> outcomes_;
};

/// A text in the local form in which CR, LF and CR LF fall on every position of a 512 octet block,
/// in this form and in the wire form alike.
[[nodiscard]] std::string make_line_ends();

/// The wire form of a text as RFC 764 wants it: LF as CR LF, CR as CR NUL.
[[nodiscard]] std::string netascii_wire_form(std::string_view text);

} // namespace tftp::test
