/* cores: how many of them the process may use. */
#ifndef INLET_BASE_CORES_H
#define INLET_BASE_CORES_H

#include <stdint.h>

/* Those of its affinity mask, and no more than the CPU quota of its control group and those above, rounded up; 1 at least. */
uint32_t cores_usable(void);
/* The second half of it, by /proc and /sys/fs/cgroup below `root` (cgroups(7), versions 1 and 2). */
uint32_t cores_within(uint32_t cores, const char *root);

#endif
