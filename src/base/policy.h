/* policy: how the system's scheduler is to treat the calling thread; threads that it starts inherit it. */
#ifndef INLET_BASE_POLICY_H
#define INLET_BASE_POLICY_H

/* For threads that compute for long: when one is woken, it waits for its turn, instead of interrupting another that shares its
 * core. Nothing happens where a policy was chosen by who started us, or the system will not have it. */
void policy_batch(void);

/* Takes that back. */
void policy_prompt(void);

/* Between two pieces of long work: whoever waits for this core comes first. */
void policy_yield(void);

#endif
