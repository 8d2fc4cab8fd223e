/* KPL aggregates: the input is the protobuf; magic and MD5 are put around it, as they would stop everything. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz.h"
#include "source/kpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const uint8_t magic[4] = {0xf3, 0x89, 0x9a, 0xc2};
    uint8_t *all = mem_alloc(n + 20);
    const uint8_t *data;
    size_t size, sum = 0;
    int32_t sub, count = 0;
    struct kpl k;
    memcpy(all, magic, 4);
    if (n)
        memcpy(all + 4, p, n);
    EVP_Digest(p, n, all + 4 + n, NULL, EVP_md5(), NULL);
    if (kpl_open(&k, all, n + 20)) {
        while (kpl_next(&k, &data, &size, &sub)) {
            invariant(sub == count++ && data >= all + 4 && data + size <= all + 4 + n);
            sum += size;
        }
        invariant(sum <= n);
    }
    invariant(!kpl_open(&k, p, n < 20 ? n : 19));
    free(all);
    return 0;
}

void fuzz_seeds(fuzz_add_fn *add)
{
    for (unsigned parts = 1; parts < 40; parts *= 3) {
        struct kpl_writer w = {0};
        struct buf out = {0};
        for (unsigned i = 0; i < parts; i++)
            kpl_writer_add(&w, i % 2 ? "one" : "another", (const uint8_t *)"{\"event_uuid\":1}", i % 17);
        kpl_writer_finish(&w, &out);
        add(out.p + 4, out.n - 20);
        kpl_writer_fini(&w);
        buf_fini(&out);
    }
}
