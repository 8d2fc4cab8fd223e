/* queue and budget: alone, and between threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/queue.h"

static void queue_alone(void **state)
{
    int items[4];
    struct queue *q = queue_new(2);
    (void)state;
    assert_null(queue_pop_wait(q, 0));
    int64_t before = clock_mono_ns();
    assert_null(queue_pop_wait(q, 20));
    assert_true(clock_mono_ns() - before >= 19000000);
    assert_true(queue_push(q, &items[0]));
    assert_true(queue_try_push(q, &items[1]));
    assert_false(queue_try_push(q, &items[2]));
    assert_int_equal(queue_count(q), 2);
    assert_ptr_equal(queue_pop(q), &items[0]);
    assert_true(queue_push(q, &items[2])); /* around the ring's end */
    assert_ptr_equal(queue_pop(q), &items[1]);
    assert_true(queue_push_first(q, &items[1])); /* ... and back */
    queue_close(q);
    assert_false(queue_push_first(q, &items[3]));
    assert_false(queue_push(q, &items[3]));
    assert_false(queue_try_push(q, &items[3]));
    assert_ptr_equal(queue_pop(q), &items[1]); /* what is in still comes out */
    assert_ptr_equal(queue_pop_wait(q, 1000), &items[2]);
    assert_null(queue_pop(q));
    assert_null(queue_pop_wait(q, 1000));
    queue_free(q);
    queue_free(NULL);
}

/* Whoever is in front of all comes next, from an empty queue as well, and before the ring's beginning. */
static void queue_first(void **state)
{
    int items[3];
    struct queue *q = queue_new(3);
    (void)state;
    assert_true(queue_push_first(q, &items[0]));
    assert_true(queue_push(q, &items[1]));
    assert_true(queue_push_first(q, &items[2]));
    assert_false(queue_try_push(q, &items[0]));
    assert_ptr_equal(queue_pop(q), &items[2]);
    assert_ptr_equal(queue_pop(q), &items[0]);
    assert_ptr_equal(queue_pop(q), &items[1]);
    assert_int_equal(queue_count(q), 0);
    queue_free(q);
}

#define ITEMS 50000
static int numbers[2 * ITEMS];
static atomic_int got[2 * ITEMS];

static void *producer(void *arg)
{
    struct queue *q = arg;
    for (int i = 0; i < ITEMS; i++)
        if (!queue_push(q, &numbers[i]))
            abort();
    return NULL;
}

static void *consumer(void *arg)
{
    intptr_t last = -1, ordered = 1;
    for (int *p; (p = queue_pop(arg)); last = p - numbers) {
        atomic_fetch_add(&got[p - numbers], 1);
        ordered &= p - numbers > last;
    }
    return (void *)ordered;
}

/* Through a narrow queue, all comes once and, to one consumer, in order. */
static void queue_two_threads(void **state)
{
    struct queue *q = queue_new(3);
    pthread_t t;
    (void)state;
    pthread_create(&t, NULL, producer, q);
    for (int i = 0; i < ITEMS; i++)
        assert_ptr_equal(queue_pop(q), &numbers[i]);
    pthread_join(t, NULL);
    pthread_t c[2];
    pthread_create(&c[0], NULL, consumer, q);
    pthread_create(&c[1], NULL, consumer, q);
    producer(q);
    queue_close(q);
    for (int i = 0; i < 2; i++) {
        void *ordered;
        pthread_join(c[i], &ordered);
        assert_non_null(ordered);
    }
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(got[i], 1);
    queue_free(q);
}

static void *pop_one(void *arg)
{
    return queue_pop(arg);
}

static void *push_one(void *arg)
{
    return queue_push(arg, &numbers[0]) ? arg : NULL;
}

/* Closing wakes those who wait, on either side. */
static void queue_close_wakes(void **state)
{
    pthread_t t;
    void *r = numbers;
    (void)state;
    struct queue *q = queue_new(1);
    pthread_create(&t, NULL, pop_one, q);
    clock_system.sleep_ms(NULL, 20);
    queue_close(q);
    pthread_join(t, &r);
    assert_null(r);
    queue_free(q);
    q = queue_new(1);
    queue_push(q, numbers);
    pthread_create(&t, NULL, push_one, q);
    clock_system.sleep_ms(NULL, 20);
    queue_close(q);
    pthread_join(t, &r);
    assert_null(r);
    queue_free(q);
}

