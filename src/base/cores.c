/* See cores.h. */
#include "base/cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* Two numbers at a file's beginning, or one; how many there are. "max" is none. */
static int numbers(const char *root, const char *dir, const char *group, const char *name, long long out[2])
{
    char *path = mem_printf("%s/sys/fs/cgroup/%s%s/%s", root, dir, group, name);
    FILE *f = fopen(path, "re");
    int n = f ? fscanf(f, "%lld %lld", &out[0], &out[1]) : 0;
    if (f)
        fclose(f);
    free(path);
    return n;
}

static uint32_t lesser(uint32_t cores, long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return cores;
    long long most = quota / period + (quota % period != 0);
    return most < cores ? (uint32_t)most : cores;
}

/* Of one group: version 2 has both numbers in one file, version 1 one in each of two. */
static uint32_t within_group(uint32_t cores, const char *root, const char *dir, const char *group)
{
    long long v[2], period[2];
    if (numbers(root, dir, group, "cpu.max", v) == 2)
        cores = lesser(cores, v[0], v[1]);
    if (numbers(root, dir, group, "cpu.cfs_quota_us", v) >= 1 && numbers(root, dir, group, "cpu.cfs_period_us", period) >= 1)
        cores = lesser(cores, v[0], period[0]);
    return cores;
}

/* And of all above it. A container sees its own group as the uppermost one, whatever its path says. */
static uint32_t within_groups(uint32_t cores, const char *root, const char *dir, const char *path)
{
    char *group = mem_strdup(path);
    for (char *end = group + strlen(group); end > group; end = strrchr(group, '/')) {
        *end = '\0';
        cores = within_group(cores, root, dir, group);
    }
    free(group);
    return within_group(cores, root, dir, "");
}

static bool is_among(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (; list; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, name, n) == 0 && (list[n] == ',' || !list[n]))
            return true;
    }
    return false;
}

/* A line is number:controllers:path; version 2's has no controllers. */
static uint32_t within_line(uint32_t cores, const char *root, char *line)
{
    char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
    if (!group)
        return cores;
    *group++ = '\0';
    list++;
    group[strcspn(group, "\n")] = '\0';
    if (!*list)
        return within_groups(within_groups(cores, root, "unified", group), root, "", group);
    if (!is_among(list, "cpu"))
        return cores;
    cores = within_groups(cores, root, "cpu", group);
    return strcmp(list, "cpu") == 0 ? cores : within_groups(cores, root, list, group);
}

uint32_t cores_within(uint32_t cores, const char *root)
{
    char *path = mem_printf("%s/proc/self/cgroup", root), *line = NULL;
    FILE *f = fopen(path, "re");
    size_t cap = 0;
    while (f && getline(&line, &cap, f) > 0)
        cores = within_line(cores, root, line);
    if (f)
        fclose(f);
    free(line);
    free(path);
    return cores ? cores : 1;
}

/* A mask that is too small for the machine is refused: then all there are. */
static uint32_t in_mask(void)
{
    cpu_set_t mask;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int n = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : (int)online;
    return n > 0 ? (uint32_t)n : 1;
}

uint32_t cores_usable(void)
{
    return cores_within(in_mask(), "");
}
