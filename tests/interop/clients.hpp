#pragma once

#include "interop/peers.hpp"
#include "support/network.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace tftp::test {

/// Which way a file goes, seen from the client.
enum class direction { read, write };

/// One file to move, in words every client can be told.
struct transfer {
    direction way = direction::read;
    endpoint server;
    std::string remote;
    std::filesystem::path local;
    /// Bytes a block; empty: the option is not sent.
    std::optional<unsigned> blksize;
    /// Blocks a window; empty: the option is not sent.
    std::optional<unsigned> windowsize;
    bool netascii = false;
};

/// Turns a transfer into the command line of one client program.
using client = std::function<command(const transfer&)>;

[[nodiscard]] client atftp_client(const program& atftp);

/// blksize and windowsize must be empty: the program sends no options at all.
[[nodiscard]] client tftp_hpa_client(const program& tftp_hpa);

/// windowsize must be empty. Without blksize curl sends no options; with it tsize and timeout too.
[[nodiscard]] client curl_client(const program& curl);

/// windowsize must be empty, octet only.
[[nodiscard]] client busybox_client(const program& busybox);

/// Ours. Without blksize and windowsize it sends no options.
[[nodiscard]] client tftp_client(const program& tftp);

} // namespace tftp::test
