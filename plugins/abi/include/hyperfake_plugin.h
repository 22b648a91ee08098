/*
 * The contract between HyperFake Worker (the host) and a predictor plugin, a shared library that
 * the worker opens at start-up. Version 1.1. For C99 and later, and C++17 and later.
 *
 * A plugin exports exactly one symbol, hyperfake_plugin, which returns a constant descriptor. The
 * descriptor holds five functions: create an instance from a configuration, predict one call,
 * predict several, draw one call, destroy the instance. A plugin needs three of them: predict_batch
 * and draw may be null.
 *
 * TRUST. A plugin is native code with all the rights of the worker's process. Nothing below
 * protects the worker from a plugin that means harm, and nothing can contain a segmentation fault,
 * a C++ exception that leaves a function, an abort or an exit. The rules exist so that an honest
 * mistake becomes an error with the plugin's name in it.
 *
 * MEMORY. Nothing that one side allocates is freed by the other.
 *   - The caller owns all that it points to. A pointer that the host passes is valid until the
 *     function returns, and not a moment longer, unless it says otherwise below.
 *   - An instance belongs to the plugin: the host only hands the pointer back, in the end to
 *     destroy.
 *   - The descriptor, its name and its version stay valid and unchanged until the process ends.
 *
 * LIFETIME. The host opens a library once and never unloads it. Opening it runs its initialisers;
 * they should do nothing, for no error of theirs can be reported.
 *
 * THREADS. A function may be called on any thread.
 *   - hyperfake_plugin may be called at any time, several times, also by several threads at once.
 *   - create may be called by several threads at once. Each gives a new instance.
 *   - predict, predict_batch, draw and destroy of one instance are never called at the same time, unless
 *     the plugin has the flag HYPERFAKE_RE_ENTRANT. They may be called on different threads, one
 *     after the other: all that one call wrote is visible to the next.
 *   - Different instances are used at the same time. What they share is the plugin's to guard.
 *   - A call to predict or draw holds up a thread that serves others. It should neither wait nor do
 *     input or output. The host measures nothing and interrupts nothing: a function that does not return
 *     holds its thread for good.
 *   - The process is the host's. A plugin changes no signal handlers, no locale, no environment, no
 *     working directory, no rounding mode, and it does not call exit or fork.
 *
 * ERRORS. create, predict, predict_batch, draw and destroy return a status:
 *   - HYPERFAKE_OK: all that was asked for is written.
 *   - HYPERFAKE_ERROR: it could not be done. The instance can still be used.
 *   - HYPERFAKE_PANIC: the plugin can no longer trust its own state, for example after a Rust panic
 *     or a C++ exception that it caught. The host calls none of the library's functions again, for
 *     no model and no instance, not even destroy.
 *   - Anything else is taken for HYPERFAKE_ERROR and reported as a fault of the plugin.
 * With a status other than HYPERFAKE_OK the plugin writes a reason into the buffer error, which
 * belongs to the host: a line of UTF-8 that ends with a zero byte, at most error_capacity bytes with
 * that zero, cut if need be. snprintf(error, error_capacity, ...) does it right. error is never null
 * and error_capacity is at least 256. The host survives a reason that is missing, not UTF-8 or
 * without its zero byte.
 *
 * UNWINDING. No function lets anything but a return leave it: no Rust panic, no C++ exception, no
 * longjmp. Declare the functions noexcept in C++, and catch everything inside.
 *
 * VERSIONS. This header has a major and a minor number.
 *   - A new minor number adds members at the end of hyperfake_host or of
 *     hyperfake_plugin_descriptor, or a flag that may be ignored. Nothing else changes.
 *   - Everything else is a new major number, for example any change to hyperfake_features or
 *     hyperfake_prediction, which form arrays.
 *   - The host takes plugins of its own major number and any minor number. It ignores what stands
 *     behind the members that it knows and flags that it does not know, so that a plugin with a
 *     newer minor number must be content with that: it finds the host's minor number in
 *     hyperfake_host. A plugin with an older minor number is as if the members that it does not know
 *     were null.
 *   - 1.1 added draw to hyperfake_plugin_descriptor.
 */

#ifndef HYPERFAKE_PLUGIN_H
#define HYPERFAKE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define HYPERFAKE_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define HYPERFAKE_EXPORT __attribute__((visibility("default")))
#else
#define HYPERFAKE_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The first member of every descriptor. */
#define HYPERFAKE_MAGIC UINT64_C(0x4e4947554c504648)

#define HYPERFAKE_ABI_MAJOR 1
#define HYPERFAKE_ABI_MINOR 1

/* What a function returns; see ERRORS. */
typedef int32_t hyperfake_status;
#define HYPERFAKE_OK 0
#define HYPERFAKE_ERROR 1
#define HYPERFAKE_PANIC 2

/*
 * Flag: predict, predict_batch and draw may be called by several threads at once on one instance. The
 * host then creates one instance for a model instead of one for each thread.
 */
#define HYPERFAKE_RE_ENTRANT UINT64_C(1)

/* Flag: the same features may get different answers. */
#define HYPERFAKE_RANDOM UINT64_C(2)

/*
 * What is known of a call and of the worker that it arrives at. The call itself is not counted. The
 * worker never passes NaN, infinity or a negative number; tests may.
 */
