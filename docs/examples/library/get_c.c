/* Shows: a file of a server in C, by one call. The program needs a C compiler and libtftp-c.
 *
 * Run:     get_c tftp://127.0.0.1:6969/boot.cfg
 * Observe: the file on the standard output; else one line that says why not, and the status of
 *          tftp(1), which is also the number of the error. */

#include <stdio.h>
#include <string.h>
#include <tftp.h>

static const char usage[] = "usage: get_c tftp://HOST[:PORT]/FILE[;mode=netascii]\n";

int main(int argc, char** argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc != 2) {
        fputs(usage, stderr);
        return 2;
    }
    const struct tftp_options options = {.size = sizeof options, .timeout_ms = 5000};
    struct tftp_result result;
    void* data;
    size_t size;
    if (tftp_get_memory(argv[1], &data, &size, &options, &result) != TFTP_OK) {
        fprintf(stderr, "get_c: %s\n", result.message);
        return (int)result.status;
    }
    fwrite(data, 1, size, stdout);
    tftp_free(data);
    return 0;
}