static void budget_alone(void **state)
{
    struct budget *b = budget_new(100);
    (void)state;
    assert_int_equal(budget_limit(b), 100);
    assert_true(budget_take(b, 60));
    assert_false(budget_try_take(b, 41));
    assert_true(budget_try_take(b, 40));
    assert_false(budget_try_take(b, SIZE_MAX));
    budget_force(b, 30);
    assert_int_equal(budget_used(b), 130);
    assert_false(budget_try_take(b, 1));
    budget_give(b, 130);
    assert_int_equal(budget_used(b), 0);
    assert_int_equal(budget_peak(b), 130);
    assert_true(budget_take(b, 1000)); /* oversized, but alone */
    assert_false(budget_try_take(b, 1));
    budget_give(b, 1000);
    int64_t before = clock_mono_ns();
    assert_true(budget_take_within(b, 100, 10000));
    assert_false(budget_take_within(b, 1, 30));
    budget_give(b, 100);
    budget_close(b);
    assert_false(budget_take_within(b, 1, 30));
    assert_true(clock_mono_ns() - before >= 60000000);
    assert_false(budget_take(b, 1));
    assert_false(budget_try_take(b, 1));
    budget_free(b);
    budget_free(NULL);
}

static atomic_size_t held, most;

static void *spender(void *arg)
{
    struct budget *b = arg;
    for (size_t i = 0; i < 20000; i++) {
        size_t n = 1 + i * 7 % 60;
        if (!budget_take(b, n))
            abort();
        size_t now = atomic_fetch_add(&held, n) + n, old = most;
        while (now > old && !atomic_compare_exchange_weak(&most, &old, now)) {
        }
        atomic_fetch_sub(&held, n);
        budget_give(b, n);
    }
    return NULL;
}

static void *take_fifty(void *arg)
{
    return budget_take(arg, 50) ? arg : NULL;
}

static void *take_fifty_soon(void *arg)
{
    return budget_take_within(arg, 50, 60000) ? arg : NULL;
}

static void budget_wakes_who_waits(void **state)
{
    struct budget *b = budget_new(100);
    pthread_t t;
    void *r = NULL;
    (void)state;
    int64_t before = clock_mono_ns();
    budget_take(b, 80);
    pthread_create(&t, NULL, take_fifty_soon, b);
    clock_system.sleep_ms(NULL, 20);
    budget_give(b, 80);
    pthread_join(t, &r);
    assert_ptr_equal(r, b);
    assert_true(clock_mono_ns() - before < 30000000000);
    assert_int_equal(budget_used(b), 50);
    budget_free(b);
}

/* With a low mark a gift that leaves more does not wake who waits for a time. Whether he waited already is the scheduler's: so
 * it is seen in some of the tries. */
static void budget_wakes_at_low(void **state)
{
    bool slept_on = false;
    (void)state;
    int64_t before = clock_mono_ns();
    for (int tries = 0; tries < 100 && !slept_on; tries++) {
        struct budget *b = budget_new(100);
        pthread_t t;
        void *r = NULL;
        budget_wake_at(b, 20);
        budget_take(b, 100);
        pthread_create(&t, NULL, take_fifty_soon, b);
        clock_system.sleep_ms(NULL, 5 + tries);
        budget_give(b, 60); /* there is room for 50, but 40 are in use */
        clock_system.sleep_ms(NULL, 5);
        slept_on = budget_used(b) == 40;
        budget_give(b, 20); /* this does wake him */
        pthread_join(t, &r);
        assert_ptr_equal(r, b);
        assert_int_equal(budget_used(b), 70);
        pthread_create(&t, NULL, take_fifty, b); /* who waits without end is always woken */
        clock_system.sleep_ms(NULL, 5);
        budget_give(b, 20);
        pthread_join(t, &r);
        assert_ptr_equal(r, b);
        budget_free(b);
    }
    assert_true(slept_on);
    assert_true(clock_mono_ns() - before < 50000000000);
}

static void budget_two_threads(void **state)
{
    struct budget *b = budget_new(100);
    pthread_t t;
    void *r = numbers;
    (void)state;
    pthread_create(&t, NULL, spender, b);
    spender(b);
    pthread_join(t, NULL);
    assert_int_equal(budget_used(b), 0);
    assert_true(most <= 100 && budget_peak(b) <= 100);
    budget_take(b, 80);
    pthread_create(&t, NULL, take_fifty, b);
    clock_system.sleep_ms(NULL, 20);
    budget_close(b); /* wakes him, with nothing */
    pthread_join(t, &r);
    assert_null(r);
    budget_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_alone),        cmocka_unit_test(queue_first),
        cmocka_unit_test(queue_two_threads),  cmocka_unit_test(queue_close_wakes),
        cmocka_unit_test(budget_alone),
        cmocka_unit_test(budget_two_threads), cmocka_unit_test(budget_wakes_who_waits),
        cmocka_unit_test(budget_wakes_at_low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
