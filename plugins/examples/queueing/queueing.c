/*
 * A plugin in C: run times on a busy machine, as a queue with several servers predicts them.
 *
 * The worker is an M/M/k queue: k cores, of which its running calls keep worker_cpu_cores busy. A
 * call waits for a core with the probability that Erlang's formula C gives, and then for
 * service / (k - busy) on average. So the run time is
 *
 *     service_ns * (1 + C(k, busy) / (k - busy))
 *
 * Beyond 99 % of k the queue would grow without end; there the run time is that at 99 %.
 *
 * Configuration, all fields optional:
 *
 *     {"cores": 4, "service_ns": 10000000, "cpu_cores": 1, "ram_bytes": 64000000}
 *
 * Build:
 *
 *     cc -std=c99 -O2 -shared -fPIC -I plugins/abi/include -o libqueueing.so queueing.c
 */

#include "hyperfake_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct queueing {
    double cores;
    double service_ns;
    double cpu_cores;
    double ram_bytes;
} queueing;

static const char *skip_space(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* Where the field of this name is kept, or null. */
static double *field(queueing *queue, const char *name, size_t length)
{
    static const char *const names[] = {"cores", "service_ns", "cpu_cores", "ram_bytes"};
    double *const places[] = {&queue->cores, &queue->service_ns, &queue->cpu_cores,
                              &queue->ram_bytes};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
            return places[i];
        }
    }
    return NULL;
}

/*
 * Reads an object of numbers. The host has found it to be JSON, so that only what a field is called
 * and of what type it is can be wrong. Returns 0 or, with a reason, -1.
 */
static int read_config(queueing *queue, const char *config, char *error, size_t error_capacity)
{
    const char *at = skip_space(skip_space(config) + 1);
    while (*at != '}') {
        const char *name = at + 1;
        const size_t length = strcspn(name, "\"");
        const int shown = length < 60 ? (int)length : 60;
        double *const place = field(queue, name, length);
        if (place == NULL) {
            snprintf(error, error_capacity,
                     "unknown field '%.*s', expected cores, service_ns, cpu_cores or ram_bytes",
                     shown, name);
            return -1;
        }
        at = skip_space(skip_space(name + length + 1) + 1);
        char *end;
        *place = strtod(at, &end);
        if (end == at || !(*place >= 0)) {
            snprintf(error, error_capacity, "%.*s: expected a number from 0", shown, name);
            return -1;
        }
        at = skip_space(end);
        if (*at == ',') {
            at = skip_space(at + 1);
        }
    }
    if (!(queue->cores >= 1 && queue->cores <= 4096)) {
        snprintf(error, error_capacity, "cores: found %g, expected 1 to 4096", queue->cores);
        return -1;
    }
    return 0;
}

static hyperfake_status create(const hyperfake_host *host, const char *config, size_t config_length,
                               void **instance, char *error, size_t error_capacity)
{
    (void)host, (void)config_length;
    queueing queue = {.cores = 4, .service_ns = 1e7, .cpu_cores = 1, .ram_bytes = 64e6};
    if (read_config(&queue, config, error, error_capacity) != 0) {
        return HYPERFAKE_ERROR;
    }
    queueing *const made = malloc(sizeof *made);
    if (made == NULL) {
        snprintf(error, error_capacity, "out of memory");
        return HYPERFAKE_ERROR;
    }
    *made = queue;
    *instance = made;
    return HYPERFAKE_OK;
}

/*
 * The probability of having to wait. Erlang's formula B for one server more is found from the one for
 * the servers so far; C follows from B.
 */
static double erlang_c(double servers, double busy)
{
    double b = 1;
    for (double server = 1; server <= servers; server++) {
        b = busy * b / (server + busy * b);
    }
    return b / (1 - busy / servers * (1 - b));
}

static hyperfake_status predict(void *instance, const hyperfake_features *features,
                                hyperfake_prediction *out, char *error, size_t error_capacity)
{
    (void)error, (void)error_capacity;
    const queueing *const queue = instance;
    const double servers = (double)(int)queue->cores;
    const double most = 0.99 * servers;
    double busy = features->worker_cpu_cores;
    if (!(busy >= 0)) { /* also NaN */
        busy = 0;
    } else if (busy > most) {
        busy = most;
    }
    out->runtime_ns = queue->service_ns * (1 + erlang_c(servers, busy) / (servers - busy));
    out->cpu_cores = queue->cpu_cores;
    out->ram_bytes = queue->ram_bytes;
    return HYPERFAKE_OK;
}

static hyperfake_status destroy(void *instance, char *error, size_t error_capacity)
{
    (void)error, (void)error_capacity;
    free(instance);
    return HYPERFAKE_OK;
}

const hyperfake_plugin_descriptor *hyperfake_plugin(void)
{
    static const hyperfake_plugin_descriptor descriptor = {
        .magic = HYPERFAKE_MAGIC,
        .size = sizeof descriptor,
        .abi_major = HYPERFAKE_ABI_MAJOR,
        .abi_minor = HYPERFAKE_ABI_MINOR,
        .name = "queueing",
        .version = "1.0.0",
        .flags = HYPERFAKE_RE_ENTRANT, /* an instance never changes */
        .create = create,
        .predict = predict,
        .destroy = destroy,
    };
    return &descriptor;
}
