/* A C program that uses each function of tftp.h.
 *
 * usage: program URL DIRECTORY   (URL ends in a slash; the server takes uploads)
 * Exits with 0, or says which line did not hold. */

#include <stdio.h>
#include <string.h>
#include <tftp.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* Bytes that come or go. */
struct text {
    char bytes[64];
    size_t used;
};

static int append(void* user, const void* data, size_t size) {
    struct text* all = user;
    if (size > sizeof all->bytes - all->used) {
        return 1;
    }
    memcpy(all->bytes + all->used, data, size);
    all->used += size;
    return 0;
}

static int take(void* user, void* buffer, size_t capacity, size_t* size) {
    struct text* left = user;
    *size = left->used < capacity ? left->used : capacity;
    memcpy(buffer, left->bytes, *size);
    left->used -= *size;
    memmove(left->bytes, left->bytes + *size, left->used);
    return 0;
}

int main(int argc, char** argv) {
    char url[256];
    char missing[256];
    char path[256];
    const struct tftp_options options = {.size = sizeof options, .timeout_ms = 20000};
    struct tftp_result result;
    struct text sent = {"from a function", 15};
    struct text came = {"", 0};
    void* data = NULL;
    size_t size = 0;

    CHECK(argc == 3);
    snprintf(url, sizeof url, "%sfile", argv[1]);
    snprintf(missing, sizeof missing, "%smissing", argv[1]);
    snprintf(path, sizeof path, "%s/file", argv[2]);
    printf("%s\n", tftp_version());

    CHECK(tftp_put_memory(url, "hello", 5, &options, &result) == TFTP_OK);
    CHECK(result.bytes == 5);
    CHECK(tftp_get_file(url, path, &options, NULL) == TFTP_OK);
    CHECK(tftp_put_callback(url, take, &sent, 15, &options, NULL) == TFTP_OK);
    CHECK(tftp_get_callback(url, append, &came, &options, NULL) == TFTP_OK);
    CHECK(came.used == 15 && memcmp(came.bytes, "from a function", 15) == 0);
    CHECK(tftp_put_file(url, path, NULL, &result) == TFTP_OK);
    CHECK(tftp_get_memory(url, &data, &size, NULL, &result) == TFTP_OK);
    CHECK(size == 5 && strcmp(data, "hello") == 0);
    tftp_free(data);
    CHECK(tftp_get_memory(missing, &data, &size, NULL, &result) == TFTP_NOT_FOUND);
    CHECK(data == NULL && result.side == TFTP_SIDE_SERVER && result.server_code == 1);
    printf("%s\n", result.message);
    return 0;
}
