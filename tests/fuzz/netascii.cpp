// Netascii in pieces of any size is what it is in one piece; text comes back as it was; and the
// source of a transfer gives the same bytes each time a window is read again.
//
// Input: sizes of the pieces, then the text.
#include "fuzz/fuzz.hpp"

#include <tftp/content/sink.hpp>
#include <tftp/content/source.hpp>
#include <tftp/wire/netascii.hpp>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace tftp;
using fuzz::require;

namespace {

std::string encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            out += "\r\n";
        } else if (c == '\r') {
            out.append("\r\0", 2);
        } else {
            out += c;
        }
    }
    return out;
}

std::string decoded(std::string_view netascii) {
    std::string out;
    for (std::size_t i = 0; i < netascii.size(); ++i) {
        const char next = i + 1 < netascii.size() ? netascii[i + 1] : 'x';
        const bool pair = netascii[i] == '\r' && (next == '\n' || next == '\0');
        out += pair && next == '\n' ? '\n' : netascii[i];
        i += pair ? 1U : 0U;
    }
    return out;
}

bytes_view octets_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

/// Sizes of pieces, again and again.
class pieces {
public:
    explicit pieces(bytes_view sizes) : sizes_(sizes) {}

    std::size_t next() {
        at_ = (at_ + 1) % sizes_.size();
        return std::to_integer<std::size_t>(sizes_[at_]) % 17;
    }

private:
    bytes_view sizes_;
    std::size_t at_ = 0;
};

/// Runs `step` over `text` in pieces; two of them are never empty one after the other.
template <class Step>
std::string in_pieces(std::string_view text, pieces sizes, Step&& step) {
    std::string all;
    for (unsigned stalled = 0; !text.empty();) {
        std::array<std::byte, 17> out{};
        const std::size_t take = std::min(sizes.next() + (stalled > 2 ? 1 : 0), text.size());
        const std::size_t room = sizes.next() + (stalled > 2 ? 1 : 0);
        const netascii_progress done = step(
            octets_of(text.substr(0, take)), bytes_span(out).first(std::min(room, out.size()))
        );
        require(done.consumed <= take && done.produced <= room, "more than there was room for");
        all += fuzz::as_text(bytes_view(out).first(done.produced));
        text.remove_prefix(done.consumed);
        stalled = done.consumed == 0 ? stalled + 1 : 0;
        require(stalled < 8, "a piece that is never taken");
    }
    return all;
}

void check_encoder(std::string_view text, const pieces& sizes) {
    netascii_encoder encoder;
    std::string all = in_pieces(text, sizes, [&](bytes_view in, bytes_span out) {
        return encoder.encode(in, out);
    });
    while (encoder.pending()) {
        std::array<std::byte, 1> out{};
        require(encoder.encode({}, out).produced == 1, "the second octet of a pair is lost");
        all += fuzz::as_text(out);
    }
    require(all == encoded(text), "another netascii");
    require(decoded(all) == text, "the text does not come back");
}

std::string check_decoder(std::string_view netascii, const pieces& sizes) {
    netascii_decoder decoder;
    std::string all = in_pieces(netascii, sizes, [&](bytes_view in, bytes_span out) {
        return decoder.decode(in, out);
    });
    if (const auto last = decoder.finish()) {
        all += static_cast<char>(*last);
    }
    require(!decoder.finish(), "the stream ends twice");
    require(all == decoded(netascii), "another text");
    return all;
}

/// Reads blocks as a sender does: a run, then from somewhere in it again.
void check_source(std::string_view text, std::size_t blksize, pieces sizes) {
    const std::string expected = encoded(text);
    const std::size_t window = blksize * 4;
    netascii_source source(std::make_shared<memory_source>(octets_of(text)), window);
    std::vector<std::byte> memory(window);
    std::uint64_t base = 0;
    bool stalled = false;
    for (bool ended = false; !ended;) {
        const std::size_t count = 1 + sizes.next() % 4;
        const ::iovec gap{memory.data(), blksize * count};
        const auto got = source.read(base, std::span(&gap, 1));
        require(got.has_value(), "a read fails");
        const std::string_view wanted = std::string_view(expected).substr(base, gap.iov_len);
        require(fuzz::as_text(bytes_view(memory).first(got->bytes)) == wanted, "other octets");
        ended = got->end && got->bytes < gap.iov_len;
        require(got->end == (base + wanted.size() == expected.size()), "the end is mistaken");
        // Some of these blocks are acknowledged, at least one every other time.
        const std::size_t acknowledged = stalled ? 1 : sizes.next() % (count + 1);
        stalled = acknowledged == 0;
        base += blksize * acknowledged;
    }
}

/// Stores netascii in payloads of any size.
void check_sink(std::string_view netascii, pieces sizes) {
    const auto memory = std::make_shared<memory_sink>(1 << 20);
    netascii_sink sink(memory);
    for (std::size_t at = 0; at < netascii.size();) {
        std::string first(netascii.substr(at, sizes.next()));
        std::string second(netascii.substr(at + first.size(), 1 + sizes.next()));
        const ::iovec payloads[] = {{first.data(), first.size()}, {second.data(), second.size()}};
        require(!sink.write(at, payloads), "a write fails");
        at += first.size() + second.size();
    }
    require(!sink.commit() && memory->committed(), "the commit fails");
    require(fuzz::as_text(memory->content()) == decoded(netascii), "another text is stored");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::input in(data, size);
    const std::size_t blksize = 1 + in.u8();
    std::vector<std::byte> sizes(1, std::byte{1});
    for (const std::byte each : in.bytes(in.u8() % 8)) {
        sizes.push_back(each);
    }
    const pieces p(sizes);
    const std::string text(fuzz::as_text(in.rest()));
    check_encoder(text, p);
    check_decoder(text, p);
    require(check_decoder(encoded(text), p) == text, "the round trip alters the text");
    check_source(text, blksize, p);
    check_sink(text, p);
    return 0;
}
