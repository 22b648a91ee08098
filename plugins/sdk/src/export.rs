//! From a [`Predictor`] to the one symbol that a plugin exports.

use std::ffi::CStr;

use hyperfake_plugin_abi::{ABI_MAJOR, ABI_MINOR, Descriptor, MAGIC, MAX_NAME_BYTES, RANDOM};

use crate::{Predictor, ffi};

#[doc(hidden)]
pub use hyperfake_plugin_abi::RE_ENTRANT;

/// Makes the library a plugin: exports the symbol by which the worker finds the predictor.
///
/// The plugin's name and version are those of the package. A library can hold one.
///
/// - `export_predictor!(Noisy);` gives each thread an instance of its own.
/// - `export_predictor!(Noisy, re_entrant);` shares one instance; `Noisy` has to be [`Sync`]:
///
/// ```compile_fail,E0277
/// # use hyperfake_plugin_sdk::{Features, Prediction, Predictor, Result, export_predictor};
/// struct Counting(std::cell::Cell<u64>);
/// # impl Predictor for Counting {
/// #     fn create(_: &str) -> Result<Self> {
/// #         Ok(Self(Default::default()))
/// #     }
/// #     fn predict(&self, _: &Features) -> Result<Prediction> {
/// #         Err("".into())
/// #     }
/// # }
/// export_predictor!(Counting, re_entrant); // a `Cell` is not `Sync`
/// ```
#[macro_export]
macro_rules! export_predictor {
    (@flags $predictor:ty, $flags:expr) => {
        const _: () = {
            // SAFETY: the descriptor is made by the SDK for this type. It is re-entrant only if the
            // type is `Sync`.
            unsafe impl $crate::Exported for $predictor {
                fn descriptor() -> &'static $crate::abi::Descriptor {
                    static DESCRIPTOR: $crate::abi::Descriptor = $crate::descriptor::<$predictor>(
                        concat!(env!("CARGO_PKG_NAME"), "\0"),
                        concat!(env!("CARGO_PKG_VERSION"), "\0"),
                        $flags,
                    );
                    &DESCRIPTOR
                }
            }

            // SAFETY: nothing else has a reason to have this name.
            #[unsafe(no_mangle)]
            extern "C" fn hyperfake_plugin() -> *const $crate::abi::Descriptor {
                <$predictor as $crate::Exported>::descriptor()
            }
        };
    };
    ($predictor:ty) => {
        $crate::export_predictor!(@flags $predictor, 0);
    };
    ($predictor:ty, re_entrant) => {
        const _: () = $crate::assert_sync::<$predictor>();
        $crate::export_predictor!(@flags $predictor, $crate::RE_ENTRANT);
    };
}

/// A predictor that was exported, for tests that reach it without opening a library.
///
/// # Safety
///
/// The descriptor is as the contract wants it, and so are the functions that it points to.
pub unsafe trait Exported {
    /// What the exported symbol returns.
    fn descriptor() -> &'static Descriptor;
}

/// The descriptor of a predictor.
///
/// # Panics
///
/// When the name or the version is empty or too long; at compile time, as it is used in a constant.
pub const fn descriptor<P: Predictor>(
    name: &'static str,
    version: &'static str,
    flags: u64,
) -> Descriptor {
    let random = if P::RANDOM { RANDOM } else { 0 };
    Descriptor {
        magic: MAGIC,
        size: size_of::<Descriptor>() as u32,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        name: terminated(name).as_ptr(),
        version: terminated(version).as_ptr(),
        flags: flags | random,
        create: Some(ffi::create::<P>),
        predict: Some(ffi::predict::<P>),
        destroy: Some(ffi::destroy::<P>),
        predict_batch: Some(ffi::predict_batch::<P>),
        draw: if P::DRAWS { Some(ffi::draw::<P>) } else { None },
    }
}

/// Compiles for a type that may be shared by threads.
pub const fn assert_sync<P: Sync>() {}

const fn terminated(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => {
            let length = text.count_bytes();
            assert!(length > 0 && length <= MAX_NAME_BYTES, "expected a name of 1 to 64 bytes");
            text
        }
        Err(_) => panic!("expected a text that ends with its only zero byte"),
    }
}
