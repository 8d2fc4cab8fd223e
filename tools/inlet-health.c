/* The container's health check, for an image that has no shell and no HTTP client:
 * inlet-health HOST:PORT asks http://HOST:PORT/healthz and ends with 0 if the answer is 200, with 1 and a line if
 * not. HOST is an IPv4 address. It waits 4 seconds at most, less than the container's own limit. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    const char *at = argc > 1 ? argv[1] : "127.0.0.1:8080", *colon = strrchr(at, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = 4};
    char host[64], answer[512];
    size_t n = 0;
    if (!colon || (size_t)(colon - at) >= sizeof host) {
        fprintf(stderr, "inlet-health: HOST:PORT is needed, not %s\n", at);
        return 1;
    }
    memcpy(host, at, (size_t)(colon - at));
    host[colon - at] = 0;
    to.sin_port = htons((unsigned short)atoi(colon + 1));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        fprintf(stderr, "inlet-health: %s is no IPv4 address\n", host);
        return 1;
    }
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
        setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit))
        return fail("inlet-health: socket");
    if (connect(s, (const struct sockaddr *)(const void *)&to, sizeof to))
        return fail(at);
    static const char ask[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    if (write(s, ask, sizeof ask - 1) != (ssize_t)(sizeof ask - 1))
        return fail(at);
    for (ssize_t got; n < sizeof answer - 1; n += (size_t)got) {
        got = read(s, answer + n, sizeof answer - 1 - n);
        if (got < 0)
            return fail(at);
        if (got == 0)
            break;
    }
    answer[n] = 0;
    if (n > 12 && strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0)
        return 0;
    const char *body = strstr(answer, "\r\n\r\n");
    printf("%.12s %s\n", answer, body ? body + 4 : "");
    return 1;
}
