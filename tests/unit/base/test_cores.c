/* cores: quotas of control groups, as cgroups(7) and the kernel's cgroup-v2 and sched-bwc documents have them, below a root of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cores.h"
#include "base/mem.h"

static char *root;

static void put(const char *path, const char *text)
{
    char *whole = mem_printf("%s/%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        mkdir(whole, 0700);
    }
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(whole);
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/inlet-cores-XXXXXX";
    root = mkdtemp(name) ? mem_strdup(name) : NULL;
    return root ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char *command = mem_printf("rm -rf '%s'", root);
    int rc = system(command);
    free(command);
    free(root);
    return rc;
}

static void nothing_known(void **state)
{
    (void)state;
    assert_int_equal(cores_within(8, root), 8);
    assert_int_equal(cores_within(0, root), 1);
    put("proc/self/cgroup", "0::/\n");
    assert_int_equal(cores_within(8, root), 8);
    put("proc/self/cgroup", "nonsense\n:\n::\n7\n");
    assert_int_equal(cores_within(8, root), 8);
    put("sys/fs/cgroup/cpu.max", "");
    put("proc/self/cgroup", "0::/");
    assert_int_equal(cores_within(8, root), 8);
}

static void version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/kubepods.slice/pod.slice/one.scope\n");
    put("sys/fs/cgroup/kubepods.slice/pod.slice/one.scope/cpu.max", "max 100000\n");
    assert_int_equal(cores_within(8, root), 8);
    put("sys/fs/cgroup/kubepods.slice/pod.slice/cpu.max", "250000 100000\n"); /* what is above counts */
    assert_int_equal(cores_within(8, root), 3);
    assert_int_equal(cores_within(2, root), 2);
    put("sys/fs/cgroup/kubepods.slice/pod.slice/one.scope/cpu.max", "100000 50000\n");
    assert_int_equal(cores_within(8, root), 2);
    put("sys/fs/cgroup/cpu.max", "25000 100000\n"); /* a container's own */
    assert_int_equal(cores_within(8, root), 1);
}

static void version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:cpuset:/a\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/cpu\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_within(8, root), 8);
    put("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(cores_within(8, root), 4);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_within(8, root), 2);
    put("proc/self/cgroup", "4:cpuacct:/\n"); /* not ours */
    assert_int_equal(cores_within(8, root), 8);
}

static void of_the_mask(void **state)
{
    cpu_set_t all, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_true(cores_usable() >= 1 && cores_usable() <= (uint32_t)CPU_COUNT(&all));
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(cores_usable(), 1);
    sched_setaffinity(0, sizeof all, &all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_known, setup, teardown),
        cmocka_unit_test_setup_teardown(version_2, setup, teardown),
        cmocka_unit_test_setup_teardown(version_1, setup, teardown),
        cmocka_unit_test(of_the_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
