/* Compares the header with its Rust mirror, whose numbers come as macros from header.rs. */

#include "hyperfake_plugin.h"

/* C99 has no static assertion: an array of -1 elements is an error. */
#define ASSERT(name, condition) typedef char assert_##name[(condition) ? 1 : -1]
#define SAME_SIZE(type) ASSERT(size_of_##type, sizeof(type) == RUST_##type)
#define SAME_OFFSET(type, member) \
    ASSERT(offset_of_##type##_##member, offsetof(type, member) == RUST_##type##_##member)

ASSERT(magic, HYPERFAKE_MAGIC == RUST_MAGIC);
ASSERT(major, HYPERFAKE_ABI_MAJOR == RUST_ABI_MAJOR);
ASSERT(minor, HYPERFAKE_ABI_MINOR == RUST_ABI_MINOR);
ASSERT(ok, HYPERFAKE_OK == RUST_OK);
ASSERT(error, HYPERFAKE_ERROR == RUST_ERROR);
ASSERT(panic, HYPERFAKE_PANIC == RUST_PANIC);
ASSERT(re_entrant, HYPERFAKE_RE_ENTRANT == RUST_RE_ENTRANT);
ASSERT(random, HYPERFAKE_RANDOM == RUST_RANDOM);
ASSERT(status, sizeof(hyperfake_status) == 4);

SAME_SIZE(hyperfake_features);
SAME_OFFSET(hyperfake_features, request_bytes);
SAME_OFFSET(hyperfake_features, function_instances);
SAME_OFFSET(hyperfake_features, active_calls);
SAME_OFFSET(hyperfake_features, worker_cpu_cores);
SAME_OFFSET(hyperfake_features, worker_ram_bytes);

SAME_SIZE(hyperfake_prediction);
SAME_OFFSET(hyperfake_prediction, runtime_ns);
SAME_OFFSET(hyperfake_prediction, cpu_cores);
SAME_OFFSET(hyperfake_prediction, ram_bytes);

SAME_SIZE(hyperfake_uniforms);
SAME_OFFSET(hyperfake_uniforms, run_time);
SAME_OFFSET(hyperfake_uniforms, cpu);
SAME_OFFSET(hyperfake_uniforms, ram);

SAME_SIZE(hyperfake_host);
SAME_OFFSET(hyperfake_host, size);
SAME_OFFSET(hyperfake_host, abi_major);
SAME_OFFSET(hyperfake_host, abi_minor);
SAME_OFFSET(hyperfake_host, name);

SAME_SIZE(hyperfake_plugin_descriptor);
SAME_OFFSET(hyperfake_plugin_descriptor, magic);
SAME_OFFSET(hyperfake_plugin_descriptor, size);
SAME_OFFSET(hyperfake_plugin_descriptor, abi_major);
SAME_OFFSET(hyperfake_plugin_descriptor, abi_minor);
SAME_OFFSET(hyperfake_plugin_descriptor, name);
SAME_OFFSET(hyperfake_plugin_descriptor, version);
SAME_OFFSET(hyperfake_plugin_descriptor, flags);
SAME_OFFSET(hyperfake_plugin_descriptor, create);
SAME_OFFSET(hyperfake_plugin_descriptor, predict);
SAME_OFFSET(hyperfake_plugin_descriptor, destroy);
SAME_OFFSET(hyperfake_plugin_descriptor, predict_batch);
SAME_OFFSET(hyperfake_plugin_descriptor, draw);
