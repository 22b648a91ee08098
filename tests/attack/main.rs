//! What one client can do to the others. Each case starts the program, lets honest clients call it,
//! attacks it over loopback, and judges what the guide's page of limits promises:
//!
//! - memory: at most 256 MiB above that of the worker at rest ([`rig::MOST_MEMORY`]);
//! - the honest clients: 200 calls a second on a connection of their own, none of which fails, and
//!   a 99th percentile below 50 ms. Only the long form of a case (`just attack`, on a machine that does
//!   nothing else) judges times;
//! - afterwards nothing is held: calls, memory but for what the allocator keeps
//!   ([`rig::ALLOCATORS_RESERVE`]), and descriptors.
//!
//! Every case has a long form, and one of each kind a short form, which runs with all tests. The long
//! forms are ignored there: `just attack` runs them with the program as it is shipped. An attack ends after its time, and when
//! the worker's memory is far beyond what is allowed, so that a failing case does no harm.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "time is that of the client, and roughly measured")]

mod attacker;
mod connections;
mod fleet;
mod floods;
mod frames;
mod h2spec;
mod held;
mod resets;
mod rig;
mod sides;
mod signals;
mod state;

/// Makes the long form of each case, and the short form of those named first: all of them together
/// take half a minute.
#[macro_export]
macro_rules! cases {
    (short: $($short:ident),+; $(long: $($long:ident),+;)?) => {
        mod short {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $short() {
                super::$short($crate::rig::Form::Short).await;
            })+
        }
        $crate::cases! { long: $($short,)+ $($($long),+)? }
    };
    (long: $($name:ident),+ $(,)?) => {
        mod long {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "takes long, and needs a machine that does nothing else: just attack"]
            async fn $name() {
                super::$name($crate::rig::Form::Long).await;
            })+
        }
    };
}
