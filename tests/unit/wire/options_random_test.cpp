#include <tftp/wire/options.hpp>
#include <tftp/wire/packet.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <random>
#include <string_view>

using namespace tftp;
using namespace std::string_view_literals;

namespace {

constexpr int rounds = 1'000'000;

constexpr std::string_view names[] = {
    "blksize",
    "timeout",
    "tsize",
    "windowsize",
    "BLKSIZE",
    "Timeout",
    "tSIZE",
    "WindowSize",
    "blksize2",
    "utimeout",
    "rollover",
    "multicast",
    "x",
};

constexpr std::string_view odd_values[] = {
    "",
    "-1",
    "-65000",
    "abc",
    "0",
    "1",
    "7",
    "8",
    "255",
    "256",
    "65464",
    "65465",
    "65535",
    "65536",
    "1e9",
    " 512",
    "+5",
    "0x10",
    "00000000000000000000000000000512",
    "4294967296",
    "4294967304",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999",
};

/// One random option set, laid out as the tail of a request, without allocation.
class random_options {
public:
    explicit random_options(std::mt19937_64& random) {
        const std::size_t count = random() % 8;
        for (std::size_t i = 0; i < count; ++i) {
            append(names[random() % std::size(names)]);
            if (random() % 2 == 0) {
                append(odd_values[random() % std::size(odd_values)]);
            } else {
                std::array<char, 24> digits{};
                const std::uint64_t number = random() >> (random() % 64);
                const auto end =
                    std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
                append({digits.data(), static_cast<std::size_t>(end - digits.data())});
            }
        }
        if (random() % 8 == 0 && size_ != 0) {
            size_ -= 1 + random() % std::min<std::size_t>(size_, 3);
        }
    }

    [[nodiscard]] std::string_view tail() const { return {text_.data(), size_}; }

private:
    void append(std::string_view text) {
        std::memcpy(text_.data() + size_, text.data(), text.size());
        size_ += text.size() + 1;
    }

    std::array<char, 512> text_{};
    std::size_t size_ = 0;
};

constexpr std::uint64_t too_large = ~std::uint64_t{0};

/// The judge's own reading of a number: nothing for what is none, `too_large` from 10^18 on.
std::optional<std::uint64_t> number(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
        return std::nullopt;
    }
    text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
    if (text.size() > 18) {
        return too_large;
    }
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return lower(x) == lower(y);
    });
}

/// Returns true when the RFCs allow this pair in an OACK to a request that asked `asked`.
bool legal(
    const option_list::entry& given,
    const option_list::entry& asked,
    const request_view& request,
    const option_limits& limits,
    std::uint64_t file_size
) {
    const auto value = number(given.value);
    const auto wanted = number(asked.value);
    if (!value || !wanted || given.name != asked.name) {
        return false;
    }
    if (same_name(given.name, "blksize")) {
        return *value == std::min<std::uint64_t>(*wanted, limits.blksize) && *value >= 8 &&
               *value <= 65464;
    }
    if (same_name(given.name, "windowsize")) {
        return *value == std::min<std::uint64_t>(*wanted, limits.windowsize) && *value >= 1;
    }
    if (same_name(given.name, "timeout")) {
        return *value == *wanted && *value >= 1 && *value <= 255 && limits.allow_timeout;
    }
    if (same_name(given.name, "tsize") && request.mode == transfer_mode::octet) {
        return request.op == opcode::rrq ? *value == file_size : *value == *wanted;
    }
    return false;
}

