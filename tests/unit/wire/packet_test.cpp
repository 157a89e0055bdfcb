#include "support/octets.hpp"

#include <tftp/wire/packet.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace tftp;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using test::octets;
using test::text;

namespace {

/// Decodes a copy of exactly this size, so that a sanitizer sees each byte read too far. What the
/// returned views borrow lives until the next call.
result<packet_view> decode_exact(std::string_view datagram) {
    static std::unique_ptr<std::byte[]> copy;
    copy = std::make_unique<std::byte[]>(datagram.size());
    std::copy_n(std::as_bytes(std::span(datagram)).begin(), datagram.size(), copy.get());
    return decode({copy.get(), datagram.size()});
}

template <class View>
View decode_as(std::string_view datagram) {
    const result<packet_view> packet = decode_exact(datagram);
    REQUIRE(packet.has_value());
    REQUIRE(std::holds_alternative<View>(packet.value()));
    return std::get<View>(packet.value());
}

error_code error_of(std::string_view datagram) {
    const result<packet_view> packet = decode_exact(datagram);
    return packet.has_value() ? error_code() : packet.error();
}

/// Reads every byte that the views of a packet reach.
std::size_t walk(const packet_view& packet) {
    struct walker {
        std::size_t operator()(const request_view& p) const {
            return sum(p.filename) + (*this)(oack_view{p.options});
        }

        std::size_t operator()(const data_view& p) const { return sum(text(p.payload)); }

        std::size_t operator()(const ack_view& p) const { return sum(text(p.extra)); }

        std::size_t operator()(const error_view& p) const { return sum(p.message); }

        std::size_t operator()(const oack_view& p) const {
            std::size_t total = 0;
            for (const option_list::entry& each : p.options) {
                total += sum(each.name) + sum(each.value);
            }
            return total;
        }

        static std::size_t sum(std::string_view bytes) {
            std::size_t total = bytes.size();
            for (const char c : bytes) {
                total += static_cast<unsigned char>(c);
            }
            return total;
        }
    };

    return std::visit(walker{}, packet);
}

constexpr std::string_view valid_packets[] = {
    "\0\1file\0octet\0"sv,
    "\0\2file\0netascii\0"sv,
    "\0\1file\0octet\0blksize\0001468\0tsize\0000\0multicast\0\0"sv,
    "\0\3\0\1payload"sv,
    "\0\4\0\1"sv,
    "\0\4\0\1\x10"sv,
    "\0\5\0\1File not found\0"sv,
    "\0\6blksize\0001468\0tsize\000123456\0"sv,
};

} // namespace

TEST_CASE("requests are decoded", "[wire][packet][rfc1350]") {
    const auto rrq = decode_as<request_view>("\0\1a/b\0octet\0"sv);
    CHECK(rrq.op == opcode::rrq);
    CHECK(rrq.mode == transfer_mode::octet);
    CHECK(rrq.filename == "a/b");
    CHECK(rrq.options.empty());

    const auto wrq = decode_as<request_view>("\0\2f\0NetASCII\0BLKSIZE\0001024\0tsize\0007\0"sv);
    CHECK(wrq.op == opcode::wrq);
    CHECK(wrq.mode == transfer_mode::netascii);
    CHECK(wrq.options.find("blksize") == "1024"sv);
    CHECK(wrq.options.find("tsize") == "7"sv);
}

TEST_CASE("a file name may hold any byte but NUL", "[wire][packet]") {
    std::string name;
    for (int c = 1; c < 256; ++c) {
        name.push_back(static_cast<char>(c));
    }
    const auto rrq = decode_as<request_view>("\0\1"s + name + "\0octet\0"s);
    CHECK(rrq.filename == name);
}

TEST_CASE("a request of 64 KiB is decoded", "[wire][packet]") {
    const std::string name(65000, 'a');
    CHECK(decode_as<request_view>("\0\1"s + name + "\0octet\0"s).filename.size() == 65000);
}

