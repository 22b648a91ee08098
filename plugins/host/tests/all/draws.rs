//! Plugins that know how their numbers are distributed.

use hyperfake_plugin_abi::Descriptor;
use hyperfake_plugin_fixtures::broken;
use hyperfake_plugin_host::LinkedPlugin;
use hyperfake_plugin_sdk::{self as sdk, Exported, Prediction, RE_ENTRANT};
use hyperfake_plugin_testkit::{conforms, library_conforms};
use hyperfake_predictor::{Backend, ErrorKind, ModelUri, Uniforms};

use crate::{busy, open, without_path};

const UNIFORMS: Uniforms = Uniforms { run_time: 0.25, cpu: 0.5, ram: 0.75 };

/// Run times from an exponential distribution; each running call adds 1 ms to the mean.
struct Exponential;

impl Exponential {
    fn mean_ns(features: &sdk::Features) -> f64 {
        1e6 * (1.0 + features.active_calls)
    }
}

impl sdk::Predictor for Exponential {
    const DRAWS: bool = true;

    fn create(_: &str) -> sdk::Result<Self> {
        Ok(Self)
    }

    fn predict(&self, features: &sdk::Features) -> sdk::Result<Prediction> {
        let runtime_ns = Self::mean_ns(features);
        Ok(Prediction { runtime_ns, cpu_cores: 1.0, ram_bytes: 8e6 })
    }

    fn draw(&self, features: &sdk::Features, at: &sdk::Uniforms) -> sdk::Result<Prediction> {
        let runtime_ns = -Self::mean_ns(features) * (-at.run_time).ln_1p();
        Ok(Prediction { runtime_ns, cpu_cores: 1.0, ram_bytes: 8e6 })
    }
}

// SAFETY: the descriptor is made by the SDK for this type, which is `Sync`. Not through the macro: this
// program has its symbol already.
unsafe impl Exported for Exponential {
    fn descriptor() -> &'static Descriptor {
        static DESCRIPTOR: Descriptor =
            sdk::descriptor::<Exponential>("exponential\0", "1\0", RE_ENTRANT);
        &DESCRIPTOR
    }
}

#[test]
fn a_predictor_that_draws_has_every_property() {
    conforms::<Exponential>("{}", |features| Prediction {
        runtime_ns: 1e6 + 1e6 * features.active_calls,
        cpu_cores: 1.0,
        ram_bytes: 8e6,
    });
    // SAFETY: an implementation of `Exported` guarantees it.
    let backend = unsafe { LinkedPlugin::new(Exponential::descriptor()) }.unwrap();
    let model = backend.open(&ModelUri::from_path("linked")).unwrap();
    assert!(model.info().knows_distributions);
    let drawn = model.session().unwrap().draw(&busy(1.0), &Uniforms::same(0.75)).unwrap();
    // A quarter of the calls takes longer than ln 4 means.
    assert!((drawn.runtime_ns - 2e6 * 4.0_f64.ln()).abs() < 1e-3, "{drawn:?}");
}

#[test]
#[cfg_attr(miri, ignore = "Miri opens no libraries")]
fn a_library_in_c_draws_at_the_uniform_number_of_each_output() {
    let library = broken("draws");
    assert!(open(library.path()).info().knows_distributions);
    let mut session = open(library.path()).session().unwrap();
    let drawn = session.draw(&busy(1.0), &UNIFORMS).unwrap();
    assert_eq!(drawn.to_array(), [1.5e6, 1.0, 10e6]);
    assert_eq!(session.predict(&busy(1.0)).unwrap().to_array(), [2e6, 1.0, 8e6]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri opens no libraries")]
fn a_draw_that_fails_or_is_not_written_is_an_error_and_the_next_one_is_served() {
    let library = broken("draws");
    let mut session = open(library.path()).session().unwrap();
    let mut failed = |active_calls| {
        let error = session.draw(&busy(active_calls), &UNIFORMS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        session.draw(&busy(0.0), &UNIFORMS).unwrap();
        without_path(library.path(), &error)
    };
    let plugin = "the plugin 'fixture' 1.2.3";
    assert_eq!(failed(11.0), format!("{plugin} failed in draw: 11 calls are too many"));
    assert_eq!(failed(10.0), format!("{plugin} left ram_bytes unwritten in draw"));
}

/// By its size it has no function for draws, whatever stands behind it.
#[test]
#[cfg_attr(miri, ignore = "Miri opens no libraries")]
fn a_plugin_of_version_1_0_is_served_and_draws_what_it_predicts() {
    let library = broken("older_minor");
    library_conforms(library.path(), "{}", |_| Prediction {
        runtime_ns: 7e6,
        cpu_cores: 0.5,
        ram_bytes: 8e6,
    });
    let model = open(library.path());
    assert!(!model.info().knows_distributions);
    let drawn = model.session().unwrap().draw(&busy(0.0), &UNIFORMS).unwrap();
    assert_eq!(drawn.to_array(), [7e6, 0.5, 8e6]);
}
