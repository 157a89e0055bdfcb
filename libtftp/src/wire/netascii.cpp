#include <tftp/wire/netascii.hpp>

#include <utility>

namespace tftp {

namespace {

constexpr std::byte nul{'\0'};
constexpr std::byte lf{'\n'};
constexpr std::byte cr{'\r'};

} // namespace

netascii_progress netascii_encoder::encode(bytes_view in, bytes_span out) noexcept {
    netascii_progress done;
    while (done.produced < out.size()) {
        if (pending_) {
            out[done.produced++] = *std::exchange(pending_, std::nullopt);
            continue;
        }
        if (done.consumed == in.size()) {
            break;
        }
        const std::byte byte = in[done.consumed++];
        if (byte == lf || byte == cr) {
            out[done.produced++] = cr;
            pending_ = byte == lf ? lf : nul;
        } else {
            out[done.produced++] = byte;
        }
    }
    return done;
}

netascii_progress netascii_decoder::decode(bytes_view in, bytes_span out) noexcept {
    netascii_progress done;
    while (done.consumed < in.size() && done.produced < out.size()) {
        const std::byte byte = in[done.consumed];
        if (!after_cr_) {
            ++done.consumed;
            if (byte == cr) {
                after_cr_ = true;
            } else {
                out[done.produced++] = byte;
            }
            continue;
        }
        after_cr_ = false;
        if (byte == lf || byte == nul) {
            ++done.consumed;
            out[done.produced++] = byte == lf ? lf : cr;
        } else {
            // Not a pair: the CR stands for itself, and the byte is looked at again.
            out[done.produced++] = cr;
        }
    }
    return done;
}

std::optional<std::byte> netascii_decoder::finish() noexcept {
    return std::exchange(after_cr_, false) ? std::optional(cr) : std::nullopt;
}

} // namespace tftp
