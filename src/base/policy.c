/* SCHED_BATCH, which Linux gives without privileges: see policy.h. */
#include "base/policy.h"

#include <sched.h>

static void change(int from, int to)
{
    const struct sched_param none = {0};
    if (sched_getscheduler(0) == from)
        sched_setscheduler(0, to, &none);
}

void policy_batch(void)
{
    change(SCHED_OTHER, SCHED_BATCH);
}

void policy_yield(void)
{
    sched_yield();
}

void policy_prompt(void)
{
    change(SCHED_BATCH, SCHED_OTHER);
}