TEST_CASE("a mode that the datagram cuts off before its NUL is taken", "[wire][packet]") {
    const auto rrq = decode_as<request_view>("\0\1file\0octet"sv);
    CHECK(rrq.filename == "file");
    CHECK(rrq.mode == transfer_mode::octet);
    CHECK(rrq.options.empty());
}

TEST_CASE("broken requests are refused", "[wire][packet][rfc1350]") {
    CHECK(error_of("\0\1"sv) == errc::malformed);
    CHECK(error_of("\0\1file"sv) == errc::malformed);
    CHECK(error_of("\0\1file\0"sv) == errc::malformed);
    CHECK(error_of("\0\1\0octet\0"sv) == errc::malformed);
    CHECK(error_of("\0\1\0"sv) == errc::malformed);
    CHECK(error_of("\0\1file\0\0"sv) == errc::unsupported_mode);
    CHECK(error_of("\0\1file\0mail\0"sv) == errc::unsupported_mode);
    CHECK(error_of("\0\1file\0octe\0"sv) == errc::unsupported_mode);
    CHECK(error_of("\0\1file\0octets\0"sv) == errc::unsupported_mode);
    CHECK(error_of("\0\1file\0oct"sv) == errc::unsupported_mode);
    CHECK(error_of("\0\1file\0"s + std::string(60000, 'm')) == errc::unsupported_mode);
}

TEST_CASE("a trailing fragment of an option is dropped", "[wire][packet]") {
    const auto rrq = decode_as<request_view>("\0\1f\0octet\0tsize\0000\0blksize\0001468"sv);
    CHECK(rrq.options.find("tsize") == "0"sv);
    CHECK_FALSE(rrq.options.find("blksize"));
}

TEST_CASE("DATA is decoded from 4 bytes on", "[wire][packet][rfc1350]") {
    const auto data = decode_as<data_view>("\0\3\xff\xfepayload\0"sv);
    CHECK(data.block == 65534);
    CHECK(text(data.payload) == "payload\0"sv);
    CHECK(decode_as<data_view>("\0\3\0\1"sv).payload.empty());
    CHECK(error_of("\0\3\0"sv) == errc::malformed);
    CHECK(error_of("\0\3"sv) == errc::malformed);
}

TEST_CASE("ACK is decoded, and so is what follows it", "[wire][packet][rfc1350]") {
    const auto plain = decode_as<ack_view>("\0\4\1\2"sv);
    CHECK(plain.block == 0x0102);
    CHECK(plain.extra.empty());
    // The Windows deployment client appends the size of its next window.
    const auto windows = decode_as<ack_view>("\0\4\1\2\x10"sv);
    CHECK(windows.block == 0x0102);
    CHECK(text(windows.extra) == "\x10"sv);
    CHECK(text(decode_as<ack_view>("\0\4\1\2\0\0\xff"sv).extra) == "\0\0\xff"sv);
    const std::string largest = "\0\4\1\2"s + std::string(65503, 'x');
    CHECK(decode_as<ack_view>(largest).extra.size() == 65503);
    CHECK(error_of("\0\4\0"sv) == errc::malformed);
    CHECK(error_of("\0\4"sv) == errc::malformed);
}

TEST_CASE("ERROR is decoded with any code, with or without text", "[wire][packet][rfc1350]") {
    const auto full = decode_as<error_view>("\0\5\0\1File not found\0"sv);
    CHECK(full.code == peer_errc::not_found);
    CHECK(full.message == "File not found");
    CHECK(decode_as<error_view>("\0\5\0\1no NUL"sv).message == "no NUL");
    CHECK(decode_as<error_view>("\0\5\0\1text\0more"sv).message == "text");
    CHECK(decode_as<error_view>("\0\5\0\0"sv).message.empty());
    CHECK(decode_as<error_view>("\0\5\xff\xff\0"sv).code == static_cast<peer_errc>(65535));
    CHECK(error_of("\0\5\0"sv) == errc::malformed);
    CHECK(error_of("\0\5"sv) == errc::malformed);
}