typedef struct hyperfake_features {
    double request_bytes;      /* size of the request's body, in bytes */
    double function_instances; /* live instances of the function, starting ones included */
    double active_calls;       /* calls of the function that are running */
    double worker_cpu_cores;   /* CPU that the worker's running calls hold, in cores */
    double worker_ram_bytes;   /* memory that the worker's running calls hold, in bytes */
} hyperfake_features;

/*
 * How the call will behave. The host bounds what makes no sense: NaN and negative numbers count as
 * 0, too large ones as the largest allowed.
 */
typedef struct hyperfake_prediction {
    double runtime_ns; /* run time, in nanoseconds */
    double cpu_cores;  /* CPU held while it runs, in cores */
    double ram_bytes;  /* memory held while it runs, in bytes */
} hyperfake_prediction;

/*
 * Where in its distribution each number of a draw lies. The worker passes random numbers from 0 up to,
 * but without, 1; for a quantile it passes the same number, from 0 to 1, three times.
 */
typedef struct hyperfake_uniforms {
    double run_time; /* for the run time */
    double cpu;      /* for the CPU */
    double ram;      /* for the memory */
} hyperfake_uniforms;

/* Who calls. Valid and unchanged until the process ends. */
typedef struct hyperfake_host {
    uint32_t size;      /* of this struct as the host knows it, in bytes */
    uint16_t abi_major; /* of the header that the host was built with */
    uint16_t abi_minor;
    const char *name;   /* the host's name and version, UTF-8, ends with a zero byte */
} hyperfake_host;

/*
 * Makes an instance.
 *
 * config: one JSON object, which the host has checked: UTF-8, no zero byte inside, one after its
 *         config_length bytes. {} when the model has no configuration.
 * instance: points to a null pointer. With HYPERFAKE_OK the plugin has put its instance there, which
 *         is not null; a plugin without state may point to anything. With any other status the host
 *         ignores what is there, and the plugin has released what it had allocated.
 * Threads: any, several at once.
 */
typedef hyperfake_status (*hyperfake_create_fn)(const hyperfake_host *host, const char *config,
                                                size_t config_length, void **instance, char *error,
                                                size_t error_capacity);

/*
 * Predicts one call.
 *
 * instance: from create, not yet destroyed.
 * out: holds a NaN in each member. With HYPERFAKE_OK all three are written; the host detects one that
 *      was not. With any other status the host ignores them.
 * Threads: any; one at a time on an instance, unless the plugin is re-entrant.
 */
typedef hyperfake_status (*hyperfake_predict_fn)(void *instance, const hyperfake_features *features,
                                                 hyperfake_prediction *out, char *error,
                                                 size_t error_capacity);

/*
 * Destroys an instance. It is the last call with this instance, whatever the status is.
 *
 * Threads: any; never while another function runs on the instance.
 */
typedef hyperfake_status (*hyperfake_destroy_fn)(void *instance, char *error, size_t error_capacity);

/*
 * Predicts several calls, as if by predict one after the other.
 *
 * features, out: count elements each, which do not overlap. count is at least 1.
 * out: as in predict, for all elements.
 * Threads: as predict.
 */
typedef hyperfake_status (*hyperfake_predict_batch_fn)(void *instance,
                                                       const hyperfake_features *features,
                                                       hyperfake_prediction *out, size_t count,
                                                       char *error, size_t error_capacity);

/*
 * Draws one call, for a plugin that knows how its numbers are distributed: each number is the quantile of
 * its distribution at its own uniform number. So the same arguments give the same draw; a number does
 * not decrease when its uniform number grows, and does not depend on the other two; and predict
 * gives the mean over all uniform numbers.
 *
 * A host that knows this function draws each call with it, and predicts only to show a model. One that
 * does not, with the minor number 0, predicts each call.
 *
 * Arguments and threads: as predict.
 */
typedef hyperfake_status (*hyperfake_draw_fn)(void *instance, const hyperfake_features *features,
                                              const hyperfake_uniforms *uniforms,
                                              hyperfake_prediction *out, char *error,
                                              size_t error_capacity);

/*
 * What a plugin is. The host checks magic, then abi_major, then size, then the pointers, before it
 * calls any of the functions.
 */
typedef struct hyperfake_plugin_descriptor {
    uint64_t magic;      /* HYPERFAKE_MAGIC */
    uint32_t size;       /* sizeof(hyperfake_plugin_descriptor) */
    uint16_t abi_major;  /* HYPERFAKE_ABI_MAJOR */
    uint16_t abi_minor;  /* HYPERFAKE_ABI_MINOR */
    const char *name;    /* 1 to 64 bytes of UTF-8, ends with a zero byte; used in messages */
    const char *version; /* of the plugin: as name */
    uint64_t flags;      /* HYPERFAKE_RE_ENTRANT and HYPERFAKE_RANDOM, or 0 */
    hyperfake_create_fn create;
    hyperfake_predict_fn predict;
    hyperfake_destroy_fn destroy;
    hyperfake_predict_batch_fn predict_batch; /* null: the host calls predict for each */
    /* Since 1.1. */
    hyperfake_draw_fn draw; /* null: the plugin knows no distributions */
} hyperfake_plugin_descriptor;

/*
 * The one symbol that a plugin exports. Returns its descriptor, the same each time, and does nothing
 * else. Threads: any, several at once.
 */
HYPERFAKE_EXPORT const hyperfake_plugin_descriptor *hyperfake_plugin(void);

#ifdef __cplusplus
}
#endif

#endif