/// Returns what is wrong with the answer to `request`, or nothing.
const char*
judge(const request_view& request, const option_limits& limits, std::uint64_t file_size) {
    const answer answered = answer_request(request, limits, file_size);
    if (!answered.needs_oack()) {
        return answered.agreed == parameters{} ? nullptr : "agreed without an OACK";
    }
    std::array<std::byte, 512> out{};
    const result<std::size_t> size = encode_oack(answered, out);
    if (!size) {
        return "OACK does not fit";
    }
    const result<packet_view> packet = decode(bytes_view(out).first(size.value()));
    const auto* oack = packet ? std::get_if<oack_view>(&packet.value()) : nullptr;
    if (oack == nullptr) {
        return "not an OACK";
    }
    std::size_t bytes = 2;
    option_list::iterator asked = request.options.begin();
    for (const option_list::entry& given : oack->options) {
        bytes += given.name.size() + given.value.size() + 2;
        // In the client's order, so the search goes on where the last one ended.
        while (asked != request.options.end() && !same_name((*asked).name, given.name)) {
            ++asked;
        }
        if (asked == request.options.end()) {
            return "an option that was not asked, twice, or out of order";
        }
        for (const option_list::entry& earlier : request.options) {
            if (same_name(earlier.name, given.name)) {
                if (!legal(given, earlier, request, limits, file_size)) {
                    return "an illegal value";
                }
                break;
            }
        }
        ++asked;
        std::size_t times = 0;
        for (const option_list::entry& other : oack->options) {
            times += same_name(other.name, given.name) ? 1U : 0U;
        }
        if (times != 1) {
            return "an option twice";
        }
    }
    return bytes == size.value() ? nullptr : "stray bytes";
}

} // namespace

TEST_CASE("a million random option sets get not one illegal OACK", "[wire][options][rfc2347]") {
    constexpr std::uint64_t seed = 0x7f7470;
    std::mt19937_64 random(seed);
    int failures = 0;
    int oacks = 0;
    for (int round = 0; round < rounds; ++round) {
        const random_options options(random);
        const request_view request{
            random() % 2 == 0 ? opcode::rrq : opcode::wrq,
            random() % 4 == 0 ? transfer_mode::netascii : transfer_mode::octet,
            "file",
            option_list(options.tail())};
        option_limits limits;
        limits.blksize = static_cast<std::uint16_t>(8 + random() % (65464 - 8 + 1));
        limits.windowsize = static_cast<std::uint16_t>(1 + random() % windowsize_max);
        limits.allow_timeout = random() % 4 != 0;
        const std::uint64_t file_size = 1 + random() % 1'000'000'000'000;
        if (const char* complaint = judge(request, limits, file_size)) {
            CAPTURE(round, complaint);
            ++failures;
            CHECK(complaint == nullptr);
            REQUIRE(failures < 10);
        }
        oacks += answer_request(request, limits, file_size).needs_oack() ? 1 : 0;
    }
    // The generator is of use only if it reaches both outcomes often.
    CHECK(oacks > rounds / 4);
    CHECK(oacks < rounds);
}

TEST_CASE("random OACKs never raise what a client asked", "[wire][options][rfc2347]") {
    std::mt19937_64 random(42);
    int accepted = 0;
    for (int round = 0; round < 200'000; ++round) {
        const random_options options(random);
        offer sent;
        if (random() % 4 != 0) {
            sent.blksize = static_cast<std::uint16_t>(8 + random() % (65464 - 8 + 1));
        }
        if (random() % 4 != 0) {
            sent.windowsize = static_cast<std::uint16_t>(1 + random() % windowsize_max);
        }
        if (random() % 4 != 0) {
            sent.timeout = std::chrono::seconds(1 + random() % 255);
        }
        if (random() % 4 != 0) {
            sent.tsize = 0;
        }
        const result<parameters> agreed = accept_oack({option_list(options.tail())}, sent);
        if (!agreed) {
            continue;
        }
        ++accepted;
        REQUIRE(agreed.value().blksize >= blksize_min);
        REQUIRE(agreed.value().blksize <= std::max(sent.blksize.value_or(0), blksize_default));
        REQUIRE(agreed.value().windowsize >= 1);
        REQUIRE(agreed.value().windowsize <= sent.windowsize.value_or(1));
        REQUIRE((!agreed.value().timeout || agreed.value().timeout == sent.timeout));
        REQUIRE((!agreed.value().tsize || sent.tsize));
    }
    CHECK(accepted > 1000);
}