TEST_CASE("OACK is decoded, also without options", "[wire][packet][rfc2347]") {
    CHECK(decode_as<oack_view>("\0\6blksize\0001468\0"sv).options.find("blksize") == "1468"sv);
    CHECK(decode_as<oack_view>("\0\6"sv).options.empty());
    CHECK(decode_as<oack_view>("\0\6blksize"sv).options.empty());
}

TEST_CASE("other opcodes are unknown", "[wire][packet]") {
    CHECK(error_of(""sv) == errc::malformed);
    CHECK(error_of("\0"sv) == errc::malformed);
    CHECK(error_of("\0\0rest"sv) == errc::unknown_opcode);
    CHECK(error_of("\0\7rest"sv) == errc::unknown_opcode);
    CHECK(error_of("\1\1file\0octet\0"sv) == errc::unknown_opcode);
    CHECK(error_of("\xff\xff"sv) == errc::unknown_opcode);
}

TEST_CASE("no prefix of a valid packet is read beyond its end", "[wire][packet]") {
    for (const std::string_view packet : valid_packets) {
        for (std::size_t size = 0; size <= packet.size(); ++size) {
            const result<packet_view> decoded = decode_exact({packet.data(), size});
            if (decoded.has_value()) {
                CHECK(walk(decoded.value()) < 65536);
            } else {
                CHECK(decoded.error().category() == tftp_category());
            }
        }
    }
}

TEST_CASE("random changes of valid packets are decoded or refused", "[wire][packet]") {
    std::mt19937_64 random(1350);
    std::size_t decoded_count = 0;
    for (int round = 0; round < 100'000; ++round) {
        std::string packet(valid_packets[random() % std::size(valid_packets)]);
        packet.resize(packet.size() - random() % std::min<std::size_t>(packet.size(), 6));
        for (std::uint64_t changes = random() % 4; changes != 0 && !packet.empty(); --changes) {
            packet[random() % packet.size()] = static_cast<char>(random() % 8 == 0 ? random() : 0);
        }
        const result<packet_view> decoded = decode_exact(packet);
        if (decoded.has_value()) {
            ++decoded_count;
            REQUIRE(walk(decoded.value()) < 65536);
        }
    }
    CHECK(decoded_count > 10'000);
}

TEST_CASE("DATA header and ACK are encoded in network order", "[wire][packet][rfc1350]") {
    std::array<std::byte, header_size> header{};
    encode_data_header(header, 0x1234);
    CHECK(text(header) == "\0\3\x12\x34"sv);
    CHECK(text(encode_ack(0xfffe)) == "\0\4\xff\xfe"sv);
    static_assert(encode_ack(1)[3] == std::byte{1});
}

TEST_CASE("ERROR is encoded and its text cut to what fits", "[wire][packet][rfc1350]") {
    std::array<std::byte, 32> out{};
    const auto encode = [&](std::string_view message, std::size_t room) {
        const result<std::size_t> size =
            encode_error(peer_errc::disk_full, message, bytes_span(out).first(room));
        return size ? text(bytes_view(out).first(size.value())) : std::string();
    };
    CHECK(encode("full", 32) == "\0\5\0\3full\0"sv);
    CHECK(encode("full", 9) == "\0\5\0\3full\0"sv);
    CHECK(encode("full", 8) == "\0\5\0\3ful\0"sv);
    CHECK(encode("full", 5) == "\0\5\0\3\0"sv);
    CHECK(encode("", 5) == "\0\5\0\3\0"sv);
    CHECK(encode("cut\0off"sv, 32) == "\0\5\0\3cut\0"sv);
    const result<std::size_t> none =
        encode_error(peer_errc::disk_full, "full", bytes_span(out).first(4));
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error() == errc::too_long);
}

TEST_CASE("requests are encoded with their options in a fixed order", "[wire][packet][rfc2347]") {
    std::array<std::byte, 600> out{};
    const result<std::size_t> plain =
        encode_request(opcode::rrq, "file", transfer_mode::netascii, {}, out);
    REQUIRE(plain.has_value());
    CHECK(text(bytes_view(out).first(plain.value())) == "\0\1file\0netascii\0"sv);

    const offer all{1468, 16, 5s, 1234567890123};
    const result<std::size_t> full =
        encode_request(opcode::wrq, "file", transfer_mode::octet, all, out);
    REQUIRE(full.has_value());
    CHECK(
        text(bytes_view(out).first(full.value())) ==
        "\0\2file\0octet\0blksize\0001468\0windowsize\00016\0"
        "timeout\0005\0tsize\0001234567890123\0"sv
    );
    for (std::size_t room = 0; room < full.value(); ++room) {
        const result<std::size_t> cut = encode_request(
            opcode::wrq, "file", transfer_mode::octet, all, bytes_span(out).first(room)
        );
        REQUIRE_FALSE(cut.has_value());
        CHECK(cut.error() == errc::too_long);
    }
}

TEST_CASE("a request is at most 512 bytes", "[wire][packet][rfc2347]") {
    std::array<std::byte, 600> out{};
    // 2 for the opcode, 1 for the NUL, 6 for the mode
    const std::string longest(512 - 9, 'a');
    const auto encode = [&](std::string_view name) {
        return encode_request(opcode::rrq, name, transfer_mode::octet, {}, out);
    };
    REQUIRE(encode(longest).has_value());
    CHECK(encode(longest).value() == 512);
    REQUIRE_FALSE(encode(longest + "a").has_value());
    CHECK(encode(longest + "a").error() == errc::too_long);
    CHECK(encode("").error() == errc::bad_name);
    CHECK(encode("a\0b"sv).error() == errc::bad_name);
}

TEST_CASE("an encoded request decodes to the same offer", "[wire][packet]") {
    std::array<std::byte, request_size_max> out{};
    const offer all{1468, 16, 255s, 0};
    const result<std::size_t> size =
        encode_request(opcode::rrq, "a file", transfer_mode::octet, all, out);
    REQUIRE(size.has_value());
    const result<packet_view> packet = decode(bytes_view(out).first(size.value()));
    REQUIRE(packet.has_value());
    const auto& request = std::get<request_view>(packet.value());
    CHECK(request.filename == "a file");
    const answer answered = answer_request(request, {}, 4321);
    CHECK(answered.agreed == parameters{1468, 16, 255s, 4321});
}

TEST_CASE("an OACK holds the accepted options and not one byte more", "[wire][packet][rfc2347]") {
    const auto request = decode_as<request_view>(
        "\0\1f\0octet\0TSIZE\0000\0foo\0bar\0BlkSize\00065564\0WINDOWSIZE\0004\0timeout\0005\0"sv
    );
    const answer answered = answer_request(request, {.blksize = 1468}, 123456);
    const std::string_view expected =
        "\0\6TSIZE\000123456\0BlkSize\0001468\0WINDOWSIZE\0004\0timeout\0005\0"sv;
    std::array<std::byte, 128> out{};
    const result<std::size_t> size = encode_oack(answered, out);
    REQUIRE(size.has_value());
    CHECK(size.value() == expected.size());
    CHECK(text(bytes_view(out).first(size.value())) == expected);
    for (std::size_t room = 0; room < expected.size(); ++room) {
        const result<std::size_t> cut = encode_oack(answered, bytes_span(out).first(room));
        REQUIRE_FALSE(cut.has_value());
        CHECK(cut.error() == errc::too_long);
    }
}

TEST_CASE("the largest OACK has room in 128 bytes", "[wire][packet]") {
    const auto request = decode_as<request_view>(
        "\0\2f\0octet\0tsize\00018446744073709551614\0blksize\00065464\0windowsize\00032767\0"
        "timeout\000255\0"sv
    );
    std::array<std::byte, 128> out{};
    const answer answered = answer_request(request, {65464, 32767, true}, std::nullopt);
    const result<std::size_t> size = encode_oack(answered, out);
    REQUIRE(size.has_value());
    const result<packet_view> packet = decode(bytes_view(out).first(size.value()));
    REQUIRE(packet.has_value());
    CHECK(std::get<oack_view>(packet.value()).options.find("tsize") == "18446744073709551614"sv);
}
